// Server, as a user's compiler sees it. Like Socket it extends the class of the program's @types/node, to fit where one of
// node:net is expected; its members are declared again because older versions lack some, and its listeners because the
// sockets are ferronet's.

import type * as net from 'node:net'
import type { AddressInfo } from './address.js'
import type { ListenOptions, ServerOpts } from './options.js'
import type { Socket } from './socket.js'

/** The two ends of a connection that was dropped; empty for paths. */
export interface DropArgument {
  localAddress?: string
  localPort?: number
  localFamily?: string
  remoteAddress?: string
  remotePort?: number
  remoteFamily?: string
}

/** The events of a Server and what their listeners are called with. */
export interface ServerEventMap {
  /** `close()` was called and the last connection has ended. */
  close: []
  /** There is a new connection. */
  connection: [socket: Socket]
  /** A connection was closed because there are `maxConnections` already. Since Node 18.6 and 16.17. */
  drop: [data?: DropArgument]
  /** The server could not listen (`listen EADDRINUSE`, for example) or accept. Without a listener the error is thrown. */
  error: [error: Error]
  /** `listen()` has succeeded. */
  listening: []
}

/** What `server[Symbol.asyncIterator]()` returns. */
export interface ConnectionIterator {
  next(): Promise<IteratorResult<Socket, undefined>>
  return(): Promise<IteratorResult<Socket, undefined>>
  [Symbol.asyncIterator](): ConnectionIterator
}

type Listener<E extends keyof ServerEventMap> = (...args: ServerEventMap[E]) => void

/**
 * Accepts connections over TCP or on a path. It has the members of `net.Server` of Node 26 on every Node, and can be
 * iterated.
 */
export interface Server extends net.Server {
  // --- listen -------------------------------------------------------------------------------------------------------

  /**
   * Starts to accept connections, on any free port unless one is given, on all addresses unless there is a host.
   * `backlog` (511) is how many connections may wait to be accepted. The listener is added to `'listening'`.
   *
   * Wrong arguments throw (ERR_INVALID_ARG_VALUE, ERR_SOCKET_BAD_PORT and others), as does a server that listens
   * already (ERR_SERVER_ALREADY_LISTEN). Everything else that fails comes as `'error'`.
   */
  listen(port?: number, hostname?: string, backlog?: number, listeningListener?: () => void): this
  /** Listens on a port of a host. The listener is added to `'listening'`. */
  listen(port?: number, hostname?: string, listeningListener?: () => void): this
  /** Listens on a port of all addresses. `backlog` (511) is how many connections may wait to be accepted. */
  listen(port?: number, backlog?: number, listeningListener?: () => void): this
  /** Listens on a port of all addresses; without a port, or with 0, on any free one. */
  listen(port?: number, listeningListener?: () => void): this
  /** Listens on the path of a Unix-domain socket. `backlog` (511) is how many connections may wait to be accepted. */
  listen(path: string, backlog?: number, listeningListener?: () => void): this
  /** Listens on the path of a Unix-domain socket. */
  listen(path: string, listeningListener?: () => void): this
  /** Listens where the options say. */
  listen(options: ListenOptions, listeningListener?: () => void): this
  /** Listens on a BoundSocket, or on what another server or a handle listens on. */
  listen(handle: any, backlog?: number, listeningListener?: () => void): this
  /** Listens on a BoundSocket, or on what another server or a handle listens on. */
  listen(handle: any, listeningListener?: () => void): this

  /** Whether the server accepts connections. Since Node 5.7. */
  readonly listening: boolean

  /** `{ address, family, port }`, or the path; null while it does not listen. */
  address(): AddressInfo | string | null

  // --- accept -------------------------------------------------------------------------------------------------------

  /** With so many connections, further ones are closed at once, with `'drop'`. 0 drops all; undefined is no limit. */
  maxConnections: number

  /**
   * In a cluster worker: whether a connection beyond `maxConnections` is closed instead of given to another worker.
   * Since Node 23.1 and 22.12.
   * @default false
   */
  dropMaxConnection?: boolean

  /** Calls back with the number of open connections, those that were sent to child processes included. */
  getConnections(callback: (error: Error | null, count: number) => void): this

  /** @deprecated Node removed it in version 20, and ferronet does not have it either: use `getConnections()`. */
  connections: number

  /**
   * `for await (const socket of server)`: each connection in turn. Ends when the server has closed, and rejects with its
   * `'error'`. Leaving the loop destroys connections that it has not reached. After Node 26.10.
   */
  [Symbol.asyncIterator](): ConnectionIterator

  // --- close --------------------------------------------------------------------------------------------------------

  /**
   * Accepts no more. Connections stay open, and `'close'` comes after the last of them has ended. The callback is added to
   * `'close'`, and gets ERR_SERVER_NOT_RUNNING if the server did not listen.
   */
  close(callback?: (error?: Error) => void): this

  /** `close()` as a promise; resolves at once if the server does not listen. Since Node 20.5. */
  [Symbol.asyncDispose](): Promise<void>

  /** A server that listens keeps the process alive (the default). */
  ref(): this

  /** The process may end although the server listens. */
  unref(): this

  // --- events -------------------------------------------------------------------------------------------------------

  addListener<E extends keyof ServerEventMap>(event: E, listener: Listener<E>): this
  addListener(event: string | symbol, listener: (...args: any[]) => void): this
  on<E extends keyof ServerEventMap>(event: E, listener: Listener<E>): this
  on(event: string | symbol, listener: (...args: any[]) => void): this
  once<E extends keyof ServerEventMap>(event: E, listener: Listener<E>): this
  once(event: string | symbol, listener: (...args: any[]) => void): this
  prependListener<E extends keyof ServerEventMap>(event: E, listener: Listener<E>): this
  prependListener(event: string | symbol, listener: (...args: any[]) => void): this
  prependOnceListener<E extends keyof ServerEventMap>(event: E, listener: Listener<E>): this
  prependOnceListener(event: string | symbol, listener: (...args: any[]) => void): this
}

/** `Server`, which can be called without `new` and has the static members of `net.Server`. */
export interface ServerConstructor extends Omit<typeof net.Server, 'prototype'> {
  /** A Server that does not listen yet. The listener is added to `'connection'`. Throws ERR_INVALID_ARG_TYPE. */
  new (connectionListener?: (socket: Socket) => void): Server
  /** A Server that does not listen yet, with options for it and its connections. Throws ERR_INVALID_ARG_TYPE. */
  new (options?: ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
  /** `new Server()`. */
  (connectionListener?: (socket: Socket) => void): Server
  /** `new Server()`. */
  (options?: ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
  readonly prototype: Server
}
