// The public entry: the surface of node:net, and hardly more than exports. Plain, writable exports where Node's are, for tools patch them.

import type * as net from 'node:net'

import { activeHandles as activeHandlesFunction } from './lib/active.js'
import { normalizeArgs } from './lib/arguments.js'
import { BoundSocket as BoundSocketClass } from './lib/bound.js'
import {
  fromNodeServer as fromNodeServerFunction,
  fromNodeSocket as fromNodeSocketFunction,
  toNodeServer as toNodeServerFunction,
  toNodeSocket as toNodeSocketFunction,
} from './lib/handover/node.js'
import { attach as attachFunction, detach as detachFunction } from './lib/handover/threads.js'
import { createServerHandle } from './lib/listen.js'
import { nodeNet } from './lib/node/net.js'
import { explainSend } from './lib/register/explain.js'
import { createServer as createServerFunction, Server as ServerFunction } from './lib/server.js'
import { connect as connectFunction, Socket as SocketFunction } from './lib/socket.js'
import type * as types from './lib/types.js'
import type {
  Attach,
  Connect,
  CreateServer,
  Detach,
  FromNodeServer,
  FromNodeSocket,
  ServerConstructor,
  SocketConstructor,
  ToNodeServer,
  ToNodeSocket,
} from './lib/types.js'

export type {
  AddressInfo,
  DropArgument,
  IPVersion,
  IpcSocketConnectOpts,
  LookupFunction,
  OnReadOpts,
  ServerEventMap,
  SetKeepAliveOptions,
  SocketAddressInitOptions,
  SocketConnectOpts,
  SocketEventMap,
  SocketReadyState,
  TcpSocketConnectOpts,
} from 'node:net'
export type {
  IpcNetConnectOpts,
  ListenOptions,
  NetConnectOpts,
  OwnSocket,
  ServerOpts,
  SocketConstructorOpts,
  StartTlsOptions,
  TcpNetConnectOpts,
  TlsSession,
} from './lib/types.js'

export interface Socket extends types.Socket {}
export const Socket = SocketFunction as unknown as SocketConstructor
export interface Stream extends types.Socket {}
export const Stream = Socket

export interface Server extends types.Server {}
export const Server = ServerFunction as unknown as ServerConstructor

export const BoundSocket = BoundSocketClass
export type BoundSocket = BoundSocketClass
export type { BoundSocketOptions } from './lib/bound.js'

export const createServer = createServerFunction as unknown as CreateServer
export const connect = connectFunction as unknown as Connect
export const createConnection = connect

// Node's own: BlockList and SocketAddress are told by a private brand, and the defaults are the process's.
// The two classes are getters, as in Node, which loads them when they are first asked for.
export let BlockList: typeof net.BlockList
export type BlockList = net.BlockList
export let SocketAddress: typeof net.SocketAddress
export type SocketAddress = net.SocketAddress
for (const name of ['BlockList', 'SocketAddress'] as const) {
  Object.defineProperty(exports, name, { get: () => nodeNet[name], enumerable: true, configurable: true })
}
export const isIP = nodeNet.isIP
export const isIPv4 = nodeNet.isIPv4
export const isIPv6 = nodeNet.isIPv6
export const getDefaultAutoSelectFamily = nodeNet.getDefaultAutoSelectFamily
export const setDefaultAutoSelectFamily = nodeNet.setDefaultAutoSelectFamily
export const getDefaultAutoSelectFamilyAttemptTimeout = nodeNet.getDefaultAutoSelectFamilyAttemptTimeout
export const setDefaultAutoSelectFamilyAttemptTimeout = nodeNet.setDefaultAutoSelectFamilyAttemptTimeout

export * as promises from './lib/promises.js'

// What node:net does not have.
export const toNodeSocket = toNodeSocketFunction as unknown as ToNodeSocket
export const fromNodeSocket = fromNodeSocketFunction as unknown as FromNodeSocket
export const toNodeServer = toNodeServerFunction as unknown as ToNodeServer
export const fromNodeServer = fromNodeServerFunction as unknown as FromNodeServer
export const detach = detachFunction as unknown as Detach
export const attach = attachFunction as unknown as Attach
export type { BoundSocketTicket, ServerTicket, SocketTicket, Ticket } from './lib/handover/threads.js'
export const activeHandles = activeHandlesFunction
export type { ActiveHandle } from './lib/active.js'

/** @internal A bound handle, or a negative error number. */
export const _createServerHandle = createServerHandle

/** @internal For libraries that take `connect`'s arguments apart. */
export const _normalizeArgs = normalizeArgs

explainSend()
