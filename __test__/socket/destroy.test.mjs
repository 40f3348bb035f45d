// destroy(), destroySoon(), resetAndDestroy() at each stage of a connection's life.

import { parity } from '../helpers/parity.mjs'

parity('destroy twice closes once, with the first error', async ({ pair, watch, closed, turns, log }) => {
  const { client } = await pair()
  watch(client, 'client')
  client.destroy(new Error('first'))
  client.destroy(new Error('second'))
  await closed(client)
  client.destroy(new Error('third'))
  await turns(3)
  log('errored', client.errored)
})

parity('destroy in each listener', async ({ listen, connect, to, watch, closed, log }) => {
  const server = await listen({}, peer => peer.resume().end('data'))
  for (const event of ['connect', 'ready', 'data', 'end']) {
    const client = watch(connect(to(server)), `in ${event}`)
    client.on(event, () => client.destroy())
    client.resume()
    await closed(client)
    log(event, client.destroyed, client.readyState)
  }
})

parity('destroy(error) in each listener', async ({ listen, connect, to, watch, closed }) => {
  const server = await listen({}, peer => peer.resume().end('data'))
  for (const event of ['connect', 'ready', 'data', 'end']) {
    const client = watch(connect(to(server)), `in ${event}`)
    client.on(event, () => client.destroy(new Error(event)))
    client.resume()
    await closed(client)
  }
})

parity('no event follows destroy in a data listener', async ({ pair, watch, closed, log }) => {
  const { client, peer } = await pair()
  watch(client, 'client', { except: ['data'] })
  let chunks = 0
  client.on('data', () => {
    chunks++
    client.destroy()
  })
  peer.write(Buffer.alloc(500_000))
  peer.end('more')
  await closed(client)
  log('after', client.readableLength, chunks)
})

parity('destroy during an error of the connection changes nothing', async ({ connect, watch, closed }) => {
  const client = watch(connect(1, '127.0.0.1'), 'client')
  client.on('error', () => client.destroy(new Error('another')))
  await closed(client)
})

parity('destroySoon sends what waits, then closes', async ({ pair, watch, closed, drained, log }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  watch(client, 'client')
  client.write('one ')
  client.write('two')
  client.destroySoon()
  log('at once', client.destroyed, client.writable, client.writableEnded)
  await closed(client)
  log('arrived', await arrived)
})

parity('destroySoon after end closes when finished', async ({ pair, watch, closed, drained, log }) => {
  const { client, peer } = await pair({ server: { allowHalfOpen: true } })
  const arrived = drained(peer)
  watch(client, 'client')
  client.end('text', () => log('ended'))
  client.destroySoon()
  log('at once', client.destroyed)
  await closed(client)
  log('arrived', await arrived)
})

parity('destroySoon on a finished socket closes at once', async ({ pair, watch, closed, seen, log }) => {
  const { client, peer } = await pair({ server: { allowHalfOpen: true } })
  peer.resume()
  watch(client, 'client')
  client.end()
  await seen(client, 'finish')
  client.destroySoon()
  log('at once', client.destroyed)
  await closed(client)
})

parity('resetAndDestroy closes us quietly and the peer with ECONNRESET', { on: 'linux' }, async t => {
  const { pair, watch, closed, log } = t
  const { client, peer } = await pair()
  watch(client, 'client')
  watch(peer, 'peer').resume()
  log('returned', client.resetAndDestroy() === client, client.destroyed)
  await closed(client, peer)
})

parity('resetAndDestroy while connecting waits for the connection', { on: 'linux' }, async t => {
  const { listen, connect, to, watch, closed, log } = t
  const server = await listen({}, peer => peer.on('error', () => {}))
  const client = watch(connect(to(server)), 'client')
  log('returned', client.resetAndDestroy() === client, client.destroyed)
  await closed(client)
})

parity(
  'resetAndDestroy without a connection is ERR_SOCKET_CLOSED',
  async ({ net, own, watch, closed, log }) => {
    const client = watch(own(new net.Socket()), 'client')
    log('returned', client.resetAndDestroy() === client, client.destroyed)
    await closed(client)
  },
)

parity('resetAndDestroy after destroy changes nothing', async ({ pair, watch, closed, turns, log }) => {
  const { client } = await pair()
  watch(client, 'client')
  client.destroy()
  log('returned', client.resetAndDestroy() === client)
  await closed(client)
  client.resetAndDestroy()
  await turns(2)
})

parity(
  'resetAndDestroy on a path socket throws',
  { on: 'unix' },
  async ({ pair, attempt, log, socketPath }) => {
    const { client } = await pair({ path: socketPath() })
    attempt('resetAndDestroy', () => client.resetAndDestroy())
    log('after', client.destroyed)
  },
)

parity('a signal aborted before the socket is made', async ({ net, own, watch, closed, log }) => {
  const client = watch(own(new net.Socket({ signal: AbortSignal.abort() })), 'client')
  log('at once', client.destroyed)
  await closed(client)
})

parity('a signal aborted while connecting', async ({ listen, net, own, to, watch, closed, log }) => {
  const server = await listen()
  const controller = new AbortController()
  const client = watch(own(net.connect(to(server, { signal: controller.signal }))), 'client')
  controller.abort(new Error('my reason'))
  log('at once', client.destroyed, client.connecting)
  await closed(client)
})

parity(
  'a signal aborted after the close does nothing',
  async ({ listen, net, own, to, watch, closed, turns }) => {
    const server = await listen({}, peer => peer.end())
    const controller = new AbortController()
    const client = watch(own(net.connect(to(server, { signal: controller.signal }))), 'client').resume()
    await closed(client)
    controller.abort()
    await turns(2)
  },
)

parity('asyncDispose destroys the socket', async ({ pair, watch, log, net }) => {
  const { client, peer } = await pair()
  peer.on('error', () => {})
  watch(client, 'client')
  log('has', typeof net.Socket.prototype[Symbol.asyncDispose])
  await client[Symbol.asyncDispose]()
  log('after', client.destroyed)
})

parity(
  'an error without a listener is uncaught and still closes',
  async ({ pair, watch, closed, catchUncaught }) => {
    const { client } = await pair()
    catchUncaught()
    watch(client, 'client', { uncaught: true })
    client.destroy(new Error('nobody listens'))
    await closed(client)
  },
)

parity('the peer sees the end of what was sent before destroy', async ({ pair, drained, log }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  client.write('sent')
  client.write(' also sent')
  client.destroy()
  log('arrived', await arrived)
})

parity('everything is quiet about a destroyed socket', async ({ pair, closed, attempt, log }) => {
  const { client } = await pair()
  client.destroy()
  await closed(client)
  for (const name of [
    'pause',
    'resume',
    'ref',
    'unref',
    'setNoDelay',
    'setKeepAlive',
    'cork',
    'uncork',
    'destroySoon',
    'address',
  ]) {
    attempt(name, () => {
      const result = client[name]()
      return result === client ? 'the socket' : result
    })
  }
  attempt('setTimeout', () => client.setTimeout(10) === client)
  log('after', client.timeout, client.isPaused(), client.read())
})

parity(
  'a socket that takes no new properties can be destroyed',
  async ({ listen, connect, log, to, closed }) => {
    const server = await listen()
    const socket = connect(to(server))
    await new Promise(resolve => socket.once('connect', resolve))
    Object.preventExtensions(socket)
    socket.on('error', error => log('error', error.message))
    const end = closed(socket)
    socket.destroy()
    await end
    log('destroyed', socket.destroyed)
  },
)
