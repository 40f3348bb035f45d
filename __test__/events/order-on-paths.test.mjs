// The orders of events that order.test.mjs leaves out: the same table on Unix sockets, both ends in one trace where the
// order between them is promised, and the arguments of each event.

import { parity } from '../helpers/parity.mjs'

// A server on a path or on TCP, the two ends of one connection watched in tracks of their own.
async function watched(
  t,
  on,
  { onClient = () => {}, onConnecting = () => {}, onPeer = () => {}, options = {} },
) {
  const { net, own, listen, to, watch, until } = t
  let peer
  const path = on === 'a path' ? { path: t.socketPath() } : {}
  const server = await listen(path, socket => {
    peer = watch(socket, 'peer')
    onPeer(peer)
  })
  const client = watch(own(new net.Socket(options)), 'client')
  onClient(client)
  client.connect(to(server))
  onConnecting(client)
  return { server, client, peer: () => until(() => peer).then(() => peer) }
}

const table = {
  'the peer ends with data': {
    onPeer: peer => peer.resume().end('hi'),
    onClient: client => client.resume(),
  },
  'we end with data': {
    onPeer: peer => peer.resume(),
    onClient: client => client.resume().once('connect', () => client.end('bye')),
  },
  'a write and an end before connect': {
    onPeer: peer => peer.resume(),
    onConnecting: client => {
      client.resume().write('queued')
      client.end()
    },
  },
  'the peer destroys with nothing unread': {
    onPeer: peer => peer.destroy(),
    onClient: client => client.resume(),
  },
  'destroy(error) in connect': {
    onPeer: peer => peer.resume(),
    onClient: client => client.once('connect', () => client.destroy(new Error('mine'))),
  },
  'destroy in ready': {
    onPeer: peer => peer.resume(),
    onClient: client => client.once('ready', () => client.destroy()),
  },
  'destroySoon in connect': {
    onPeer: peer => peer.resume(),
    onClient: client => client.resume().once('connect', () => client.destroySoon()),
  },
  'write after end': {
    onPeer: peer => peer.resume(),
    onClient: client =>
      client.resume().once('ready', () => {
        client.end('last')
        client.write('late')
      }),
  },
  'a write in the end listener': {
    onPeer: peer => peer.resume().end('hi'),
    onClient: client => client.resume().once('end', () => client.write('answer')),
  },
}
for (const [label, row] of Object.entries(table)) {
  for (const on of ['TCP', 'a path']) {
    parity(`${label}, on ${on}`, { on: on === 'TCP' ? undefined : 'unix' }, async t => {
      const { client, peer } = await watched(t, on, row)
      await t.closed(client)
      await t.closed(await peer())
    })
  }
}

parity('destroy before connect, on a path', { on: 'unix' }, async t => {
  const { client } = await watched(t, 'a path', {})
  client.write('never sent', error => t.log('write callback', error))
  client.destroy()
  t.log('at once', client.destroyed, client.connecting)
  await t.closed(client)
})

parity('a path without a listener: the attempt, its failure, error, close', { on: 'unix' }, async t => {
  const { net, own, watch, log, closed, socketPath } = t
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  client.connect(socketPath('missing'))
  log('connect returned')
  process.nextTick(() => log('nextTick'))
  await closed(client)
})

parity('a signal, on a path', { on: 'unix' }, async t => {
  const controller = new AbortController()
  const { client, peer } = await watched(t, 'a path', {
    options: { signal: controller.signal },
    onPeer: socket => socket.resume(),
  })
  await t.seen(client, 'ready')
  controller.abort()
  await t.closed(client)
  await t.closed(await peer())
})

parity('maxConnections reached: the client connects and is ended, the server drops', async t => {
  const { net, own, listen, to, watch, connect, seen, log } = t
  const server = await listen()
  server.maxConnections = 1
  const first = connect(to(server))
  await seen(first, 'connect')
  if (server._connections === 0) await seen(server, 'connection')
  watch(server, 'server')
  server.on('drop', data => log('dropped', typeof data, server._connections))
  // What comes after 'ready' may be an end or a reset: the kernel's choice.
  const client = watch(own(new net.Socket()), 'client', {
    except: ['end', 'prefinish', 'finish', 'error', 'close'],
  })
  client.connect(to(server)).resume()
  await seen(client, 'close')
  log('still', first.readyState)
})

parity(
  'the peer resets at accept: one of two orders',
  { on: 'linux' },
  async ({ net, own, listen, to, log }) => {
    const server = await listen({}, peer => peer.resetAndDestroy())
    const client = own(new net.Socket()).resume()
    const events = []
    for (const event of ['connect', 'ready', 'connectionAttemptFailed', 'error', 'end', 'finish', 'close']) {
      client.on(event, first =>
        events.push(event === 'error' ? first.code : event === 'close' ? `close ${first}` : event),
      )
    }
    client.connect(to(server))
    await new Promise(resolve => client.once('close', resolve))
    const orders = ['connectionAttemptFailed ECONNRESET close true', 'connect ready ECONNRESET close true']
    log('one of the two', orders.includes(events.join(' ')) || events)
  },
)

parity(
  'allowHalfOpen: our side closes right after its finish, before the peer has closed',
  {
    since: '24',
    expected: {
      main: [
        'client end',
        ['half', 'writeOnly'],
        'client prefinish',
        'client finish',
        ['client close', false],
        ['peer', false, false],
        'peer end',
        ['peer close', false],
      ],
    },
  },
  async ({ pair, watch, log, seen, closed }) => {
    const { client, peer } = await pair({ client: { allowHalfOpen: true } })
    watch(client, 'client', { into: 'main' }).resume()
    peer.end()
    await seen(client, 'end')
    log('half', client.readyState)
    client.end()
    await seen(client, 'finish')
    await closed(client)
    log('peer', peer.destroyed, peer.readableEnded)
    watch(peer, 'peer', { into: 'main' }).resume()
    await closed(peer)
  },
)

parity('every event: how many arguments it has, and on whom it is called', async t => {
  const { net, own, listen, to, log, closed } = t
  const server = await listen({}, peer => peer.resume().end('hi'))
  const client = own(new net.Socket())
  for (const event of [
    'lookup',
    'connectionAttempt',
    'connect',
    'ready',
    'data',
    'end',
    'prefinish',
    'finish',
    'close',
  ]) {
    client.on(event, function (...args) {
      log.to(event)('called', args.length, this === client)
    })
  }
  client.connect({
    ...to(server),
    host: 'made.up',
    lookup: (_host, _options, callback) =>
      setImmediate(callback, null, [{ address: '127.0.0.1', family: 4 }]),
  })
  client.setTimeout(10_000)
  client.end('x')
  await closed(client)
})

parity(
  'the arguments of lookup and the attempts',
  { on: 'linux' },
  async ({ net, own, log, closed, alias }) => {
    alias(1, 'port')
    const client = own(new net.Socket()).on('error', error => log('error', error.code))
    for (const event of ['lookup', 'connectionAttempt', 'connectionAttemptFailed']) {
      client.on(event, (...args) =>
        log(event, ...args.map(each => (each instanceof Error ? each.code : each))),
      )
    }
    const lookup = (_host, _options, callback) =>
      process.nextTick(callback, null, [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
      ])
    client.connect({ port: 1, host: 'made.up', lookup, autoSelectFamilyAttemptTimeout: 8_000 })
    await closed(client)
  },
)

parity('an error is seen by errorMonitor first, and by nobody else when nobody listens', async t => {
  const { pair, log, closed, catchUncaught } = t
  const { errorMonitor } = await import('node:events')
  const { client } = await pair()
  const caught = new Promise(resolve => catchUncaught(resolve))
  client.on(errorMonitor, error => log('monitor', error.message))
  client.destroy(new Error('unheard'))
  await caught
  await closed(client)
})

parity('captureRejections: a listener of a socket that rejects destroys it', async t => {
  const { net, own, listen, to, log, cleanup } = t
  const events = (await import('node:events')).default
  const server = await listen({}, peer => peer.on('error', () => {}).write('x'))
  events.captureRejections = true
  cleanup(() => (events.captureRejections = false))
  const client = own(new net.Socket())
  events.captureRejections = false
  client.on('data', async () => {
    throw new Error('rejected')
  })
  client.connect(to(server))
  const order = []
  client.on('error', error => order.push(error.message))
  await new Promise(resolve => client.on('close', hadError => resolve(order.push(`close ${hadError}`))))
  log('order', order)
})

parity('events.once and events.on wait for the events of a socket', async ({ net, own, listen, to, log }) => {
  const { once, on } = await import('node:events')
  const server = await listen({}, peer => peer.end('hi'))
  const client = own(new net.Socket())
  client.connect(to(server))
  log('connect', await once(client, 'connect'))
  for await (const [chunk] of on(client, 'data', { close: ['end'] })) log('data', chunk)
  const refused = own(new net.Socket())
  refused.connect(1, '127.0.0.1')
  log('rejected', await once(refused, 'connect').catch(error => error.code))
})

parity('listeners added in connect hear ready, those added in end hear close', async t => {
  const { net, own, listen, to, log } = t
  const server = await listen({}, peer => peer.resume().end('hi'))
  const client = own(new net.Socket())
  client.once('connect', () => client.once('ready', () => log('ready')))
  client.once('ready', () => client.resume())
  client.once('end', () => {
    log('end')
    client.once('finish', () => log('finish'))
  })
  client.connect(to(server))
  await new Promise(resolve => client.once('close', resolve))
})

parity('a late listener for connect or ready is not called', async ({ pair, log, turns }) => {
  const { client, server } = await pair()
  client.once('connect', () => log('connect'))
  client.once('ready', () => log('ready'))
  server.once('listening', () => log('listening'))
  await turns(3)
  log('listeners', client.listenerCount('connect'), client.listenerCount('ready'))
})

// --- micro-timing ------------------------------------------------------------------------------------------------

parity('timing: close comes on nextTick without a handle, later with one', async t => {
  const { net, own, listen, to, log, seen, turns } = t
  const server = await listen()
  const fresh = own(new net.Socket())
  const open = own(new net.Socket())
  open.connect(to(server))
  await seen(open, 'connect')
  await turns()
  for (const [name, socket] of Object.entries({ fresh, open })) {
    const order = []
    socket.on('close', () => order.push('close'))
    socket.destroy()
    order.push('returned')
    process.nextTick(() => process.nextTick(() => order.push('second nextTick')))
    setImmediate(() => order.push('setImmediate'))
    await turns(3)
    log(name, order)
  }
})

parity('timing: error comes on nextTick for every destroy(error)', async ({ net, own, pair, log, turns }) => {
  const { client } = await pair()
  for (const socket of [own(new net.Socket()), client]) {
    const order = []
    socket.on('error', () => order.push('error'))
    process.nextTick(() => order.push('before'))
    socket.destroy(new Error('mine'))
    process.nextTick(() => order.push('after'))
    order.push('returned')
    await turns(3)
    log('order', order)
  }
})

parity('timing: the callback of end comes with finish, in the order they were asked for', async t => {
  const { pair, log, seen, turns } = t
  const { client, peer } = await pair()
  peer.resume()
  await turns()
  client.once('finish', () => log('finish before'))
  client.write('1', () => log('write'))
  client.end('2', () => log('end callback'))
  client.once('finish', () => log('finish after'))
  process.nextTick(() => log('nextTick'))
  await seen(client, 'finish')
  await turns()
})

parity('timing: an empty write and an empty end call back too', async ({ pair, log, turns, seen }) => {
  const { client, peer } = await pair()
  peer.resume()
  await turns()
  client.write('', () => log('empty string'))
  client.write(Buffer.alloc(0), () => log('empty bytes'))
  process.nextTick(() => log('nextTick'))
  setImmediate(() => log('setImmediate'))
  await turns(2)
  client.end('', () => log('end'))
  await seen(peer, 'end')
})

parity(
  'timing: connect, its callback and ready are one turn',
  async ({ net, own, listen, to, log, seen, turns }) => {
    const server = await listen()
    const client = own(new net.Socket())
    const order = []
    client.on('connect', () => {
      order.push('connect')
      process.nextTick(() => order.push('nextTick'))
      queueMicrotask(() => order.push('microtask'))
      setImmediate(() => order.push('setImmediate'))
    })
    client.on('ready', () => order.push('ready'))
    client.connect(to(server), () => order.push('callback'))
    await seen(client, 'ready')
    await turns(3)
    log('order', order)
  },
)

parity('timing: what a listener of data asks for happens before the next chunk', async t => {
  const { net, own, listen, to, log, seen } = t
  // Two chunks can come in one turn of the loop, but never in one tick.
  const server = await listen({}, peer => {
    peer.write(Buffer.alloc(200_000))
    peer.end()
  })
  const client = own(new net.Socket())
  let ticks = 0
  let chunks = 0
  let late = 0
  client.on('data', () => {
    if (ticks !== chunks) late++
    chunks++
    process.nextTick(() => ticks++)
  })
  client.connect(to(server))
  await seen(client, 'end')
  log('late', late, chunks > 1)
})
