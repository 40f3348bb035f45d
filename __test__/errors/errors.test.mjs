// Every error: its class, its properties and their order, its message, and when it appears. This is what people print,
// grep for and branch on.

import { parity } from '../helpers/parity.mjs'
import { isOfEngine } from '../helpers/runtime.mjs'

// An error as it is printed, without its stack.
const print = error => ({
  keys: Object.keys(error),
  string: String(error),
  error: error instanceof Error,
  prototype: Object.getPrototypeOf(error).constructor.name,
  firstLine: error.stack.split('\n')[0],
  own: Object.getOwnPropertyNames(error)
    .filter(name => !isOfEngine(name))
    .sort(),
})

const emitted = (emitter, begin) =>
  new Promise(resolve => {
    emitter.once('error', resolve)
    begin()
  })

parity('connect refused, as printed', async ({ net, own, log }) => {
  const client = own(new net.Socket())
  const error = await emitted(client, () => client.connect(1, '127.0.0.1'))
  log('error', print(error), error)
})

parity('connect to a missing path, as printed', { on: 'unix' }, async ({ net, own, log, socketPath }) => {
  const client = own(new net.Socket())
  const error = await emitted(client, () => client.connect(socketPath('missing')))
  log('error', print(error), error)
})

parity('bind of a foreign address, as printed', async ({ net, own, log }) => {
  const client = own(new net.Socket())
  const error = await emitted(client, () =>
    client.connect({ port: 1, host: '127.0.0.1', localAddress: '192.0.2.1' }),
  )
  log('error', print(error), error)
})

parity(
  'connect refused from a chosen local address, as printed',
  { on: 'linux' },
  async ({ net, own, log }) => {
    const client = own(new net.Socket())
    const error = await emitted(client, () =>
      client.connect({ port: 1, host: '127.0.0.1', localAddress: '127.0.0.2' }),
    )
    log('error', print(error), error)
  },
)

parity('listen on a port in use, as printed', async ({ net, own, log, listen, to }) => {
  const taken = await listen()
  const server = own(net.createServer())
  const error = await emitted(server, () => server.listen(to(taken)))
  log('error', print(error), error)
})

parity(
  'listen on a path in use, as printed',
  { on: 'unix' },
  async ({ net, own, log, listen, socketPath }) => {
    const path = socketPath()
    await listen({ path })
    const server = own(net.createServer())
    const error = await emitted(server, () => server.listen(path))
    log('error', print(error), error)
  },
)

parity('read of a connection that was reset, as printed', { on: 'linux' }, async ({ pair, log }) => {
  const { client, peer } = await pair()
  const error = await emitted(client, () => peer.resetAndDestroy())
  log('error', print(error), error)
})

parity('all addresses refused, as printed', { on: 'linux' }, async ({ net, own, log }) => {
  const client = own(new net.Socket())
  const addresses = ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 }))
  const lookup = (_host, _options, callback) => process.nextTick(callback, null, addresses)
  const error = await emitted(client, () =>
    client.connect({ port: 1, host: 'made.up', lookup, autoSelectFamilyAttemptTimeout: 8_000 }),
  )
  log('error', print(error), ...error.errors.map(print))
})

parity('an abort, as printed', async ({ net, own, log }) => {
  const controller = new AbortController()
  const client = own(new net.Socket({ signal: controller.signal }))
  const error = await emitted(client, () => controller.abort())
  log('error', print(error), error)
})

parity('a lookup with a bad answer, as printed', async ({ net, own, log }) => {
  for (const answer of [
    ['nonsense', 4],
    ['127.0.0.1', 5],
  ]) {
    const client = own(new net.Socket())
    const lookup = (_host, _options, callback) => process.nextTick(callback, null, ...answer)
    const error = await emitted(client, () =>
      client.connect({ port: 1, host: 'made.up', autoSelectFamily: false, lookup }),
    )
    log('error', print(error), error)
  }
})

parity('errors that are thrown, as printed', async ({ net, own, log }) => {
  const listening = own(net.createServer().listen(0))
  const cases = {
    'no arguments': () => new net.Socket().connect(),
    'a bad port to connect': () => new net.Socket().connect(65_536),
    'a bad port to listen': () => net.createServer().listen(-1),
    'a bad host': () => new net.Socket().connect({ port: 1, localAddress: 'x' }),
    'a bad option': () => net.createServer(1),
    'bad listen options': () => net.createServer().listen({}),
    'listening twice': () => listening.listen(0),
    'object mode': () => new net.Socket({ objectMode: true }),
    'a bad timeout': () => new net.Socket().setTimeout(-1),
    'writing null': () => new net.Socket().write(null),
  }
  for (const [label, body] of Object.entries(cases)) {
    try {
      body()
    } catch (error) {
      log(label, print(error))
    }
  }
})

parity('errors given to callbacks, as printed', async ({ net, own, pair, log }) => {
  const given = start => new Promise(resolve => start(resolve))
  log('not running', print(await given(callback => net.createServer().close(callback))))
  const fresh = own(new net.Socket()).on('error', () => {})
  log('closed', print(await given(callback => fresh.write('x', callback))))
  const { client, peer } = await pair()
  peer.resume()
  client.on('error', () => {})
  client.end()
  log('write after end', print(await given(callback => client.write('x', callback))))
  log('destroyed', print(await given(callback => client.write('x', callback))))
})

parity(
  'a network error is never thrown from the call',
  async ({ net, own, attempt, listen, to, turns, socketPath }) => {
    const taken = await listen()
    const quiet = emitter => own(emitter).on('error', () => {})
    attempt('connect refused', () => quiet(new net.Socket()).connect(1, '127.0.0.1'))
    attempt('connect to nowhere', () => quiet(new net.Socket()).connect(socketPath('missing')))
    attempt('connect from nowhere', () =>
      quiet(new net.Socket()).connect({ port: 1, host: '127.0.0.1', localAddress: '192.0.2.1' }),
    )
    attempt('listen in use', () => quiet(net.createServer()).listen(to(taken)))
    attempt('listen elsewhere', () => quiet(net.createServer()).listen(0, '192.0.2.1'))
    await turns(3)
  },
)

parity('a bind error comes in a later tick', async ({ net, own, log, turns }) => {
  const client = own(new net.Socket())
  client.on('error', error => log('error', error.syscall, error.code))
  client.connect({ port: 1, host: '127.0.0.1', localAddress: '192.0.2.1' })
  log('returned', client.connecting, client.destroyed)
  process.nextTick(() => log('nextTick'))
  queueMicrotask(() => log('microtask'))
  setImmediate(() => log('setImmediate'))
  await turns(3)
})

parity('errno and code are those of the system', async ({ connect, log, closed }) => {
  const { getSystemErrorName } = await import('node:util')
  const client = connect(1, '127.0.0.1')
  client.on('error', error => log('error', getSystemErrorName(error.errno) === error.code, error.errno < 0))
  await closed(client)
})

parity('the error passed to destroy arrives as the same object', async ({ pair, log, closed }) => {
  for (const error of [
    new Error('plain'),
    new TypeError('typed'),
    Object.assign(new Error('coded'), { code: 'MINE', extra: 1 }),
  ]) {
    const { client } = await pair()
    client.on('error', received => log('same', received === error, client.errored === error))
    client.destroy(error)
    await closed(client)
  }
})

parity(
  'an error is emitted once, however many things fail',
  { on: 'linux' },
  async ({ pair, log, closed, turns }) => {
    const { client, peer } = await pair()
    let errors = 0
    client.on('error', () => errors++)
    peer.resetAndDestroy()
    client.write('x')
    client.write('y')
    client.end('z')
    await closed(client)
    await turns(3)
    log('errors', errors)
  },
)

for (const [kind, chunk] of [
  ['a few bytes', 'answer'],
  ['many bytes', 'answer'.repeat(10_000)],
]) {
  parity(
    `${kind} written to a peer whose last words came together with its reset`,
    { on: 'linux' },
    async ({ pair, log, watch, closed }) => {
      const { client, peer } = await pair()
      watch(client, 'client')
      client.once('data', () => client.write(chunk, error => log('written', error?.code)))
      peer.write('last words')
      peer.resetAndDestroy()
      await closed(client)
    },
  )
}
