// How connections over a path end: half-close, as far as a named pipe has it, destroy, and a peer that dies. On Windows
// libuv closes the whole pipe a moment after one side has ended, and so do we.

import { parity, parityProcess } from '../helpers/parity.mjs'

parity('we end first, and the peer after us', async ({ pair, socketPath, watch, closed }) => {
  const { client, peer } = await pair({ path: socketPath() })
  watch(client, 'client').resume()
  watch(peer, 'peer').resume()
  client.end('last words')
  await closed(client, peer)
})

parity('the peer ends first', async ({ pair, socketPath, watch, closed }) => {
  const { client, peer } = await pair({ path: socketPath() })
  watch(client, 'client').resume()
  watch(peer, 'peer').resume()
  peer.end('last words')
  await closed(client, peer)
})

parity('both end at once', async ({ pair, socketPath, watch, closed }) => {
  const { client, peer } = await pair({ path: socketPath() })
  watch(client, 'client').resume()
  watch(peer, 'peer').resume()
  client.end('from the client')
  peer.end('from the peer')
  await closed(client, peer)
})

parity('an answer to the last words still arrives', async t => {
  const { pair, socketPath, watch, closed } = t
  const { client, peer } = await pair({ path: socketPath(), server: { allowHalfOpen: true } })
  watch(client, 'client').resume()
  watch(peer, 'peer')
  // At once, not at the end: that comes on a pipe when it is too late to answer.
  peer.once('data', () => peer.end('answer'))
  client.end('question')
  await closed(client, peer)
})

parity('with allowHalfOpen we write on after the end of the peer', { on: 'unix' }, async t => {
  const { pair, socketPath, watch, closed, seen, drained, log } = t
  const { client, peer } = await pair({ path: socketPath(), client: { allowHalfOpen: true } })
  watch(client, 'client').resume()
  const arrived = drained(peer)
  peer.end()
  await seen(client, 'end')
  client.end('still here')
  log('arrived', await arrived)
  await closed(client, peer)
})

parity('with allowHalfOpen a pipe is closed all the same', { on: 'win32' }, async t => {
  const { pair, socketPath, watch, closed, seen, log } = t
  const { client, peer } = await pair({ path: socketPath(), client: { allowHalfOpen: true } })
  watch(client, 'client').resume()
  watch(peer, 'peer').resume()
  peer.end()
  await seen(client, 'end')
  log('half', client.readyState, client.destroyed)
  client.write('into the void')
  await closed(client, peer)
})

// Node 20 on Windows reads all that the peer has offered at once, although the program has paused. And it tells a write
// that destroy() cuts off of no error.
parity(
  'an end waits until the peer has read everything',
  {
    since: '22',
    expected: {
      client: ['prefinish', 'finish', 'end', ['close', false]],
      main: [['waits', true, false, false]],
      peer: [['data', '<Buffer of 300000, 9fcc3bd0c487>'], 'end', 'prefinish', 'finish', ['close', false]],
    },
  },
  async t => {
    const { pair, socketPath, watch, closed, quiet, log } = t
    const { client, peer } = await pair({ path: socketPath() })
    watch(client, 'client').resume()
    watch(peer, 'peer')
    peer.pause()
    client.end(Buffer.alloc(300_000, 'x'))
    await quiet()
    log('waits', client.writableEnded, client.writableFinished, client.destroyed)
    peer.resume()
    await closed(client, peer)
  },
)

parity('a small end waits for a reader on a pipe', { on: 'win32' }, async t => {
  const { pair, socketPath, watch, closed, quiet, log } = t
  const { client, peer } = await pair({ path: socketPath(), server: { pauseOnConnect: true } })
  watch(client, 'client').resume()
  watch(peer, 'peer')
  client.end('small')
  await quiet()
  log('waits', client.writableEnded, client.writableFinished, client.destroyed)
  peer.resume()
  await closed(client, peer)
})

parity('destroy ends the other side', async ({ pair, socketPath, watch, closed }) => {
  const { client, peer } = await pair({ path: socketPath() })
  watch(client, 'client')
  watch(peer, 'peer').resume()
  client.destroy()
  await closed(client, peer)
})

parity(
  'destroy with an error ends the other side without one',
  async ({ pair, socketPath, watch, closed }) => {
    const { client, peer } = await pair({ path: socketPath() })
    watch(client, 'client')
    watch(peer, 'peer').resume()
    client.destroy(new Error('enough'))
    await closed(client, peer)
  },
)

// Node 20 calls back without an error.
parity(
  'destroy while a write is held up',
  { since: '22', expected: { client: [['close', false]], main: [['write', true]] } },
  async ({ pair, socketPath, watch, closed, log, quiet }) => {
    const { client, peer } = await pair({ path: socketPath() })
    watch(client, 'client')
    peer.pause()
    client.write(Buffer.alloc(3_000_000), error => log('write', error instanceof Error))
    await quiet()
    client.destroy()
    await closed(client)
    peer.resume()
    await closed(peer)
  },
)

parity(
  'destroy while an end is held up',
  { since: '22', expected: { client: [['close', false]], main: [['finished', false]] } },
  async ({ pair, socketPath, watch, closed, quiet, log }) => {
    const { client, peer } = await pair({ path: socketPath() })
    watch(client, 'client')
    peer.pause()
    client.end(Buffer.alloc(3_000_000))
    await quiet()
    client.destroy()
    await closed(client)
    log('finished', client.writableFinished)
    peer.resume()
    await closed(peer)
  },
)

parity('destroySoon sends what was written', async ({ pair, socketPath, drained, log, closed }) => {
  const { client, peer } = await pair({ path: socketPath() })
  const arrived = drained(peer)
  client.write(Buffer.alloc(200_000, 'q'))
  client.destroySoon()
  log('arrived', await arrived)
  await closed(client, peer)
})

parity('a write after the peer has gone fails', async ({ pair, socketPath, closed, seen, log }) => {
  const { client, peer } = await pair({ path: socketPath(), client: { allowHalfOpen: true } })
  client.resume()
  peer.destroy()
  await seen(client, 'end')
  client.on('error', error => log('error', error.code, error.syscall, error.message))
  const more = () => !client.destroyed && client.write('anybody there?', () => setImmediate(more))
  more()
  await closed(client)
})

parity('unread bytes of a peer that has gone still arrive', async t => {
  const { pair, socketPath, watch, closed, until, quiet } = t
  const { client, peer } = await pair({ path: socketPath() })
  watch(client, 'client')
  let written = false
  peer.write('left behind', () => (written = true))
  await until(() => written)
  peer.destroy()
  await quiet()
  client.resume()
  await closed(client)
})

parity('a peer whose process dies is an end, or an error', async t => {
  const { listen, socketPath, watch, closed, seen, log } = t
  const { spawn } = await import('node:child_process')
  const server = await listen({ path: socketPath() })
  const program = `
    const socket = require('node:net').connect(process.argv[1], () => socket.write('I live'))
    socket.on('data', () => process.kill(process.pid, 'SIGKILL'))`
  const child = spawn(process.execPath, ['-e', program, server.address()], { stdio: 'ignore' })
  const [peer] = await new Promise(resolve => server.once('connection', (...args) => resolve(args)))
  watch(peer, 'peer').resume()
  peer.once('data', () => peer.write('die'))
  await Promise.all([closed(peer), new Promise(resolve => child.once('exit', resolve))])
  log('open', server._connections)
  await seen(server.close(), 'close')
})

parityProcess(
  'what was written last is sent although the process exits',
  async ({ net, socketPath, log }) => {
    const { Worker } = await import('node:worker_threads')
    // The reader is a thread, which lives as long as it needs to.
    const path = socketPath()
    const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    const server = require('node:net').createServer(peer => {
      const parts = []
      peer.on('data', part => parts.push(part))
      peer.on('data', () => parentPort.postMessage(Buffer.concat(parts).length))
    })
    server.listen(workerData, () => parentPort.postMessage('listening'))`
    const worker = new Worker(source, { eval: true, workerData: path })
    let client
    worker.on('message', message => {
      if (message === 'listening') {
        client = net.connect(path, () => {
          client.write('one ')
          setImmediate(() => client.write('two ', () => client.write('three')))
        })
      } else if (message === 13) {
        log('arrived', message)
        process.exit(7)
      }
    })
  },
)

parityProcess('a connection that is unreferenced lets the process end', async ({ pair, socketPath, log }) => {
  const { server, client, peer } = await pair({ path: socketPath() })
  log('open', client.readyState, peer.readyState)
  server.unref()
  client.unref()
  peer.unref()
})

parityProcess(
  'a server that is referenced again keeps the process',
  async ({ listen, connect, to, socketPath, log }) => {
    const server = await listen({ path: socketPath() }, peer => {
      log('accepted')
      peer.destroy()
      server.close()
    })
    server.unref().ref()
    connect(to(server)).resume()
  },
)
