// What observers see: the channels of diagnostics_channel with their messages and when these come, and the resources of
// async_hooks.

import { AsyncLocalStorage, createHook, executionAsyncId, triggerAsyncId } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { parity } from '../helpers/parity.mjs'

const listening = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map(
  name => `tracing:net.server.listen:${name}`,
)
const channels = ['net.client.socket', 'net.server.socket', ...listening]

// Calls `hear(name, message)` for each message of all channels until the scenario is over.
function observe(t, hear, names = channels) {
  for (const name of names) {
    const listener = message => hear(name.split(':').at(-1), message)
    subscribe(name, listener)
    t.cleanup(() => unsubscribe(name, listener))
  }
}

const order = [
  'asyncStart',
  'asyncEnd',
  'listen returned',
  'listening',
  'net.client.socket',
  'connect returned',
  'connection',
  'net.server.socket',
]
// Node 20 has the client's channel for net.connect alone.
parity(
  'diagnostics_channel: who tells what, and when',
  { since: ['22.17', '24.2'], expected: { main: order } },
  async t => {
    const { net, own, log, until } = t
    let told = 0
    observe(t, name => {
      told++
      log(name)
    })
    const server = own(net.createServer(peer => log('connection') ?? peer.resume()))
    server.on('listening', () => log('listening'))
    server.listen(0)
    log('listen returned')
    await new Promise(resolve => server.once('listening', resolve))
    const client = own(new net.Socket())
    client.connect(server.address().port, '127.0.0.1')
    log('connect returned')
    await until(() => told === 4)
  },
)

parity('net.client.socket: of net.connect, once, with the socket alone', async t => {
  const { net, own, listen, to, log, seen } = t
  const server = await listen()
  const messages = []
  observe(t, (_name, message) => messages.push(message), ['net.client.socket'])
  const client = own(net.connect(to(server)))
  log('told', messages.length, messages[0].socket === client, Object.keys(messages[0]))
  await seen(client, 'connect')
  log('told', messages.length)
})

const since = ['22.17', '24.2']
parity(
  'net.client.socket: of every connect, before the arguments are looked at',
  {
    since,
    expected: {
      main: [
        ['bad port', 'threw', 'ERR_SOCKET_BAD_PORT', 1, false],
        ['nothing', 'threw', 'ERR_MISSING_ARGS', 1, false],
        ['good', 'returned', 1, false],
        ['again', 'returned', 1, true],
      ],
    },
  },
  async t => {
    const { net, own, listen, to, log, seen } = t
    const server = await listen()
    const told = []
    observe(t, (_name, { socket }) => told.push(socket.connecting), ['net.client.socket'])
    const client = own(new net.Socket()).on('error', () => {})
    for (const [label, args, socket] of [
      ['bad port', [-1], new net.Socket()],
      ['nothing', [], new net.Socket()],
      ['good', [to(server)], client],
      ['again', [to(server)], client],
    ]) {
      let outcome = ['returned']
      try {
        socket.connect(...args)
      } catch (error) {
        outcome = ['threw', error.code]
      }
      log(label, ...outcome, told.length, told.pop())
    }
    await seen(client, 'close')
  },
)

parity('net.client.socket: a subscriber may hang things on the socket', async t => {
  const { net, own, listen, to, log, closed } = t
  const server = await listen({}, peer => peer.end())
  observe(t, (_name, { socket }) => socket.on('connectionAttempt', address => log('heard', address)), [
    'net.client.socket',
  ])
  await closed(own(net.connect(to(server))).resume())
})

parity('net.server.socket: after the listeners of connection, with the socket alone', async t => {
  const { listen, connect, to, log, until } = t
  const order = []
  observe(
    t,
    (_name, message) => order.push('channel', Object.keys(message).join(), message.socket.server === server),
    ['net.server.socket'],
  )
  const server = await listen({}, () => order.push('first'))
  server.on('connection', () => order.push('second'))
  connect(to(server))
  await until(() => order.includes('channel'))
  log('order', order)
})

parity('net.server.socket: nothing about a connection that was dropped', async t => {
  const { listen, connect, to, log, closed, watch } = t
  let told = 0
  observe(t, () => told++, ['net.server.socket'])
  const server = await listen()
  server.maxConnections = 1
  const first = connect(to(server))
  await new Promise(resolve => server.once('connection', resolve))
  const ends = ['connectionAttempt', 'connect', 'ready', 'end', 'prefinish', 'finish', 'error', 'close']
  await closed(watch(connect(to(server)), 'second', { except: ends }).resume())
  log('told', told, first.destroyed)
})

const lists = {
  'no arguments': () => [],
  'a port': () => [0],
  'a port, a host and a backlog': () => [0, '127.0.0.1', 5],
  'options and a callback': () => [{ port: 0, host: '127.0.0.1', exclusive: true }, () => {}],
}
for (const [label, args] of Object.entries(lists)) {
  parity(`net.server.listen: asyncStart has the server and the options, for ${label}`, async t => {
    const { net, own, log, seen } = t
    const server = own(net.createServer())
    observe(t, (name, message) => {
      log(name, Object.keys(message), message.server === server, { ...message.options })
      log('state', server.listening, server.listenerCount('listening'))
    })
    server.listen(...args())
    log('returned')
    await seen(server, 'listening')
  })
}

parity('net.server.listen: of a path', { on: 'unix' }, async t => {
  const { net, own, log, seen, socketPath } = t
  const server = own(net.createServer())
  observe(t, (name, message) => log(name, Object.keys(message), { ...message.options }))
  server.listen(socketPath())
  await seen(server, 'listening')
})

parity('net.server.listen: the options are the caller’s own object', async t => {
  const { net, own, log, seen } = t
  const options = { port: 0 }
  observe(t, (_name, message) => log('same', message.options === options), [listening[2]])
  const server = own(net.createServer())
  server.listen(options)
  await seen(server, 'listening')
})

parity('net.server.listen: an error is told in the call, before it is emitted', async t => {
  const { net, own, listen, to, log } = t
  const taken = await listen()
  for (const target of [to(taken), { port: 0, host: '192.0.2.1' }]) {
    const server = own(net.createServer())
    const told = []
    const names = []
    const listener = (name, message) => {
      names.push(name)
      if (name === 'error') told.push(message)
    }
    observe(t, (name, message) => message.server === server && listener(name, message))
    server.listen(target)
    const error = await new Promise(resolve => server.once('error', resolve))
    log('names', names, told.length, told[0].error === error, Object.keys(told[0]), error.code)
  }
})

parity('net.server.listen: arguments that throw have begun, and no more is heard', async t => {
  const { net, own, log, attempt } = t
  observe(t, name => log(name))
  attempt('bad port', () => own(net.createServer()).listen(-1))
  attempt('nothing', () => own(net.createServer()).listen({}))
})

parity(
  'diagnostics_channel: a subscriber that throws is an uncaught exception, and nothing else',
  async t => {
    const { net, own, listen, to, log, seen, catchUncaught } = t
    const server = await listen()
    const caught = new Promise(resolve => catchUncaught(resolve))
    observe(t, () => {
      throw new Error('a bad subscriber')
    }, ['net.client.socket'])
    const client = own(net.connect(to(server)))
    await Promise.all([caught, seen(client, 'connect')])
    log('connected', client.readyState)
  },
)

// --- async_hooks -------------------------------------------------------------------------------------------------

// Which resources are made, in order, each with what triggered it, for as long as `body` takes. Ticks, timers and
// promises are everybody's.
async function resources(t, body) {
  const types = new Map()
  const made = []
  const hook = createHook({
    init(id, type, trigger) {
      types.set(id, type)
      if (!/^(TickObject|Timeout|Immediate|PROMISE|Microtask|DNSCHANNEL|PIPEWRAP<IPC>)$/.test(type))
        made.push([type, types.get(trigger)])
    },
  })
  const now = () => [types.get(executionAsyncId()), types.get(triggerAsyncId())]
  hook.enable()
  t.cleanup(() => hook.disable())
  await body(now, made)
  hook.disable()
  return made
}

const connections = {
  'a server, a connection, both ends': async ({ net, own: keep, closed, to }) => {
    const server = keep(net.createServer(peer => keep(peer).resume().end('hi')))
    server.listen(0)
    await new Promise(resolve => server.once('listening', resolve))
    await closed(keep(net.connect(to(server))).resume())
  },
  'a connection that is refused': async ({ net, own: keep }) => {
    const client = keep(new net.Socket()).on('error', () => {})
    client.connect(1, '127.0.0.1')
    await new Promise(resolve => client.once('close', resolve))
  },
  'a connection to a name': async ({ net, own: keep }) => {
    const client = keep(new net.Socket()).on('error', () => {})
    client.connect({ port: 1, host: 'localhost', family: 4 })
    await new Promise(resolve => client.once('close', resolve))
  },
  'two addresses': async ({ net, own: keep }) => {
    const client = keep(new net.Socket()).on('error', () => {})
    const lookup = (_host, _options, callback) =>
      process.nextTick(
        callback,
        null,
        ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 })),
      )
    client.connect({ port: 1, host: 'made.up', lookup, autoSelectFamilyAttemptTimeout: 8_000 })
    await new Promise(resolve => client.once('close', resolve))
  },
  'a write that waits': async ({ net, own: keep, to, drained }) => {
    const server = keep(net.createServer({ pauseOnConnect: true }))
    server.listen(0)
    await new Promise(resolve => server.once('listening', resolve))
    const accepted = new Promise(resolve => server.once('connection', resolve))
    const client = keep(net.connect(to(server)))
    const peer = keep(await accepted)
    client.write(Buffer.alloc(8_000_000))
    const arrived = drained(peer)
    client.end()
    peer.resume()
    await arrived
  },
  'a server and a connection on a path': async ({ net, own: keep, closed, socketPath }) => {
    const server = keep(net.createServer(peer => keep(peer).resume().end('hi')))
    const path = socketPath()
    server.listen(path)
    await closed(keep(net.connect(path)).resume())
  },
  'sockets and servers that are only made': ({ net, own: keep }) => {
    keep(new net.Socket()).end()
    keep(net.createServer()).close()
  },
}
for (const [label, body] of Object.entries(connections)) {
  parity(`async_hooks: ${label}, their resources`, { on: 'linux' }, async t => {
    // The first lookup and the first server of a process make more than others do.
    t.net.createServer().listen(0, '127.0.0.1').close()
    await t.turns(2)
    const made = await resources(t, () => body(t))
    const providers = made.filter(([type]) => /^(TCP|PIPE|GETADDR)/.test(type))
    // node:net's own lookup is triggered by the handle, which only Node's inside can say.
    t.log(
      'made',
      providers.map(([type, trigger]) => (type === 'GETADDRINFOREQWRAP' ? [type] : [type, trigger])),
    )
    // Which side ends first is not promised.
    t.log(
      'others',
      made
        .filter(each => !providers.includes(each))
        .map(String)
        .sort(),
    )
  })
}

parity('async_hooks: the resource in which each event is told', async t => {
  const { net, own: keep, to, log } = t
  await resources(t, async now => {
    const note = (track, event) => log.to(track)(event, now()[0])
    const server = keep(
      net.createServer(peer => {
        keep(peer)
        note('server', 'connection')
        for (const event of ['data', 'end', 'finish', 'close']) peer.on(event, () => note('peer', event))
      }),
    )
    server.on('listening', () => note('server', 'listening')).on('close', () => note('server', 'close'))
    server.listen(0)
    await new Promise(resolve => server.once('listening', resolve))
    const client = keep(net.connect(to(server), () => note('client', 'callback')))
    for (const event of [
      'connectionAttempt',
      'connect',
      'ready',
      'data',
      'end',
      'prefinish',
      'finish',
      'close',
    ]) {
      client.on(event, () => note('client', event))
    }
    client.write('early', () => note('writes', 'early'))
    await new Promise(resolve => client.once('ready', resolve))
    client.write('late', () => note('writes', 'late'))
    client.end(() => note('writes', 'end'))
    await new Promise(resolve => client.once('close', resolve))
    server.close()
    await new Promise(resolve => server.once('close', resolve))
  })
})

parity('async_hooks: what triggered the resource of each event', async t => {
  const { net, own: keep, to, log } = t
  await resources(t, async now => {
    const note = (track, event) => log.to(track)(event, now().join(' by '))
    const server = keep(
      net.createServer(peer => {
        keep(peer)
        for (const event of ['data', 'end', 'close']) peer.on(event, () => note('peer', event))
      }),
    )
    server.listen(0)
    await new Promise(resolve => server.once('listening', resolve))
    const client = keep(net.connect(to(server)))
    for (const event of ['connect', 'ready', 'prefinish', 'finish'])
      client.on(event, () => note('client', event))
    client.resume().end('x')
    await new Promise(resolve => client.once('close', resolve))
    const refused = keep(net.connect(1, '127.0.0.1'))
    for (const event of ['connectionAttemptFailed', 'error']) refused.on(event, () => note('refused', event))
    await new Promise(resolve => refused.once('close', resolve))
  })
})

parity('async_hooks: a closed connection and its requests are gone', async t => {
  const live = new Map()
  const hook = createHook({
    init: (id, type) => /^(TCP|SHUTDOWN|WRITE)/.test(type) && live.set(id, type),
    destroy: id => live.delete(id),
  }).enable()
  t.cleanup(() => hook.disable())
  const types = () => [...live.values()].sort()
  const { server, client, peer } = await t.pair()
  await t.until(() => live.size <= 3)
  t.log('open', types())
  peer.resume().end()
  client.end(Buffer.alloc(4_000_000))
  await t.closed(client.resume(), peer)
  await t.until(() => live.size <= 1)
  t.log('connection closed', types())
  server.close()
  await t.until(() => live.size === 0)
  const abandoned = t.connect({ port: 1, host: '127.0.0.1' })
  abandoned.on('connectionAttempt', () => setImmediate(() => abandoned.destroy()))
  abandoned.on('error', () => {})
  await t.closed(abandoned)
  await t.until(() => live.size === 0)
})

// --- AsyncLocalStorage -------------------------------------------------------------------------------------------

parity('AsyncLocalStorage: connect is told in the context of the lookup’s answer', async t => {
  const { net, own: keep, listen, log, closed } = t
  const storage = new AsyncLocalStorage()
  const server = await listen({}, peer => peer.resume().end('hi'))
  const client = keep(new net.Socket())
  for (const event of ['lookup', 'connectionAttempt', 'connect', 'ready', 'data', 'end', 'finish', 'close']) {
    client.on(event, () => log.to(event)('store', storage.getStore()))
  }
  const lookup = (_host, _options, callback) =>
    storage.run('answered', () => process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }]))
  storage.run('connected', () => client.connect({ port: server.address().port, host: 'made.up', lookup }))
  storage.run('ended', () => client.end())
  await closed(client)
})

parity('AsyncLocalStorage: a refusal is told in the context of the lookup’s answer', async t => {
  const { net, own: keep, log, closed } = t
  const storage = new AsyncLocalStorage()
  const client = keep(new net.Socket())
  for (const event of ['connectionAttemptFailed', 'error', 'close'])
    client.on(event, () => log(event, storage.getStore()))
  const lookup = (_host, _options, callback) =>
    storage.run('answered', () => process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }]))
  storage.run('connected', () => client.connect({ port: 1, host: 'made.up', lookup }))
  await closed(client)
})

parity('AsyncLocalStorage: on a path, too', { on: 'unix' }, async t => {
  const { net, own: keep, to, log, closed, socketPath } = t
  const storage = new AsyncLocalStorage()
  const server = keep(net.createServer())
  server.on('connection', peer => {
    keep(peer).resume().end()
    log.to('server')('connection', storage.getStore())
    peer.on('close', () => log.to('server')('peer close', storage.getStore()))
  })
  storage.run('listened', () => server.listen(socketPath()))
  const client = keep(new net.Socket())
  for (const event of ['connectionAttempt', 'connect', 'end', 'finish', 'close']) {
    client.on(event, () => log.to('client')(event, storage.getStore()))
  }
  storage.run('connected', () => client.connect(to(server)))
  client.resume()
  await closed(client)
})
