// typeOfService, setTypeOfService and getTypeOfService: IP_TOS of IPv4, the traffic class of IPv6.

import { parity } from '../helpers/parity.mjs'
import { recorded } from '../helpers/recorded.mjs'

const expected = recorded('type-of-service')
const since = ['24.15', '25.6']
// What systems other than Linux do to the two low bits, and to an address of the other family, differs.
const tos = (title, scenario) => parity(title, { on: 'linux', since, expected: expected(title) }, scenario)

const wrong = [-1, 256, 1.5, Number.NaN, Infinity, '8', null, undefined, true, {}, [], 8n]

tos('setTypeOfService() takes integers from 0 to 255', ({ net, own, attempt }) => {
  const socket = own(new net.Socket())
  for (const value of [0, 255, 0x10, -0]) attempt(`${value}`, () => socket.setTypeOfService(value) === socket)
  for (const value of wrong) attempt(`${String(value)}`, () => socket.setTypeOfService(value))
  attempt('nothing', () => socket.setTypeOfService())
  attempt('kept', () => socket.getTypeOfService())
})

tos('the typeOfService option takes integers from 0 to 255', ({ net, own, attempt }) => {
  for (const value of [0, 255, undefined, ...wrong.filter(value => value !== undefined)]) {
    attempt(`${String(value)}`, () => own(new net.Socket({ typeOfService: value })).getTypeOfService())
  }
  attempt('connect', () => net.connect({ port: 1, host: '127.0.0.1', typeOfService: 256 }))
})

tos('it is 0 before anything is set, and kept before there is a connection', ({ net, own, attempt, log }) => {
  const socket = own(new net.Socket())
  attempt('before', () => socket.getTypeOfService())
  attempt('set', () => socket.setTypeOfService(0x20) === socket)
  attempt('kept', () => socket.getTypeOfService())
  log('handle', socket._handle)
})

for (const host of ['127.0.0.1', '::1']) {
  tos(`${host}: EBADF while it connects and there is no descriptor yet, but kept`, async t => {
    const { port } = (await t.listen({ host })).address()
    const socket = t.watch(t.connect(port, host), 'client')
    t.attempt('set', () => socket.setTypeOfService(0x48) === socket)
    t.attempt('get', () => socket.getTypeOfService())
    await t.seen(socket, 'connect')
    t.log('connected', socket.getTypeOfService())
    t.log('changed', socket.setTypeOfService(0x10) === socket, socket.getTypeOfService())
  })

  tos(
    `${host}: set on a fresh Socket, applied when it connects`,
    async ({ net, own, listen, seen, log, attempt }) => {
      const { port } = (await listen({ host })).address()
      const socket = own(new net.Socket()).setTypeOfService(0x28)
      socket.connect(port, host)
      attempt('connecting', () => socket.getTypeOfService())
      await seen(socket, 'connect')
      log('connected', socket.getTypeOfService())
    },
  )

  tos(`${host}: the typeOfService option is applied when it connects`, async t => {
    const { port } = (await t.listen({ host })).address()
    const socket = t.watch(t.net.connect({ port, host, typeOfService: 0xb8 }), 'client')
    socket.on('connect', () => t.log('at connect', socket.getTypeOfService()))
    await t.seen(socket, 'ready')
    t.log('ready', socket.getTypeOfService())
  })

  tos(`${host}: an accepted connection has its own`, async ({ listen, connect, seen, log }) => {
    let peer
    const { port } = (await listen({ host }, socket => (peer = socket))).address()
    const client = connect({ port, host, typeOfService: 0x10 })
    await seen(client, 'connect')
    while (peer === undefined) await new Promise(setImmediate)
    log('before', peer.getTypeOfService())
    log('set', peer.setTypeOfService(0x08) === peer, peer.getTypeOfService(), client.getTypeOfService())
  })
}

tos('the system has what was set, not what is remembered', async t => {
  const { spawn } = await import('node:child_process')
  const { once } = await import('node:events')
  const { port } = (await t.listen()).address()
  const socket = t.connect({ port, host: '127.0.0.1', typeOfService: 0x50 })
  await t.seen(socket, 'connect')
  socket.setTypeOfService(0x30)
  // Another process asks about the same connection.
  const ask = `
    const net = await import(${JSON.stringify(t.moduleName)})
    const socket = new net.Socket({ fd: 3, readable: false })
    console.log(socket.getTypeOfService?.())
    socket.destroy()
    process.exit()
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', ask], {
    stdio: ['ignore', 'pipe', 'inherit', socket._handle.fd],
  })
  const [answer] = await once(child.stdout.setEncoding('utf8'), 'data')
  t.log('another process', answer.trim())
})

tos('the low bits are the system’s: ECN is not ours to set', async ({ listen, connect, to, seen, log }) => {
  const socket = connect(to(await listen()))
  await seen(socket, 'connect')
  for (const value of [0xff, 0x03, 0xfc, 0])
    log(`${value}`, socket.setTypeOfService(value).getTypeOfService())
})

tos('on a path it is remembered and nothing else', async ({ pair, socketPath, log, attempt }) => {
  const { client, peer } = await pair({ path: socketPath(), client: { typeOfService: 0x20 } })
  for (const socket of [client, peer]) {
    log('before', socket.getTypeOfService())
    attempt('set', () => socket.setTypeOfService(0x10) === socket)
    log('after', socket.getTypeOfService())
    attempt('wrong', () => socket.setTypeOfService(256))
  }
})

tos('after destroy() the last value is remembered', async ({ pair, log, attempt, closed }) => {
  const { client } = await pair({ client: { typeOfService: 0x20 } })
  client.setTypeOfService(0x10)
  client.destroy()
  log('destroyed', client.getTypeOfService())
  attempt('set', () => client.setTypeOfService(0x08) === client)
  await closed(client)
  log('closed', client.getTypeOfService())
})

tos('it is applied again when the Socket connects again', async ({ listen, to, pair, log, seen, closed }) => {
  const { client } = await pair({ client: { typeOfService: 0x20 } })
  client.destroy()
  await closed(client)
  client.connect(to(await listen()))
  await seen(client, 'connect')
  log('again', client.getTypeOfService())
})

tos('it is applied to the address that answers, of several', async ({ listen, watch, net, seen, log }) => {
  const { port } = (await listen({ host: '127.0.0.1' })).address()
  const lookup = (_host, _options, callback) =>
    callback(null, [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ])
  const options = { port, host: 'both', lookup, autoSelectFamily: true, typeOfService: 0x40 }
  const client = watch(net.connect(options), 'client', { except: ['connectionAttemptFailed'] })
  await seen(client, 'connect')
  log('answered', client.remoteAddress, client.getTypeOfService())
})

tos('on a Socket of a BoundSocket it is set at once', async ({ net, own, listen, seen, attempt }) => {
  const { port } = (await listen()).address()
  const socket = own(new net.Socket({ handle: new net.BoundSocket({ host: '127.0.0.1' }) }))
  attempt('set', () => socket.setTypeOfService(0x20) === socket)
  attempt('bound', () => socket.getTypeOfService())
  socket.connect(port, '127.0.0.1')
  await seen(socket, 'connect')
  attempt('connected', () => socket.getTypeOfService())
})

tos('both are members like the others', ({ net, log }) => {
  for (const name of ['setTypeOfService', 'getTypeOfService']) {
    const { value, ...flags } = Object.getOwnPropertyDescriptor(net.Socket.prototype, name)
    log(name, typeof value, value.length, flags)
  }
})
