// What leaves a Socket: chunks in the Handle's terms, and the callbacks of the programs that want to hear when the
// kernel has their bytes. The stream's own callback comes earlier, when the Handle has taken a write to send it with
// others at the end of the handler or tick.

import { AsyncResource } from 'node:async_hooks'
import { Duplex } from 'node:stream'
import { errnoException, errnoOf, fromLoop } from './errors.js'
import { kHandle, kHeld } from './fields.js'
import type { Handle } from './handle-once.js'
import type { Socket } from './socket.js'

export type Done = (error?: Error | null) => void

/** An element of what `_writev` is given. */
export interface Chunk {
  chunk: Buffer | string
  encoding: BufferEncoding
}

/** A user's callback of a write, waiting until the kernel has taken that write's last byte. */
export interface Held {
  handle: Handle
  /** How many bytes the handle must have sent. */
  mark: number
  callback: Done
}

/** What the stream waits for; its callback runs in the async context of the call that asked. */
export class Request extends AsyncResource {
  #done: Done

  constructor(provider: 'WRITEWRAP' | 'SHUTDOWNWRAP', handle: Handle, done: Done) {
    super(provider, handle.asyncId())
    this.#done = done
  }

  complete(error?: Error | null): void {
    this.runInAsyncScope(this.#done, undefined, error)
  }
}

// Up to here the Handle copies a write into its shared buffer and so always takes it, whole.
export const COALESCED = 4096

/** Returns as `handle.write` does. */
export function writeChunk(handle: Handle, data: Buffer | string, encoding: BufferEncoding): number {
  if (typeof data !== 'string') return handle.write(data)
  switch (encoding) {
    case 'utf8':
    case 'utf-8':
      return handle.write(data, 'utf8')
    case 'latin1':
    case 'binary':
    case 'ascii':
      return handle.write(data, 'latin1')
    case 'ucs2':
    case 'ucs-2':
    case 'utf16le':
    case 'utf-16le':
      return handle.write(data, 'utf16le')
    default:
      return handle.write(Buffer.from(data, encoding))
  }
}

/** Returns as `handle.write` does, for the last of the chunks. */
export function writeChunks(handle: Handle, chunks: Chunk[]): number {
  let length = 0
  for (const { chunk } of chunks) length += chunk.length
  if (length > COALESCED) {
    return handle.writev(
      chunks.map(({ chunk, encoding }) => (typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)),
    )
  }
  // Small ones are copied, and strings encoded, right where they wait for the flush.
  const before = handle.bytesWritten
  let result = 0
  for (const { chunk, encoding } of chunks) {
    result = writeChunk(handle, chunk, encoding)
    if (result < 0) {
      // One write to whoever asked: all of it counts.
      handle.bytesWritten = chunks.reduce((sum, each) => sum + sizeOf(each), before)
      return result
    }
  }
  return result
}

/** `stream.write` with a callback, which hears of the kernel's refusal too when the Handle had taken the write. */
export function writeHeard(
  socket: Socket,
  chunk: unknown,
  encoding: BufferEncoding,
  callback: Done,
): boolean {
  let accepted: Handle | null = null
  let mark = 0
  socket[kHandle]?.flushSoon()
  const result = Duplex.prototype.write.call(socket, chunk, encoding, (error?: Error | null) => {
    const handle = accepted ?? socket[kHandle]
    if (error || handle === null) {
      callback(error)
      return
    }
    if (handle.writeErrno !== 0) {
      callback(writeFailed(socket, handle.writeErrno))
      return
    }
    if (accepted === null) mark = handle.doneAt
    // Of a program's own handle nothing is counted: what it calls done is done.
    if (!(sent(handle) < mark)) callback(error)
    else if (handle.closed) callback(canceled())
    else (socket[kHeld] ??= []).push({ handle, mark, callback })
  })
  if (socket._writableState.length === 0 && socket[kHandle] !== null) {
    accepted = socket[kHandle]
    mark = accepted.bytesWritten
  }
  return result
}

/**
 * The error of a write that the stream has forgotten about. The stream is told what it would know had it failed at once:
 * what is written from now on fails of the same, and the callbacks find the socket `errored`.
 */
export function writeFailed(socket: Socket, status: number): Error {
  const { _writableState: writable, _readableState: readable } = socket
  const error = writable.errored ?? fromLoop(() => errnoException(status, 'write'))
  writable.errored = error
  readable.errored ??= error
  return error
}

/** Calls back, in order, those whose bytes have been sent, or all of them with `error`. */
export function releaseHeld(socket: Socket, error: Error | null): void {
  const held = socket[kHeld]
  if (held === null) return
  // One by one off the list: a callback that throws leaves the others to the next release.
  while (held.length > 0 && (error !== null || sent(held[0]!.handle) >= held[0]!.mark)) {
    held.shift()!.callback(error)
  }
  if (held.length === 0) socket[kHeld] = null
}

function sent(handle: Handle): number {
  return handle.bytesWritten - handle.writeQueueSize
}

/** What a write that was still queued when the socket closed fails with. */
export function canceled(): Error {
  return fromLoop(() => errnoException(errnoOf('ECANCELED'), 'write'))
}

export function sizeOf({ chunk, encoding }: Chunk): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
}
