// Several addresses for one name: the order of attempts, their events, and the error if all of them fail.

import { parity } from '../helpers/parity.mjs'

const answers =
  (...addresses) =>
  (_host, options, callback) => {
    const list = addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
    if (options.all) process.nextTick(callback, null, list)
    else process.nextTick(callback, null, list[0].address, list[0].family)
  }
// Long enough that no attempt is given up on a busy machine.
const patient = { host: 'made.up', autoSelectFamilyAttemptTimeout: 8_000 }

parity('the defaults can be read and set', async ({ net, attempt, log, cleanup }) => {
  const [family, timeout] = [net.getDefaultAutoSelectFamily(), net.getDefaultAutoSelectFamilyAttemptTimeout()]
  cleanup(() => {
    net.setDefaultAutoSelectFamily(family)
    net.setDefaultAutoSelectFamilyAttemptTimeout(timeout)
  })
  log('family', family, typeof timeout)
  for (const value of [false, true]) {
    net.setDefaultAutoSelectFamily(value)
    log('family', net.getDefaultAutoSelectFamily())
  }
  for (const value of [1, 'x', undefined, null])
    attempt(`family ${value}`, () => net.setDefaultAutoSelectFamily(value))
  for (const value of [1, 9, 10, 300, 0, -1, 1.5, 'x', undefined, 2 ** 31]) {
    attempt(`timeout ${value}`, () => net.setDefaultAutoSelectFamilyAttemptTimeout(value))
    log('timeout', net.getDefaultAutoSelectFamilyAttemptTimeout())
  }
})

parity('one address is a plain connection', async ({ listen, connect, watch, seen, log }) => {
  const server = await listen()
  const client = connect({ ...patient, port: server.address().port, lookup: answers('127.0.0.1') })
  watch(client, 'client')
  await seen(client, 'ready')
  log('attempted', client.autoSelectFamilyAttemptedAddresses)
})

parity(
  'the second address is tried when the first refuses',
  { on: 'linux' },
  async ({ listen, connect, watch, seen, log }) => {
    const server = await listen()
    const client = connect({ ...patient, port: server.address().port, lookup: answers('::1', '127.0.0.1') })
    watch(client, 'client')
    await seen(client, 'ready')
    log('attempted', client.autoSelectFamilyAttemptedAddresses.length, client.remoteAddress)
  },
)

parity(
  'the first that works ends the attempts',
  { on: 'linux' },
  async ({ listen, connect, watch, seen, log }) => {
    const server = await listen()
    const client = connect({ ...patient, port: server.address().port, lookup: answers('127.0.0.1', '::1') })
    watch(client, 'client')
    await seen(client, 'ready')
    log('attempted', client.autoSelectFamilyAttemptedAddresses.length, client.remoteAddress)
  },
)

parity(
  'the families take turns, beginning with the first',
  { on: 'linux' },
  async ({ connect, watch, closed, log }) => {
    const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1', '::ffff:127.0.0.1']
    const client = connect({ ...patient, port: 1, lookup: answers(...addresses) })
    watch(client, 'client', { except: ['error', 'connectionAttemptFailed'] })
    client.on('error', error => log('error', error.constructor.name, error.code, error.errors.length))
    await closed(client)
    log('attempted', client.autoSelectFamilyAttemptedAddresses)
  },
)

parity('when all refuse the error has all of them', { on: 'linux' }, async ({ connect, watch, closed }) => {
  const client = connect({ ...patient, port: 1, lookup: answers('127.0.0.1', '127.0.0.2', '127.0.0.3') })
  await closed(watch(client, 'client'))
})

parity('an address given twice is tried once', { on: 'linux' }, async ({ connect, watch, closed, log }) => {
  const client = connect({ ...patient, port: 1, lookup: answers('127.0.0.1', '127.0.0.1', '127.0.0.1') })
  await closed(watch(client, 'client'))
  log('attempted', client.autoSelectFamilyAttemptedAddresses)
})

parity('addresses that are none are left out', { on: 'linux' }, async ({ connect, watch, closed }) => {
  const client = connect({ ...patient, port: 1, lookup: answers('nonsense', '127.0.0.1', 'rubbish') })
  await closed(watch(client, 'client'))
})

parity('autoSelectFamily false takes the first address alone', async ({ connect, watch, closed, log }) => {
  const client = connect({
    ...patient,
    port: 1,
    autoSelectFamily: false,
    lookup: answers('127.0.0.1', '::1'),
  })
  await closed(watch(client, 'client'))
  log('attempted', client.autoSelectFamilyAttemptedAddresses)
})

parity('a family asked for is looked up alone', async ({ connect, watch, closed, log }) => {
  const client = connect({ ...patient, port: 1, family: 4, lookup: answers('127.0.0.1', '::1') })
  await closed(watch(client, 'client'))
  log('attempted', client.autoSelectFamilyAttemptedAddresses)
})

// Only what arrives: node:net itself never finishes an end() that was called before the address that works.
parity(
  'data written before several attempts arrives once',
  { on: 'linux' },
  async ({ listen, connect, log, until }) => {
    let text = ''
    const server = await listen({}, peer => peer.on('data', data => (text += data)))
    const client = connect({ ...patient, port: server.address().port, lookup: answers('::1', '127.0.0.1') })
    client.write('written ')
    client.write('once')
    log('queued', client.bytesWritten)
    await until(() => text.length >= 12)
    log('arrived', text)
  },
)

parity(
  'destroy between two attempts stops them',
  { on: 'linux' },
  async ({ connect, watch, closed, turns }) => {
    const client = connect({ ...patient, port: 1, lookup: answers('127.0.0.1', '127.0.0.2', '127.0.0.3') })
    watch(client, 'client')
    client.once('connectionAttemptFailed', () => client.destroy())
    await closed(client)
    await turns(5)
  },
)

parity('options set before the connection hold for the address that works', { on: 'linux' }, async t => {
  const { listen, connect, seen, log, closed } = t
  const server = await listen({}, peer => peer.end('hi'))
  const client = connect({ ...patient, port: server.address().port, lookup: answers('::1', '127.0.0.1') })
  client.setNoDelay(true).setKeepAlive(true, 1000).setEncoding('utf8')
  await seen(client, 'connect')
  client.on('data', data => log('data', data))
  await closed(client)
})

// A listener whose queue is full leaves a connection attempt without an answer. It needs a thread that
// does not accept, hence a worker that sleeps; `wake` lets it go.
async function silentServer({ worker, connect, seen, cleanup }) {
  const gate = new Int32Array(new SharedArrayBuffer(4))
  const thread = worker(({ data, port }) => {
    const server = process.getBuiltinModule('node:net').createServer()
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      port.postMessage(server.address().port)
      setImmediate(() => Atomics.wait(data, 0, 0))
    })
  }, gate)
  cleanup(() => Atomics.notify(gate, 0, Atomics.store(gate, 0, 1) + 1))
  const port = await new Promise(resolve => thread.once('message', resolve))
  for (let at = 0; at < 2; at++) await seen(connect(port, '127.0.0.1'), 'connect')
  return port
}

parity('an attempt without an answer is given up for the next address', { on: 'linux' }, async t => {
  const { connect, watch, closed, alias, log } = t
  const port = alias(await silentServer(t), 'port')
  const client = connect({
    port,
    host: 'made.up',
    autoSelectFamilyAttemptTimeout: 50,
    lookup: answers('127.0.0.1', '127.0.0.2'),
  })
  watch(client, 'client')
  await closed(client)
  log('attempted', client.autoSelectFamilyAttemptedAddresses)
})
