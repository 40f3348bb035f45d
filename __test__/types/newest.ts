// What the types of an older Node do not have, and what node:net itself does not: with types of ours. Never run.

import net, {
  type ActiveHandle,
  type BoundSocket,
  type BoundSocketOptions,
  connect,
  createServer,
  type ListenOptions,
  Socket,
  type SocketConstructorOpts,
} from 'ferronet'
import * as promises from 'ferronet/promises'

// --- BoundSocket --------------------------------------------------------------------------------------------------

const options: BoundSocketOptions = { host: '127.0.0.1', port: 0, ipv6Only: false, reusePort: false }
const bound: BoundSocket = new net.BoundSocket(options)
const withPath = new net.BoundSocket({ path: '/tmp/path' })
new net.BoundSocket()
const place = bound.address()
const where: string = typeof place === 'string' ? place : `${place.address}:${place.port} ${place.family}`
const descriptor: number = bound.fd()
const pipe: boolean = withPath.isPipe
bound.close()
function disposed() {
  using scoped = new net.BoundSocket()
  return scoped.fd()
}
createServer().listen(bound)
createServer().listen(bound, 511, () => {})
createServer().listen({ handle: bound, backlog: 5 }, () => {})
createServer().listen({ fd: 3 })
new Socket({ handle: bound }).connect(80, '127.0.0.1')
connect({ handle: bound, port: 80, host: '127.0.0.1' })
connect({ handle: withPath, path: '/tmp/other' })
// @ts-expect-error a BoundSocket takes no names for addresses
new net.BoundSocket({ address: '127.0.0.1' })

// --- descriptors and type of service ------------------------------------------------------------------------------

const given: SocketConstructorOpts = {
  fd: 3,
  readable: true,
  writable: false,
  typeOfService: 0x10,
  highWaterMark: 1000,
}
const socket = new Socket(given)
new Socket(3)
Socket(3)
const tos: number = socket.setTypeOfService(0x10).getTypeOfService()
connect({ port: 80, typeOfService: 0x10, highWaterMark: 1000 })
const listening: ListenOptions = { fd: 3, backlog: 5 }
// @ts-expect-error a descriptor is a number
new Socket({ fd: '3' })

// --- promises -----------------------------------------------------------------------------------------------------

async function promised(signal: AbortSignal) {
  const server: net.Server = await promises.listen({ port: 0, host: '::1', signal, highWaterMark: 10 })
  await promises.listen()
  await promises.listen({ path: '/tmp/path', connectionListener: peer => peer.end('x') })
  await promises.listen({ handle: bound })
  const client: net.Socket = await promises.connect({ port: 80, host: '::1', signal })
  await promises.connect(80)
  await promises.connect(80, '::1')
  await promises.connect('/tmp/path')
  await promises.connect({ path: '/tmp/path', handle: withPath })
  const same: typeof promises.connect = net.promises.connect
  await net.promises.listen({ port: 0 })
  // @ts-expect-error no listener: there is a promise
  await promises.connect(80, () => {})
  return { server, client, same }
}

// --- iteration ----------------------------------------------------------------------------------------------------

async function iterated(server: net.Server) {
  for await (const connection of server) connection.pipe(connection)
  const iterator: AsyncIterableIterator<net.Socket> = server[Symbol.asyncIterator]()
  const { value, done } = await iterator.next()
  return done ? undefined : value.remoteAddress
}

// --- what keeps the process alive ---------------------------------------------------------------------------------

const open: ActiveHandle[] = net.activeHandles()
const addresses: (string | undefined)[] = open.flatMap(({ local, remote }) => [local, remote])
const owners: (net.Socket | net.Server)[] = open.flatMap(({ owner }) => (owner === null ? [] : [owner]))
const waiting = open.filter(({ type, requests }) => type === 'TCPSocketWrap' && requests.includes('connect'))
// @ts-expect-error it takes no arguments
net.activeHandles(true)

// --- what only ferronet has -----------------------------------------------------------------------------------------

const polled: number = net.getBusyPoll()
net.setBusyPoll(polled)
const relayed: Promise<{ aToB: number; bToA: number }> = net.relay(new net.Socket(), new net.Socket(), {
  signal: new AbortController().signal,
})
// @ts-expect-error it takes two
net.relay(new net.Socket())
const bytesSent: Promise<number> = new net.Socket().sendFile('file', {
  start: 1,
  end: 2,
  signal: new AbortController().signal,
})
// @ts-expect-error a number is no path
new net.Socket().sendFile(1)

// --- the rest -----------------------------------------------------------------------------------------------------

const statics: typeof net.Socket.from = Socket.from
const server = createServer()
server.dropMaxConnection = true
class Reserved extends net.BoundSocket {}
new Reserved({ port: 80 }).close()

export {
  addresses,
  bytesSent,
  descriptor,
  disposed,
  iterated,
  listening,
  owners,
  pipe,
  promised,
  relayed,
  statics,
  tos,
  waiting,
  where,
}

// --- what only ferronet has ---------------------------------------------------------------------------------------

createServer({ sharedChunks: true, noDelay: true })
connect({ port: 80, sharedChunks: true })
new Socket({ sharedChunks: false })
// @ts-expect-error: a boolean
createServer({ sharedChunks: 'yes' })

new Socket({ busyPoll: 50 }).setBusyPoll(50).getBusyPoll().toFixed()
createServer({ busyPoll: 50 })
// @ts-expect-error: microseconds are a number
new Socket({ busyPoll: '50' })
