// What waits to be sent (lib/engine/outbox.ts): who may hear that it is sent, and what happens when telling so runs the
// program.

import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parity } from '../helpers/parity.mjs'

const require = createRequire(import.meta.url)
const ours = { module: 'ferronet' }
const inner = name => require(join(dirname(require.resolve('ferronet')), 'lib/engine', name))

/** How many bytes of a socket have not been offered to the kernel yet. */
function waiting(socket) {
  const { LOG_WORDS, log, state } = inner('engine.js')
  let bytes = 0
  for (let entry = 0; entry < state[0]; entry++) {
    if (log[entry * LOG_WORDS] === socket._handle?.slot) bytes += log[entry * LOG_WORDS + 2]
  }
  return bytes
}

/** Writes, and resolves with what waits when the callback comes. */
const written = (socket, size) =>
  new Promise(resolve => socket.write(Buffer.alloc(size, 120), () => resolve(waiting(socket))))

parity('large writes are called back when the kernel has all of them', ours, async ({ pair }) => {
  const { client, peer } = await pair()
  peer.resume()
  for (let round = 0; round < 20; round++) {
    const row = Array.from({ length: 5 }, (_, n) => 60_000 + n)
    assert.deepEqual(await Promise.all(row.map(size => written(client, size))), [0, 0, 0, 0, 0])
    await new Promise(resolve => setImmediate(resolve))
    for (let n = 0; n < 5; n++) assert.equal(await written(client, 60_000 + n), 0)
  }
})

parity('so is a small write behind large ones', ours, async ({ pair }) => {
  const { client, peer } = await pair()
  peer.resume()
  for (let round = 0; round < 20; round++) {
    for (let n = 0; n < 4; n++) client.write(Buffer.alloc(65_536), () => {})
    assert.equal(await written(client, 5), 0)
  }
})

parity('so are small writes that fill the buffer, in a batch of many events', ours, async ({ pair }) => {
  const pairs = await Promise.all(Array.from({ length: 8 }, () => pair()))
  for (let round = 0; round < 10; round++) {
    const answers = pairs.map(
      ({ client, peer }) =>
        new Promise((resolve, reject) => {
          client.resume()
          peer.once('data', () => {
            for (let n = 0; n < 5; n++) peer.write(Buffer.alloc(13_000, 121))
            written(peer, 13_000).then(resolve, reject)
          })
        }),
    )
    for (const { client } of pairs) client.write('go')
    assert.deepEqual(await Promise.all(answers), Array(8).fill(0))
  }
})

parity('what a hook writes while a flush fails is sent', async t => {
  const [broken, other, asking] = await Promise.all([t.pair(), t.pair(), t.pair()])
  broken.client.on('error', () => {})
  broken.peer.on('error', () => {})
  let got = ''
  other.peer.on('data', data => (got += data))
  let wrote = 0
  let inHook = false
  const hook = createHook({
    init(_id, type) {
      if (type !== 'TickObject' || inHook || wrote === 20) return
      inHook = true
      other.client.write(`<${++wrote}>`)
      inHook = false
    },
  })
  asking.client.on('data', () => {
    broken.peer.resetAndDestroy()
    hook.enable()
    broken.client.write('a')
  })
  asking.peer.write('go')
  await t.seen(broken.client, 'close')
  hook.disable()
  assert.ok(wrote > 0)
  await t.until(() => got.endsWith(`<${wrote}>`))
  assert.equal(got, Array.from({ length: wrote }, (_, at) => `<${at + 1}>`).join(''))
})

parity(
  'what was sent is not there to be sent again when a thread is terminated',
  ours,
  async ({ pair, until }) => {
    const { engine, state } = inner('engine.js')
    const { flush } = engine
    const left = []
    engine.flush = count => {
      const short = flush(count)
      left.push(state[0])
      return short
    }
    try {
      const { client, peer } = await pair()
      client.write('a')
      client.write('b')
      await until(() => peer.bytesRead === 2 || peer.readableLength === 2)
    } finally {
      engine.flush = flush
    }
    assert.ok(left.length > 0)
    assert.ok(left.every(count => count === 0))
  },
)

parity('the end of a chunk that TLS has sealed, but not sent, is not lost', ours, async () => {
  const { engine } = inner('engine.js')
  const { Backlog } = inner('backlog.js')
  const { blocked, write, writeBehind } = engine
  const backlog = new Backlog()
  backlog.add(Buffer.alloc(70_000))
  // All but the tail is sealed, and the kernel has not taken all of that.
  engine.writeBehind = () => 65_000
  engine.blocked = () => true
  try {
    assert.equal(backlog.send(0, 5_000, 0), 1)
    assert.equal(backlog.size, 5_000)
    engine.write = (_slot, chunk, offset) => chunk.byteLength - offset
    engine.blocked = () => false
    assert.equal(backlog.send(0), 0)
    assert.equal(backlog.size, 0)
  } finally {
    Object.assign(engine, { blocked, write, writeBehind })
  }
})
