// What programs may do to the memory they receive or pass in, to the module, and to the process around it.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { markAsUntransferable } from 'node:worker_threads'
import { gc } from '../fixtures/robustness/memory.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'

// --- chunks that are taken away

// A slab belongs to several sockets and refuses to go (docs/internals.md), which only Node 22's `transfer` overrides.
function slabsCanGo() {
  const buffer = new ArrayBuffer(8)
  markAsUntransferable(buffer)
  try {
    buffer.transfer()
    return true
  } catch {
    return false
  }
}

const takings = {
  'structuredClone()': buffer => structuredClone(buffer, { transfer: [buffer] }),
  ...(ArrayBuffer.prototype.transfer ? { 'transfer()': buffer => buffer.transfer() } : {}),
}

for (const [name, take] of Object.entries(takings)) {
  for (const size of [500, 30_000, 300_000]) {
    parity(`chunks taken away by ${name}, ${size} bytes at a time, cost nobody else his bytes`, async t => {
      const ROUNDS = 20
      const counts = []
      const server = await t.listen({}, peer => {
        const at = counts.push(0) - 1
        const error = new Promise(resolve => peer.on('error', resolve))
        peer.on('data', chunk => {
          counts[at] += chunk.length
          if (at !== 0) return
          try {
            take(chunk.buffer)
          } catch {}
        })
        error.then(() => (counts[at] = 'told of an error'))
      })
      const clients = []
      for (let at = 0; at < 5; at++) {
        clients.push(t.connect(t.to(server)).on('error', () => {}))
        await t.seen(clients[at], 'connect')
        await t.until(() => counts.length === clients.length)
      }
      for (let round = 1; round <= ROUNDS; round++) {
        for (const client of clients) client.write(Buffer.alloc(size, round))
        await t.until(() => counts.every(count => typeof count === 'string' || count === round * size))
      }
      if (name === 'transfer()' && slabsCanGo()) for (const at of counts.keys()) counts[at] = ROUNDS * size
      t.log('arrived', counts)
      await t.quiet()
    })
  }
}

parity('a chunk that was taken away is the program’s, the next one is another', async t => {
  const { client, peer } = await t.pair()
  for (let at = 0; at < 10; at++) {
    const arrived = once(peer, 'data')
    client.write(`message ${at}`)
    const [chunk] = await arrived
    try {
      structuredClone(chunk.buffer, { transfer: [chunk.buffer] })
    } catch {}
    const echo = once(client, 'data')
    peer.write('echo')
    t.log('echo', String((await echo)[0]))
  }
})

parity('an onread buffer that is taken away costs its own socket at most', async t => {
  const { net, listen, to, own, until, moduleName } = t
  const server = await listen({}, peer => {
    peer.write('one')
    peer.on('data', () => peer.write('two'))
  })
  const buffer = Buffer.alloc(1000)
  let calls = 0
  const client = own(
    net.connect({
      ...to(server),
      onread: {
        buffer,
        callback: () => {
          calls++
          // node:net goes on to write where the buffer was.
          if (moduleName === 'ferronet') structuredClone(buffer.buffer, { transfer: [buffer.buffer] })
          client.write('more')
          return true
        },
      },
    }),
  )
  client.on('error', () => {})
  await until(() => calls > (moduleName === 'ferronet' ? 0 : 1))
  client.destroy()
  await t.quiet()
})

// --- what is written, and changed or taken away before it has left

// More than the kernel takes for a peer that does not read, so that the first chunk is the one that is cut.
const FIRST = 12_000_000
const NEXT = 1_000_000

function patterned(size, make = length => Buffer.from(new ArrayBuffer(length))) {
  const chunk = make(size)
  for (let at = 0; at < size; at++) chunk[at] = at % 251
  return chunk
}

const changes = {
  overwritten: chunk => chunk.fill(1),
  transferred: chunk => structuredClone(chunk.buffer, { transfer: [chunk.buffer] }),
  'part of several, transferred': chunk => structuredClone(chunk.buffer, { transfer: [chunk.buffer] }),
}

for (const [name, change] of Object.entries(changes)) {
  parity(`a chunk that waits and is ${name} loses no byte silently`, async t => {
    const { client, peer } = await t.pair({ server: { pauseOnConnect: true } })
    const chunks = [FIRST, NEXT, NEXT].map(size => patterned(size))
    const whole = Buffer.concat(chunks)
    const kept = []
    client.on('error', () => {})
    if (name.startsWith('part')) {
      // All in the hands of the handle at once.
      client.cork()
      for (const chunk of chunks) client.write(chunk)
      client.uncork()
    } else {
      for (const chunk of chunks) client.write(chunk)
    }
    t.log('waits', client.writableLength > 2 * NEXT)
    kept.push(change(chunks[0]))
    client.end()
    let bytes = 0
    let wrong = 0
    peer.on('data', chunk => {
      // A change may show or not, but what arrives is what was written here.
      for (let at = 0; at < chunk.length; at += 97) {
        if (chunk[at] !== whole[bytes + at] && !(name === 'overwritten' && chunk[at] === 1)) wrong++
      }
      bytes += chunk.length
    })
    const failed = new Promise(resolve => client.on('error', resolve))
    const over = t.closed(peer)
    peer.resume()
    await over
    t.log('wrong bytes', wrong)
    // Either everything, or an error.
    if (bytes !== whole.length) await failed
    await t.quiet()
    kept.length = 0
  })
}

parity('chunks of shared and of resizable memory are written', async t => {
  const { client, peer } = await t.pair()
  const hash = createHash('sha1')
  let bytes = 0
  peer.on('data', chunk => {
    hash.update(chunk)
    bytes += chunk.length
  })
  for (const size of [10, 5_000, 70_000, 3_000_000]) {
    client.write(patterned(size, length => new Uint8Array(new SharedArrayBuffer(length))))
    client.write(
      patterned(size, length => new Uint8Array(new ArrayBuffer(length, { maxByteLength: 2 * length }))),
    )
    client.cork()
    client.write(patterned(size, length => Buffer.from(new SharedArrayBuffer(length))))
    client.write('and a string')
    client.uncork()
  }
  client.end()
  await t.closed(peer)
  t.log('arrived', bytes, hash.digest('hex'))
})

parity('a chunk that lies about its length is written as it is, and with nobody else’s bytes', async t => {
  const { client, peer } = await t.pair()
  const other = await t.pair()
  const arrived = [t.drained(peer), t.drained(other.peer)]
  // The stream itself counts `length`.
  const lies = [0, 2, 30, 50_000, 2 ** 33, -5, Number.NaN].map(value => ['byteLength', { value }])
  lies.push(['length', { value: 30 }])
  for (const size of [3, 70_000]) {
    for (const lie of lies) {
      const chunk = patterned(size, length => Buffer.alloc(length))
      Object.defineProperty(chunk, ...lie)
      other.client.write('of another')
      client.write('first')
      client.write(chunk)
      client.cork()
      client.write('corked')
      client.write(chunk)
      client.uncork()
      other.client.write('of another, too')
      await t.turns(2)
    }
  }
  client.end()
  other.client.end()
  for (const bytes of await Promise.all(arrived))
    t.log('arrived', bytes.length, createHash('sha1').update(bytes).digest('hex'))
})

// --- chunks that are kept

for (const [kind, size, most] of [
  ['small', 1_000, 16 << 10],
  ['large', 20_000, 256 << 10],
]) {
  parityProcess(`every ${kind} chunk that is kept pins at most ${most >> 10} KiB`, async t => {
    const { server, client, peer } = await t.pair()
    // The collector works in the background, too: what it will free, it frees within the time of a test.
    const atMost = bytes =>
      t.until(() => {
        gc()
        return process.memoryUsage().arrayBuffers <= bytes
      })
    const receive = async (rounds, keep) => {
      for (let round = 0; round < rounds; round++) {
        let bytes = 0
        client.write(Buffer.alloc(size))
        while (bytes < size) {
          const [chunk] = await once(peer, 'data')
          bytes += chunk.length
          keep(chunk)
        }
      }
    }
    await receive(100, () => {})
    await atMost(4 << 20)
    const before = process.memoryUsage().arrayBuffers
    // The worst case: one chunk of every slab.
    const kept = new Map()
    await receive(3_000, chunk => kept.has(chunk.buffer) || kept.set(chunk.buffer, chunk))
    await atMost(before + kept.size * most + (1 << 20))
    t.log('kept within bounds')
    kept.clear()
    await receive(100, () => {})
    await atMost(before + (1 << 20))
    t.log('nothing left')
    client.destroy()
    peer.destroy()
    server.close()
  })
}

// --- the module and the process

parityProcess('two copies of the module in one process both work, and the process ends', async t => {
  const require = createRequire(import.meta.url)
  const copies = [require(t.moduleName)]
  for (const how of ['JavaScript', 'addon']) {
    for (const path of Object.keys(require.cache)) {
      if (how === 'addon' || !path.endsWith('.node')) delete require.cache[path]
    }
    copies.push(require(t.moduleName))
  }
  if (t.moduleName === 'ferronet') {
    const classes = new Set(copies.map(({ Socket }) => Socket))
    if (classes.size !== copies.length) throw new Error('these are no copies')
  }
  const echo = async (server, client) => {
    const listening = server.createServer(peer => peer.pipe(peer)).listen(0, '127.0.0.1')
    await once(listening, 'listening')
    const socket = client.connect(listening.address().port, '127.0.0.1')
    socket.end('round trip')
    let text = ''
    socket.on('data', data => (text += data))
    await once(socket, 'close')
    listening.close()
    return text
  }
  for (const server of copies) for (const client of copies) t.log('echo', await echo(server, client))
  // At once, too, with a worker that has a copy of its own.
  const thread = t.worker(({ net, port }) => {
    const server = net
      .createServer(peer => peer.end('worker'))
      .listen(0, '127.0.0.1', () => {
        net.connect(server.address().port, '127.0.0.1').on('data', data => {
          port.postMessage(String(data))
          server.close()
        })
      })
  })
  const [texts, [message]] = await Promise.all([
    Promise.all(copies.flatMap(server => copies.map(client => echo(server, client)))),
    once(thread, 'message'),
  ])
  t.log('at once', texts.length, [...new Set(texts)], message)
})

parityProcess('a child process inherits no descriptor', { on: 'linux' }, async t => {
  const [tcp, path] = [await t.pair(), await t.pair({ path: t.socketPath() })]
  const echo = once(tcp.client, 'data')
  tcp.peer.write('in use')
  await echo
  // Bound, connecting: in every state that there is.
  const bound = t.net.connect({ ...t.to(tcp.server), localAddress: '127.0.0.1' })
  const connected = once(bound, 'connect')
  const children = ['spawned', 'again'].map(async () => {
    const child = spawn('ls', ['/proc/self/fd'], { stdio: ['ignore', 'pipe', 'ignore'] })
    let text = ''
    child.stdout.on('data', data => (text += data))
    await once(child, 'close')
    return text.split('\n').filter(Boolean)
  })
  // 0, 1, 2, the trace of this test, and the directory that ls reads.
  t.log('open in a child', await Promise.all(children))
  await connected
  const open = readdirSync('/proc/self/fd').filter(fd => {
    try {
      const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))[1]
      return (Number.parseInt(flags, 8) & 0o2000000) === 0
    } catch {
      // The directory itself, which was closed in the meantime.
      return false
    }
  })
  t.log('without close-on-exec', open)
  for (const { server, client, peer } of [tcp, path]) {
    server.close()
    client.destroy()
    peer.destroy()
  }
  bound.destroy()
  await t.finish()
})
