// Code that is typed for node:net takes ferronet's sockets and servers, with every @types/node. Never run.

import { once } from 'node:events'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import * as nodeNet from 'node:net'
import { type Duplex, Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import * as tls from 'node:tls'
import * as ferronet from 'ferronet'
import type legacy from 'ferronet/legacy'

// --- objects ------------------------------------------------------------------------------------------------------

export function taken(ours: { socket: ferronet.Socket; server: ferronet.Server; stream: legacy.Stream }) {
  const socket: nodeNet.Socket = ours.socket
  const server: nodeNet.Server = ours.server
  const stream: nodeNet.Socket = ours.stream
  const duplex: Duplex = ours.socket
  const web: [unknown, unknown] = [Readable.toWeb(ours.socket), Writable.toWeb(ours.socket)]
  const both: NodeJS.ReadableStream & NodeJS.WritableStream = ours.socket
  return { socket, server, stream, duplex, web, both }
}

export const makesSockets: new (options?: nodeNet.SocketConstructorOpts) => nodeNet.Socket = ferronet.Socket
export const makesServers: new (options?: nodeNet.ServerOpts) => nodeNet.Server = ferronet.Server
export const serves: (listener: (socket: nodeNet.Socket) => void) => nodeNet.Server = ferronet.createServer
export const connects: (options: nodeNet.NetConnectOpts) => nodeNet.Socket = ferronet.connect
export const resolved: Promise<nodeNet.Socket> = ferronet.promises.connect(80)

// A library of which only the types matter.
declare function proxy(from: nodeNet.Socket, to: nodeNet.Socket, options?: { server?: nodeNet.Server }): void
proxy(ferronet.connect(80), ferronet.createConnection('/tmp/path'), { server: ferronet.createServer() })
class Client {
  constructor(readonly socket: nodeNet.Socket) {}
}
new Client(ferronet.connect(80)).socket.destroySoon()
ferronet.createServer((socket: nodeNet.Socket) => new Client(socket))
ferronet.createServer().on('connection', (socket: nodeNet.Socket) => new Client(socket))

// --- Node's own modules -------------------------------------------------------------------------------------------

export async function used(socket: ferronet.Socket, server: ferronet.Server) {
  tls.connect({ socket, servername: 'localhost' }).on('secureConnect', () => {})
  new tls.TLSSocket(socket, { isServer: true }).getProtocol()
  http.createServer().emit('connection', socket)
  http.request({ createConnection: () => ferronet.connect(80) })
  http2.connect('http://localhost', { createConnection: () => socket })
  await once(socket, 'connect')
  await once(server, 'listening')
  await finished(socket)
  await pipeline(socket, socket)
  socket.pipe(new nodeNet.Socket()).pipe(socket)
}

// --- there and back -----------------------------------------------------------------------------------------------

export function exchanged(socket: nodeNet.Socket, server: nodeNet.Server) {
  const ours: ferronet.Socket = ferronet.fromNodeSocket(socket)
  const nodes: nodeNet.Socket = ferronet.toNodeSocket(ours)
  const taking: ferronet.Server = ferronet.fromNodeServer(server, { noDelay: true }, peer =>
    peer.getTypeOfService(),
  )
  const copy: nodeNet.Server = ferronet.toNodeServer(taking)
  return { nodes, copy }
}

export function options(given: {
  server: nodeNet.ServerOpts
  socket: nodeNet.SocketConstructorOpts
  listen: nodeNet.ListenOptions
  connect: nodeNet.NetConnectOpts
  onread: nodeNet.OnReadOpts
  lookup: nodeNet.LookupFunction
  address: nodeNet.SocketAddressInitOptions
  blockList: nodeNet.BlockList
}) {
  ferronet.createServer(given.server).listen(given.listen)
  new ferronet.Socket(given.socket).connect(given.connect)
  ferronet.connect(given.connect)
  ferronet.connect({ port: 80, lookup: given.lookup, onread: given.onread, blockList: given.blockList })
  new ferronet.SocketAddress(given.address)
  const list: ferronet.BlockList = given.blockList
  return list
}
