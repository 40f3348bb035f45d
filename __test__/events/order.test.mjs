// The promised orders of events, one test each: what happens on both ends, and around them.

import { parity } from '../helpers/parity.mjs'

parity(
  'connecting to a name: lookup, attempt, connect, callback, ready',
  async ({ net, own, listen, watch, seen, log }) => {
    const server = await listen({ host: '127.0.0.1' })
    const client = watch(own(new net.Socket()), 'client', { into: 'main' })
    client.connect(
      {
        port: server.address().port,
        host: 'made.up',
        lookup: (_host, _options, callback) =>
          setImmediate(callback, null, [{ address: '127.0.0.1', family: 4 }]),
      },
      () => log('callback'),
    )
    await seen(client, 'ready')
  },
)

parity(
  'the attempt is announced on nextTick for an address',
  async ({ net, own, listen, to, watch, seen, log }) => {
    const server = await listen()
    const client = watch(own(new net.Socket()), 'client', { into: 'main' })
    process.nextTick(() => log('nextTick before'))
    client.connect(to(server))
    process.nextTick(() => log('nextTick after'))
    queueMicrotask(() => log('microtask'))
    log('connect returned')
    await seen(client, 'ready')
  },
)

parity('the attempt on a path is announced within connect', { on: 'unix' }, async t => {
  const { net, own, listen, to, watch, seen, log, socketPath } = t
  const server = await listen({ path: socketPath() })
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  client.connect(to(server))
  log('connect returned')
  await seen(client, 'ready')
})

parity('we end after the peer is known', async ({ pair, watch, closed }) => {
  const { client, peer } = await pair()
  watch(client, 'client').resume()
  watch(peer, 'peer').resume()
  client.end('bye')
  await closed(client, peer)
})

parity('the peer destroys with nothing unread', async ({ pair, watch, closed }) => {
  const { client, peer } = await pair()
  watch(client, 'client').resume()
  watch(peer, 'peer')
  peer.destroy()
  await closed(client, peer)
})

parity('the peer destroys with an error of its own', async ({ pair, watch, closed }) => {
  const { client, peer } = await pair()
  watch(client, 'client').resume()
  watch(peer, 'peer')
  peer.destroy(new Error('peer has had enough'))
  await closed(client, peer)
})

parity('the peer resets', { on: 'linux' }, async ({ pair, watch, closed }) => {
  const { client, peer } = await pair()
  watch(client, 'client').resume()
  watch(peer, 'peer')
  peer.resetAndDestroy()
  await closed(client, peer)
})

parity(
  'the peer closes with unread data, which resets us',
  { on: 'linux' },
  async ({ pair, watch, closed, until, turns }) => {
    const { client, peer } = await pair({ server: { pauseOnConnect: true } })
    watch(client, 'client').resume()
    watch(peer, 'peer')
    await new Promise(resolve => client.write('never read', resolve))
    await turns(2)
    peer.destroy()
    await closed(client, peer)
    await until(() => client.destroyed)
  },
)

parity('destroy(error) in connect', async ({ listen, connect, to, watch, closed }) => {
  let peer
  const server = await listen({}, socket => (peer = watch(socket, 'peer').resume()))
  const client = watch(connect(to(server)), 'client')
  client.on('connect', () => client.destroy(new Error('wrong number')))
  await closed(client)
  await closed(peer)
})

parity('destroy in connect', async ({ listen, connect, to, watch, closed }) => {
  let peer
  const server = await listen({}, socket => (peer = watch(socket, 'peer').resume()))
  const client = watch(connect(to(server)), 'client')
  client.on('connect', () => client.destroy())
  await closed(client)
  await closed(peer)
})

parity('destroy before connect', async ({ listen, connect, to, watch, closed, log, quiet }) => {
  const server = watch(await listen(), 'server')
  const client = watch(connect(to(server)), 'client', { into: 'main' })
  client.write('never sent', error => log('write callback', error))
  client.end(error => log('end callback', error))
  client.destroy()
  log('at once', client.connecting, client.pending, client.readyState, client.destroyed)
  await closed(client)
  await quiet()
})

parity('destroy(error) before connect', async ({ listen, connect, to, watch, closed, log, quiet }) => {
  const server = watch(await listen(), 'server')
  const client = watch(connect(to(server)), 'client', { into: 'main' })
  client.write('never sent', error => log('write callback', error))
  client.destroy(new Error('changed my mind'))
  await closed(client)
  await quiet()
})

parity('destroy on a socket that never connects', async ({ net, own, watch, closed, log }) => {
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  log('returned', client.destroy() === client)
  process.nextTick(() => log('nextTick'))
  await closed(client)
})

parity('destroy(error) on a socket that never connects', async ({ net, own, watch, closed, log }) => {
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  client.destroy(new Error('unused'))
  process.nextTick(() => log('nextTick'))
  await closed(client)
})

parity('write after end', async ({ pair, watch, closed, log }) => {
  const { client, peer } = await pair()
  watch(client, 'client', { into: 'main' }).resume()
  watch(peer, 'peer').resume()
  client.end()
  client.write('late', error => log('callback', error))
  await closed(client, peer)
})

parity('refused: attempt, its failure, error, close', async ({ connect, watch, closed, log }) => {
  const client = watch(connect(1, '127.0.0.1'), 'client', { into: 'main' })
  client.write('never sent', error => log('write callback', error))
  await closed(client)
})

parity('an aborted signal: error, close', async ({ listen, net, own, to, watch, closed, log, seen }) => {
  const server = await listen()
  const controller = new AbortController()
  const client = watch(own(new net.Socket({ signal: controller.signal })), 'client')
  client.connect(to(server))
  await seen(client, 'ready')
  controller.abort()
  log('at once', client.destroyed)
  await closed(client)
})

parity('an idle timeout: the event, then the callback', async ({ pair, watch, log, seen }) => {
  const { client } = await pair()
  watch(client, 'client', { into: 'main' })
  client.on('timeout', () => log('listener'))
  const called = new Promise(resolve =>
    client.setTimeout(20, () => {
      log('callback')
      resolve()
    }),
  )
  await called
  await seen(client, 'timeout')
  log('still open', client.destroyed, client.readyState)
})

parity(
  'close after destroy comes in a later phase than nextTick and before the next setImmediate but one',
  async t => {
    const { pair, watch, log, closed } = t
    const { client } = await pair()
    watch(client, 'client', { into: 'main' })
    await new Promise(resolve => setImmediate(resolve))
    client.destroy()
    process.nextTick(() => log('nextTick'))
    queueMicrotask(() => log('microtask'))
    setImmediate(() => {
      log('setImmediate')
      setImmediate(() => log('second setImmediate'))
    })
    log('destroy returned', client.destroyed, client.closed)
    await closed(client)
    await t.turns(3)
  },
)

parity(
  'error after destroy(error) comes on nextTick, close in a later phase',
  async ({ pair, watch, log, closed, turns }) => {
    const { client } = await pair()
    watch(client, 'client', { into: 'main' })
    await new Promise(resolve => setImmediate(resolve))
    process.nextTick(() => log('nextTick before'))
    client.destroy(new Error('over'))
    process.nextTick(() => log('nextTick after'))
    queueMicrotask(() => log('microtask'))
    setImmediate(() => log('setImmediate'))
    log('destroy returned', client.errored?.message)
    await closed(client)
    await turns(2)
  },
)

parity(
  'close in a data listener follows the rest of the turn',
  async ({ pair, watch, log, closed, turns }) => {
    const { client, peer } = await pair()
    watch(client, 'client', { into: 'main' })
    client.on('data', () => {
      client.destroy()
      process.nextTick(() => log('nextTick'))
      queueMicrotask(() => log('microtask'))
      setImmediate(() => log('setImmediate'))
      log('destroy returned')
    })
    peer.write('x')
    await closed(client)
    await turns(2)
  },
)

parity(
  'write callback, nextTick, microtask and setImmediate inside a data listener',
  async ({ pair, log, seen }) => {
    const { client, peer } = await pair()
    peer.resume()
    const over = new Promise(resolve => {
      client.on('data', () => {
        process.nextTick(() => log('nextTick before'))
        client.write('1', () => log('first write'))
        client.write('2', () => log('second write'))
        process.nextTick(() => log('nextTick after'))
        Promise.resolve().then(() => log('promise'))
        setImmediate(() => {
          log('setImmediate')
          resolve()
        })
        log('listener returned')
      })
    })
    peer.write('x')
    await over
    client.end()
    await seen(peer, 'end')
  },
)

parity(
  'finish comes after the callback of the last write, close last',
  async ({ pair, watch, log, closed }) => {
    const { client, peer } = await pair()
    peer.resume()
    watch(client, 'client', { into: 'main' }).resume()
    client.write('1', () => log('write 1'))
    client.write('2', () => log('write 2'))
    client.end('3', () => log('end'))
    await closed(client)
  },
)

parity(
  'listeners of one event run before its ticks, and ticks before the next event',
  async ({ pair, log, closed, watch }) => {
    const { client, peer } = await pair()
    for (const event of ['data', 'end', 'finish', 'close']) {
      client.on(event, () => {
        log(`${event} first`)
        process.nextTick(() => log(`${event} nextTick`))
        Promise.resolve().then(() => log(`${event} promise`))
      })
      client.on(event, () => log(`${event} second`))
    }
    watch(peer, 'peer').resume()
    peer.end('x')
    await closed(client, peer)
  },
)

parity('ticks drain between the events of two sockets', async ({ pair, log, until }) => {
  const pairs = [await pair(), await pair(), await pair()]
  let arrived = 0
  const runs = []
  pairs.forEach(({ client }, at) => {
    client.on('data', () => {
      runs.push(`${at} data`)
      process.nextTick(() => runs.push(`${at} nextTick`))
      Promise.resolve().then(() => {
        runs.push(`${at} promise`)
        arrived++
      })
    })
  })
  for (const { peer } of pairs) peer.write('x')
  await until(() => arrived === 3)
  for (const at of [0, 1, 2]) {
    const start = runs.indexOf(`${at} data`)
    log('in a row', runs.slice(start, start + 3))
  }
})

parity(
  'an end called in a data listener has finished before setImmediate',
  async ({ pair, watch, log, closed }) => {
    const { client, peer } = await pair()
    peer.resume()
    watch(client, 'client', { into: 'main', except: ['end', 'close'] })
    client.on('data', () => {
      setImmediate(() => log('setImmediate'))
      client.end()
      process.nextTick(() => log('nextTick'))
    })
    peer.write('x')
    await closed(client)
  },
)

parity('the server hears of a connection before its data', async ({ net, listen, to, log, own, closed }) => {
  const server = await listen({}, peer => {
    log('connection')
    peer.on('data', data => log('data', data))
    peer.on('end', () => log('end'))
  })
  server.on('connection', () => log('second listener'))
  const client = own(new net.Socket())
  client.connect(to(server)).resume()
  client.end('at once')
  await closed(client)
})

parity('server close follows the destruction of the last socket, before its close event', async t => {
  const { pair, watch, log, seen, closed } = t
  const { server, client, peer } = await pair()
  watch(server, 'server', { into: 'main' })
  watch(peer, 'peer', { into: 'main' }).resume()
  client.resume()
  server.close(() => log('callback'))
  peer.end('done')
  await closed(peer)
  await seen(server, 'close')
})
