// The public types: those of `node:net`, so that what is typed for one works with the other.

import type * as net from 'node:net'
import type { BoundSocket } from './bound.js'
import type { BoundSocketTicket, ServerTicket, SocketTicket, Ticket } from './handover/threads.js'
import type { StartTlsOptions } from './tls/options.js'
import type { TlsSession } from './tls/session.js'

export type { StartTlsOptions, TlsSession }

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
}

// --- classes ------------------------------------------------------------------------------------------------------

/** A connection. Everything that `net.Socket` of the newest Node has; `instanceof` tells the two apart. */
export interface Socket extends net.Socket {
  /** True from `startTLS()` on. */
  encrypted?: true
  /** From `'secure'` on: whether the peer's certificate is one that we trust. */
  authorized?: boolean
  /** Why not, as a code. */
  authorizationError?: Error | string | null
  /** The application protocol that both ends have chosen, or false. */
  alpnProtocol?: string | false | null
  /** What else there is to know of the session, under the names of `tls.TLSSocket`. */
  tls?: TlsSession | null
}

/** A Socket that is certainly ferronet's: `Socket` is also what is typed for Node's. */
export interface OwnSocket extends Socket {
  /**
   * Goes on in TLS, on the same socket; `'secure'` when the handshake is done and the peer is who it should be. Throws
   * for wrong options; what goes wrong later destroys the socket.
   */
  startTLS(options?: StartTlsOptions, listener?: () => void): this
  startTLS(listener?: () => void): this
}

/** A listener. Everything that `net.Server` of the newest Node has, and of the next. */
export interface Server extends net.Server {
  /** In cluster workers: whether a connection beyond `maxConnections` is closed instead of given to another worker. */
  dropMaxConnection?: boolean
  /** Each connection in turn, until the server has closed; rejects with its `'error'`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<OwnSocket, undefined>
}

/** `Socket` can be called without `new`. */
export interface SocketConstructor extends Omit<typeof net.Socket, 'prototype'> {
  new (options?: SocketConstructorOpts | number): OwnSocket
  (options?: SocketConstructorOpts | number): OwnSocket
  readonly prototype: OwnSocket
}

/** `Server` can be called without `new`. */
export interface ServerConstructor extends Omit<typeof net.Server, 'prototype'> {
  new (connectionListener?: (socket: OwnSocket) => void): Server
  new (options?: ServerOpts | null, connectionListener?: (socket: OwnSocket) => void): Server
  (connectionListener?: (socket: OwnSocket) => void): Server
  (options?: ServerOpts | null, connectionListener?: (socket: OwnSocket) => void): Server
  readonly prototype: Server
}

export interface Connect {
  (options: NetConnectOpts, connectionListener?: () => void): OwnSocket
  (port: number, host?: string, connectionListener?: () => void): OwnSocket
  (path: string, connectionListener?: () => void): OwnSocket
}

export interface CreateServer {
  (connectionListener?: (socket: OwnSocket) => void): Server
  (options?: ServerOpts | null, connectionListener?: (socket: OwnSocket) => void): Server
}

export type ToNodeSocket = (socket: Socket) => net.Socket
export type FromNodeSocket = (socket: net.Socket) => OwnSocket
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
