// Giving a socket away and taking one in: to Node's own net (and so to another process), and to another thread of this
// one. What goes is the descriptor, with the bytes that have been read and not consumed, and those that have been
// written and not sent: the next owner delivers the first and sends the second.

import { existsSync, linkSync, renameSync, unlinkSync } from 'node:fs'
import type * as net from 'node:net'
import type { Readable } from 'node:stream'
import { adoptBound, BoundSocket, boundOf } from '../bound.js'
import { errnoException, errnoOf, fromLoop, nodeError, notRunning } from '../errors.js'
import { closeDescriptor, Handle } from '../handle-once.js'
import { copyNative, isNative, type Native } from '../node/foreign.js'
import { isInstance } from '../node/instances.js'
import { nodeNet } from '../node/net.js'
import { Server, type ServerOptions } from '../server.js'
import { Socket } from '../socket.js'
import {
  kBoundSource,
  kHandle,
  kHeld,
  kKeepAlive,
  kKeepAliveCount,
  kKeepAliveDelay,
  kKeepAliveInterval,
  kNoDelay,
  kSharedChunks,
  kShutdownRequest,
  kWriteRequest,
} from '../state.js'
import { invalidArgType } from '../validate.js'
import { type Chunk, canceled, type Done } from '../write.js'

// As they are now: what replaces them in `node:net` for other packages must not replace them here.
const NodeSocket = nodeNet.Socket
const NodeServer = nodeNet.Server
const { _createServerHandle: createNodeHandle } = nodeNet as unknown as {
  _createServerHandle(...args: unknown[]): Native | number
}

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

/**
 * Stops a socket and takes everything out of it but its handle. Callbacks of writes are called as if their bytes had
 * been sent: later, for they are the program's, which must not run in the middle of this.
 */
function clear(socket: Socket, handle: Handle): Estate {
  const paused = isPaused(socket)
  const { unread, unsent, ending, readErrno } = handle.leave()
  const bytesWritten = handle.bytesWritten - sizeOfAll(unsent)
  const buffered = takeReadable(socket)
  const own = unsent.map(copy)
  const held = socket[kHeld] ?? []
  socket[kHeld] = null
  handle.runInAsyncScope(() => {
    for (const { callback } of held) process.nextTick(callback, null)
  })
  // What the stream still holds comes out through the door by which it would have been written.
  let next = socket[kWriteRequest]?.complete.bind(socket[kWriteRequest])
  socket[kWriteRequest] = null
  const restore = override(socket, {
    _write: (chunk: Buffer | string, encoding: BufferEncoding, done: Done) => {
      own.push(copy(bytesOf({ chunk, encoding })))
      next = done
    },
    _writev: (chunks: Chunk[], done: Done) => {
      for (const chunk of chunks) own.push(copy(bytesOf(chunk)))
      next = done
    },
    // FIN is the next owner's to send.
    _final: () => {},
  })
  while (socket.writableCorked > 0) socket.uncork()
  while (next !== undefined) {
    const done = next
    next = undefined
    // As if `write()` were still running: the stream then calls back in a tick, when the socket is destroyed, and it
    // emits no 'drain'.
    socket._writableState.sync = true
    done()
  }
  restore()
  const ended = ending || socket[kShutdownRequest] !== null || socket.writableEnded
  socket[kShutdownRequest] = null
  handle.bytesWritten = bytesWritten + sizeOfAll(own)
  return {
    unread: [...buffered, ...unread],
    unsent: own,
    ended,
    paused,
    readErrno,
    bytesRead: handle.bytesRead,
    bytesWritten,
  }
}

// With a 'readable' listener a stream calls itself paused, and it is not what its next reader should find.
function isPaused(stream: Readable): boolean {
  const state = (stream as unknown as { _readableState: { readableListening: boolean } })._readableState
  return stream.isPaused() && !state.readableListening
}

function bytesOf({ chunk, encoding }: Chunk): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

// Chunks lie in memory that others use: what was read beside what other sockets read, what was written in a buffer that
// is the program's again once its callback has been called.
function copy(chunk: Uint8Array): Uint8Array {
  return Uint8Array.from(chunk)
}

function sizeOfAll(chunks: Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
}

/** Puts functions in the place of an object's own; the result takes them back. */
function override(object: object, functions: Record<string, unknown>): () => void {
  const names = Object.keys(functions)
  const before = names.map(name => Object.getOwnPropertyDescriptor(object, name))
  for (const name of names) {
    Object.defineProperty(object, name, { value: functions[name], configurable: true, writable: true })
  }
  return () => {
    for (const [at, name] of names.entries()) {
      if (before[at] === undefined) Reflect.deleteProperty(object, name)
      else Object.defineProperty(object, name, before[at])
    }
  }
}

interface Decoder {
  encoding: BufferEncoding
  lastChar: Buffer
  lastNeed: number
  lastTotal: number
}

/** The bytes in a stream's read buffer. Nobody hears of it, nor of anything else that the stream might tell yet. */
function takeReadable(stream: Readable): Uint8Array[] {
  const taken: Uint8Array[] = []
  const state = (stream as unknown as { _readableState: { decoder: Decoder | null; closeEmitted: boolean } })
    ._readableState
  const { decoder } = state
  // Or it would emit 'end' when the peer's FIN is known: that is for the next owner to say.
  state.closeEmitted = true
  const restore = override(stream, { emit: () => false })
  for (;;) {
    const chunk = stream.readableLength > 0 ? stream.read() : null
    if (chunk === null) break
    taken.push(typeof chunk === 'string' ? Buffer.from(chunk, stream.readableEncoding!) : chunk)
  }
  restore()
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
  if (readErrno === 0) return
  // Behind the tick in which a new reader begins to flow, which gets what came before the error.
  const fail = (): unknown => socket.destroy(fromLoop(() => errnoException(readErrno, 'read')))
  process.nextTick(() => process.nextTick(fail))
}

/** The handle of a socket that can be given away. */
function movable(socket: Socket): Handle {
  const handle = socket[kHandle]
  const connected =
    handle !== null &&
    handle.slot >= 0 &&
    !socket.connecting &&
    !socket.destroyed &&
    // One that has been made of a BoundSocket may have been bound and no more.
    !(socket[kBoundSource] && typeof handle.peername() === 'number')
  if (!connected) throw notTransferable('net.Socket', 'it must be connected and not destroyed')
  if (behindNode.has(socket)) throw notTransferable('net.Socket', 'it waits for what Node has to send')
  // The socket will tell of it in the next tick.
  if (handle.flush() !== 0) throw notTransferable('net.Socket', 'its connection has failed')
  return handle
}

function notTransferable(what: string, why: string): Error {
  const message = `${what} cannot be transferred in its current state; ${why}`
  return nodeError(Error, 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE', message)
}

/** Closes the socket whose handle has nothing in it any more, without a word to the peer. */
function retire(socket: Socket, error?: Error): void {
  socket[kHandle]!.owner = null
  socket.destroy(error)
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
  const estate = clear(socket, handle)
  const fd = handle.release()
  if (fd < 0) {
    retire(socket, errnoException(fd, 'open'))
    throw errnoException(fd, 'open')
  }
  retire(socket)
  const options = {
    fd,
    allowHalfOpen: socket.allowHalfOpen,
    readableHighWaterMark: socket.readableHighWaterMark,
    writableHighWaterMark: socket.writableHighWaterMark,
    pauseOnCreate: estate.paused,
    // Set already; Node remembers what is, to see what changes.
    noDelay: socket[kNoDelay],
    keepAlive: socket[kKeepAlive],
    keepAliveInitialDelay: socket[kKeepAliveDelay] * 1000,
  }
  let taken: net.Socket
  try {
    taken = new NodeSocket(options)
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
 * it has written and not sent yet goes first, before which the new socket cannot be given away in its turn. Throws
 * ERR_INVALID_ARG_TYPE, ERR_INVALID_HANDLE_TYPE for what is not plain TCP or a pipe, and
 * ERR_WORKER_HANDLE_NOT_TRANSFERABLE while it is not connected.
 */
export function fromNodeSocket(from: net.Socket): Socket {
  // (Before there is a connection there may be a handle without a descriptor.)
  const native = isInstance(NodeSocket, from) && from.connecting ? null : nativeOf(from, NodeSocket, 'socket')
  if (native === null || from.destroyed) {
    throw notTransferable('net.Socket', 'it must be connected and not destroyed')
  }
  const paused = isPaused(from)
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
  // Taking them out has made the stream ask for more, and its reader may do so again.
  native.readStop?.()
  native.readStart = () => 0
  const ended = from.writableEnded
  inherit(socket, { unread, unsent: [], ended: false, readErrno: 0 })
  if (from.writableLength === 0 && (!ended || from.writableFinished)) {
    from.destroy()
    if (ended) socket.end()
    return socket
  }
  // libuv has bytes that it cannot give back: it sends them, then it is our turn.
  const letWrite = keepFromWriting(socket)
  let sending = true
  const fail = (error?: Error): void => {
    if (sending) socket.destroy(error)
  }
  const sent = (): void => {
    sending = false
    from.destroy()
    letWrite()
    if (ended) socket.end()
  }
  from.once('error', fail)
  from.once('close', () => fail())
  socket.once('close', () => from.destroy())
  while (from.writableCorked > 0) from.uncork()
  if (ended) from.once('finish', sent)
  else from.write('', error => error || sent())
  return socket
}

/** Those whose own writes wait, because libuv still has bytes to send. */
const behindNode = new WeakSet<Socket>()

/** What is written waits until the result is called. (`cork()` would not do: `end()` takes the cork out.) */
function keepFromWriting(socket: Socket): () => void {
  // A stream asks for one thing at a time.
  let run: (() => unknown) | undefined
  let done: Done | undefined
  const later = (name: '_write' | '_writev' | '_final') => [
    name,
    (...args: unknown[]) => {
      done = args.at(-1) as Done
      run = () => (socket[name] as (...args: unknown[]) => unknown)(...args)
    },
  ]
  const restore = override(socket, Object.fromEntries([later('_write'), later('_writev'), later('_final')]))
  socket.once('close', () => done?.(canceled()))
  behindNode.add(socket)
  return () => {
    behindNode.delete(socket)
    restore()
    done = undefined
    run?.()
  }
}

/**
 * A `net.Server` of Node's on a copy of the listening descriptor, for `subprocess.send()`. It accepts nothing in this
 * process, whose Server goes on as before; `close()` it when it has been sent. Throws ERR_INVALID_ARG_TYPE, and
 * ERR_SERVER_NOT_RUNNING when the Server does not listen.
 */
export function toNodeServer(server: Server): net.Server {
  if (!isInstance(Server, server)) throw invalidArgType('server', 'an instance of Server', server)
  const handle = server._handle
  if (handle === null) throw notRunning()
  if (!(handle instanceof Handle)) throw notTransferable('net.Server', 'a cluster shares it already')
  const fd = handle.copy()
  if (fd < 0) throw errnoException(fd, 'open')
  let native: Native | number
  try {
    native = createNodeHandle(null, null, null, fd)
  } catch (error) {
    closeDescriptor(fd)
    throw error
  }
  if (typeof native === 'number') {
    closeDescriptor(fd)
    throw errnoException(native, 'open')
  }
  const copy = new NodeServer()
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
  const native = nativeOf(from, NodeServer, 'server')
  if (native === null) throw notRunning()
  const server = new Server(options, listener)
  const path = (from as unknown as { _pipeName?: string })._pipeName
  const handle = copyNative(native, 'SERVERWRAP')
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  if (path === undefined) from.close()
  else {
    server._pipeName = path
    if (closeButForName(from, path)) removeWith(handle, path)
  }
  return server.listen({ _handle: handle })
}

/**
 * Closes Node's server. Returns whether the path is ours to remove now: libuv has removed what it had made, and we have
 * put it back. (Where there are no hard links it is gone.)
 */
function closeButForName(from: net.Server, path: string): boolean {
  const spare = `${path}~${process.hrtime.bigint()}`
  try {
    linkSync(path, spare)
  } catch {
    from.close()
    return false
  }
  from.close()
  if (!existsSync(path)) {
    renameSync(spare, path)
    return true
  }
  // Node's server got its socket from another process, which removes it.
  unlinkSync(spare)
  return false
}

/** Paths that the engine does not know of, by the handles that listen there. */
const names = new WeakMap<Handle, string>()

/** Has a path go when its listener closes, as the engine does with what it has bound. */
function removeWith(handle: Handle, path: string): void {
  names.set(handle, path)
  override(handle, {
    close: (...callbacks: Parameters<Handle['close']>) => {
      try {
        unlinkSync(path)
      } catch {
        // Somebody else has; libuv does not mind either.
      }
      Handle.prototype.close.apply(handle, callbacks)
    },
  })
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

// Threads share it.
const { pid } = process

/** What the addon says of a number that has nothing behind it. */
const unknownTicket = errnoOf('EBADF')

/** What `detach()` gives: plain data, for `postMessage()`. Good once, in this process. */
export type Ticket = SocketTicket | ServerTicket | BoundSocketTicket

interface AnyTicket {
  /** The process, and the number under which the addon of the copy of ferronet that made it keeps the socket. */
  pid: number
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
  sharedChunks: boolean
}

export interface ServerTicket extends AnyTicket {
  ferronet: 'Server'
  path: string | undefined
  /** Whether the path is to be removed by JavaScript. */
  removes: boolean
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
    return { ferronet: 'BoundSocket', pid, id: parked(handle, 'net.BoundSocket'), pipe }
  }
  throw invalidArgType('what', 'an instance of Socket, Server or BoundSocket', what)
}

function isTicket(value: unknown): value is Ticket {
  if (value === null || typeof value !== 'object') return false
  const { ferronet, pid, id } = value as Partial<Ticket>
  return (
    ['Socket', 'Server', 'BoundSocket'].includes(ferronet!) &&
    Number.isSafeInteger(pid) &&
    Number.isSafeInteger(id)
  )
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
    noDelay: socket[kNoDelay],
    keepAlive: socket[kKeepAlive],
    keepAliveTimes: [socket[kKeepAliveDelay], socket[kKeepAliveInterval], socket[kKeepAliveCount]],
    sharedChunks: socket[kSharedChunks],
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
  const removes = names.has(handle)
  server._handle = null
  delete server._pipeName
  const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, highWaterMark, blockList, maxConnections } =
    server
  const keepAliveInitialDelay = server.keepAliveInitialDelay * 1000
  const connections = { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay }
  const options = { ...connections, highWaterMark, blockList, sharedChunks: server[kSharedChunks] }
  return { ferronet: 'Server', pid, id, pipe, path, removes, options, maxConnections }
}

function parked(handle: Handle, what: string): number {
  const id = handle.park()
  if (id >= 0) return id
  throw Object.assign(notTransferable(what, 'the system refused'), { cause: errnoException(id, 'dup') })
}

/**
 * What `detach()` took out of another thread: a Socket that goes on in mid-stream, a Server that listens, or a
 * BoundSocket. Throws ERR_INVALID_ARG_TYPE for what is not a ticket, ERR_SOCKET_HANDLE_ADOPTED for one that has been
 * attached already or comes from another process or another installed copy of ferronet, and what the system refuses with
 * (`open`), after which the ticket is good still.
 */
export function attach(ticket: SocketTicket): Socket
export function attach(ticket: ServerTicket): Server
export function attach(ticket: BoundSocketTicket): BoundSocket
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
      if (ticket.path !== undefined) {
        server._pipeName = ticket.path
        if (ticket.removes) removeWith(handle, ticket.path)
      }
      return server.listen({ _handle: handle })
    }
    case 'Socket': {
      handle.bytesRead = ticket.bytesRead
      handle.bytesWritten = ticket.bytesWritten
      const { allowHalfOpen, readableHighWaterMark, writableHighWaterMark, sharedChunks, paused } = ticket
      const options = { handle, allowHalfOpen, readableHighWaterMark, writableHighWaterMark, sharedChunks }
      const socket = new Socket({ ...options, pauseOnCreate: paused })
      socket[kNoDelay] = ticket.noDelay
      socket[kKeepAlive] = ticket.keepAlive
      ;[socket[kKeepAliveDelay], socket[kKeepAliveInterval], socket[kKeepAliveCount]] = ticket.keepAliveTimes
      inherit(socket, ticket)
      return socket
    }
  }
}
