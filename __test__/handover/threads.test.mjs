// Moving sockets, servers and BoundSockets to another thread and back: connections continue in mid-stream, pending
// clients are not lost, and each thing has one owner at a time. node:net has no counterpart.

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import node from 'node:net'
import { fileURLToPath } from 'node:url'
import { parity, parityProcess } from '../helpers/parity.mjs'
import { chunks, echo, Sum, send } from '../helpers/streams.mjs'

const options = { since: '999', on: 'unix', expected: {} }
const holds = (title, scenario) => parity(title, options, scenario)
const ends = (title, logged, scenario) => {
  const end = { code: 0, signal: null, stdout: '', stderr: [] }
  const expected = { main: [...logged, ['process exit', 0]], end }
  parityProcess(title, { ...options, expected }, scenario)
}

const streams = new URL('../helpers/streams.mjs', import.meta.url).href
const childFile = fileURLToPath(new URL('../fixtures/handover/child.mjs', import.meta.url))
const used = { code: 'ERR_SOCKET_HANDLE_ADOPTED', name: 'Error' }

const message = async worker => (await once(worker, 'message'))[0]

async function bytes(socket) {
  const parts = []
  socket.on('data', part => parts.push(part)).resume()
  await once(socket, 'end')
  return String(Buffer.concat(parts))
}

// This thread stands still until `count` clients in another are connected: they are in the backlog then, and when it goes
// on they come in one batch. The clients send `text` and tell what they get.
async function crowd(t, server, count, text = '') {
  const shared = new Int32Array(new SharedArrayBuffer(4))
  const thread = t.worker(
    ({ net, port, data: { target, count, text, shared } }) => {
      const answers = []
      for (let at = 0; at < count; at++) {
        const client = net.connect(target)
        client.on('connect', () => {
          if (text !== '') client.write(text)
          if (Atomics.add(shared, 0, 1) === count - 1) Atomics.notify(shared, 0)
        })
        let answer = ''
        client.on('data', data => {
          answer += data
        })
        client.on('error', error => {
          answer += error.code
        })
        client.on('close', () => {
          answers.push(answer)
          if (answers.length === count) port.postMessage(answers.sort())
        })
      }
    },
    { target: t.to(server), count, text, shared },
  )
  const answers = message(thread)
  await once(thread, 'online')
  for (;;) {
    const connected = Atomics.load(shared, 0)
    // (Not the promise alone: `await` would wait for what they tell.)
    if (connected === count) return { answers }
    Atomics.wait(shared, 0, connected, 50)
  }
}

// Attaches what it is sent, and says so with some facts; serves connections with its name.
const serving = ({ net, port, data: name }) => {
  port.once('message', ticket => {
    const server = net.attach(ticket)
    server.on('connection', peer => peer.end(name))
    server.on('listening', () => {
      const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay } = server
      const { highWaterMark, maxConnections, blockList } = server
      port.postMessage({
        address: server.address(),
        options: { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay, highWaterMark },
        maxConnections,
        blocks: blockList?.check('127.0.0.7'),
      })
    })
    port.once('message', () => server.close(() => port.postMessage('closed')))
  })
}

const there = [
  ['TCP', () => undefined],
  ['a Unix-domain socket', t => t.socketPath()],
]

// --- sockets ----------------------------------------------------------------------------------------------------

for (const [kind, path] of there) {
  holds(`a connection that wanders from thread to thread loses nothing, ${kind}`, async t => {
    const sum = Sum.of(chunks(400))
    const { client, peer } = await t.pair({ path: path(t), server: { allowHalfOpen: true } })
    const threads = [1, 2].map(() =>
      t.worker(async ({ net, port, data: streams }) => {
        const { echo } = await import(streams)
        port.on('message', ticket => {
          const socket = net.attach(ticket)
          const limit = socket.bytesRead + 200_000
          let moved = false
          echo(socket, () => {
            if (moved || socket.bytesRead < limit) return false
            moved = true
            port.postMessage(net.detach(socket))
            return true
          })
          socket.on('end', () => port.postMessage('end'))
          socket.on('error', error => port.postMessage(error.message))
        })
      }, streams),
    )
    let moves = 0
    const over = new Promise((resolve, reject) => {
      const visit = (at, ticket) => {
        moves++
        threads[at].postMessage(ticket)
        threads[at].once('message', answer => {
          if (answer === 'end') return resolve()
          if (typeof answer === 'string') return reject(new Error(answer))
          if (at === 0) return visit(1, answer)
          own(t.net.attach(answer))
        })
      }
      const own = socket => {
        t.own(socket)
        const limit = socket.bytesRead + 200_000
        let moved = false
        echo(socket, () => {
          if (moved || socket.bytesRead < limit) return false
          moved = true
          visit(0, t.net.detach(socket))
          return true
        })
        socket.on('end', resolve)
        socket.on('error', reject)
      }
      own(peer)
    })
    const received = new Sum()
    client.on('data', chunk => {
      received.add(chunk)
      if (received.bytes === sum.bytes) client.end()
    })
    send(client, chunks(400), { end: false })
    await Promise.all([once(client, 'end'), over])
    assert.equal(String(received), String(sum))
    assert.ok(moves >= 3, `${moves} moves`)
  })
}

holds('connections are spread over threads as they come', async t => {
  const threads = [1, 2, 3].map(() =>
    t.worker(async ({ net, port, data: streams }) => {
      const { echo } = await import(streams)
      port.on('message', ticket => echo(net.attach(ticket)))
      port.postMessage('ready')
    }, streams),
  )
  await Promise.all(threads.map(message))
  let next = 0
  const server = await t.listen({ allowHalfOpen: true }, peer => {
    threads[next++ % threads.length].postMessage(t.net.detach(peer))
  })
  const clients = Array.from({ length: 60 }, async (_, at) => {
    const client = t.connect(t.to(server))
    client.end(`client ${at}`)
    return bytes(client)
  })
  assert.deepEqual(
    await Promise.all(clients),
    Array.from({ length: 60 }, (_, at) => `client ${at}`),
  )
  assert.equal(next, 60)
  server.close()
  await once(server, 'close')
})

holds('counts of bytes go on where they stood', async t => {
  const { client, peer } = await t.pair()
  client.pause()
  client.write('12345')
  peer.write('abc')
  await t.until(() => client.bytesRead === 3 && peer.bytesRead === 5)
  client.cork()
  client.write('67')
  const socket = t.own(t.net.attach(t.net.detach(client)))
  assert.deepEqual([client.bytesRead, client.bytesWritten], [3, 7])
  assert.deepEqual([socket.bytesRead, socket.bytesWritten], [3, 7])
  socket.end('8')
  peer.end('def')
  assert.equal(await bytes(socket), 'abcdef')
  await bytes(peer)
  assert.deepEqual([socket.bytesRead, socket.bytesWritten, peer.bytesRead], [6, 8, 8])
})

holds('options of a socket go along', async t => {
  const { client } = await t.pair({
    client: { allowHalfOpen: true, readableHighWaterMark: 1000, writableHighWaterMark: 2000 },
  })
  client.setNoDelay(true).setKeepAlive(true, 5_000, 2_000, 3).setTimeout(60_000)
  client.setTypeOfService(0x10)
  const socket = t.own(t.net.attach(structuredClone(t.net.detach(client))))
  assert.equal(socket.allowHalfOpen, true)
  assert.equal(socket.readableHighWaterMark, 1000)
  assert.equal(socket.writableHighWaterMark, 2000)
  assert.equal(socket.getTypeOfService(), 0x10)
  // Not the idle timer, nor what is this object's alone.
  assert.equal(socket.timeout, undefined)
  assert.deepEqual([socket.server, socket.listenerCount('timeout')], [null, 0])
  const set = []
  const handle = socket._handle
  handle.setNoDelay = enable => set.push(['setNoDelay', enable])
  handle.setKeepAlive = (...args) => set.push(['setKeepAlive', ...args])
  // It knows what is set already.
  socket.setNoDelay(true).setKeepAlive(true, 5_000, 2_000, 3)
  assert.deepEqual(set, [])
  socket.setNoDelay(false).setKeepAlive(false)
  assert.deepEqual(
    set.map(([name, enable]) => [name, enable]),
    [
      ['setNoDelay', false],
      ['setKeepAlive', false],
    ],
  )
})

holds('a ticket is good once, in its process', async t => {
  const { client, peer } = await t.pair()
  const ticket = t.net.detach(client)
  // As it looks in another process, where that number may be somebody else's.
  assert.throws(() => t.net.attach({ ...ticket, pid: ticket.pid + 1 }), used)
  const other = fork(childFile, ['ticket', JSON.stringify(ticket)], { serialization: 'advanced' })
  const gone = once(other, 'exit')
  t.cleanup(() => gone)
  assert.equal((await once(other, 'message'))[0], 'ERR_SOCKET_HANDLE_ADOPTED')
  other.disconnect()

  const socket = t.own(t.net.attach(ticket))
  assert.throws(() => t.net.attach(ticket), used)
  assert.throws(() => t.net.attach({ ...ticket }), used)
  const thread = t.worker(({ net, port, data }) => {
    try {
      net.attach(data)
      port.postMessage('attached')
    } catch (error) {
      port.postMessage(error.code)
    }
  }, ticket)
  assert.equal(await message(thread), used.code)
  socket.end('still here')
  assert.equal(await bytes(peer), 'still here')
})

holds('what is no ticket is refused', async t => {
  const not = { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' }
  const { pid } = process
  for (const wrong of [
    null,
    undefined,
    1,
    'ticket',
    {},
    { ferronet: 'Socket' },
    { ferronet: 'Socket', pid, id: '1' },
    { ferronet: 'Socket', pid, id: 1.5 },
    { ferronet: 'Sock', pid, id: 1 },
    { ferronet: 'Socket', pid, id: 1 },
    new t.net.Socket(),
  ]) {
    assert.throws(() => t.net.attach(wrong), not)
  }
  for (const id of [-1, 0, 2 ** 31, 2 ** 40]) {
    const ticket = { ferronet: 'Socket', pid, id, pipe: false, unread: [], unsent: [] }
    assert.throws(() => t.net.attach(ticket), used)
  }
  for (const wrong of [null, undefined, 1, {}, new node.Socket(), new node.Server()]) {
    assert.throws(() => t.net.detach(wrong), not)
  }
})

holds('a connection whose ticket nobody has attached yet stays open', async t => {
  const { client, peer } = await t.pair()
  let text = ''
  peer.on('data', data => {
    text += data
  })
  client.write('before ')
  const ticket = t.net.detach(client)
  peer.write('meanwhile')
  await t.quiet()
  assert.equal(peer.destroyed, false)
  const socket = t.own(t.net.attach(ticket))
  socket.end('after')
  assert.equal(String((await once(socket, 'data'))[0]), 'meanwhile')
  await once(peer, 'end')
  assert.equal(text, 'before after')
})

holds('terminate() of a thread closes the connections it has attached, and no others', async t => {
  const first = await t.pair()
  const second = await t.pair()
  const thread = t.worker(({ net, port }) => {
    port.on('message', ([ticket]) => {
      net.attach(ticket).resume()
      port.postMessage('attached')
    })
  })
  // The second arrives with the first, and is not attached.
  const tickets = [t.net.detach(first.client), t.net.detach(second.client)]
  thread.postMessage(tickets)
  assert.equal(await message(thread), 'attached')
  first.peer.resume()
  const closed = once(first.peer, 'close')
  await thread.terminate()
  await closed
  const socket = t.own(t.net.attach(tickets[1]))
  socket.end('alive')
  assert.equal(await bytes(second.peer), 'alive')
  assert.throws(() => t.net.attach(tickets[0]), used)
})

holds('a thread with a connection that ends, ends', async t => {
  const { client, peer } = await t.pair({ server: { allowHalfOpen: true } })
  const thread = t.worker(({ net, data }) => {
    net.attach(data).resume()
  }, t.net.detach(client))
  const exit = once(thread, 'exit')
  await once(thread, 'online')
  peer.end()
  assert.equal(await bytes(peer), '')
  assert.deepEqual(await exit, [0])
})

const descriptors = () => readdirSync('/proc/self/fd').length

holds('a ticket that has been through JSON is refused, and none of its bytes are lost', async t => {
  const { client, peer } = await t.pair()
  peer.pause()
  client.end('the bytes')
  await t.until(() => peer.readableLength === 9)
  const ticket = t.net.detach(peer)
  assert.throws(() => t.net.attach(JSON.parse(JSON.stringify(ticket))), {
    code: 'ERR_INVALID_ARG_TYPE',
    name: 'TypeError',
  })
  assert.equal(await bytes(t.own(t.net.attach(structuredClone(ticket)))), 'the bytes')
})

parity('200 tickets leave no descriptor behind', { ...options, on: 'linux' }, async t => {
  const { client, peer } = await t.pair()
  let socket = client
  await t.turns(2)
  const before = descriptors()
  for (let round = 0; round < 200; round++) {
    socket = t.net.attach(t.net.detach(socket))
    socket.write('x')
    await once(peer, 'data')
  }
  await t.turns(2)
  assert.equal(descriptors(), before)
  t.own(socket)
})

ends('a process ends although a ticket was never attached', ['detached'], async t => {
  const { server, client, peer } = await t.pair()
  server.close()
  peer.destroy()
  t.net.detach(client)
  t.net.detach(await t.listen())
  t.net.detach(new t.net.BoundSocket())
  t.log('detached')
})

ends(
  'a process lives as long as a socket that it has attached',
  [['data', 'Buffer "x"'], 'close'],
  async t => {
    const { server, client, peer } = await t.pair()
    server.close()
    const socket = t.net.attach(t.net.detach(client))
    socket.on('data', data => t.log('data', data))
    socket.on('close', () => t.log('close'))
    setImmediate(() => setImmediate(() => peer.resume().end('x')))
  },
)

// --- servers ----------------------------------------------------------------------------------------------------

for (const [kind, path] of there) {
  holds(`a server moves with everybody who waits in its backlog, ${kind}`, async t => {
    const own = []
    const server = await t.listen({ path: path(t) }, peer => own.push(peer.resume()))
    const address = server.address()
    const before = t.connect(t.to(server))
    await t.until(() => own.length === 1)
    const thread = t.worker(serving, 'the thread')
    await once(thread, 'online')
    const { answers } = await crowd(t, server, 20)
    const ticket = t.net.detach(server)
    assert.equal(server.listening, false)
    assert.equal(server.address(), null)
    thread.postMessage(ticket)
    const told = await message(thread)
    assert.deepEqual(told.address, address)
    assert.deepEqual(await answers, Array(20).fill('the thread'))
    // What was accepted stays, and so does the object.
    assert.equal(server._connections, 1)
    const closed = once(server, 'close')
    server.close()
    before.end()
    own[0].end()
    await closed
    thread.postMessage('close')
    assert.equal(await message(thread), 'closed')
  })

  holds(`connections that were accepted in the same batch as a detach are delivered, ${kind}`, async t => {
    const texts = []
    let ticket
    const server = await t.listen({ path: path(t) }, peer => {
      texts.push('old')
      peer.end('old')
      ticket ??= t.net.detach(server)
    })
    const { answers } = await crowd(t, server, 10)
    await t.until(() => ticket !== undefined)
    const next = t.own(t.net.attach(ticket))
    next.on('connection', peer => peer.end('new'))
    assert.equal((await answers).filter(text => text === 'old' || text === 'new').length, 10)
    assert.ok(texts.length >= 1)
  })
}

holds("a path goes when its server's last owner closes, and not before", async t => {
  const path = t.socketPath()
  const server = await t.listen({ path })
  const ticket = t.net.detach(server)
  server.close()
  await t.turns(3)
  assert.equal(existsSync(path), true)
  const thread = t.worker(serving, 'the thread')
  thread.postMessage(ticket)
  assert.equal((await message(thread)).address, path)
  assert.equal(await bytes(t.connect(path)), 'the thread')
  assert.equal(existsSync(path), true)
  thread.postMessage('close')
  assert.equal(await message(thread), 'closed')
  assert.equal(existsSync(path), false)
})

holds('a path goes when the thread of its server is terminated', async t => {
  const path = t.socketPath()
  const ticket = t.net.detach(await t.listen({ path }))
  const thread = t.worker(serving, 'the thread')
  thread.postMessage(ticket)
  await message(thread)
  await thread.terminate()
  assert.equal(existsSync(path), false)
})

holds('options of a server go along', async t => {
  const blockList = new t.net.BlockList()
  blockList.addAddress('127.0.0.7')
  const options = {
    allowHalfOpen: true,
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 7_000,
    highWaterMark: 12_345,
  }
  const server = await t.listen({ ...options, blockList })
  server.maxConnections = 17
  const thread = t.worker(serving, 'the thread')
  thread.postMessage(t.net.detach(server))
  const told = await message(thread)
  // As its property of that name has it: seconds.
  assert.deepEqual(told.options, { ...options, keepAliveInitialDelay: 7 })
  assert.equal(told.maxConnections, 17)
  assert.equal(told.blocks, true)
  const blocked = t.connect({ port: told.address.port, host: '127.0.0.1', localAddress: '127.0.0.7' })
  blocked.on('error', () => {})
  assert.equal(
    await new Promise(resolve => blocked.on('data', String).on('close', () => resolve('closed'))),
    'closed',
  )
  assert.equal(blocked.bytesRead, 0)
})

holds('a server comes back, and can go again', async t => {
  const server = await t.listen()
  const { port } = server.address()
  let here = server
  for (let round = 0; round < 3; round++) {
    const thread = t.worker(({ net, port, data }) => {
      const server = net.attach(data)
      server.on('connection', peer => {
        peer.end('there')
        port.postMessage(net.detach(server))
      })
      server.on('listening', () => port.postMessage('listening'))
    }, t.net.detach(here))
    const exit = once(thread, 'exit')
    assert.equal(await message(thread), 'listening')
    const back = message(thread)
    assert.equal(await bytes(t.connect(port, '127.0.0.1')), 'there')
    here = t.own(t.net.attach(await back))
    // Nothing keeps the thread any more.
    assert.deepEqual(await exit, [0])
    here.on('connection', peer => peer.end('here'))
    assert.equal(await bytes(t.connect(port, '127.0.0.1')), 'here')
  }
})

holds('a server that is given away can listen anew', async t => {
  const server = await t.listen({}, peer => peer.end('old'))
  const { port } = server.address()
  const next = t.own(t.net.attach(t.net.detach(server)))
  next.on('connection', peer => peer.end('new'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  assert.notEqual(server.address().port, port)
  assert.equal(await bytes(t.connect(t.to(server))), 'old')
  assert.equal(await bytes(t.connect(t.to(next))), 'new')
})

holds('a server that does not listen cannot be given away', async t => {
  const not = { code: 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE', name: 'Error' }
  assert.throws(() => t.net.detach(new t.net.Server()), not)
  const server = await t.listen()
  server.close()
  assert.throws(() => t.net.detach(server), not)
})

// --- bound sockets ----------------------------------------------------------------------------------------------

holds('an address that is bound here is listened on there', async t => {
  const bound = new t.net.BoundSocket({ host: '127.0.0.1' })
  const address = bound.address()
  const thread = t.worker(({ net, port, data }) => {
    const bound = net.attach(data)
    const facts = [bound instanceof net.BoundSocket, bound.isPipe, bound.address()]
    const server = net.createServer(peer => {
      peer.end('there')
      server.close()
    })
    server.listen(bound, () => port.postMessage(facts))
  }, t.net.detach(bound))
  const exit = once(thread, 'exit')
  assert.throws(() => bound.address(), used)
  assert.throws(() => t.net.detach(bound), used)
  assert.deepEqual(await message(thread), [true, false, address])
  assert.equal(await bytes(t.connect(address.port, '127.0.0.1')), 'there')
  assert.deepEqual(await exit, [0])
})

holds('an address that is bound here is connected from there', async t => {
  const ports = []
  const server = await t.listen({}, peer => {
    ports.push(peer.remotePort)
    peer.end()
  })
  const bound = new t.net.BoundSocket({ host: '127.0.0.1' })
  const { port } = bound.address()
  const thread = t.worker(
    ({ net, data: { ticket, target } }) => {
      net.connect({ ...target, handle: net.attach(ticket) }).resume()
    },
    { ticket: t.net.detach(bound), target: t.to(server) },
  )
  assert.deepEqual(await once(thread, 'exit'), [0])
  assert.deepEqual(ports, [port])
})

holds('a path that is bound here is listened on there, and goes there', async t => {
  const path = t.socketPath()
  const ticket = t.net.detach(new t.net.BoundSocket({ path }))
  assert.equal(existsSync(path), true)
  const thread = t.worker(({ net, port, data }) => {
    const bound = net.attach(data)
    const facts = [bound.isPipe, bound.address()]
    const server = net.createServer(peer => {
      peer.end('there')
      server.close(() => port.postMessage('closed'))
    })
    server.listen(bound, () => port.postMessage(facts))
  }, ticket)
  assert.deepEqual(await message(thread), [true, path])
  const closed = message(thread)
  assert.equal(await bytes(t.connect(path)), 'there')
  assert.equal(await closed, 'closed')
  assert.equal(existsSync(path), false)
})

holds("the path of a server of Node's that was taken over goes with its thread", async t => {
  const path = t.socketPath()
  const thread = t.worker(({ net, port, data }) => {
    const from = process.getBuiltinModule('node:net').createServer()
    from.listen(data, () => {
      net.fromNodeServer(from)
      port.postMessage('taken over')
    })
  }, path)
  assert.equal(await message(thread), 'taken over')
  assert.equal(existsSync(path), true)
  await thread.terminate()
  assert.equal(existsSync(path), false)
})

holds('a path that is bound here is closed there', async t => {
  const path = t.socketPath()
  const thread = t.worker(
    ({ net, data }) => {
      net.attach(data).close()
    },
    t.net.detach(new t.net.BoundSocket({ path })),
  )
  assert.deepEqual(await once(thread, 'exit'), [0])
  assert.equal(existsSync(path), false)
})

for (const attached of [false, true]) {
  const title = `a thread that ends ${attached ? 'with' : 'without'} what it was sent leaves the ticket`
  holds(`${title} ${attached ? 'used up' : 'to the sender'}`, async t => {
    const { client, peer } = await t.pair()
    const thread = t.worker(({ net, port, data }) => {
      port.once('message', ticket => {
        if (data) net.attach(ticket).pause()
        port.postMessage('got it')
      })
    }, attached)
    const ticket = t.net.detach(client)
    thread.postMessage(ticket)
    await message(thread)
    const end = t.drained(peer)
    await thread.terminate()
    if (attached) assert.throws(() => t.net.attach(ticket), used)
    else t.net.attach(ticket).destroy()
    assert.equal(String(await end), '')
  })
}
