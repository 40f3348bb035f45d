// The public entry: the surface of node:net, and hardly more than exports. Plain, writable exports where Node's are, for tools patch them.

import type * as net from 'node:net'

import { activeHandles as activeHandlesFunction } from './lib/active.js'
import { normalizeArgs } from './lib/arguments.js'
import { BoundSocket as BoundSocketClass } from './lib/bound.js'
import { getBusyPoll as getBusyPollFunction, setBusyPoll as setBusyPollFunction } from './lib/busy-poll.js'
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
import { relay as relayFunction } from './lib/relay-both.js'
import { createServer as createServerFunction, Server as ServerFunction } from './lib/server.js'
import { connect as connectFunction, Socket as SocketFunction } from './lib/socket.js'
import type * as types from './lib/types.js'

export type {
  ActiveHandle,
  AddressInfo,
  BoundSocketOptions,
  BoundSocketTicket,
  ConnectionIterator,
  DropArgument,
  IPVersion,
  IpcNetConnectOpts,
  IpcSocketConnectOpts,
  ListenOptions,
  LookupFunction,
  NetConnectOpts,
  OnReadOpts,
  PipeOptions,
  Relayed,
  RelayOptions,
  SendFileOptions,
  ServerEventMap,
  ServerOpts,
  ServerTicket,
  SetKeepAliveOptions,
  SocketAddressInitOptions,
  SocketConnectOpts,
  SocketConstructorOpts,
  SocketEventMap,
  SocketReadyState,
  SocketTicket,
  StartTlsOptions,
  TcpNetConnectOpts,
  TcpSocketConnectOpts,
  Ticket,
  TlsSession,
} from './lib/types.js'

/** One connection, as a `stream.Duplex`. */
export interface Socket extends types.Socket {}
/** One connection, as a `stream.Duplex`; callable without `new`. */
export const Socket = SocketFunction as unknown as types.SocketConstructor
/** Another name of `Socket`. */
export interface Stream extends types.Socket {}
/** Another name of `Socket`. */
export const Stream = Socket

/** Accepts connections over TCP or on a path. */
export interface Server extends types.Server {}
/** Accepts connections over TCP or on a path; callable without `new`. */
export const Server = ServerFunction as unknown as types.ServerConstructor

/** A socket that is bound to an address and neither listens nor connects yet. Since Node 26.4 and 24.19. */
export interface BoundSocket extends types.BoundSocket {}
/** A socket that is bound to an address and neither listens nor connects yet. Since Node 26.4 and 24.19. */
export const BoundSocket = BoundSocketClass as unknown as types.BoundSocketConstructor

export const createServer = createServerFunction as unknown as types.CreateServer
export const connect = connectFunction as unknown as types.Connect
export const createConnection = connect

// Node's own: BlockList and SocketAddress are told by a private brand, and the defaults are the process's. Their members
// are those of the Node that runs, so their types are those of the program's @types/node.
// The two classes are getters, as in Node, which loads them when they are first asked for.
/** Rules about addresses, for the option `blockList`. Node's own class, with the members of the Node that runs. */
export let BlockList: typeof net.BlockList
export type BlockList = net.BlockList
/** An address with port and family. Node's own class, with the members of the Node that runs. */
export let SocketAddress: typeof net.SocketAddress
export type SocketAddress = net.SocketAddress
for (const name of ['BlockList', 'SocketAddress'] as const) {
  Object.defineProperty(exports, name, { get: () => nodeNet[name], enumerable: true, configurable: true })
}
export const isIP: types.IsIP = nodeNet.isIP
export const isIPv4: types.IsIPv4 = nodeNet.isIPv4
export const isIPv6: types.IsIPv6 = nodeNet.isIPv6
export const getDefaultAutoSelectFamily: types.GetDefaultAutoSelectFamily = nodeNet.getDefaultAutoSelectFamily
export const setDefaultAutoSelectFamily: types.SetDefaultAutoSelectFamily = nodeNet.setDefaultAutoSelectFamily
export const getDefaultAutoSelectFamilyAttemptTimeout: types.GetDefaultAutoSelectFamilyAttemptTimeout =
  nodeNet.getDefaultAutoSelectFamilyAttemptTimeout
export const setDefaultAutoSelectFamilyAttemptTimeout: types.SetDefaultAutoSelectFamilyAttemptTimeout =
  nodeNet.setDefaultAutoSelectFamilyAttemptTimeout

/** `connect()` and `listen()` as promises; the entry `ferronet/promises` has the same. */
export * as promises from './lib/promises.js'

// What node:net does not have.
export const toNodeSocket = toNodeSocketFunction as unknown as types.ToNodeSocket
export const fromNodeSocket = fromNodeSocketFunction as unknown as types.FromNodeSocket
export const toNodeServer = toNodeServerFunction as unknown as types.ToNodeServer
export const fromNodeServer = fromNodeServerFunction as unknown as types.FromNodeServer
export const detach = detachFunction as unknown as types.Detach
export const attach = attachFunction as unknown as types.Attach
export const activeHandles: types.ActiveHandles = activeHandlesFunction
export const relay = relayFunction as unknown as types.Relay
export const getBusyPoll: types.GetBusyPoll = getBusyPollFunction
export const setBusyPoll: types.SetBusyPoll = setBusyPollFunction

/** @internal A bound handle, or a negative error number. */
export const _createServerHandle = createServerHandle

/** @internal For libraries that take `connect`'s arguments apart. */
export const _normalizeArgs = normalizeArgs

explainSend()
