// Peers that are killed in mid-stream, and a full backlog: the server behaves like node:net's and serves the others.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parity } from '../helpers/parity.mjs'
import { nodeProgram } from '../helpers/runtime.mjs'

const on = 'unix'

// A process with a client (`socket`) of node:net, which does what `source` says once it is connected.
async function stranger(t, server, source) {
  const program = `
    // Sockets that do not read keep no process.
    setInterval(() => {}, 1e6)
    const socket = require('node:net').connect({ allowHalfOpen: true, ...JSON.parse(process.argv[1]) })
    socket.on('error', () => {})
    socket.on('connect', () => { ${source} })
  `
  const child = spawn(nodeProgram, ['-e', program, JSON.stringify(t.to(server))], { stdio: 'ignore' })
  const gone = once(child, 'exit')
  t.cleanup(() => child.kill('SIGKILL'))
  const [peer] = await once(server, 'connection')
  return {
    peer,
    kill: async () => {
      process.kill(child.pid, 'SIGKILL')
      await gone
    },
  }
}

async function serves(t, server, greeting) {
  const peers = once(server, 'connection')
  const client = t.connect(t.to(server))
  client.end('is anybody there?')
  const [peer] = await peers
  peer.write(greeting)
  const [asked, told] = await Promise.all([t.drained(peer), t.drained(client.on('end', () => {}))])
  t.log('others are served', asked, told)
}

const addresses = t => [
  ['TCP', {}],
  ['a path', { path: t?.socketPath() }],
]

// Each on TCP and on a path.
function killed(title, body) {
  for (const at of [0, 1]) {
    parity(`${title}, ${addresses()[at][0]}`, { on }, t =>
      body({ ...members(t), options: addresses(t)[at][1] }),
    )
  }
}

// The functions of a scenario are its own properties, once it is made.
const members = t => Object.fromEntries(Object.entries(t))

const quietly = { except: ['data', 'drain'] }

killed('a peer is killed while idle', async t => {
  const server = await t.listen(t.options)
  const { peer, kill } = await stranger(t, server, '')
  t.watch(peer.resume(), 'peer')
  const over = t.closed(peer)
  await kill()
  await over
  await serves(t, server, 'yes')
})

killed('a peer is killed while it is sent more than it reads', async t => {
  const server = await t.listen(t.options)
  const { peer, kill } = await stranger(t, server, `socket.pause(); socket.write('ready')`)
  t.watch(peer, 'peer', quietly)
  await once(peer, 'data')
  const over = t.closed(peer)
  // With null under Node 20, with ECANCELED since (socket/write.test.mjs).
  peer.write(Buffer.alloc(32_000_000), () => t.log.to('write')('called back'))
  await kill()
  await over
  t.log('left', peer.writableLength > 0, peer.bytesWritten > 0)
  await serves(t, server, 'yes')
})

killed('a peer is killed while it is sent more than it reads, and is not read from', async t => {
  const server = await t.listen({ ...t.options, pauseOnConnect: true })
  const { peer, kill } = await stranger(t, server, 'socket.pause()')
  t.watch(peer, 'peer', quietly)
  const over = t.closed(peer)
  peer.write(Buffer.alloc(32_000_000), error => t.log.to('write')('called back', error))
  await t.turns(2)
  await kill()
  await over
  server.on('connection', other => other.resume())
  await serves(t, server, 'yes')
})

killed('a peer is killed while it sends', async t => {
  const server = await t.listen(t.options)
  const endless = `const more = () => { while (socket.write(Buffer.alloc(50_000))) ; socket.once('drain', more) }; more()`
  const { peer, kill } = await stranger(t, server, endless)
  t.watch(peer, 'peer', quietly)
  const over = t.closed(peer)
  peer.resume()
  for (let chunk = 0; chunk < 5; chunk++) await once(peer, 'data')
  await kill()
  await over
  t.log('read', peer.bytesRead > 0)
  await serves(t, server, 'yes')
})

killed('what a killed peer has sent is read to its end', async t => {
  const server = await t.listen(t.options)
  const { peer, kill } = await stranger(t, server, 'socket.write(Buffer.alloc(150_000, 7))')
  t.watch(peer, 'peer')
  peer.pause()
  const marks = peer.readableHighWaterMark
  await t.until(() => peer.readableLength >= marks)
  // On its way or arrived: 150 kB fit into the kernel's buffers.
  const over = t.closed(peer)
  await kill()
  peer.resume()
  await over
  await serves(t, server, 'yes')
})

killed('a peer is killed after its FIN', async t => {
  const server = await t.listen({ ...t.options, allowHalfOpen: true })
  const { peer, kill } = await stranger(t, server, 'socket.resume().end()')
  t.watch(peer.resume(), 'peer')
  await t.seen(peer, 'end')
  await kill()
  const over = t.closed(peer)
  // The kernel has nobody to give it to, and says so to the next one.
  const again = error => (error ? t.log.to('write')('called back', error) : peer.write('more', again))
  peer.write('more', again)
  await over
  server.removeAllListeners('connection')
  server.on('connection', other => t.own(other).on('end', () => other.end()))
  await serves(t, server, 'yes')
})

killed('a peer is killed after our FIN', async t => {
  const server = await t.listen({ ...t.options, allowHalfOpen: true })
  // What is unread when a process dies becomes an RST, so it says when it has read all.
  const { peer, kill } = await stranger(t, server, `socket.resume().on('end', () => socket.write('read'))`)
  t.watch(peer.resume(), 'peer').end('bye')
  await t.seen(peer, 'data')
  const over = t.closed(peer)
  await kill()
  await over
  server.on('connection', other => other.on('end', () => other.end()))
  await serves(t, server, 'yes')
})

parity('a peer that resets in the middle of a transfer costs nobody else', async t => {
  const server = await t.listen({}, peer => peer.resume().write(Buffer.alloc(5_000_000)))
  const others = Array.from({ length: 5 }, () => t.connect(t.to(server)))
  const counts = others.map(() => 0)
  for (const [at, client] of others.entries()) client.on('data', chunk => (counts[at] += chunk.length))
  for (let round = 0; round < 20; round++) {
    const rude = t.connect(t.to(server))
    await once(rude, 'data')
    rude.resetAndDestroy()
    await t.closed(rude)
  }
  await t.until(() => counts.every(count => count === 5_000_000))
  t.log('all arrived', counts)
  await t.until(() => server._connections === 5)
})

parity('everybody in a full backlog gets in when the server is free again', { on: 'linux' }, async t => {
  const { worker, listen, until, log } = t
  const peers = []
  const server = await listen({ backlog: 8 }, peer => {
    peers.push(peer)
    peer.resume().end('welcome')
  })
  const flags = new Int32Array(new SharedArrayBuffer(8))
  const thread = worker(
    ({ net, data: [port, flags], port: channel }) => {
      // A full backlog drops the SYN, which is sent again a second later: few of these, or the test waits long.
      const COUNT = 14
      let [connected, closed] = [0, 0]
      const texts = new Set()
      for (let at = 0; at < COUNT; at++) {
        const client = net.connect(port, '127.0.0.1')
        client.setEncoding('utf8').on('data', text => texts.add(text))
        client.on('connect', () => {
          // As many as the backlog takes: then the server may go on.
          if (++connected === 8) {
            Atomics.store(flags, 0, 1)
            Atomics.notify(flags, 0)
          }
        })
        client.on('error', error => texts.add(error.code))
        client.on('close', () => {
          if (++closed === COUNT) channel.postMessage([connected, [...texts]])
        })
      }
    },
    [server.address().port, flags],
  )
  // Loading takes the worker a while; from here on this thread accepts nothing.
  await once(thread, 'online')
  Atomics.wait(flags, 0, 0, 8_000)
  log('accepted while blocked', peers.length)
  log('the others', await new Promise(resolve => thread.once('message', resolve)))
  await until(() => peers.length === 14)
})

parity('hundreds who connect to a blocked server all get in', async t => {
  const { net, own, worker, log } = t
  const server = own(net.createServer(peer => peer.resume().end('welcome')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const flags = new Int32Array(new SharedArrayBuffer(8))
  const thread = worker(
    ({ net, data: [port, flags], port: channel }) => {
      const COUNT = 400
      let [connected, closed, welcomed] = [0, 0, 0]
      for (let at = 0; at < COUNT; at++) {
        const client = net.connect(port, '127.0.0.1')
        client.on('data', () => welcomed++)
        client.on('connect', () => {
          if (++connected === COUNT) {
            Atomics.store(flags, 0, 1)
            Atomics.notify(flags, 0)
          }
        })
        client.on('close', () => ++closed === COUNT && channel.postMessage([connected, welcomed]))
      }
    },
    [server.address().port, flags],
  )
  await once(thread, 'online')
  log('blocked until all had connected', Atomics.wait(flags, 0, 0, 8_000) !== 'timed-out')
  log('served', await new Promise(resolve => thread.once('message', resolve)))
})
