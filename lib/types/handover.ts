// Sockets that move, as a user's compiler sees them, and `activeHandles()`.

import type * as net from 'node:net'
import type { BoundSocket } from './bound.js'
import type { ServerOpts } from './options.js'
import type { Server } from './server.js'
import type { Socket } from './socket.js'

// --- tickets ------------------------------------------------------------------------------------------------------

interface AnyTicket {
  /** The process it is good in. */
  readonly pid: number
  /** The number under which this copy of ferronet keeps the socket. */
  readonly id: number
  /** Whether it is a Unix-domain socket. */
  readonly pipe: boolean
}

/** What `detach(socket)` returns: plain data for `postMessage()`. It has more members, which are ferronet's own. */
export interface SocketTicket extends AnyTicket {
  readonly ferronet: 'Socket'
}

/** What `detach(server)` returns: plain data for `postMessage()`. It has more members, which are ferronet's own. */
export interface ServerTicket extends AnyTicket {
  readonly ferronet: 'Server'
}

/** What `detach(bound)` returns: plain data for `postMessage()`. */
export interface BoundSocketTicket extends AnyTicket {
  readonly ferronet: 'BoundSocket'
}

/** What `detach()` returns: plain data for `postMessage()`. It works once, in this process. */
export type Ticket = SocketTicket | ServerTicket | BoundSocketTicket

// --- functions ----------------------------------------------------------------------------------------------------

export interface Detach {
  /**
   * Takes a connected Socket out of this thread and returns a ticket for `attach()` in another thread of this process.
   *
   * It closes here without the peer noticing; bytes that were received and not consumed, or written and not sent, go
   * along. A ticket that is never attached keeps its descriptor open.
   *
   * Throws ERR_INVALID_ARG_TYPE, and ERR_WORKER_HANDLE_NOT_TRANSFERABLE if the Socket is not connected. Not on Windows.
   * Only ferronet has it.
   */
  (socket: Socket): SocketTicket
  /**
   * Takes a listening Server out of this thread and returns a ticket for `attach()` in another thread of this process.
   * The connections that it has stay here. Throws ERR_WORKER_HANDLE_NOT_TRANSFERABLE if it does not listen.
   */
  (server: Server): ServerTicket
  /**
   * Takes a BoundSocket out of this thread and returns a ticket for `attach()` in another thread of this process.
   * Throws ERR_SOCKET_HANDLE_ADOPTED if it was adopted.
   */
  (bound: BoundSocket): BoundSocketTicket
}

export interface Attach {
  /**
   * Returns what `detach()` took out of another thread: a Socket that continues where it was, a Server that listens, or
   * a BoundSocket.
   *
   * Throws ERR_INVALID_ARG_TYPE for what is not a ticket, and ERR_SOCKET_HANDLE_ADOPTED for a ticket that was used
   * before or comes from another process or copy of ferronet. After an error of the system (`open ENOMEM`, for example)
   * the ticket is still good. Only ferronet has it.
   */
  (ticket: SocketTicket): Socket
  /** Returns a Server that listens where the one listened that `detach()` took out of another thread. */
  (ticket: ServerTicket): Server
  /** Returns the BoundSocket that `detach()` took out of another thread. */
  (ticket: BoundSocketTicket): BoundSocket
  /** Returns what `detach()` took out of another thread. */
  (ticket: Ticket): Socket | Server | BoundSocket
}

export interface ToNodeSocket {
  /**
   * Gives the connection to a new `net.Socket` of Node's own, which continues where this one was: for
   * `subprocess.send()`, and for code that insists on Node's class. This Socket closes without the peer noticing. Throws
   * ERR_INVALID_ARG_TYPE, and ERR_WORKER_HANDLE_NOT_TRANSFERABLE if it is not connected. On Windows TCP only. Only
   * ferronet has it.
   */
  (socket: Socket): net.Socket
}

export interface FromNodeSocket {
  /**
   * Takes over the connection of one of Node's own sockets, which closes. What was written to it and not sent goes first.
   * Throws ERR_INVALID_ARG_TYPE, ERR_INVALID_HANDLE_TYPE for a kind that cannot be taken over, such as a TLSSocket, and
   * ERR_WORKER_HANDLE_NOT_TRANSFERABLE if it is not connected. Not on Windows. Only ferronet has it.
   */
  (socket: net.Socket): Socket
}

export interface ToNodeServer {
  /**
   * A `net.Server` of Node's own on a copy of what this Server listens on, for `subprocess.send()`. It accepts nothing in
   * this process, where the Server carries on: `close()` it when it has been sent. Throws ERR_INVALID_ARG_TYPE, and
   * ERR_SERVER_NOT_RUNNING if the Server does not listen. On Windows TCP only. Only ferronet has it.
   */
  (server: Server): net.Server
}

export interface FromNodeServer {
  /**
   * A Server that takes over what one of Node's own servers listens on, which closes. Options and listener are those of
   * `createServer()`. Throws ERR_INVALID_ARG_TYPE, ERR_INVALID_HANDLE_TYPE and, if it does not listen,
   * ERR_SERVER_NOT_RUNNING. Not on Windows. Only ferronet has it.
   */
  (server: net.Server, connectionListener?: (socket: Socket) => void): Server
  /** The same with options for the Server and its connections. */
  (server: net.Server, options?: ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
}

// --- what keeps the process alive ---------------------------------------------------------------------------------

/** A connection or listener of this thread, as it was when `activeHandles()` was called. */
export interface ActiveHandle {
  /** The name that `process.getActiveResourcesInfo()` would use. */
  type: 'TCPSocketWrap' | 'TCPServerWrap' | 'PipeWrap'
  /** Our end: `address:port`, or a path. */
  local: string | undefined
  /** The peer's end: `address:port`, or a path. */
  remote: string | undefined
  /** The descriptor; -1 once it is closed, and on Windows. */
  fd: number
  /** Whether it is a listener. */
  listening: boolean
  /** Whether it asks the system for bytes. A paused socket does not, and then reading does not keep the process alive. */
  reading: boolean
  /** What was asked for and is not done. Each request keeps the process alive, even after `unref()`. */
  requests: ('connect' | 'write' | 'shutdown' | 'close')[]
  /** False after `unref()`. */
  referenced: boolean
  /** Whether this one keeps the process alive now. */
  keepsAlive: boolean
  /** The Socket or Server; null for a BoundSocket, and for what is moving to a new owner. */
  owner: Socket | Server | null
}

export interface ActiveHandles {
  /**
   * What is open in this thread, or still closing: what `process.getActiveResourcesInfo()` would tell, and more. Only
   * ferronet has it.
   */
  (): ActiveHandle[]
}
