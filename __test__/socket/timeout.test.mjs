// setTimeout(): validation, when the timer starts, what refreshes it, and that it never closes anything.

import { parity } from '../helpers/parity.mjs'

parity('setTimeout checks its arguments', async ({ pair, attempt, log }) => {
  const { client } = await pair()
  const cases = {
    "'1'": ['1'],
    undefined: [undefined],
    null: [null],
    '{}': [{}],
    '-1': [-1],
    NaN: [Number.NaN],
    Infinity: [Number.POSITIVE_INFINITY],
    '-Infinity': [Number.NEGATIVE_INFINITY],
    'a callback that is none': [1000, 'callback'],
    'a callback that is an object': [1000, {}],
    'a callback that is null': [1000, null],
  }
  for (const [label, args] of Object.entries(cases)) {
    attempt(label, () => client.setTimeout(...args) === client)
    log('timeout', client.timeout)
  }
  client.setTimeout(0)
})

parity('timeout is the last number given', async ({ pair, net, log }) => {
  const { client } = await pair()
  log('fresh', client.timeout, new net.Socket().timeout)
  for (const ms of [1000, 2.5, 0]) log('set', client.setTimeout(ms) === client, client.timeout)
})

parity('a number too large is clamped with a warning', async ({ pair, log }) => {
  const { client } = await pair()
  const warned = new Promise(resolve => process.once('warning', resolve))
  client.setTimeout(2 ** 31)
  log('timeout', client.timeout)
  const warning = await warned
  log('warning', warning.name, warning.message)
  client.setTimeout(0)
})

parity('the callback is a listener for one timeout, removed by 0', async ({ pair, log }) => {
  const { client } = await pair()
  const callback = () => {}
  client.setTimeout(10_000, callback)
  log('set', client.listenerCount('timeout'))
  client.setTimeout(10_000, callback)
  log('set again', client.listenerCount('timeout'))
  client.setTimeout(0, callback)
  log('removed', client.listenerCount('timeout'))
  client.setTimeout(0, callback)
  log('removed again', client.listenerCount('timeout'))
})

parity('an idle connection times out and stays open', async ({ pair, watch, log, seen, drained }) => {
  const { client, peer } = await pair()
  watch(client, 'client', { into: 'main' })
  client.setTimeout(20)
  await seen(client, 'timeout')
  log('state', client.destroyed, client.readyState, client.timeout)
  const arrived = drained(peer)
  client.setTimeout(0)
  client.end('still open')
  log('arrived', await arrived)
})

parity('an accepted socket times out too', async ({ pair, watch, seen }) => {
  const { peer } = await pair()
  watch(peer, 'peer')
  peer.setTimeout(20)
  await seen(peer, 'timeout')
})

parity('a timeout fires again only after activity', async ({ pair, log, until }) => {
  const { client, peer } = await pair()
  peer.resume()
  let timeouts = 0
  client.on('timeout', () => timeouts++)
  client.setTimeout(20)
  await until(() => timeouts === 1)
  client.write('activity')
  await until(() => timeouts === 2)
  peer.write('activity')
  client.resume()
  await until(() => timeouts === 3)
  log('timeouts', timeouts)
})

parity('setTimeout before connect is remembered', async ({ net, own, listen, to, watch, seen, log }) => {
  const server = await listen()
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  client.setTimeout(50, () => log('callback'))
  client.connect(to(server))
  await seen(client, 'timeout')
})

parity(
  'the timeout option of connect is an idle timeout',
  async ({ listen, connect, to, watch, seen, log }) => {
    const server = await listen()
    const client = watch(connect(to(server, { timeout: 50 })), 'client')
    log('timeout', client.timeout)
    await seen(client, 'timeout')
    log('still open', client.destroyed)
  },
)

parity('the timeout option of socket.connect is ignored', async ({ net, own, listen, to, log, seen }) => {
  const server = await listen()
  const client = own(new net.Socket())
  client.connect(to(server, { timeout: 50 }))
  await seen(client, 'connect')
  log('timeout', client.timeout)
})

parity('a timeout can end a lookup that never answers', async ({ connect, watch, seen, closed, log }) => {
  const client = connect({ port: 1, host: 'made.up', timeout: 30, lookup: () => {} })
  watch(client, 'client', { into: 'main' })
  client.on('timeout', () => client.destroy(new Error('too slow')))
  await seen(client, 'timeout')
  await closed(client)
  log('after', client.connecting, client.destroyed)
})

parity('no timeout after destroy', async ({ pair, watch, closed, log, seen }) => {
  const { client } = await pair()
  const { client: slower } = await pair()
  watch(client, 'client')
  client.setTimeout(1)
  client.destroy()
  await closed(client)
  slower.setTimeout(20)
  await seen(slower, 'timeout')
  log('setTimeout on a destroyed socket', client.setTimeout(1) === client, client.timeout)
})

parity('a timeout that destroys in its listener', async ({ pair, watch, closed }) => {
  const { client } = await pair()
  watch(client, 'client')
  client.on('timeout', () => client.destroy())
  client.setTimeout(20)
  await closed(client)
})

parity('a timeout on a path socket', { on: 'unix' }, async ({ pair, watch, seen, socketPath }) => {
  const { client } = await pair({ path: socketPath() })
  watch(client, 'client')
  client.setTimeout(20)
  await seen(client, 'timeout')
})

parity(
  'false timers in the place of the globals are not the socket’s',
  async ({ pair, log, seen, closed, cleanup }) => {
    const real = { setTimeout, clearTimeout, setImmediate, queueMicrotask }
    const { client, peer } = await pair()
    cleanup(() => Object.assign(globalThis, real))
    for (const name of Object.keys(real)) {
      globalThis[name] = () => {
        log('false', name)
        return { unref: () => {}, refresh: () => {} }
      }
    }
    client.setTimeout(1)
    await seen(client, 'timeout')
    peer.resume().end()
    client.resume().destroy(new Error('over'))
    client.on('error', () => {})
    await closed(client, peer)
    Object.assign(globalThis, real)
    log('timed out', client.timeout)
  },
)
