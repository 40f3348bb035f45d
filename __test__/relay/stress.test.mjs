// Relays under stress: long chains, programs that look and stop looking at random, and what is left behind when
// something ends in the middle. `npm run test:relays` has more of it.
//
// FERRONET_RELAY_MEGABYTES=10240   how much goes through each chain of three (40)
// FERRONET_RELAY_SEEDS=1000        how many random programs there are (12)

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Check, source } from '../fixtures/interop/bytes.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'
import { proxy, relaying, relays, warmUp, where } from '../helpers/relay.mjs'

const ours = { module: 'ferronet' }
const size = Number(process.env.FERRONET_RELAY_MEGABYTES ?? 40) * 1024 * 1024

for (const kinds of [
  ['tcp', 'tcp'],
  ['unix', 'tcp'],
  ['unix', 'unix'],
]) {
  parity(
    `a chain of three relays loses nothing: ${kinds.join(', ')}`,
    { ...ours, ...where(...kinds) },
    async t => {
      const count = relays(t)
      const proxies = [await proxy(t, { kinds }), await proxy(t, { kinds }), await proxy(t, { kinds })]
      const ends = proxies.flatMap(({ client, a, b, peer }) => [client, a, b, peer])
      for (let at = 1; at < ends.length - 1; at += 2) {
        ends[at].pipe(ends[at + 1])
        ends[at + 1].pipe(ends[at])
      }
      await warmUp(ends[0], ends.at(-1))
      await warmUp(ends.at(-1), ends[0])
      count.ran(6)
      const [there, back] = [new Check(), new Check()]
      await Promise.all([
        pipeline(source(size, 100_000), ends[0]),
        pipeline(ends.at(-1), there),
        pipeline(source(size / 2, 10_000), ends.at(-1)),
        pipeline(ends[0], back),
      ])
      assert.deepEqual([there.right, there.wrong, back.right, back.wrong], [size, false, size / 2, false])
    },
  )
}

/** The same numbers in each run. */
function random(seed) {
  let state = seed
  return limit => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

// What a program may do to a socket that is piped without changing what arrives.
const DOINGS = {
  listen: ({ a, below, turns }) => {
    const seen = []
    const listener = chunk => seen.push(chunk)
    a.on('data', listener)
    return turns(below(4)).then(() => a.off('data', listener))
  },
  listenFirst: ({ a, below, turns }) => {
    const listener = () => {}
    a.prependListener('data', listener)
    return turns(below(4)).then(() => a.removeListener('data', listener))
  },
  // Not left behind: when `unpipe` finds a slow destination and another listener, Node lets the bytes flow to that one.
  once: ({ a, below, turns }) => {
    const listener = () => {}
    a.once('data', listener)
    return turns(below(4)).then(() => a.off('data', listener))
  },
  pause: ({ a, below, turns }) => {
    a.pause()
    return turns(below(3)).then(() => a.resume())
  },
  unpipe: ({ a, b, below, turns }) => {
    a.unpipe(b)
    return turns(below(3)).then(() => a.pipe(b))
  },
  second: ({ a, below, turns }) => {
    const second = new PassThrough().resume()
    a.pipe(second)
    return turns(below(4)).then(() => a.unpipe(second))
  },
  cork: ({ b, below, turns }) => {
    b.cork()
    return turns(below(3)).then(() => b.uncork())
  },
  writeNothing: ({ b }) => b.write(''),
  wrap: ({ b, below, turns }) => {
    const { write } = b
    b.write = (...args) => Reflect.apply(write, b, args)
    return turns(below(3)).then(() => Reflect.deleteProperty(b, 'write'))
  },
  wrapEmit: ({ a, below, turns }) => {
    const { emit } = a
    a.emit = (...args) => Reflect.apply(emit, a, args)
    return turns(below(3)).then(() => Reflect.deleteProperty(a, 'emit'))
  },
  look: ({ a, b }) => assert.ok(a.bytesRead >= b.bytesWritten - b.writableLength),
  unref: ({ a }) => {
    a.unref()
    a.ref()
  },
  timeout: ({ a }) => a.setTimeout(60_000),
  slow: ({ peer, below, turns }) => {
    peer.pause()
    return turns(below(30)).then(() => peer.resume())
  },
}

const seeds = Number(process.env.FERRONET_RELAY_SEEDS ?? 12)
for (let seed = 1; seed <= seeds; seed++) {
  parity(`a program that looks at random loses and reorders nothing: seed ${seed}`, ours, async t => {
    const below = random(seed)
    const paths = process.platform === 'win32' ? ['tcp', 'tcp'] : ['tcp', 'unix']
    const kinds = [paths[below(2)], paths[below(2)]]
    // The first relay does not depend on how the chunks fall.
    const { client, a, b, peer } = await relaying(t, { kinds })
    const warm = a.bytesRead
    const check = new Check()
    peer.on('data', chunk => check.write(chunk))
    const total = 30_000_000
    const all = Promise.all([pipeline(source(total, 1 + below(200_000)), client), once(peer, 'end')])
    const names = Object.keys(DOINGS)
    let done = false
    all.then(
      () => (done = true),
      () => (done = true),
    )
    while (!done) {
      await t.turns(below(8))
      if (a.readableEnded || a.destroyed) break
      // No more in between, or the relay would hardly ever begin.
      if (below(3) > 0) continue
      await DOINGS[names[below(names.length)]]({ a, b, peer, below, turns: t.turns })
    }
    await all
    assert.deepEqual([check.right, check.wrong], [total, false])
    assert.equal(a.bytesRead, warm + total)
    assert.equal(b.bytesWritten, warm + total)
  })
}

const descriptors = () => readdirSync('/proc/self/fd').length

/** A relay with bytes stuck in it. */
async function stuck(t) {
  const all = await relaying(t, { both: true })
  all.peer.pause()
  for (const socket of Object.values(all)) socket.on('error', () => {})
  for (let round = 0; round < 400 && all.client.writableLength === 0; round++) {
    all.client.write(Buffer.alloc(256 * 1024))
    await t.turns(2)
  }
  assert.ok(all.client.writableLength > 0)
  return all
}

const ends = {
  'the source is destroyed': ({ a }) => a.destroy(),
  'the destination is destroyed': ({ b }) => b.destroy(),
  'the source is reset by its peer': ({ client }) => client.resetAndDestroy(),
  'the destination is reset by its peer': ({ peer }) => peer.resetAndDestroy(),
  'the program looks': ({ a }) => a.pause(),
}
for (const [what, end] of Object.entries(ends)) {
  parityProcess(`no descriptor is left when ${what}`, { module: 'ferronet', on: 'linux' }, async t => {
    // The first time all that stays is opened.
    for (let round = 0; round < 2; round++) {
      const all = await stuck(t)
      for (const socket of Object.values(all)) socket.destroy()
      await t.until(() => Object.values(all).every(socket => socket.closed))
    }
    await t.turns(4)
    const before = descriptors()
    for (let round = 0; round < 4; round++) {
      const all = await stuck(t)
      end(all)
      await t.turns(4)
      for (const socket of Object.values(all)) socket.destroy()
      await t.until(() => Object.values(all).every(socket => socket.closed))
    }
    await t.turns(4)
    assert.equal(descriptors(), before)
  })
}

parityProcess(
  'no descriptor is left when a worker is terminated',
  { module: 'ferronet', on: 'linux' },
  async t => {
    const terminated = async () => {
      const worker = t.worker(async ({ net, port }) => {
        const { once } = await import('node:events')
        const pair = async () => {
          const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
          await once(server, 'listening')
          const client = net.connect(server.address().port, '127.0.0.1')
          const [[peer]] = await Promise.all([once(server, 'connection'), once(client, 'connect')])
          return [client, peer]
        }
        const [client, a] = await pair()
        const [b, peer] = await pair()
        a.pipe(b)
        peer.pause()
        const fill = () => {
          while (client.write(Buffer.alloc(64 * 1024)));
        }
        client.on('drain', fill)
        fill()
        let before = -1
        const timer = setInterval(() => {
          if (a.bytesRead === before && before > 1_000_000) {
            clearInterval(timer)
            port.postMessage(before)
          }
          before = a.bytesRead
        }, 20)
      })
      await once(worker, 'message')
      const inside = descriptors()
      await worker.terminate()
      return inside
    }
    await terminated()
    const before = descriptors()
    for (let round = 0; round < 3; round++) assert.ok((await terminated()) > before)
    assert.equal(descriptors(), before)
  },
)
