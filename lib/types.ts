// The public types: those of `node:net`, so that what is typed for one works with the other.

import type * as net from 'node:net'
import type { BoundSocket } from './bound.js'
import type { BoundSocketTicket, ServerTicket, SocketTicket, Ticket } from './handover/threads.js'
import type { PipeOptions } from './listen.js'

export type { PipeOptions } from './listen.js'

// --- options ------------------------------------------------------------------------------------------------------

/** What a Socket or Server adopts: a BoundSocket, also one of Node's. */
type Bound = BoundSocket | NonNullable<net.SocketConstructorOpts['handle']>

interface SharedChunks {
  /**
   * Chunks are views of memory that other sockets' chunks are in as well, which is faster and asks for care: see
   * docs/api.md. Default false: a chunk's memory is the program's own, as in `node:net`.
   */
  sharedChunks?: boolean | undefined
}

/** Of `createServer()`: Node's, and what the connections' sockets have beyond. */
export interface ServerOpts extends net.ServerOpts, SharedChunks {}

export interface SocketConstructorOpts extends SharedChunks, Omit<net.SocketConstructorOpts, 'handle'> {
  handle?: Bound | undefined
  highWaterMark?: number | undefined
  readableHighWaterMark?: number | undefined
  writableHighWaterMark?: number | undefined
}

export interface TcpNetConnectOpts extends net.TcpSocketConnectOpts, SocketConstructorOpts {
  timeout?: number | undefined
}

export interface IpcNetConnectOpts extends net.IpcSocketConnectOpts, SocketConstructorOpts {
  timeout?: number | undefined
}

export type NetConnectOpts = TcpNetConnectOpts | IpcNetConnectOpts

export interface ListenOptions extends Omit<net.ListenOptions, 'handle'> {
  handle?: Bound | undefined
  /** A descriptor that is bound or listens: of TCP, or of a Unix-domain socket. */
  fd?: number | undefined
  /** Of a named pipe; Windows only. */
  pipe?: PipeOptions | undefined
}

// --- classes ------------------------------------------------------------------------------------------------------

/** A connection. Everything that `net.Socket` of the newest Node has; `instanceof` tells the two apart. */
export interface Socket extends net.Socket {}

/** A listener. Everything that `net.Server` of the newest Node has, and of the next. */
export interface Server extends net.Server {
  /** In cluster workers: whether a connection beyond `maxConnections` is closed instead of given to another worker. */
  dropMaxConnection?: boolean
  /** Each connection in turn, until the server has closed; rejects with its `'error'`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Socket, undefined>
}

/** `Socket` can be called without `new`. */
export interface SocketConstructor extends Omit<typeof net.Socket, 'prototype'> {
  new (options?: SocketConstructorOpts | number): Socket
  (options?: SocketConstructorOpts | number): Socket
  readonly prototype: Socket
}

/** `Server` can be called without `new`. */
export interface ServerConstructor extends Omit<typeof net.Server, 'prototype'> {
  new (connectionListener?: (socket: Socket) => void): Server
  new (options?: ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
  (connectionListener?: (socket: Socket) => void): Server
  (options?: ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
  readonly prototype: Server
}

export interface Connect {
  (options: NetConnectOpts, connectionListener?: () => void): Socket
  (port: number, host?: string, connectionListener?: () => void): Socket
  (path: string, connectionListener?: () => void): Socket
}

export interface CreateServer {
  (connectionListener?: (socket: Socket) => void): Server
  (options?: ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
}

export type ToNodeSocket = (socket: Socket) => net.Socket
export type FromNodeSocket = (socket: net.Socket) => Socket
export type ToNodeServer = (server: Server) => net.Server

export interface FromNodeServer {
  (server: net.Server, connectionListener?: (socket: Socket) => void): Server
  (server: net.Server, options?: ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
}

export interface Detach {
  (socket: Socket): SocketTicket
  (server: Server): ServerTicket
  (bound: BoundSocket): BoundSocketTicket
}

export interface Attach {
  (ticket: SocketTicket): Socket
  (ticket: ServerTicket): Server
  (ticket: BoundSocketTicket): BoundSocket
  (ticket: Ticket): Socket | Server | BoundSocket
}
