// AsyncLocalStorage: each handler runs in the context in which its socket or request was created.

import { AsyncLocalStorage } from 'node:async_hooks'
import { parity } from '../helpers/parity.mjs'

parity(
  'the events of a client run in the context of connect',
  async ({ net, own, listen, to, log, closed }) => {
    const storage = new AsyncLocalStorage()
    const server = await listen({}, peer => peer.resume().end('hi'))
    const client = storage.run('made', () => own(new net.Socket()))
    for (const event of ['lookup', 'connect', 'ready', 'data', 'end', 'finish', 'close']) {
      client.on(event, () => log(event, storage.getStore()))
    }
    storage.run('connected', () => client.connect(to(server), () => log('callback', storage.getStore())))
    await storage.run('waiting', () => closed(client))
  },
)

parity(
  'the events of a client to a name run in the context of connect',
  async ({ net, own, listen, log, closed }) => {
    const storage = new AsyncLocalStorage()
    const server = await listen({}, peer => peer.resume().end('hi'))
    const client = own(new net.Socket())
    for (const event of ['lookup', 'connect', 'ready', 'data', 'end', 'finish', 'close']) {
      client.on(event, () => log(event, storage.getStore()))
    }
    storage.run('connected', () =>
      client.connect({
        port: server.address().port,
        host: 'made.up',
        lookup: (_host, _options, callback) => {
          log('lookup called', storage.getStore())
          process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }])
        },
      }),
    )
    await closed(client)
  },
)

parity('the error of a client runs in the context of connect', async ({ net, own, log, closed }) => {
  const storage = new AsyncLocalStorage()
  const client = own(new net.Socket())
  client.on('error', () => log('error', storage.getStore()))
  client.on('close', () => log('close', storage.getStore()))
  storage.run('connected', () => client.connect(1, '127.0.0.1'))
  await closed(client)
})

parity(
  'the connection listener runs in the context of listen',
  async ({ net, own, connect, to, log, seen }) => {
    const storage = new AsyncLocalStorage()
    const server = storage.run('created', () => own(net.createServer()))
    const over = new Promise(resolve => {
      server.on('connection', peer => {
        log('connection', storage.getStore())
        peer.on('data', () => log('peer data', storage.getStore()))
        peer.on('end', () => log('peer end', storage.getStore()))
        peer.on('close', () => resolve(log('peer close', storage.getStore())))
      })
    })
    server.on('listening', () => log('listening', storage.getStore()))
    server.on('close', () => log('server close', storage.getStore()))
    storage.run('listened', () => server.listen(0, '127.0.0.1', () => log('callback', storage.getStore())))
    await seen(server, 'listening')
    const client = storage.run('client', () => connect(to(server)))
    client.resume().end('hi')
    await over
    storage.run('closed', () => server.close(() => log('close callback', storage.getStore())))
    await seen(server, 'close')
  },
)

parity('the connection listener of a server without host', async ({ net, own, connect, log, seen }) => {
  const storage = new AsyncLocalStorage()
  const server = storage.run('created', () => own(net.createServer()))
  server.on('listening', () => log('listening', storage.getStore()))
  storage.run('listened', () => server.listen(0))
  const accepted = new Promise(resolve => {
    server.on('connection', peer => resolve(peer, log('connection', storage.getStore())))
  })
  await seen(server, 'listening')
  const client = connect(server.address().port, '127.0.0.1').resume()
  const peer = await accepted
  peer.end()
  await seen(client, 'close')
})

parity(
  'what an accepted socket is given keeps its own context',
  async ({ listen, connect, to, log, seen, until }) => {
    const storage = new AsyncLocalStorage()
    let number = 0
    let over = 0
    const server = await listen({}, peer => {
      storage.run(`request ${++number}`, () => {
        peer.on('data', () =>
          log.to(`peer ${peer.remotePort === first.localPort ? 1 : 2}`)('data', storage.getStore()),
        )
        peer.write('x', () => log.to('writes')('callback', storage.getStore() !== undefined))
        process.nextTick(() => log.to('ticks')('nextTick', storage.getStore()))
      })
      peer.on('close', () => over++).on('end', () => peer.end())
    })
    const first = connect(to(server)).resume()
    await seen(first, 'connect')
    await until(() => number === 1)
    const second = connect(to(server)).resume()
    await until(() => number === 2)
    first.end('from the first')
    await seen(first, 'close')
    second.end('from the second')
    await until(() => over === 2)
  },
)

parity('write and end callbacks run in the context of the write', async ({ pair, log, seen }) => {
  const storage = new AsyncLocalStorage()
  const { client, peer } = await pair()
  peer.resume()
  client.on('finish', () => log('finish', storage.getStore()))
  storage.run('write 1', () => client.write('1', () => log('write 1', storage.getStore())))
  storage.run('write 2', () => client.write('2', () => log('write 2', storage.getStore())))
  storage.run('end', () => client.end('3', () => log('end', storage.getStore())))
  await seen(peer, 'end')
})

parity('a drain and the callback of a write that waited', async ({ pair, log, seen }) => {
  const storage = new AsyncLocalStorage()
  const { client, peer } = await pair({ server: { pauseOnConnect: true } })
  client.on('drain', () => log('drain', storage.getStore()))
  storage.run('write', () => client.write(Buffer.alloc(8_000_000), () => log('write', storage.getStore())))
  peer.resume()
  await seen(client, 'drain')
})

parity('a timeout runs in the context of setTimeout', async ({ pair, log, seen }) => {
  const storage = new AsyncLocalStorage()
  const { client } = await pair()
  client.on('timeout', () => log('event', storage.getStore()))
  storage.run('set', () => client.setTimeout(20, () => log('callback', storage.getStore())))
  await seen(client, 'timeout')
})

parity(
  'the context of one socket does not leak into the next',
  async ({ net, own, listen, to, log, until }) => {
    const storage = new AsyncLocalStorage()
    const server = await listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
    let over = 0
    for (const name of ['a', 'b', 'c', 'd']) {
      storage.run(name, () => {
        const client = own(net.connect(to(server)))
        const note = log.to(name)
        client.on('connect', () => note('connect', storage.getStore()))
        client.on('data', data => {
          note('data', String(data), storage.getStore())
          Promise.resolve().then(() => note('promise', storage.getStore()))
          process.nextTick(() => note('nextTick', storage.getStore()))
        })
        client.on('close', () => {
          note('close', storage.getStore())
          over++
        })
        client.end(name)
      })
    }
    await until(() => over === 4)
  },
)

parity(
  'destroy runs close in the context of the socket',
  async ({ net, own, listen, to, log, seen, closed }) => {
    const storage = new AsyncLocalStorage()
    const server = await listen()
    const client = storage.run('connected', () => own(net.connect(to(server))))
    client.on('error', () => log('error', storage.getStore()))
    client.on('close', () => log('close', storage.getStore()))
    await seen(client, 'connect')
    storage.run('destroyed', () => client.destroy(new Error('over')))
    await closed(client)
  },
)

parity('async iteration stays in the context of its loop', async ({ pair, log }) => {
  const storage = new AsyncLocalStorage()
  const { client, peer } = await pair()
  peer.end('text')
  await storage.run('loop', async () => {
    for await (const chunk of client) log('chunk', chunk, storage.getStore())
    log('after', storage.getStore())
  })
})

parity('enterWith in a handler ends with the handler', async ({ pair, log, until }) => {
  const storage = new AsyncLocalStorage()
  const { client, peer } = await pair()
  let reads = 0
  client.on('data', () => {
    log('data', storage.getStore())
    storage.enterWith(`read ${++reads}`)
  })
  peer.write('1')
  await until(() => reads === 1)
  peer.write('2')
  await until(() => reads === 2)
})

parity('onread runs in the context of connect', async ({ net, own, listen, to, log, closed }) => {
  const storage = new AsyncLocalStorage()
  const server = await listen({}, peer => peer.resume().end('hi'))
  const client = storage.run('connected', () =>
    own(
      net.connect(
        to(server, {
          onread: {
            buffer: Buffer.alloc(10),
            callback: () => Boolean(log('read', storage.getStore())) || true,
          },
        }),
      ),
    ),
  )
  await closed(client)
})

parity('AsyncResource.bind wins over the context of the socket', async ({ pair, log, closed }) => {
  const { AsyncResource } = await import('node:async_hooks')
  const storage = new AsyncLocalStorage()
  const { client, peer } = await pair()
  const bound = storage.run('bound', () => AsyncResource.bind(() => log('bound', storage.getStore())))
  client.on('data', bound)
  client.on('data', () => log('unbound', storage.getStore()))
  peer.resume().end('x')
  await closed(client)
})
