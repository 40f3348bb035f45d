// The public types: those of `node:net`, so that what is typed for one works with the other.

import type * as net from 'node:net'
import type { BoundSocket } from './bound.js'
import type { BoundSocketTicket, ServerTicket, SocketTicket, Ticket } from './handover.js'

/** A connection. Everything that `net.Socket` of the newest Node has; `instanceof` tells the two apart. */
export interface Socket extends net.Socket {}

/** A listener. Everything that `net.Server` of the newest Node has. */
export interface Server extends net.Server {}

/** `Socket` can be called without `new`. */
export interface SocketConstructor {
  new (options?: net.SocketConstructorOpts): Socket
  (options?: net.SocketConstructorOpts): Socket
  readonly prototype: Socket
}

/** `Server` can be called without `new`. */
export interface ServerConstructor {
  new (connectionListener?: (socket: Socket) => void): Server
  new (options?: net.ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
  (connectionListener?: (socket: Socket) => void): Server
  (options?: net.ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
  readonly prototype: Server
}

export interface Connect {
  (options: net.NetConnectOpts, connectionListener?: () => void): Socket
  (port: number, host?: string, connectionListener?: () => void): Socket
  (path: string, connectionListener?: () => void): Socket
}

export interface CreateServer {
  (connectionListener?: (socket: Socket) => void): Server
  (options?: net.ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
}

export type ToNodeSocket = (socket: Socket) => net.Socket
export type FromNodeSocket = (socket: net.Socket) => Socket
export type ToNodeServer = (server: Server) => net.Server

export interface FromNodeServer {
  (server: net.Server, connectionListener?: (socket: Socket) => void): Server
  (server: net.Server, options?: net.ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
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
