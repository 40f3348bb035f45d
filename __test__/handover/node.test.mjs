// Moving sockets and servers to Node's own net and back: nothing that was read or written is lost, and only the new
// owner is told about what follows. node:net has no counterpart, so these run on ferronet's two drivers.

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import node from 'node:net'
import { dirname } from 'node:path'
import { Duplex } from 'node:stream'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { parity, parityProcess } from '../helpers/parity.mjs'
import { Peer } from '../helpers/peer.mjs'
import { chunks, Sum, send } from '../helpers/streams.mjs'

// A scenario that records nothing, and asserts.
const everywhere = { since: '999', expected: {} }
const options = { ...everywhere, on: 'unix' }
const holds = (title, scenario, here = options) => parity(title, here, scenario)
// A process that ends by itself, with what it has logged.
const ends = (title, logged, scenario) => {
  const end = { code: 0, signal: null, stdout: '', stderr: [] }
  const expected = { main: [...logged, ['process exit', 0]], end }
  parityProcess(title, { ...options, expected }, scenario)
}

const childFile = fileURLToPath(new URL('../fixtures/handover/child.mjs', import.meta.url))

// What a socket emits, in order; `told.until('end')` waits for one of them.
function listen(emitter) {
  const told = []
  const emit = emitter.emit
  emitter.emit = function (event, ...args) {
    if (!/^(newListener|removeListener|pause|resume|readable|prefinish|pipe|unpipe)$/.test(event))
      told.push(event === 'data' ? 'data' : [event, ...args].join(' '))
    return emit.call(this, event, ...args)
  }
  emitter.on('error', () => {})
  return told
}

// A socket that has gone tells of nothing but its end.
async function onlyClosed(t, told, ...besides) {
  await t.until(() => told.some(event => event.startsWith('close')))
  assert.deepEqual(
    told.filter(event => !besides.includes(event)),
    ['close false'],
  )
}

async function bytes(socket) {
  const parts = []
  socket.on('data', part => parts.push(part)).resume()
  await once(socket, 'end')
  return Buffer.concat(parts.map(part => Buffer.from(part)))
}

// Writes until the kernel takes no more, while the peer does not read; returns what was written.
async function fill(socket) {
  const sum = new Sum()
  const part = Buffer.alloc(100_000)
  let sent = -1
  // What the peer's kernel has not taken yet goes a little later.
  while (
    socket._handle.writeQueueSize === 0 ||
    sent !== socket.bytesWritten - socket._handle.writeQueueSize
  ) {
    sent = socket.bytesWritten - socket._handle.writeQueueSize
    if (socket._handle.writeQueueSize === 0) {
      part.fill(sum.bytes >> 8)
      socket.write(Buffer.from(part))
      sum.add(part)
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  return sum
}

const halfOpen = { client: { allowHalfOpen: true }, server: { allowHalfOpen: true } }

const there = [
  ['TCP', () => undefined, everywhere],
  ['a Unix-domain socket', t => t.socketPath(), options],
]

// --- toNodeSocket, detach and attach -----------------------------------------------------------------------------------------------

// Every way to give a socket away, here within one thread.
const ways = [
  ["as Node's own", t => socket => t.own(t.net.toNodeSocket(socket)), () => node.Socket],
  ['by ticket', t => socket => t.own(t.net.attach(structuredClone(t.net.detach(socket)))), t => t.net.Socket],
]
// Windows knows the first way only, and for TCP.
function moves(title, scenario, here = everywhere) {
  for (const [at, [way, give, Class]] of ways.entries()) {
    holds(`${title}, ${way}`, t => scenario(t, give(t), Class(t)), at === 0 ? here : options)
  }
}
function movesAndEnds(title, logged, scenario) {
  for (const [way, give] of ways) ends(`${title}, ${way}`, logged, t => scenario(t, give(t)))
}

for (const [kind, path, here] of there) {
  const moved = (title, scenario) => moves(title, scenario, here)
  moved(`an idle socket goes on, ${kind}`, async (t, give, Class) => {
    const { client, peer } = await t.pair({ path: path(t), server: { allowHalfOpen: true } })
    const told = listen(client)
    const { localPort, remotePort } = client
    const taken = give(client)
    assert.ok(taken instanceof Class)
    assert.equal(client.destroyed, true)
    assert.equal(client.pending, true)
    assert.deepEqual([taken.localPort, taken.remotePort], [localPort, remotePort])
    assert.deepEqual([taken.pending, taken.connecting, taken.readyState], [false, false, 'open'])
    taken.end('there')
    assert.equal(String(await bytes(peer)), 'there')
    peer.end('and back')
    assert.equal(String(await bytes(taken)), 'and back')
    await onlyClosed(t, told)
  })

  holds(`a socket that moves to and fro under backpressure loses nothing, ${kind}`, async t => {
    const { client, peer } = await t.pair({ path: path(t), client: { allowHalfOpen: true } })
    peer.pipe(peer)
    const sum = Sum.of(chunks(400))
    const source = chunks(400)
    const received = new Sum()
    let next = 500_000
    let moves = 0
    const done = new Promise((resolve, reject) => {
      function own(socket) {
        t.own(socket)
        const stop = send(socket, source, { end: false })
        const told = listen(socket)
        let moved = false
        socket.on('data', chunk => {
          if (moved) return reject(new Error('data after the move'))
          received.add(chunk)
          if (received.bytes === sum.bytes) socket.end()
          if (received.bytes < next) return
          let successor
          const before = told.length
          if (socket instanceof node.Socket) successor = t.net.fromNodeSocket(socket)
          else {
            try {
              successor = t.net.toNodeSocket(socket)
            } catch (error) {
              // Node still sends what it had when this one was taken over: it will do at the next chunk.
              if (/waits for what Node has to send/.test(error.message)) return
              throw error
            }
          }
          next = received.bytes + 300_000
          moves++
          stop()
          moved = true
          own(successor)
          socket.on('close', () => {
            // Node's goes on sending what it cannot give back.
            const heard = told.slice(before).filter(event => !/^(drain|finish)$/.test(event))
            if (heard.join() !== 'close false') reject(new Error(`told ${heard}`))
          })
        })
        socket.on('end', resolve)
        socket.on('error', reject)
      }
      own(client)
    })
    await done
    assert.ok(moves >= 3, `${moves} moves`)
    assert.equal(String(received), String(sum))
  })
}

moves('what a paused socket has read is there for its successor, which is paused', async (t, give) => {
  const { client, peer } = await t.pair()
  client.pause()
  peer.end('read ahead')
  await t.until(() => client.readableLength === 10)
  const taken = give(client)
  assert.equal(taken.isPaused(), true)
  const told = listen(taken)
  await t.turns(3)
  assert.deepEqual(told, [])
  assert.equal(String(await bytes(taken)), 'read ahead')
})

moves('a socket that was read with read() is not paused for its successor', async (t, give) => {
  const { client, peer } = await t.pair()
  const header = new Promise(resolve =>
    client.on('readable', () => {
      const found = client.read(4)
      if (found !== null) resolve(found)
    }),
  )
  peer.write('headbody')
  assert.equal(String(await header), 'head')
  const taken = give(client)
  peer.end(' and more')
  let text = ''
  taken.on('data', data => (text += data))
  await once(taken, 'end')
  assert.equal(text, 'body and more')
})

for (const encoding of ['utf8', 'utf16le', 'base64', 'hex']) {
  moves(`a character of which only a part has come is not lost, ${encoding}`, async (t, give) => {
    const { client, peer } = await t.pair()
    client.setEncoding(encoding).pause()
    const whole = Buffer.from('aé€😀b'.repeat(5), encoding === 'utf16le' ? 'utf16le' : 'utf8')
    for (let cut = 1; cut < 12; cut++) {
      const { client, peer } = await t.pair()
      client.setEncoding(encoding).pause()
      peer.write(whole.subarray(0, cut))
      await t.until(() => client.bytesRead === cut)
      const taken = give(client)
      peer.end(whole.subarray(cut))
      taken.resume()
      assert.equal((await bytes(taken)).toString('hex'), whole.toString('hex'), `cut at ${cut}`)
    }
    client.destroy()
    peer.destroy()
  })
}

for (const [kind, path, here] of there) {
  const moved = (title, scenario) => moves(title, scenario, here)
  moved(`writes that wait are sent by the successor, and have been called back, ${kind}`, async (t, give) => {
    const { client, peer } = await t.pair({ path: path(t) })
    peer.pause()
    const told = listen(client)
    const sum = await fill(client)
    const called = []
    let returned = false
    for (let at = 0; at < 5; at++) {
      const part = Buffer.alloc(at === 2 ? 50_000 : 500, at)
      sum.add(part)
      client.write(part, error => {
        called.push([at, error ?? null, returned])
        // It is the program's again.
        part.fill(0xff)
      })
    }
    const all = client.bytesWritten
    const taken = give(client)
    assert.deepEqual(called, [])
    returned = true
    assert.equal(client.bytesWritten, all)
    await t.until(() => called.length === 5)
    assert.deepEqual(
      called,
      [0, 1, 2, 3, 4].map(at => [at, null, true]),
    )
    taken.end('last')
    sum.add(Buffer.from('last'))
    const received = new Sum()
    peer.on('data', chunk => received.add(chunk)).resume()
    await once(peer, 'end')
    assert.equal(String(received), String(sum))
    await onlyClosed(t, told)
  })
}

moves('a socket that waits for drain emits none when it has gone', async (t, give) => {
  const { client, peer } = await t.pair()
  peer.pause()
  const told = listen(client)
  await fill(client)
  assert.equal(client.write('over'.repeat(client.writableHighWaterMark)), false)
  const all = client.bytesWritten
  const taken = give(client)
  taken.end()
  assert.equal((await bytes(peer)).length, all)
  await onlyClosed(t, told)
})

moves('a write callback that throws while its socket has gone disturbs nobody', async (t, give) => {
  const caught = []
  t.catchesUncaught = error => caught.push(error.message)
  t.catchUncaught = undefined
  const { client, peer } = await t.pair()
  peer.pause()
  await fill(client)
  client.write('x', () => {
    throw new Error('from a callback')
  })
  const all = client.bytesWritten
  const taken = give(client)
  await t.until(() => caught.length === 1)
  taken.end()
  assert.equal((await bytes(peer)).length, all)
})

moves('corked writes go along', async (t, give) => {
  const { client, peer } = await t.pair()
  client.cork()
  client.cork()
  const called = []
  client.write('one ', error => called.push(error ?? null))
  client.write('two ', 'latin1')
  client.write(Buffer.from('three'))
  give(client).end(' four')
  assert.equal(String(await bytes(peer)), 'one two three four')
  assert.deepEqual(called, [null])
})

moves('small writes of this tick go along', async (t, give) => {
  const { client, peer } = await t.pair()
  client.write('a')
  client.write('b')
  const taken = give(client)
  taken.end('c')
  assert.equal(String(await bytes(peer)), 'abc')
})

moves('a socket that has been ended still ends', async (t, give) => {
  const { client, peer } = await t.pair(halfOpen)
  client.end('bye')
  const taken = give(client)
  assert.equal(taken.writableEnded, true)
  assert.equal(String(await bytes(peer)), 'bye')
  peer.end('still heard')
  assert.equal(String(await bytes(taken)), 'still heard')
})

moves('a socket that was ended behind a full buffer ends behind it', async (t, give) => {
  const { client, peer } = await t.pair({ client: { allowHalfOpen: true } })
  peer.pause()
  const sum = await fill(client)
  let finished = 0
  client.end('bye', () => finished++)
  sum.add(Buffer.from('bye'))
  const told = listen(client)
  const taken = give(client)
  const received = new Sum()
  peer.on('data', chunk => received.add(chunk)).resume()
  await Promise.all([once(peer, 'end'), once(taken, 'finish')])
  assert.equal(String(received), String(sum))
  await onlyClosed(t, told)
})

moves('a socket that has sent its FIN is ended on the other side as well', async (t, give) => {
  const { client, peer } = await t.pair(halfOpen)
  client.end('bye')
  await once(client, 'finish')
  const taken = give(client)
  assert.equal(taken.writable, false)
  peer.resume().end('heard')
  assert.equal(String(await bytes(taken)), 'heard')
})

for (const allowHalfOpen of [false, true]) {
  moves(`the peer's FIN is told by the successor alone, allowHalfOpen ${allowHalfOpen}`, async (t, give) => {
    const { client, peer } = await t.pair({ client: { allowHalfOpen }, server: { allowHalfOpen: true } })
    client.pause()
    peer.end('last words')
    await t.until(() => client.readableLength === 10)
    // The FIN waits behind the bytes; it is known to the stream.
    client.read(0)
    await t.turns(3)
    const told = listen(client)
    const taken = give(client)
    assert.equal(taken.allowHalfOpen, allowHalfOpen)
    assert.equal(String(await bytes(taken)), 'last words')
    if (allowHalfOpen) {
      assert.equal(taken.writable, true)
      taken.end('answer')
      assert.equal(String(await bytes(peer)), 'answer')
    } else {
      peer.resume()
      await once(taken, 'close')
    }
    await onlyClosed(t, told)
  })
}

moves("a socket whose 'end' has been emitted tells its successor's too", async (t, give) => {
  const { client, peer } = await t.pair(halfOpen)
  peer.end('x')
  assert.equal(String(await bytes(client)), 'x')
  const taken = give(client)
  assert.equal(String(await bytes(taken)), '')
  taken.end('answer')
  assert.equal(String(await bytes(peer)), 'answer')
})

moves("in 'end' itself a socket can be given away", async (t, give) => {
  const { client, peer } = await t.pair({ server: { allowHalfOpen: true } })
  peer.end()
  client.resume().on('end', () => give(client).resume().write('answer'))
  assert.equal(String(await bytes(peer)), 'answer')
})

moves("in 'connection' of a server with pauseOnConnect a socket is given away unread", async (t, give) => {
  const given = []
  const server = await t.listen({ pauseOnConnect: true }, peer => given.push(give(peer)))
  const client = t.connect(t.to(server))
  client.write('first')
  await t.until(() => given.length === 1)
  assert.equal(given[0].isPaused(), true)
  client.end(' second')
  assert.equal(String(await bytes(given[0])), 'first second')
})

moves("in 'connection' a socket is given away, and the server stops counting it", async (t, give) => {
  const given = []
  const server = await t.listen({}, peer => {
    assert.equal(server._connections, 1)
    given.push(give(peer))
    assert.equal(server._connections, 0)
  })
  const client = t.connect(t.to(server))
  client.write('x')
  await t.until(() => given.length === 1)
  server.close()
  await once(server, 'close')
  assert.equal(String((await once(given[0], 'data'))[0]), 'x')
  given[0].end('y')
  assert.equal(String(await bytes(client)), 'y')
})

moves("in 'connect' a socket is given away with what was written before", async (t, give) => {
  const peers = []
  const server = await t.listen({}, peer => peers.push(peer))
  const client = t.connect(t.to(server))
  client.write('early ')
  await once(client, 'connect')
  give(client).end('late')
  await t.until(() => peers.length === 1)
  assert.equal(String(await bytes(peers[0])), 'early late')
})

for (const count of [1, 2, 3, 5, 8]) {
  moves(`in a 'data' handler, after chunk ${count} of a large read, the rest goes along`, async (t, give) => {
    const { client, peer } = await t.pair()
    client.pause()
    const sum = new Sum()
    const received = new Sum()
    for (const chunk of chunks(60, count)) {
      peer.write(chunk)
      sum.add(chunk)
    }
    peer.end()
    // A reader that keeps up is read for in ever larger pieces.
    let left = count
    client.resume()
    const taken = await new Promise(resolve =>
      client.on('data', chunk => {
        assert.ok(left > 0, 'data after the move')
        received.add(chunk)
        if (--left === 0) resolve(give(client))
      }),
    )
    taken.on('data', chunk => received.add(chunk))
    await once(taken, 'end')
    assert.equal(String(received), String(sum))
  })

  moves(
    `in a tick between two chunks of a large read, after ${count}, the rest goes along`,
    async (t, give) => {
      const { client, peer } = await t.pair()
      const sum = Sum.of(chunks(60, count))
      send(peer, chunks(60, count))
      const received = new Sum()
      let left = count
      const taken = await new Promise(resolve =>
        client.on('data', chunk => {
          received.add(chunk)
          if (--left !== 0) return
          process.nextTick(() => resolve(give(client)))
        }),
      )
      taken.on('data', chunk => received.add(chunk))
      await once(taken, 'end')
      assert.equal(String(received), String(sum))
    },
  )
}

for (const size of [1, 3_000, 60_000, 200_000]) {
  moves(`sockets with ${size} bytes in the same batch are given away by one of them`, async (t, give) => {
    const pairs = []
    const accepted = []
    const server = await t.listen({}, peer => accepted.push(peer))
    for (let at = 0; at < 8; at++) {
      const client = t.connect(t.to(server))
      await once(client, 'connect')
      await t.until(() => accepted.length === at + 1)
      pairs.push({ client, peer: accepted[at], received: new Sum(), told: listen(client) })
    }
    const sums = pairs.map((_, at) => Sum.of([Buffer.alloc(size, at)]))
    const over = []
    let moved = false
    for (const { client, received } of pairs) {
      client.on('data', chunk => {
        received.add(chunk)
        if (moved) return
        moved = true
        for (const pair of pairs) {
          const taken = give(pair.client)
          taken.on('data', chunk => pair.received.add(chunk))
          over.push(once(taken, 'end'))
        }
      })
    }
    for (const [at, { peer }] of pairs.entries()) peer.end(Buffer.alloc(size, at))
    await t.until(() => over.length === 8)
    await Promise.all(over)
    assert.deepEqual(
      pairs.map(({ received }) => String(received)),
      sums.map(String),
    )
    for (const { told } of pairs) await onlyClosed(t, told, 'data')
  })
}

moves('a callback of a write gives its socket away while later writes wait', async (t, give) => {
  const { client, peer } = await t.pair()
  peer.pause()
  const sum = new Sum()
  const called = []
  let first
  const write = (socket, size, callback) => {
    const part = Buffer.alloc(size, sum.bytes >> 8)
    sum.add(part)
    socket.write(part, callback)
  }
  // Small ones are collected: the stream has done with them when the flush finds that the kernel takes no more.
  while (client._handle.writeQueueSize === 0) {
    for (let at = 0; at < 6; at++) write(client, 10_000, () => first?.())
    await t.turns(1)
  }
  first = () => {
    first = undefined
    called.push('held')
    const taken = give(client)
    write(taken, 1_000)
    taken.end()
  }
  // One waits in the handle, behind those, and the rest in the stream.
  write(client, 1_000, () => called.push('handle'))
  write(client, 1_000, () => called.push('stream'))
  write(client, 30_000, () => called.push('stream'))
  const received = new Sum()
  peer.on('data', chunk => received.add(chunk)).resume()
  await once(peer, 'end')
  assert.deepEqual(called, ['held', 'handle', 'stream', 'stream'])
  assert.equal(String(received), String(sum))
})

moves('a socket that reads into its own buffer is given away in the middle', async (t, give) => {
  const peers = []
  const server = await t.listen({}, peer => peers.push(peer))
  const received = new Sum()
  const buffer = Buffer.alloc(10_000)
  let client
  const taken = new Promise(resolve => {
    let calls = 0
    client = t.connect({
      ...t.to(server),
      onread: {
        buffer,
        callback(length) {
          assert.ok(++calls <= 3, 'read after the move')
          received.add(buffer.subarray(0, length))
          if (calls === 3) resolve(give(client))
          return true
        },
      },
    })
  })
  await t.until(() => peers.length === 1)
  send(peers[0], chunks(30))
  const next = await taken
  next.on('data', chunk => received.add(chunk))
  await once(next, 'end')
  assert.equal(String(received), String(Sum.of(chunks(30))))
})

moves(
  'a connection that both sides have ended goes with what has not been read',
  async (t, give) => {
    const { client, peer } = await t.pair(halfOpen)
    client.pause()
    client.end()
    await once(peer.resume(), 'end')
    // More than the stream reads ahead, and less than the system takes.
    const text = Buffer.alloc(80_000, 'text')
    peer.end(text)
    await once(peer, 'finish')
    // The system knows of no peer any more.
    await t.until(() => client._handle.peername() < 0)
    const taken = give(client)
    assert.ok((await bytes(taken)).equals(text))
  },
  // Windows' libuv takes a socket that has no peer any more for one that is not connected.
  options,
)

moves('the type of service is remembered by the successor, for its next connection too', async (t, give) => {
  const { client, server } = await t.pair({ client: { typeOfService: 0x20 } })
  const taken = give(client)
  // Older Nodes' own sockets know nothing of it.
  if (taken.getTypeOfService === undefined) return
  assert.equal(taken.getTypeOfService(), 0x20)
  taken.destroy()
  await once(taken, 'close')
  assert.equal(taken.getTypeOfService(), 0x20)
  taken.connect(t.to(server))
  await once(taken, 'connect')
  assert.equal(taken.getTypeOfService(), 0x20)
})

moves('a socket can be connected again when it has been given away', async (t, give) => {
  const { server, client, peer } = await t.pair()
  const taken = give(client)
  await once(client, 'close')
  const [again] = await Promise.all([
    once(server, 'connection').then(([peer]) => t.own(peer)),
    new Promise(resolve => client.connect(t.to(server), resolve)),
  ])
  client.end('anew')
  taken.end('before')
  assert.equal(String(await bytes(again)), 'anew')
  assert.equal(String(await bytes(peer)), 'before')
})

for (const way of ['toNodeSocket', 'detach']) {
  holds(`what cannot be given away says so, ${way}`, async t => {
    const { [way]: give, Socket, BoundSocket } = t.net
    const not = { code: 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE', name: 'Error' }
    assert.throws(() => give(new Socket()), not)
    const { client } = await t.pair()
    const connecting = t.connect({ host: client.remoteAddress, port: client.remotePort })
    assert.throws(() => give(connecting), not)
    await once(connecting, 'connect')
    connecting.destroy()
    assert.throws(() => give(connecting), not)
    const bound = t.own(new Socket({ handle: new BoundSocket({ host: '127.0.0.1' }) }))
    assert.throws(() => give(bound), not)
    bound.destroy()
    give(client)
    assert.throws(() => give(client), not)
    for (const wrong of [null, undefined, 5, {}, new node.Socket(), new Duplex()]) {
      assert.throws(() => give(wrong), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' })
    }
  })
}

moves('a socket of a BoundSocket is given away once connected', async (t, give) => {
  const server = await t.listen({}, peer => peer.end('hello'))
  const client = t.connect({ ...t.to(server), handle: new t.net.BoundSocket({ host: '127.0.0.1' }) })
  await once(client, 'connect')
  const { localPort } = client
  const taken = give(client)
  assert.equal(taken.localPort, localPort)
  assert.equal(String(await bytes(taken)), 'hello')
})

moves('a connection that fails while it is given away is not given', async (t, give) => {
  const { client, peer } = await t.pair()
  client.resume()
  const told = listen(client)
  peer.resetAndDestroy()
  // The RST has come; nobody has looked.
  const end = process.hrtime.bigint() + 20_000_000n
  while (process.hrtime.bigint() < end);
  client.write('x')
  assert.throws(() => give(client), { code: 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE' })
  await t.until(() => told.length === 2)
  assert.match(told[0], /^error Error: write E(PIPE|CONNRESET)/)
  assert.equal(told[1], 'close true')
})

// The peer's helper looks into /proc.
if (process.platform === 'linux') {
  moves("a reset behind the bytes of a 'data' handler is the next owner's", async (t, give) => {
    const peer = await Peer.start(t.cleanup)
    const server = await t.listen()
    peer.do('connect', server.address().port)
    const [socket] = await once(server, 'connection')
    // In the midst of an iteration, so that the next one finds both.
    await t.turns(2)
    peer.do('write', 0, 'last words')
    peer.do('reset', 0)
    const [chunk] = await once(socket, 'data')
    assert.equal(String(chunk), 'last words')
    const told = listen(give(socket))
    await t.until(() => told.length === 2)
    assert.deepEqual(told, ['error Error: read ECONNRESET', 'close true'])
  })
}

const descriptors = () => readdirSync('/proc/self/fd').length

parity('200 moves leave no descriptor behind', { ...options, on: 'linux' }, async t => {
  const { client, peer } = await t.pair()
  // Both modules have made what they make once.
  let socket = t.net.fromNodeSocket(t.net.toNodeSocket(client))
  await t.turns(5)
  const before = descriptors()
  for (let round = 0; round < 100; round++) {
    const there = t.net.toNodeSocket(socket)
    there.write('a')
    await once(peer, 'data')
    socket = t.net.fromNodeSocket(there)
    socket.write('b')
    await once(peer, 'data')
  }
  await t.turns(5)
  assert.equal(descriptors(), before)
  t.own(socket).end()
  peer.end()
})

movesAndEnds('a process ends when a socket that was given away has', ['given', 'end'], async (t, give) => {
  const { server, client, peer } = await t.pair()
  server.close()
  const taken = give(client)
  t.log('given')
  taken.resume().on('end', () => t.log('end'))
  setImmediate(() => peer.resume().end('x'))
})

movesAndEnds(
  'a process with pending writes that were given away sends them first',
  [['got', 'whole']],
  async (t, give) => {
    const { server, client, peer } = await t.pair()
    server.close()
    peer.pause()
    const sum = await fill(client)
    client.write('last')
    sum.add(Buffer.from('last'))
    give(client).end()
    const received = new Sum()
    peer.on('data', chunk => received.add(chunk)).resume()
    peer.on('end', () => t.log('got', String(received) === String(sum) ? 'whole' : 'less'))
  },
)

ends(
  'a process lives while a socket that was taken in is open, and ends with it',
  [['data', 'Buffer "x"']],
  async t => {
    const server = node.createServer(peer => {
      server.close()
      setImmediate(() => peer.end('x'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = node.connect(server.address().port, '127.0.0.1')
    await once(client, 'connect')
    const socket = t.net.fromNodeSocket(client)
    socket.on('data', data => t.log('data', data))
  },
)

movesAndEnds(
  'a process ends when unreferenced sockets are all that is left of a move',
  ['given'],
  async (t, give) => {
    const { server, client, peer } = await t.pair()
    server.close()
    peer.unref()
    give(client).unref()
    t.log('given')
  },
)

// --- fromNodeSocket ---------------------------------------------------------------------------------------------

// A connection between a socket of Node's and one of ferronet's.
async function nodePair(t, { path, allowHalfOpen = false } = {}) {
  const server = await t.listen({ path, allowHalfOpen: true })
  const accepted = once(server, 'connection')
  const from = t.own(node.connect({ ...t.to(server), allowHalfOpen }))
  const [[peer]] = await Promise.all([accepted, once(from, 'connect')])
  return { server, from, peer }
}

for (const [kind, path] of there) {
  holds(`an idle socket of Node's is taken in, ${kind}`, async t => {
    const { from, peer } = await nodePair(t, { path: path(t) })
    const told = listen(from)
    const { localPort, remotePort } = from
    const socket = t.own(t.net.fromNodeSocket(from))
    assert.ok(socket instanceof t.net.Socket)
    assert.equal(from.destroyed, true)
    assert.deepEqual([socket.localPort, socket.remotePort], [localPort, remotePort])
    assert.equal(socket.readyState, 'open')
    socket.end('there')
    assert.equal(String(await bytes(peer)), 'there')
    peer.end('and back')
    assert.equal(String(await bytes(socket)), 'and back')
    await onlyClosed(t, told)
  })

  holds(`what Node's socket has not sent yet goes first, ${kind}`, async t => {
    const { from, peer } = await nodePair(t, { path: path(t) })
    peer.pause()
    const told = listen(from)
    const sum = new Sum()
    const called = []
    for (let at = 0; from.writableLength < 1_000_000; at++) {
      const part = Buffer.alloc(300_000, at)
      sum.add(part)
      from.write(part, error => called.push(error ?? null))
    }
    const socket = t.own(t.net.fromNodeSocket(from))
    assert.equal(socket.writableLength, 0)
    socket.write('mine')
    sum.add(Buffer.from('mine'))
    // Ending takes no cork out and overtakes nobody.
    socket.end(', last')
    sum.add(Buffer.from(', last'))
    peer.write('meanwhile')
    assert.equal(String((await once(socket, 'data'))[0]), 'meanwhile')
    const received = new Sum()
    peer.on('data', chunk => received.add(chunk)).resume()
    await once(peer, 'end')
    assert.equal(String(received), String(sum))
    assert.ok(called.every(error => error === null))
    await onlyClosed(t, told, 'drain')
  })
}

holds("an ended socket of Node's with bytes to send ends behind them", async t => {
  const { from, peer } = await nodePair(t, { allowHalfOpen: true })
  peer.pause()
  const sum = new Sum()
  while (from.writableLength < 1_000_000) {
    from.write(Buffer.alloc(300_000, 7))
    sum.add(Buffer.alloc(300_000, 7))
  }
  from.end('end')
  sum.add(Buffer.from('end'))
  const socket = t.own(t.net.fromNodeSocket(from))
  const received = new Sum()
  peer.on('data', chunk => received.add(chunk)).resume()
  await once(peer, 'end')
  assert.equal(String(received), String(sum))
  if (!socket.writableFinished) await once(socket, 'finish')
  peer.end('still heard')
  assert.equal(String(await bytes(socket)), 'still heard')
})

for (const finished of [false, true]) {
  holds(`a socket of Node's after end() is taken in, FIN ${finished ? 'sent' : 'not sent'}`, async t => {
    const { from, peer } = await nodePair(t, { allowHalfOpen: true })
    from.end('bye')
    if (finished) await once(from, 'finish')
    const socket = t.own(t.net.fromNodeSocket(from))
    assert.equal(String(await bytes(peer)), 'bye')
    peer.end('heard')
    assert.equal(String(await bytes(socket)), 'heard')
    assert.equal(socket.writable, false)
  })
}

holds("corked writes of Node's socket go first", async t => {
  const { from, peer } = await nodePair(t)
  from.cork()
  from.write('one ')
  from.write('two ')
  const socket = t.own(t.net.fromNodeSocket(from))
  socket.end('three')
  assert.equal(String(await bytes(peer)), 'one two three')
})

holds("what Node's socket has read and not delivered is delivered", async t => {
  const { from, peer } = await nodePair(t)
  from.setEncoding('utf8').pause()
  const text = Buffer.from('naïve €')
  peer.write(text.subarray(0, 9))
  await t.until(() => from.bytesRead === 9)
  const socket = t.own(t.net.fromNodeSocket(from))
  assert.equal(socket.isPaused(), true)
  peer.end(text.subarray(9))
  socket.resume()
  assert.equal(String(await bytes(socket)), 'naïve €')
})

for (const allowHalfOpen of [false, true]) {
  holds(`a FIN that Node's socket has seen is seen again, allowHalfOpen ${allowHalfOpen}`, async t => {
    const { from, peer } = await nodePair(t, { allowHalfOpen })
    from.pause()
    peer.end('last words')
    await t.until(() => from.readableLength === 10)
    await t.turns(3)
    const told = listen(from)
    const socket = t.own(t.net.fromNodeSocket(from))
    assert.equal(socket.allowHalfOpen, allowHalfOpen)
    assert.equal(String(await bytes(socket)), 'last words')
    if (allowHalfOpen) socket.end('answer')
    assert.equal(String(await bytes(peer)), allowHalfOpen ? 'answer' : '')
    await onlyClosed(t, told)
  })
}

holds("a connection of Node's that both sides have ended comes with what has not been read", async t => {
  const { from, peer } = await nodePair(t, { allowHalfOpen: true })
  from.pause()
  from.end()
  await once(peer.resume(), 'end')
  const text = Buffer.alloc(80_000, 'text')
  peer.end(text)
  await once(peer, 'finish')
  await t.until(() => from._handle.getpeername({}) < 0)
  const socket = t.own(t.net.fromNodeSocket(from))
  assert.ok((await bytes(socket)).equals(text))
})

holds("Node's socket reads nothing any more while it still sends", async t => {
  const server = t.own(node.createServer({ pauseOnConnect: true }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peer = t.connect(server.address().port, '127.0.0.1').pause()
  const [from] = await once(server, 'connection')
  t.own(from)
  while (from.writableLength < 1_000_000) from.write(Buffer.alloc(300_000, 7))
  const stolen = []
  from.on('data', chunk => stolen.push(chunk))
  const socket = t.own(t.net.fromNodeSocket(from))
  from.resume()
  from.read()
  peer.write('for the new one')
  await t.turns(5)
  assert.equal(String((await once(socket.resume(), 'data'))[0]), 'for the new one')
  assert.deepEqual(stolen, [])
  assert.ok(!from.destroyed)
  socket.destroy()
})

holds("a successor can be given away in its turn when Node's socket has sent all", async t => {
  const { from, peer } = await nodePair(t)
  peer.pause()
  const sum = new Sum()
  while (from.writableLength < 1_000_000) {
    from.write(Buffer.alloc(300_000, 7))
    sum.add(Buffer.alloc(300_000, 7))
  }
  const socket = t.own(t.net.fromNodeSocket(from))
  const early = { code: 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE' }
  assert.throws(() => t.net.toNodeSocket(socket), early)
  assert.throws(() => t.net.detach(socket), early)
  const sent = new Promise(resolve => socket.write('mine', resolve))
  sum.add(Buffer.from('mine'))
  const received = new Sum()
  peer.on('data', chunk => received.add(chunk)).resume()
  await sent
  t.own(t.net.toNodeSocket(socket)).end()
  await once(peer, 'end')
  assert.equal(String(received), String(sum))
})

holds("Node's socket that is destroyed while it still sends takes its successor along", async t => {
  const { from, peer } = await nodePair(t)
  peer.pause()
  while (from.writableLength < 1_000_000) from.write(Buffer.alloc(300_000, 7))
  const socket = t.own(t.net.fromNodeSocket(from))
  const called = []
  socket.write('never', error => called.push(error?.code))
  from.destroy()
  await once(socket, 'close')
  assert.deepEqual(called, ['ECANCELED'])
})

holds("a successor that is destroyed takes Node's socket along", async t => {
  const { from, peer } = await nodePair(t)
  peer.pause()
  while (from.writableLength < 1_000_000) from.write(Buffer.alloc(300_000, 7))
  const socket = t.own(t.net.fromNodeSocket(from))
  socket.destroy()
  await once(from, 'close')
  peer.resume()
  await Promise.race([once(peer, 'end'), once(peer, 'close')])
})

holds("a successor hears of what befalls Node's socket while it sends", async t => {
  const { from, peer } = await nodePair(t)
  peer.pause()
  while (from.writableLength < 1_000_000) from.write(Buffer.alloc(300_000, 7))
  const socket = t.own(t.net.fromNodeSocket(from)).pause()
  const told = listen(socket)
  peer.resetAndDestroy()
  await t.until(() => told.length === 2)
  assert.match(told[0], /^error Error: (read|write) (ECONNRESET|EPIPE)/)
  assert.equal(told[1], 'close true')
})

holds("in a 'data' handler of Node's socket the rest of a large read is the successor's", async t => {
  const { from, peer } = await nodePair(t)
  send(peer, chunks(60))
  const received = new Sum()
  let left = 4
  const socket = await new Promise(resolve =>
    from.on('data', chunk => {
      assert.ok(left > 0, 'data after the move')
      received.add(chunk)
      if (--left === 0) resolve(t.own(t.net.fromNodeSocket(from)))
    }),
  )
  socket.on('data', chunk => received.add(chunk))
  await once(socket, 'end')
  assert.equal(String(received), String(Sum.of(chunks(60))))
})

holds('what cannot be taken in says so', async t => {
  const { fromNodeSocket } = t.net
  const not = { code: 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE', name: 'Error' }
  assert.throws(() => fromNodeSocket(new node.Socket()), not)
  const { server, from } = await nodePair(t)
  const connecting = t.own(node.connect(t.to(server)))
  assert.throws(() => fromNodeSocket(connecting), not)
  await once(connecting, 'connect')
  connecting.destroy()
  assert.throws(() => fromNodeSocket(connecting), not)
  const secure = t.own(new tls.TLSSocket(from))
  secure.on('error', () => {})
  assert.throws(() => fromNodeSocket(secure), { code: 'ERR_INVALID_HANDLE_TYPE', name: 'TypeError' })
  for (const wrong of [null, undefined, 5, {}, new t.net.Socket(), new node.Server(), new Duplex()]) {
    assert.throws(() => fromNodeSocket(wrong), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' })
  }
})

// --- another process --------------------------------------------------------------------------------------------

// child.mjs: `told()` is its next message.
function child(t, ...args) {
  const child = fork(childFile, args)
  const gone = once(child, 'exit')
  t.cleanup(async () => {
    child.kill('SIGKILL')
    await gone
  })
  return {
    child,
    gone,
    told: async () => (await once(child, 'message'))[0],
    send: (message, handle) => new Promise(resolve => child.send(message, handle, resolve)),
  }
}

for (const [kind, path] of there) {
  holds(`a socket goes through send() to a child that takes it in, ${kind}`, async t => {
    const accepted = []
    const server = await t.listen({ path: path(t), pauseOnConnect: true }, peer => accepted.push(peer))
    const other = child(t)
    assert.equal(await other.told(), 'ready')
    const client = t.connect(t.to(server))
    client.write('hello ')
    await t.until(() => accepted.length === 1)
    const told = other.told()
    assert.equal(await other.send('socket', t.net.toNodeSocket(accepted[0])), null)
    assert.equal(await told, 'Socket')
    client.end('child')
    assert.equal(String(await bytes(client)), 'hello child, says the child')
    server.close()
    await once(server, 'close')
  })

  holds(`a server is shared with a child through send(), ${kind}`, async t => {
    const own = []
    const server = await t.listen({ path: path(t) }, peer => own.push(peer.end('the parent')))
    const other = child(t)
    assert.equal(await other.told(), 'ready')
    const copy = t.net.toNodeServer(server)
    assert.equal(copy.listening, true)
    const told = other.told()
    assert.equal(await other.send('server', copy), null)
    copy.close()
    assert.equal(await told, 'Server')
    // Both accept.
    const answers = new Set()
    while (answers.size < 2) {
      const clients = Array.from({ length: 16 }, () => t.connect(t.to(server)))
      for (const text of await Promise.all(clients.map(bytes))) answers.add(String(text))
    }
    assert.deepEqual([...answers].sort(), ['the child', 'the parent'])
    // The child alone.
    const target = t.to(server)
    if (target.path !== undefined) return
    server.close()
    await once(server, 'close')
    assert.equal(String(await bytes(t.connect(target))), 'the child')
  })
}

ends(
  'a process with a copy of its server for Node ends when both are closed',
  ['close', 'copy close'],
  async t => {
    const server = await t.listen()
    const copy = t.net.toNodeServer(server)
    server.on('close', () => {
      t.log('close')
      copy.close()
    })
    copy.on('close', () => t.log('copy close'))
    server.close()
  },
)

holds("a server of Node's is taken over with who waits in its backlog", async t => {
  const from = t.own(node.createServer(peer => peer.end('Node')))
  from.listen(0, '127.0.0.1')
  await once(from, 'listening')
  const address = from.address()
  const early = t.connect(address.port, '127.0.0.1')
  // Connected by the kernel, and not accepted: this thread is busy.
  const end = process.hrtime.bigint() + 20_000_000n
  while (process.hrtime.bigint() < end);
  const told = listen(from)
  const server = t.own(t.net.fromNodeServer(from, { allowHalfOpen: true }, peer => peer.end('ferronet')))
  assert.equal(server.allowHalfOpen, true)
  assert.deepEqual(server.address(), address)
  assert.equal(String(await bytes(early)), 'ferronet')
  assert.equal(String(await bytes(t.connect(address.port, '127.0.0.1'))), 'ferronet')
  assert.deepEqual(told, ['close'])
})

holds("the path of a server of Node's stays until its successor closes", async t => {
  const path = t.socketPath()
  const from = t.own(node.createServer(peer => peer.end('Node')))
  from.listen(path)
  await once(from, 'listening')
  const early = t.connect(path)
  const server = t.own(t.net.fromNodeServer(from, peer => peer.end('ferronet')))
  assert.equal(server.address(), path)
  assert.equal(String(await bytes(early)), 'ferronet')
  assert.equal(String(await bytes(t.connect(path))), 'ferronet')
  const next = t.own(t.net.attach(structuredClone(t.net.detach(server))))
  next.on('connection', peer => peer.end('next'))
  assert.equal(String(await bytes(t.connect(path))), 'next')
  assert.equal(readdirSync(dirname(path)).length, 1)
  next.close()
  assert.equal(readdirSync(dirname(path)).length, 0)
})

holds('servers that cannot be given away or taken over say so', async t => {
  const { toNodeServer, fromNodeServer, Server } = t.net
  const not = { code: 'ERR_SERVER_NOT_RUNNING', name: 'Error' }
  const wrongType = { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' }
  assert.throws(() => toNodeServer(new Server()), not)
  assert.throws(() => fromNodeServer(new node.Server()), not)
  const server = await t.listen()
  server.close()
  assert.throws(() => toNodeServer(server), not)
  for (const wrong of [null, undefined, 5, {}, new node.Server(), new t.net.Socket()]) {
    assert.throws(() => toNodeServer(wrong), wrongType)
  }
  for (const wrong of [null, undefined, 5, {}, new Server(), new node.Socket()]) {
    assert.throws(() => fromNodeServer(wrong), wrongType)
  }
})
