// With the @types/node that knows as much as ferronet: what is typed for ferronet takes Node's too, and ours has all that
// node:net has. What holds with every @types/node is in node-net.ts. Never run.

import * as nodeNet from 'node:net'
import * as ferronet from 'ferronet'

// --- objects ------------------------------------------------------------------------------------------------------

export function given(node: { socket: nodeNet.Socket; server: nodeNet.Server }) {
  // @ts-expect-error Node's cannot turn secure
  const socket: ferronet.Socket = node.socket
  // @ts-expect-error Node's cannot be iterated yet
  const server: ferronet.Server = node.server
  return { socket, server }
}

// A BoundSocket of Node's is adopted too.
ferronet.connect({ handle: new nodeNet.BoundSocket(), port: 80 })
ferronet.createServer().listen({ handle: new nodeNet.BoundSocket() })

// --- exports ------------------------------------------------------------------------------------------------------

type Nothing<T extends never> = T

/** Exports of node:net that are not as node:net has them, each with its reason. */
type Different =
  // Its address may be a path, which the types of Node do not know of yet.
  'BoundSocket'

type Ours = typeof ferronet
type Nodes = typeof nodeNet

// An error in one of these lines names the exports that are missing, or not assignable.
export type Missing = Nothing<Exclude<keyof Nodes, keyof Ours>>
export type NotAssignable = Nothing<
  { [K in Exclude<keyof Nodes, Different>]: Ours[K & keyof Ours] extends Nodes[K] ? never : K }[Exclude<
    keyof Nodes,
    Different
  >]
>
export const replacement: Omit<Nodes, Different> = ferronet
// And where they differ, what is typed for Node's is still served.
export const bound: Pick<nodeNet.BoundSocket, 'fd' | 'close' | typeof Symbol.dispose> =
  new ferronet.BoundSocket()

// --- types --------------------------------------------------------------------------------------------------------

/** Each type that node:net exports, in Node's shape and in ours. */
interface Types {
  AddressInfo: [nodeNet.AddressInfo, ferronet.AddressInfo]
  DropArgument: [nodeNet.DropArgument, ferronet.DropArgument]
  IPVersion: [nodeNet.IPVersion, ferronet.IPVersion]
  IpcNetConnectOpts: [nodeNet.IpcNetConnectOpts, ferronet.IpcNetConnectOpts]
  IpcSocketConnectOpts: [nodeNet.IpcSocketConnectOpts, ferronet.IpcSocketConnectOpts]
  ListenOptions: [nodeNet.ListenOptions, ferronet.ListenOptions]
  LookupFunction: [nodeNet.LookupFunction, ferronet.LookupFunction]
  NetConnectOpts: [nodeNet.NetConnectOpts, ferronet.NetConnectOpts]
  OnReadOpts: [nodeNet.OnReadOpts, ferronet.OnReadOpts]
  ServerOpts: [nodeNet.ServerOpts, ferronet.ServerOpts]
  SetKeepAliveOptions: [nodeNet.SetKeepAliveOptions, ferronet.SetKeepAliveOptions]
  SocketAddressInitOptions: [nodeNet.SocketAddressInitOptions, ferronet.SocketAddressInitOptions]
  SocketConnectOpts: [nodeNet.SocketConnectOpts, ferronet.SocketConnectOpts]
  SocketConstructorOpts: [nodeNet.SocketConstructorOpts, ferronet.SocketConstructorOpts]
  SocketEventMap: [nodeNet.SocketEventMap, ferronet.SocketEventMap]
  SocketReadyState: [nodeNet.SocketReadyState, ferronet.SocketReadyState]
  TcpNetConnectOpts: [nodeNet.TcpNetConnectOpts, ferronet.TcpNetConnectOpts]
  TcpSocketConnectOpts: [nodeNet.TcpSocketConnectOpts, ferronet.TcpSocketConnectOpts]
  BoundSocketOptions: [nodeNet.BoundSocketOptions, ferronet.BoundSocketOptions]
}

// Options that are written for Node's functions can be given to ours.
export type NotAccepted = Nothing<
  { [K in keyof Types]: Types[K][0] extends Types[K][1] ? never : K }[keyof Types]
>
