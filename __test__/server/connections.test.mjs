// Accepted connections and the end of a server: close(), getConnections(), maxConnections, options.

import { parity } from '../helpers/parity.mjs'

parity('an accepted socket knows its server and is open', async ({ net, listen, connect, to, log, seen }) => {
  const server = await listen({}, peer => {
    log('peer', peer instanceof net.Socket, peer.server === server, peer._server === server)
    log('state', peer.readyState, peer.connecting, peer.pending, peer.destroyed, peer.readableFlowing)
    log('counted', server._connections)
    peer.end()
  })
  const client = connect(to(server)).resume()
  await seen(client, 'close')
})

parity('close waits for the open connections', async ({ pair, watch, log, seen, quiet }) => {
  const { server, client, peer } = await pair()
  watch(server, 'server', { into: 'main' })
  watch(peer, 'peer', { into: 'main' }).resume()
  log('returned', server.close(error => log('callback', error)) === server)
  log('at once', server.listening, server.address())
  await quiet()
  log('later')
  client.resume().end('bye')
  await seen(server, 'close')
})

parity('the server closes when its last socket is destroyed', async t => {
  const { listen, connect, to, watch, log, seen, turns } = t
  const peers = []
  const server = watch(await listen({}, peer => peers.push(peer)), 'server', {
    into: 'main',
    except: ['connection'],
  })
  const clients = [1, 2, 3].map(() => connect(to(server)).resume())
  await t.until(() => peers.length === 3)
  server.close()
  for (const [at, peer] of peers.entries()) {
    peer.on('close', () => log('peer closed', at))
    peer.end()
    peer.resume()
    await seen(peer, 'close')
    await turns(2)
  }
  await seen(server, 'close')
  log('clients', clients.length)
})

parity(
  'close of a server that never listened calls back with an error',
  async ({ net, watch, log, turns }) => {
    const server = watch(net.createServer(), 'server', { into: 'main' })
    log('returned', server.close(error => log('callback', error)) === server)
    await turns(3)
    log('without a callback', server.close() === server)
    await turns(3)
  },
)

parity('close twice calls back with an error the second time', async ({ listen, watch, log, turns }) => {
  const server = watch(await listen(), 'server', { into: 'main' })
  server.close(error => log('first', error))
  server.close(error => log('second', error))
  await turns(3)
  server.close(error => log('third', error))
  await turns(3)
})

parity('close twice with a connection open', async ({ pair, watch, log, seen, turns }) => {
  const { server, client, peer } = await pair()
  watch(server, 'server', { into: 'main' })
  server.close(error => log('first', error))
  server.close(error => log('second', error))
  await turns(3)
  log('open')
  peer.on('close', () => log('peer closed'))
  client.destroy()
  peer.resume()
  await seen(server, 'close')
  await turns(3)
})

parity('close without connections is emitted after this tick', async ({ listen, watch, log, seen }) => {
  const server = watch(await listen(), 'server', { into: 'main' })
  server.close(() => log('callback'))
  process.nextTick(() => log('nextTick'))
  queueMicrotask(() => log('microtask'))
  log('returned')
  await seen(server, 'close')
})

parity('a closed server refuses connections', async ({ listen, connect, to, seen, watch, closed }) => {
  const server = await listen()
  const target = to(server)
  server.close()
  await seen(server, 'close')
  await closed(watch(connect(target), 'client', { except: ['connectionAttempt', 'connectionAttemptFailed'] }))
})

parity('a closed path server is gone from the file system', { on: 'unix' }, async t => {
  const { listen, connect, seen, watch, closed, socketPath, log } = t
  const { existsSync } = await import('node:fs')
  const path = socketPath()
  const server = await listen({ path })
  log('before', existsSync(path))
  server.close()
  log('at once', existsSync(path))
  await seen(server, 'close')
  await closed(watch(connect(path), 'client', { except: ['connectionAttempt', 'connectionAttemptFailed'] }))
})

parity('a path server closes with a connection that stays open', { on: 'unix' }, async t => {
  const { pair, socketPath, log, drained, turns, seen, watch } = t
  const { existsSync } = await import('node:fs')
  const path = socketPath()
  const { server, client, peer } = await pair({ path })
  watch(server, 'server')
  server.close()
  log('gone', existsSync(path))
  await turns(2)
  const arrived = drained(peer)
  client.resume().end('still here')
  log('arrived', await arrived)
  await seen(server, 'close')
})

parity('asyncDispose closes the server', async ({ listen, net, log, watch }) => {
  const server = watch(await listen(), 'server')
  log('result', await server[Symbol.asyncDispose]())
  log('after', server.listening)
  log('not listening', await net.createServer()[Symbol.asyncDispose]())
})

parity('getConnections counts what is open', async ({ listen, connect, to, seen, log, until }) => {
  const peers = []
  const server = await listen({}, peer => peers.push(peer))
  const count = () =>
    new Promise(resolve => server.getConnections((error, number) => resolve([error, number])))
  log('none', ...(await count()))
  connect(to(server))
  connect(to(server))
  await until(() => peers.length === 2)
  log('two', ...(await count()))
  peers[0].destroy()
  log('destroyed', ...(await count()))
  peers[1].destroy()
  await seen(peers[1], 'close')
  log('none again', ...(await count()), server._connections)
})

parity('getConnections returns the server and calls back on nextTick', async ({ listen, log, turns }) => {
  const server = await listen()
  log('returned', server.getConnections((error, count) => log('callback', error, count)) === server)
  process.nextTick(() => log('nextTick'))
  log('sync over')
  await turns()
})

parity('above maxConnections the server drops', async ({ listen, connect, to, watch, seen, closed, log }) => {
  const server = await listen()
  server.maxConnections = 1
  server.on('drop', data => log('drop', data))
  server.on('connection', peer => log('connection', peer.readyState))
  const first = connect(to(server))
  await seen(server, 'connection')
  const second = watch(connect(to(server)), 'second', { except: ['error', 'close'] }).resume()
  await closed(second)
  log('still open', first.readyState, server._connections)
  first.destroy()
})

parity(
  'after a connection closed the server takes the next',
  async ({ listen, connect, to, seen, closed, log, until }) => {
    const peers = []
    const server = await listen({}, peer => peers.push(peer))
    server.maxConnections = 1
    for (const round of [1, 2, 3]) {
      const client = connect(to(server)).resume()
      await until(() => peers.length === round)
      const over = seen(peers[round - 1], 'close')
      peers[round - 1].resume().end()
      await closed(client)
      await over
      log('round', round, peers.length)
    }
  },
)

parity(
  'maxConnections 0 drops everything',
  {
    since: '21',
    expected: { client: ['connect', 'ready', 'end', 'prefinish', 'finish'], main: [['drop', 'object']] },
  },
  async ({ listen, connect, to, watch, closed, log }) => {
    const server = await listen({}, () => log('connection'))
    server.maxConnections = 0
    server.on('drop', data => log('drop', typeof data))
    const client = watch(connect(to(server)), 'client', {
      except: ['connectionAttempt', 'error', 'close'],
    }).resume()
    await closed(client)
  },
)

parity('drop of a path connection has no data', { on: 'unix' }, async t => {
  const { listen, connect, to, seen, closed, log, socketPath } = t
  const server = await listen({ path: socketPath() })
  server.maxConnections = 1
  server.on('drop', data => log('drop', data))
  const first = connect(to(server))
  await seen(server, 'connection')
  const second = connect(to(server)).resume()
  second.on('error', () => {})
  await closed(second)
  log('first', first.readyState)
})

parity('pauseOnConnect reads nothing until resumed', async ({ pair, log, quiet, drained }) => {
  const { client, peer } = await pair({ server: { pauseOnConnect: true } })
  log('accepted', peer.isPaused(), peer.readableFlowing, peer.readyState)
  await new Promise(resolve => client.end('patience', resolve))
  await quiet()
  log('paused', peer.bytesRead, peer.readableLength)
  const arrived = drained(peer)
  peer.resume()
  log('arrived', await arrived, peer.isPaused())
})

parity('accepted sockets take the options of the server', async ({ pair, log }) => {
  const { peer, client } = await pair({
    server: {
      allowHalfOpen: true,
      highWaterMark: 1000,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 1000,
    },
  })
  log('peer', peer.allowHalfOpen, peer.readableHighWaterMark, peer.writableHighWaterMark)
  log('client', client.allowHalfOpen)
})

parity('the default high-water mark is the one of streams', async ({ pair, log }) => {
  const { getDefaultHighWaterMark } = await import('node:stream')
  const { peer, client } = await pair()
  for (const socket of [peer, client]) {
    log(
      'marks',
      socket.readableHighWaterMark === getDefaultHighWaterMark(false),
      socket.writableHighWaterMark,
    )
  }
})

parity('many connections at once are all accepted, served and closed', async t => {
  const { listen, connect, to, closed, log, seen } = t
  const server = await listen({ backlog: 511 }, peer => peer.pipe(peer))
  const clients = Array.from({ length: 100 }, () => connect(to(server)))
  const answers = await Promise.all(
    clients.map(async (client, at) => {
      client.setEncoding('utf8').end(`number ${at}`)
      let text = ''
      client.on('data', data => (text += data))
      await closed(client)
      return text === `number ${at}`
    }),
  )
  log('right', answers.filter(Boolean).length)
  server.close()
  await seen(server, 'close')
})

parity(
  'a connection accepted and destroyed at once closes on both sides',
  async ({ listen, connect, to, watch, closed, seen }) => {
    let peer
    const server = await listen({}, socket => {
      peer = watch(socket, 'peer')
      peer.destroy()
    })
    const client = watch(connect(to(server)), 'client').resume()
    await closed(client)
    await seen(peer, 'close')
  },
)

parity('a listener that rejects destroys the socket when rejections are captured', async t => {
  const { net, own, seen, connect, to, watch, closed, log } = t
  const events = (await import('node:events')).default
  events.captureRejections = true
  t.cleanup(() => (events.captureRejections = false))
  const server = own(net.createServer())
  const outcome = new Promise(resolve => {
    server.on('connection', async peer => {
      watch(peer, 'peer')
      resolve(peer)
      throw new Error('rejected')
    })
  })
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  const client = connect(to(server)).resume()
  client.on('error', () => {})
  const peer = await outcome
  await closed(peer)
  log('server', server.listening)
})

parity(
  'connections wait in the backlog while the loop is busy',
  async ({ listen, connect, to, seen, log, until }) => {
    const peers = []
    const server = await listen({}, peer => peers.push(peer))
    const clients = [1, 2, 3, 4, 5].map(() => connect(to(server)))
    await Promise.all(clients.map(client => seen(client, 'connect')))
    await until(() => peers.length === 5)
    log('ports', clients.map(client => peers.findIndex(peer => peer.remotePort === client.localPort)).sort())
  },
)
