// Sockets, servers and bound sockets to and from another thread of this process: `detach()` parks the descriptor in the
// addon and gives a ticket for it, `attach()` in any thread claims it.

import { isUint8Array } from 'node:util/types'
import { adoptBound, BoundSocket, boundOf } from '../bound.js'
import { Handle } from '../engine/once.js'
import { errnoException, errnoOf, nodeError } from '../errors.js'
import { isInstance } from '../node/instances.js'
import { kRemembered, type Remembered } from '../options.js'
import { Server, type ServerOptions } from '../server.js'
import { Socket } from '../socket.js'
import type * as types from '../types.js'
import { invalidArgType, invalidInstance } from '../validate.js'
import { clear, copy, type Estate, inherit, movable, notTransferable, retire } from './estate.js'

// The threads of a process have it in common.
const { pid } = process

/** What the addon answers to a number that stands for no socket. */
const unknownTicket = errnoOf('EBADF')

/** The tickets with what the other thread needs, besides what is public. */
type Ticket = SocketTicket | ServerTicket | types.BoundSocketTicket

interface SocketTicket extends types.SocketTicket, Estate {
  allowHalfOpen: boolean
  readableHighWaterMark: number
  writableHighWaterMark: number
  options: Remembered
}

interface ServerTicket extends types.ServerTicket {
  path: string | undefined
  options: ServerOptions
  maxConnections: number | undefined
}

/**
 * Takes a connected Socket, a listening Server or a BoundSocket out of this thread, for `attach(ticket)` in another of
 * this process. A Socket may be in mid-stream: bytes that were read and not consumed, or written and not sent, go
 * along. The Socket closes here without the peer noticing; the Server stops listening here and keeps the connections it
 * has. A ticket that nobody attaches keeps its descriptor open. Throws ERR_INVALID_ARG_TYPE, and
 * ERR_WORKER_HANDLE_NOT_TRANSFERABLE in any other state.
 */
export function detach(what: Socket): SocketTicket
export function detach(what: Server): ServerTicket
export function detach(what: BoundSocket): types.BoundSocketTicket
export function detach(what: Socket | Server | BoundSocket): Ticket {
  if (isInstance(Socket, what)) return detachSocket(what)
  if (isInstance(Server, what)) return detachServer(what)
  if (what instanceof BoundSocket) {
    const { handle } = adoptBound(what)
    const pipe = handle.kind === 'pipe'
    return { ferronet: 'BoundSocket', pid, id: parked(handle, 'net.BoundSocket'), pipe }
  }
  throw invalidInstance('what', "an instance of ferronet's Socket, Server or BoundSocket", what)
}

function isTicket(value: unknown): value is Ticket {
  if (value === null || typeof value !== 'object') return false
  const { ferronet, pid, id } = value as Partial<Ticket>
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(id)) return false
  if (ferronet !== 'Socket') return ferronet === 'Server' || ferronet === 'BoundSocket'
  // JSON would keep the number of the connection and lose the bytes that go along.
  const { unread, unsent } = value as Partial<SocketTicket>
  return [unread, unsent].every(chunks => Array.isArray(chunks) && chunks.every(isUint8Array))
}

function detachSocket(socket: Socket): SocketTicket {
  const handle = movable(socket)
  const estate = clear(socket, handle)
  let id: number
  try {
    id = parked(handle, 'net.Socket')
  } catch (error) {
    retire(socket, error as Error)
    throw error
  }
  const ticket: SocketTicket = {
    ferronet: 'Socket',
    pid,
    id,
    pipe: handle.kind === 'pipe',
    ...estate,
    // `postMessage` would clone all the memory that a chunk is a view of.
    unread: estate.unread.map(copy),
    allowHalfOpen: socket.allowHalfOpen,
    readableHighWaterMark: socket.readableHighWaterMark,
    writableHighWaterMark: socket.writableHighWaterMark,
    options: socket[kRemembered],
  }
  retire(socket)
  return ticket
}

function detachServer(server: Server): ServerTicket {
  const handle = server._handle
  if (!(handle instanceof Handle) || handle.slot < 0) {
    throw notTransferable('net.Server', 'it must be listening on a socket of its own')
  }
  handle.leave()
  const pipe = handle.kind === 'pipe'
  const id = parked(handle, 'net.Server')
  const path = server._pipeName
  server._handle = null
  delete server._pipeName
  const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, highWaterMark, blockList, maxConnections } =
    server
  const keepAliveInitialDelay = server.keepAliveInitialDelay * 1000
  const connections = { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay }
  const { sharedChunks, busyPoll } = server[kRemembered]
  const options = { ...connections, highWaterMark, blockList, sharedChunks, busyPoll }
  return { ferronet: 'Server', pid, id, pipe, path, options, maxConnections }
}

function parked(handle: Handle, what: string): number {
  const id = handle.park()
  if (id >= 0) return id
  throw Object.assign(notTransferable(what, 'the system refused'), { cause: errnoException(id, 'dup') })
}

/**
 * What `detach()` took out of another thread: a Socket that goes on in mid-stream, a Server that listens, or a
 * BoundSocket. Throws ERR_INVALID_ARG_TYPE for what is not a ticket, ERR_SOCKET_HANDLE_ADOPTED for one that has been
 * attached already or comes from another process or another installed copy of ferronet, and the system's error
 * (`open`), after which the ticket is still good.
 */
export function attach(ticket: SocketTicket): Socket
export function attach(ticket: ServerTicket): Server
export function attach(ticket: types.BoundSocketTicket): BoundSocket
export function attach(ticket: Ticket): Socket | Server | BoundSocket
export function attach(ticket: Ticket): Socket | Server | BoundSocket {
  if (!isTicket(ticket)) throw invalidArgType('ticket', 'what detach() returned', ticket)
  const provider = ticket.ferronet === 'Server' ? 'SERVERWRAP' : 'WRAP'
  const [kind, prefix] = ticket.pipe ? (['pipe', 'PIPE'] as const) : (['tcp', 'TCP'] as const)
  const handle = ticket.pid === pid ? Handle.claim(kind, prefix + provider, ticket.id) : unknownTicket
  if (handle === unknownTicket) {
    const message = 'The ticket has already been attached, or is from another process or copy of ferronet'
    throw nodeError(Error, 'ERR_SOCKET_HANDLE_ADOPTED', message)
  }
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  switch (ticket.ferronet) {
    case 'BoundSocket':
      return boundOf(handle)
    case 'Server': {
      const server = new Server(ticket.options)
      if (ticket.maxConnections !== undefined) server.maxConnections = ticket.maxConnections
      if (ticket.path !== undefined) server._pipeName = ticket.path
      return server.listen({ _handle: handle })
    }
    case 'Socket': {
      handle.bytesRead = ticket.bytesRead
      handle.bytesWritten = ticket.bytesWritten
      const { allowHalfOpen, readableHighWaterMark, writableHighWaterMark, paused } = ticket
      const socket = new Socket({
        handle,
        allowHalfOpen,
        readableHighWaterMark,
        writableHighWaterMark,
        pauseOnCreate: paused,
        // The descriptor has them already.
        [kRemembered]: ticket.options,
      })
      inherit(socket, ticket)
      return socket
    }
  }
}
