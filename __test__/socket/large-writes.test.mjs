// Many large writes in a row: the end of each may leave with the next one (lib/engine/segments.ts), and what was written
// just before a large write leaves along with it. Nothing of that may be seen by either end.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { parity, parityProcess } from '../helpers/parity.mjs'
import { nodeProgram } from '../helpers/runtime.mjs'

const sum = bytes => `${bytes.length} bytes, ${createHash('sha1').update(bytes).digest('hex')}`

/** The n-th chunk: its bytes tell where it belongs. */
function chunk(n, size = 65_536) {
  const bytes = Buffer.alloc(size, n)
  for (let at = 0; at < size; at += 251) bytes.writeUInt16BE((n * 7919 + at) & 0xffff, Math.min(at, size - 2))
  return bytes
}

const later = {
  'in a handler': async ({ pair, seen }, write) => {
    const { client, peer } = await pair()
    const asked = seen(peer, 'data')
    peer.once('data', () => write(peer))
    client.write('go')
    await asked
    return { writer: peer, reader: client }
  },
  'outside of handlers': async ({ pair }, write) => {
    const { client, peer } = await pair()
    await new Promise(resolve => setImmediate(() => resolve(write(client))))
    return { writer: client, reader: peer }
  },
  'in a promise': async ({ pair }, write) => {
    const { client, peer } = await pair()
    await Promise.resolve().then(() => write(client))
    return { writer: client, reader: peer }
  },
  'in ticks': async ({ pair }, write) => {
    const { client, peer } = await pair()
    await new Promise(resolve => process.nextTick(() => process.nextTick(() => resolve(write(client)))))
    return { writer: client, reader: peer }
  },
}

for (const [where, begin] of Object.entries(later)) {
  parity(`large writes ${where} arrive to the last byte, and nothing has to follow`, async t => {
    const count = 12
    const { writer, reader } = await begin(t, socket => {
      for (let n = 0; n < count; n++) socket.write(chunk(n))
    })
    const parts = []
    reader.on('data', part => parts.push(part))
    await t.until(() => reader.bytesRead === count * 65_536)
    t.log('arrived', sum(Buffer.concat(parts)), writer.bytesWritten)
    t.log('expected', sum(Buffer.concat(Array.from({ length: count }, (_, n) => chunk(n)))))
  })

  parity(`large and small writes ${where} keep their order, before end()`, async t => {
    const { reader } = await begin(t, socket => {
      for (let n = 0; n < 10; n++) {
        socket.write(`head ${n}`)
        socket.write(chunk(n, 40_000 + 9_001 * n))
        if (n % 3 === 0) socket.write('between')
        if (n % 4 === 0) socket.write(new Uint8Array(0))
      }
      socket.end('last')
    })
    t.log('arrived', sum(await t.drained(reader)))
  })

  parity(`the callbacks of large writes ${where} come in order`, async t => {
    const { reader } = await begin(t, socket => {
      for (let n = 0; n < 8; n++) socket.write(chunk(n), error => t.log('written', n, error))
      socket.end(() => t.log('ended'))
    })
    t.log('arrived', sum(await t.drained(reader)))
  })
}

parity("a writer that goes on at every 'drain' loses nothing", async ({ pair, drained, log }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  const hash = createHash('sha1')
  let n = 0
  const fill = () => {
    while (n < 200) {
      const next = chunk(n, n % 5 === 0 ? 70_001 : 65_536)
      hash.update(next)
      n++
      if (!client.write(next)) return void client.once('drain', fill)
    }
    client.end()
  }
  fill()
  const bytes = await arrived
  log('arrived', createHash('sha1').update(bytes).digest('hex') === hash.digest('hex'), bytes.length)
})

parity('a peer that reads now and then gets every byte of many large writes', async t => {
  const { pair, log, turns } = t
  const { client, peer } = await pair({ server: { pauseOnConnect: true } })
  const sent = createHash('sha1')
  const received = createHash('sha1')
  let bytes = 0
  peer.on('data', part => {
    received.update(part)
    bytes += part.length
    peer.pause()
    setImmediate(() => peer.resume())
  })
  const ended = t.seen(peer, 'end')
  let n = 0
  const fill = () => {
    for (let burst = 0; burst < 7 && n < 120; burst++) {
      const next = chunk(n++)
      sent.update(next)
      client.write(next)
    }
    if (n === 120) client.end()
    else if (client.writableNeedDrain) client.once('drain', fill)
    else setImmediate(fill)
  }
  fill()
  await turns(3)
  peer.resume()
  await ended
  log('arrived', bytes, received.digest('hex') === sent.digest('hex'))
})

parity(
  'several sockets that write large chunks in turn do not mix them up',
  async ({ pair, drained, log }) => {
    const pairs = [await pair(), await pair(), await pair()]
    const arrived = pairs.map(({ peer }) => drained(peer))
    for (let n = 0; n < 6; n++) {
      for (const [at, { client }] of pairs.entries()) {
        client.write(`${at}.${n}`)
        client.write(chunk(16 * at + n))
      }
    }
    for (const { client } of pairs) client.end()
    for (const [at, bytes] of (await Promise.all(arrived)).entries()) log(`socket ${at}`, sum(bytes))
  },
)

// A large write takes out of the middle what its socket has collected; what others collect next must not close the gap.
parity('small writes around the large one of another socket go to their own peers', async t => {
  const [first, second, third] = [await t.pair(), await t.pair(), await t.pair()]
  const arrived = [first, second, third].map(({ client }) => t.drained(client))
  const asked = t.seen(first.peer, 'data')
  first.peer.once('data', () => {
    for (let round = 0; round < 4; round++) {
      first.peer.write(`first ${round} `)
      second.peer.write(`second ${round} `)
      third.peer.write(`third ${round} `)
      if (round % 2 === 0) second.peer.write(chunk(round))
      third.peer.write(chunk(10 + round))
      first.peer.write(`first again ${round} `)
      second.peer.write(`second again ${round} `)
    }
  })
  first.client.write('go')
  await asked
  for (const { peer } of [first, second, third]) peer.end()
  for (const [at, bytes] of (await Promise.all(arrived)).entries()) {
    if (at === 0) t.log('first', String(bytes))
    t.log(`socket ${at}`, sum(bytes))
  }
})

parity('random writes of five sockets in the same handlers stay apart', async t => {
  const pairs = []
  for (let at = 0; at < 5; at++) pairs.push(await t.pair())
  const arrived = pairs.map(({ client }) => t.drained(client))
  const sent = pairs.map(() => createHash('sha1'))
  let state = 7
  const random = below => {
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return (state >> 8) % below
  }
  const sizes = [1, 10, 100, 1_000, 5_000, 15_000, 16_384, 33_000, 65_536, 70_000]
  const [{ client, peer }] = pairs
  const rounds = 40
  await new Promise(resolve => {
    let round = 0
    peer.on('data', () => {
      for (let writes = random(40); writes > 0; writes--) {
        const at = random(5)
        const bytes = Buffer.alloc(sizes[random(sizes.length)], `${at}${random(10)}`)
        sent[at].update(bytes)
        pairs[at].peer.write(random(3) === 0 ? bytes.toString('latin1') : bytes)
      }
      if (++round < rounds) client.write('go')
      else resolve()
    })
    client.write('go')
  })
  for (const { peer } of pairs) peer.end()
  for (const [at, bytes] of (await Promise.all(arrived)).entries()) {
    t.log(`socket ${at}`, sum(bytes), sum(bytes).endsWith(sent[at].digest('hex')))
  }
})

// More waits than fits into a segment, and the string behind it is shorter than what is left over.
for (const waiting of [33_000, 40_000, 47_000, 48_000, 64_000]) {
  parity(`a string of 6 KB behind ${waiting} bytes that wait, after a row of large writes`, async t => {
    const { client, peer } = await t.pair()
    const arrived = t.drained(client)
    const asked = t.seen(peer, 'data')
    peer.once('data', () => {
      for (let n = 0; n < 4; n++) peer.write(chunk(n))
      for (let left = waiting; left > 0; left -= 1_000) peer.write('-'.repeat(Math.min(left, 1_000)))
      peer.write('s'.repeat(6_000), () => t.log('written', peer.writableLength))
    })
    client.write('go')
    await asked
    peer.end()
    t.log('arrived', sum(await arrived))
  })
}

parity('memory is the program’s again when a large write calls back', async ({ pair, drained, log }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  const memory = Buffer.alloc(65_536)
  for (let n = 0; n < 10; n++) {
    memory.set(chunk(n))
    await new Promise(resolve => client.write(memory, resolve))
  }
  client.end()
  log('arrived', sum(await arrived))
})

parity('destroySoon() and destroy() behind large writes send all that was taken', async t => {
  for (const end of ['destroySoon', 'destroy']) {
    const { client, peer } = await t.pair()
    const arrived = t.drained(peer)
    const closed = t.seen(client, 'close')
    for (let n = 0; n < 6; n++) client.write(chunk(n))
    t.log(end, client.writableLength)
    client[end]()
    t.log('arrived', sum(await arrived))
    await closed
  }
})

// Says on the shared stdout how much it got until the end.
const witness = `
  const client = require('node:net').connect(+process.argv[1], '127.0.0.1')
  const hash = require('node:crypto').createHash('sha1')
  let bytes = 0
  client.write('hello')
  client.on('data', data => { hash.update(data); bytes += data.length })
  client.on('error', error => console.log('witness error', error.code))
  client.on('close', () => console.log('witness got', bytes, hash.digest('hex')))
`

for (const [how, leave] of Object.entries({
  'process.exit()': () => process.exit(0),
  'process.reallyExit()': () => process.reallyExit(0),
  'an exception': () => {
    throw new Error('boom')
  },
})) {
  parityProcess(`${how} behind large writes in a handler loses none`, async ({ listen }) => {
    const server = await listen({}, peer => {
      peer.once('data', () => {
        for (let n = 0; n < 6; n++) peer.write(chunk(n))
        leave()
      })
    })
    const child = spawn(nodeProgram, ['-e', witness, server.address().port], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    child.unref()
  })
}
