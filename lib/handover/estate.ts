// What a socket leaves to its next owner, besides the descriptor: bytes that have been read and not consumed, and bytes
// that have been written and not sent. The next owner delivers the first and sends the second.

import type * as net from 'node:net'
import type { Readable } from 'node:stream'
import type { Handle } from '../engine/once.js'
import { errnoException, fromLoop, nodeError } from '../errors.js'
import { isForeign } from '../node/foreign-handle.js'
import { type Chunk, partOfCharacter, type StreamInternals } from '../node/stream-state.js'
import { override } from '../override.js'
import type { Done } from '../request.js'
import type { Socket } from '../socket.js'
import { kBoundSource, kFiles, kHandle, kHeld, kShutdownRequest, kTls, kWriteRequest } from '../state.js'

/** Plain data, for `postMessage()`. */
export interface Estate {
  unread: Uint8Array[]
  unsent: Uint8Array[]
  ended: boolean
  paused: boolean
  readErrno: number
  bytesRead: number
  /** Bytes the kernel has accepted. */
  bytesWritten: number
}

/**
 * Stops a socket and takes everything out of it but its handle. Callbacks of writes are called as if their bytes had
 * been sent, but in a later tick: the program must not run in the middle of this.
 */
export function clear(socket: Socket, handle: Handle): Estate {
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
  // The stream gives what it still holds to its own _write and _writev.
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
    // The next owner sends the FIN.
    _final: () => {},
  })
  while (socket.writableCorked > 0) socket.uncork()
  while (next !== undefined) {
    const done = next
    next = undefined
    // As if `write()` were still running: then the stream calls back in a later tick, when the socket is destroyed, and
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

/** Whether the next owner is to be paused. A stream with a 'readable' listener only calls itself so. */
export function isPaused(stream: Readable): boolean {
  return stream.isPaused() && !internals(stream)._readableState.readableListening
}

function internals(stream: Readable): StreamInternals {
  return stream as unknown as StreamInternals
}

function bytesOf({ chunk, encoding }: Chunk): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

/**
 * A chunk may be a view of memory that others use: chunks of other sockets lie beside one that was read, and a program
 * may reuse what it has written once the callback has been called.
 */
export function copy(chunk: Uint8Array): Uint8Array {
  return Uint8Array.from(chunk)
}

function sizeOfAll(chunks: Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
}

/** Takes the bytes out of a stream's read buffer. The stream emits nothing meanwhile, and no 'end' later. */
export function takeReadable(stream: Readable): Uint8Array[] {
  const taken: Uint8Array[] = []
  const state = internals(stream)._readableState
  const { decoder } = state
  // If the peer's FIN is known, the next owner emits 'end'.
  state.closeEmitted = true
  const restore = override(stream, { emit: () => false })
  for (;;) {
    const chunk = stream.readableLength > 0 ? stream.read() : null
    if (chunk === null) break
    taken.push(typeof chunk === 'string' ? Buffer.from(chunk, stream.readableEncoding!) : chunk)
  }
  restore()
  if (decoder && decoder.lastNeed > 0) taken.push(partOfCharacter(decoder))
  return taken
}

/** Delivers to a new owner what the old one left. */
export function inherit(
  socket: Socket | net.Socket,
  estate: Pick<Estate, 'unread' | 'unsent' | 'ended' | 'readErrno'>,
): void {
  const { unread, unsent, ended, readErrno } = estate
  for (const chunk of unread.toReversed()) if (chunk.byteLength > 0) socket.unshift(chunk)
  for (const chunk of unsent) if (chunk.byteLength > 0) socket.write(chunk)
  if (ended) socket.end()
  if (readErrno === 0) return
  // After the tick in which a new reader begins to flow: it gets the bytes that came before the error.
  const fail = (): unknown => socket.destroy(fromLoop(() => errnoException(readErrno, 'read')))
  process.nextTick(() => process.nextTick(fail))
}

/** Sockets whose own writes wait, because libuv still has bytes to send. */
export const behindNode = new WeakSet<Socket>()

/** The handle of a socket that can be given away; throws ERR_WORKER_HANDLE_NOT_TRANSFERABLE for any other. */
export function movable(socket: Socket): Handle {
  const handle = socket[kHandle]
  const connected =
    handle !== null &&
    handle.slot >= 0 &&
    !isForeign(handle) &&
    !socket.connecting &&
    !socket.destroyed &&
    // One that was made of a BoundSocket may be bound only.
    !(socket[kBoundSource] && typeof handle.peername() === 'number')
  if (!connected) throw notTransferable('net.Socket', 'it must be connected and not destroyed')
  if (socket[kTls] !== null) throw notTransferable('net.Socket', 'its TLS session stays in this thread')
  // Nothing but the stream of this thread knows them, and their places among the writes.
  if (socket[kFiles] !== null) throw notTransferable('net.Socket', 'it has files to send')
  if (behindNode.has(socket)) throw notTransferable('net.Socket', 'it waits for what Node has to send')
  // The socket emits the error in the next tick.
  if (handle.flush() !== 0) throw notTransferable('net.Socket', 'its connection has failed')
  return handle
}

export function notTransferable(what: string, why: string): Error {
  const message = `${what} cannot be transferred in its current state; ${why}`
  return nodeError(Error, 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE', message)
}

/** Closes a socket whose handle has been emptied, without the peer noticing. */
export function retire(socket: Socket, error?: Error): void {
  socket[kHandle]!.owner = null
  socket.destroy(error)
}
