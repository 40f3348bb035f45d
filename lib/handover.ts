// Giving a socket away and taking one in: to Node's own net (and so to another process), and to another thread of this
// one. What goes is the descriptor, with the bytes that have been read and not consumed, and those that have been
// written and not sent: the next owner delivers the first and sends the second.

import type * as net from 'node:net'
import type { Readable } from 'node:stream'
import { adoptBound, BoundSocket, boundOf } from './bound.js'
import { errnoException, nodeError, notRunning } from './errors.js'
import {
  kHandle,
  kHeld,
  kKeepAlive,
  kKeepAliveCount,
  kKeepAliveDelay,
  kKeepAliveInterval,
  kNoDelay,
  kShutdownRequest,
  kWriteRequest,
} from './fields.js'
import { copyNative, isNative, type Native } from './foreign.js'
import { closeDescriptor, Handle } from './handle.js'
import { isInstance } from './instances.js'
import { nodeNet } from './node-net.js'
import { Server, type ServerOptions } from './server.js'
import { Socket } from './socket.js'
import { invalidArgType } from './validate.js'
import { type Chunk, type Done, releaseHeld } from './write.js'

// --- what a Socket leaves ---------------------------------------------------------------------------------------

interface Estate {
  unread: Uint8Array[]
  unsent: Uint8Array[]
  ended: boolean
  paused: boolean
  readErrno: number
  bytesRead: number
  /** Those of them that the kernel has. */
  bytesWritten: number
}

/** Stops a socket and takes everything out of it but its handle; callbacks of writes are called as if sent. */
function clear(socket: Socket, handle: Handle): Estate {
  const paused = socket.isPaused()
  const { unread, unsent, ending, readErrno } = handle.leave()
  const bytesWritten = handle.bytesWritten - unsent.reduce((sum, chunk) => sum + chunk.byteLength, 0)
  const buffered = takeReadable(socket)
  // What the stream still holds comes out through the door by which it would have been written.
  socket._write = (chunk: Buffer | string, encoding: BufferEncoding, done: Done) => {
    unsent.push(bytesOf({ chunk, encoding }))
    done()
  }
  socket._writev = (chunks: Chunk[], done: Done) => {
    for (const chunk of chunks) unsent.push(bytesOf(chunk))
    done()
  }
  const write = socket[kWriteRequest]
  socket[kWriteRequest] = null
  write?.complete()
  while (socket.writableCorked > 0) socket.uncork()
  const ended = ending || socket[kShutdownRequest] !== null || socket.writableEnded
  releaseHeld(socket, null)
  for (const { callback } of socket[kHeld] ?? []) callback()
  socket[kHeld] = null
  socket[kShutdownRequest] = null
  return {
    unread: [...buffered, ...unread],
    unsent,
    ended,
    paused,
    readErrno,
    bytesRead: handle.bytesRead,
    bytesWritten,
  }
}

function bytesOf({ chunk, encoding }: Chunk): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

interface Decoder {
  encoding: BufferEncoding
  lastChar: Buffer
  lastNeed: number
  lastTotal: number
}

/** The bytes in a stream's read buffer, which nobody hears of. */
function takeReadable(stream: Readable): Uint8Array[] {
  const taken: Uint8Array[] = []
  const { decoder } = (stream as unknown as { _readableState: { decoder: Decoder | null } })._readableState
  const own = Object.getOwnPropertyDescriptor(stream, 'emit')
  Object.defineProperty(stream, 'emit', { value: () => false, configurable: true, writable: true })
  for (;;) {
    const chunk = stream.readableLength > 0 ? stream.read() : null
    if (chunk === null) break
    taken.push(typeof chunk === 'string' ? Buffer.from(chunk, stream.readableEncoding!) : chunk)
  }
  Reflect.deleteProperty(stream, 'emit')
  if (own !== undefined) Object.defineProperty(stream, 'emit', own)
  // The beginning of a character whose end has not arrived.
  if (decoder && decoder.lastNeed > 0) {
    taken.push(Buffer.from(decoder.lastChar.subarray(0, decoder.lastTotal - decoder.lastNeed)))
  }
  return taken
}

/** Delivers to a new owner what the old one left. */
function inherit(
  socket: Socket | net.Socket,
  estate: Pick<Estate, 'unread' | 'unsent' | 'ended' | 'readErrno'>,
): void {
  const { unread, unsent, ended, readErrno } = estate
  for (const chunk of unread.toReversed()) if (chunk.byteLength > 0) socket.unshift(chunk)
  for (const chunk of unsent) if (chunk.byteLength > 0) socket.write(chunk)
  if (ended) socket.end()
  if (readErrno !== 0) process.nextTick(() => socket.destroy(errnoException(readErrno, 'read')))
}

/** The handle of a socket that can be given away. */
function movable(socket: Socket): Handle {
  const handle = socket[kHandle]
  if (handle === null || handle.slot < 0 || socket.connecting || socket.destroyed) {
    throw notTransferable('net.Socket', 'it must be connected and not destroyed')
  }
  return handle
}

function notTransferable(what: string, why: string): Error {
  const message = `${what} cannot be transferred in its current state; ${why}`
  return nodeError(Error, 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE', message)
}

/** The socket whose handle has gone: closed, without a word to the peer. */
function retire(socket: Socket): void {
  socket[kHandle]!.owner = null
  socket[kHandle] = null
  socket.destroy()
}

// --- to and from node:net ---------------------------------------------------------------------------------------

/**
 * Gives a connected Socket's descriptor to a new `net.Socket` of Node's, which goes on where this one stood; this one
 * closes without the peer noticing. For `subprocess.send()`, and whatever insists on Node's class. Throws
 * ERR_INVALID_ARG_TYPE, and ERR_WORKER_HANDLE_NOT_TRANSFERABLE while the socket is not connected.
 */
export function toNodeSocket(socket: Socket): net.Socket {
  if (!isInstance(Socket, socket)) throw invalidArgType('socket', 'an instance of Socket', socket)
  const handle = movable(socket)
  const { allowHalfOpen } = socket
  const estate = clear(socket, handle)
  const fd = handle.release()
  if (fd < 0) {
    socket.destroy(errnoException(fd, 'open'))
    throw errnoException(fd, 'open')
  }
  retire(socket)
  let taken: net.Socket
  try {
    taken = new nodeNet.Socket({ fd, allowHalfOpen, ...(estate.paused ? { pauseOnCreate: true } : {}) })
  } catch (error) {
    closeDescriptor(fd)
    throw error
  }
  inherit(taken, estate)
  return taken
}

interface NodeInternals {
  _handle: (Native & { readStop(): number }) | null
  _server: object | null
}

/**
 * Takes over the connection of one of Node's own sockets: the counterpart of `toNodeSocket`. Node's socket closes. What
 * it has written and not sent yet goes first. Throws ERR_INVALID_ARG_TYPE, ERR_INVALID_HANDLE_TYPE for what is not
 * plain TCP or a pipe, and ERR_WORKER_HANDLE_NOT_TRANSFERABLE while it is not connected.
 */
export function fromNodeSocket(from: net.Socket): Socket {
  const native = nativeOf(from, nodeNet.Socket, 'socket')
  if (native === null || from.connecting || from.destroyed) {
    throw notTransferable('net.Socket', 'it must be connected and not destroyed')
  }
  const paused = from.isPaused()
  const handle = copyNative(native)
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  const socket = new Socket({
    handle,
    allowHalfOpen: from.allowHalfOpen,
    readableHighWaterMark: from.readableHighWaterMark,
    writableHighWaterMark: from.writableHighWaterMark,
    pauseOnCreate: paused,
  })
  const unread = takeReadable(from)
  // Taking them out has made the stream ask for more.
  native.readStop?.()
  const ended = from.writableEnded
  if (from.writableLength === 0 && !ended) {
    from.destroy()
    inherit(socket, { unread, unsent: [], ended, readErrno: 0 })
    return socket
  }
  // libuv has bytes that it cannot give back: it sends them, then it is our turn.
  inherit(socket, { unread, unsent: [], ended: false, readErrno: 0 })
  socket.cork()
  const sent = (): void => {
    from.destroy()
    if (ended) socket.end()
    socket.uncork()
  }
  from.on('error', error => socket.destroy(error))
  if (from.writableFinished) sent()
  else if (ended) from.once('finish', sent)
  else from.write('', error => error || sent())
  return socket
}

/**
 * A `net.Server` of Node's on a copy of the listening descriptor, for `subprocess.send()`. It accepts nothing in this
 * process, whose Server goes on as before; `close()` it when it has been sent. Throws ERR_INVALID_ARG_TYPE, and
 * ERR_SERVER_NOT_RUNNING when the Server does not listen.
 */
export function toNodeServer(server: Server): net.Server {
  if (!isInstance(Server, server)) throw invalidArgType('server', 'an instance of Server', server)
  const handle = server._handle
  if (!(handle instanceof Handle)) throw notRunning()
  const fd = handle.copy()
  if (fd < 0) throw errnoException(fd, 'open')
  let native: Native | number
  try {
    native = (
      nodeNet as unknown as { _createServerHandle(...args: unknown[]): Native | number }
    )._createServerHandle(null, null, null, fd)
  } catch (error) {
    closeDescriptor(fd)
    throw error
  }
  if (typeof native === 'number') {
    closeDescriptor(fd)
    throw errnoException(native, 'open')
  }
  const copy = new nodeNet.Server()
  ;(copy as unknown as { _handle: Native })._handle = native
  return copy
}

/**
 * A Server that takes over what one of Node's own servers listens on (one that `process.on('message')` brought, for
 * instance), which closes. Options and listener are those of `createServer`. Throws ERR_INVALID_ARG_TYPE,
 * ERR_INVALID_HANDLE_TYPE and ERR_SERVER_NOT_RUNNING.
 */
export function fromNodeServer(
  from: net.Server,
  options?: ServerOptions | ((socket: Socket) => void) | null,
  listener?: (socket: Socket) => void,
): Server {
  const native = nativeOf(from, nodeNet.Server, 'server')
  if (native === null) throw notRunning()
  const server = new Server(options, listener)
  const path = (from as unknown as { _pipeName?: string })._pipeName
  const handle = copyNative(native, 'SERVERWRAP')
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  from.close()
  if (path !== undefined) server._pipeName = path
  return server.listen({ _handle: handle })
}

function nativeOf(
  from: net.Socket | net.Server,
  Class: { name: string; prototype: net.Socket | net.Server },
  name: string,
): Native | null {
  if (!isInstance(Class, from)) {
    throw invalidArgType(name, `an instance of node:net's ${Class.name}`, from)
  }
  const native = (from as unknown as NodeInternals)._handle
  if (native === null || native === undefined) return null
  if (!isNative(native) || native.fd < 0) {
    throw nodeError(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent')
  }
  return native
}

// --- to and from another thread ---------------------------------------------------------------------------------

/** What `detach()` gives: plain data, for `postMessage()`. Good once, in this process. */
export type Ticket = SocketTicket | ServerTicket | BoundSocketTicket

interface AnyTicket {
  /** The number under which the addon keeps the socket. */
  id: number
  pipe: boolean
}

export interface SocketTicket extends AnyTicket, Estate {
  ferronet: 'Socket'
  allowHalfOpen: boolean
  readableHighWaterMark: number
  writableHighWaterMark: number
  noDelay: boolean
  keepAlive: boolean
  keepAliveTimes: [delay: number, interval: number | undefined, count: number | undefined]
}

export interface ServerTicket extends AnyTicket {
  ferronet: 'Server'
  path: string | undefined
  options: ServerOptions
  maxConnections: number | undefined
}

export interface BoundSocketTicket extends AnyTicket {
  ferronet: 'BoundSocket'
}

/**
 * Takes a connected Socket, a listening Server or a BoundSocket out of this thread, for `attach(ticket)` in another of
 * this process. A Socket may be in mid-stream: bytes that were read and not consumed, or written and not sent, go along.
 * The Socket closes here without the peer noticing; the Server stops listening here and keeps the connections it has.
 * A ticket that nobody attaches keeps its descriptor open. Throws ERR_INVALID_ARG_TYPE, and
 * ERR_WORKER_HANDLE_NOT_TRANSFERABLE in any other state.
 */
export function detach(what: Socket): SocketTicket
export function detach(what: Server): ServerTicket
export function detach(what: BoundSocket): BoundSocketTicket
export function detach(what: Socket | Server | BoundSocket): Ticket {
  if (isInstance(Socket, what)) return detachSocket(what)
  if (isInstance(Server, what)) return detachServer(what)
  if (what instanceof BoundSocket) {
    const { handle } = adoptBound(what)
    const pipe = handle.kind === 'pipe'
    return { ferronet: 'BoundSocket', id: parked(handle, 'net.BoundSocket'), pipe }
  }
  throw invalidArgType('what', 'an instance of Socket, Server or BoundSocket', what)
}

function detachSocket(socket: Socket): SocketTicket {
  const handle = movable(socket)
  const estate = clear(socket, handle)
  const id = parked(handle, 'net.Socket')
  const ticket: SocketTicket = {
    ferronet: 'Socket',
    id,
    pipe: handle.kind === 'pipe',
    ...estate,
    // Copies: a chunk is a view of memory that other sockets share, all of which would be cloned.
    unread: estate.unread.map(chunk => Uint8Array.from(chunk)),
    unsent: estate.unsent.map(chunk => Uint8Array.from(chunk)),
    allowHalfOpen: socket.allowHalfOpen,
    readableHighWaterMark: socket.readableHighWaterMark,
    writableHighWaterMark: socket.writableHighWaterMark,
    noDelay: socket[kNoDelay],
    keepAlive: socket[kKeepAlive],
    keepAliveTimes: [socket[kKeepAliveDelay], socket[kKeepAliveInterval], socket[kKeepAliveCount]],
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
  const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, highWaterMark, maxConnections } = server
  const keepAliveInitialDelay = server.keepAliveInitialDelay * 1000
  const options = { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay, highWaterMark }
  return { ferronet: 'Server', id, pipe, path, options, maxConnections }
}

function parked(handle: Handle, what: string): number {
  const id = handle.park()
  if (id >= 0) return id
  throw Object.assign(notTransferable(what, 'the system refused'), { cause: errnoException(id, 'dup') })
}

/**
 * What `detach()` took out of another thread: a Socket that goes on in mid-stream, a Server that listens, or a
 * BoundSocket. Throws ERR_INVALID_ARG_TYPE for what is not a ticket, and ERR_SOCKET_HANDLE_ADOPTED for one that has been
 * attached already or comes from another process.
 */
export function attach(ticket: SocketTicket): Socket
export function attach(ticket: ServerTicket): Server
export function attach(ticket: BoundSocketTicket): BoundSocket
export function attach(ticket: Ticket): Socket | Server | BoundSocket
export function attach(ticket: Ticket): Socket | Server | BoundSocket {
  const kinds = ['Socket', 'Server', 'BoundSocket']
  if (ticket === null || typeof ticket !== 'object' || !kinds.includes(ticket.ferronet)) {
    throw invalidArgType('ticket', 'what detach() returned', ticket)
  }
  const provider = ticket.ferronet === 'Server' ? 'SERVERWRAP' : 'WRAP'
  const handle = Handle.claim(
    ticket.pipe ? 'pipe' : 'tcp',
    (ticket.pipe ? 'PIPE' : 'TCP') + provider,
    ticket.id,
  )
  if (typeof handle === 'number') {
    const message = 'The ticket has already been attached, or is from another process'
    throw nodeError(Error, 'ERR_SOCKET_HANDLE_ADOPTED', message)
  }
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
      const options = { handle, allowHalfOpen, readableHighWaterMark, writableHighWaterMark }
      const socket = new Socket({ ...options, pauseOnCreate: paused })
      socket[kNoDelay] = ticket.noDelay
      socket[kKeepAlive] = ticket.keepAlive
      ;[socket[kKeepAliveDelay], socket[kKeepAliveInterval], socket[kKeepAliveCount]] = ticket.keepAliveTimes
      inherit(socket, ticket)
      return socket
    }
  }
}
