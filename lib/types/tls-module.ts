// The module `ferronet/tls`, as a user's compiler sees it. A TLSSocket and a Server are both ferronet's and, for code that
// is typed for it, Node's.

import type * as stream from 'node:stream'
import type * as tls from 'node:tls'
import type { ServerOpts, SocketConstructorOpts, TcpSocketConnectOpts } from './options.js'
import type { Server } from './server.js'
import type { Socket } from './socket.js'
import type { RequireCloseNotify, TlsSession } from './tls.js'

/** A secure connection: a Socket, with the members of Node's `TLSSocket`. */
export type TLSSocket = Socket &
  tls.TLSSocket & {
    /** The session, once the handshake has begun. Only ferronet has it. */
    readonly tls: TlsSession | null
    /** Whether the handshake is still to be done. */
    readonly secureConnecting: boolean
    /** The name of the server that is wanted; before the handshake. Throws ERR_TLS_SNI_FROM_SERVER on a server's side. */
    setServername(name: string): void
    /** The session of an earlier connection; before the handshake. */
    setSession(session: Buffer | string): void
  }

/** What `new TLSSocket()` takes. */
export interface TLSSocketOptions extends tls.TLSSocketOptions, RequireCloseNotify {}

/** Of the options of a socket, those that a TLSSocket that connects has, too. */
type SocketOptions = Pick<
  SocketConstructorOpts,
  | 'allowHalfOpen'
  | 'busyPoll'
  | 'highWaterMark'
  | 'keepAlive'
  | 'keepAliveInitialDelay'
  | 'noDelay'
  | 'onread'
  | 'sharedChunks'
  | 'signal'
>

/** What `connect()` takes: the options of Node's, those of the socket and of where it connects to included. */
export interface TLSConnectionOptions
  extends tls.ConnectionOptions,
    Omit<SocketOptions & Partial<TcpSocketConnectOpts>, keyof tls.ConnectionOptions>,
    RequireCloseNotify {}

export interface TLSSocketConstructor extends Omit<typeof tls.TLSSocket, 'prototype'> {
  /**
   * Secure over another stream. A ferronet Socket gives its connection to the new one; over any other stream this is
   * Node's own TLSSocket. The certificate is not looked at: `connect()` and a Server do that.
   */
  new (socket?: stream.Duplex, options?: TLSSocketOptions): TLSSocket
  readonly prototype: TLSSocket
}

/** Accepts secure connections: a Server, with the members of Node's `tls.Server`. */
export type TLSServer = Server & tls.Server

type SecureListener = (socket: TLSSocket) => void

/** What `createServer()` takes. */
export interface TLSServerOptions
  extends Omit<tls.TlsOptions, keyof ServerOpts>,
    ServerOpts,
    RequireCloseNotify {}

export interface TLSServerConstructor extends Omit<typeof tls.Server, 'prototype'> {
  /** A Server that does not listen yet. The listener is added to `'secureConnection'`. */
  new (secureConnectionListener?: SecureListener): TLSServer
  /** A Server that does not listen yet. The options are those of its connections and of their secure context. */
  new (options?: TLSServerOptions | null, secureConnectionListener?: SecureListener): TLSServer
  /** `new Server()`. */
  (options?: TLSServerOptions | null, secureConnectionListener?: SecureListener): TLSServer
  readonly prototype: TLSServer
}

export interface CreateTLSServer {
  /** A Server that does not listen yet. The listener is added to `'secureConnection'`. */
  (secureConnectionListener?: SecureListener): TLSServer
  /** A Server that does not listen yet. The options are those of its connections and of their secure context. */
  (options?: TLSServerOptions | null, secureConnectionListener?: SecureListener): TLSServer
}

export interface ConnectTLS {
  /**
   * A new TLSSocket that connects, or with the option `socket` takes over that socket's connection. The listener is
   * added to `'secureConnect'`. Wrong arguments throw; everything else that fails comes as `'error'`.
   */
  (options: TLSConnectionOptions, secureConnectListener?: () => void): TLSSocket
  /** A new TLSSocket that connects over TCP; the host is `'localhost'` unless given. */
  (port: number, host?: string, options?: TLSConnectionOptions, secureConnectListener?: () => void): TLSSocket
  /** A new TLSSocket that connects over TCP, to `'localhost'` unless the options have a host. */
  (port: number, options?: TLSConnectionOptions, secureConnectListener?: () => void): TLSSocket
  /** A new TLSSocket that connects to the path of a Unix-domain socket. */
  (path: string, options?: TLSConnectionOptions, secureConnectListener?: () => void): TLSSocket
}

/** A context for `secureContext` and `addContext()`: Node's, which its own modules take as well. */
export type CreateSecureContext = (options?: tls.SecureContextOptions) => tls.SecureContext
