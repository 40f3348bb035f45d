// What leaves a Socket: chunks, as the Handle takes them, and callbacks of writes. The Handle collects small writes and
// sends them at the end of the handler or tick. The stream considers such a write done at once; a callback of the
// program waits until the kernel has the bytes.

import { Writable } from 'node:stream'
import type { Handle } from './engine/once.js'
import { errnoException, errnoOf, fromLoop } from './errors.js'
import { type ForeignHandle, isForeign } from './node/foreign-handle.js'
import { carriesSession } from './node/session.js'
import type { Chunk } from './node/stream-state.js'
import { setImmediate } from './node/timers.js'
import { type Done, Request } from './request.js'
import { type Connection, kHeld, kShutdownRequest, kTls, kWriteRequest } from './state.js'

// A write of up to so many bytes is copied into the Handle's shared buffer, which always has room for it.
const COALESCED = 4096

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
  // Small chunks are copied, and strings encoded, straight into the buffer in which they wait for the flush.
  const before = handle.bytesWritten
  const result = handle.join(() => {
    let last = 0
    for (const { chunk, encoding } of chunks) {
      last = writeChunk(handle, chunk, encoding)
      if (last < 0) break
    }
    return last
  })
  // To the program it is one write, so all of it counts as written.
  if (result < 0) handle.bytesWritten = chunks.reduce((sum, each) => sum + sizeOf(each), before)
  return result
}

/** What a stream calls after a write that was given no callback: one function for all, on Node 20 to 26. */
const nobody = probeNobody()

function probeNobody(): unknown {
  let found: unknown
  const probe = new Writable({
    write() {
      found = (this as unknown as Connection)._writableState.writecb
    },
  })
  probe.write('x')
  return found
}

/** The program's callback of the write that the stream is in the middle of, or null. */
export function callbackOfWrite(socket: Connection): Done | null {
  const { writecb } = socket._writableState
  return writecb === nobody ? null : writecb
}

/** Node 20 calls back every write in a tick of its own, newer ones only those that have a callback. */
const ticksForNobody = process.versions.node.startsWith('20.')

/** Before the stream hears that a write without a callback is through: nobody waits for that tick. */
export function skipTick(state: Connection['_writableState']): void {
  if (ticksForNobody && !state.needDrain && !state.ending) state.sync = false
}

/**
 * The stream calls back when the Handle has taken a write. This has the write in progress called back when the kernel
 * has its bytes, or has refused them.
 */
export function callBackWhenSent(socket: Connection, handle: Handle, callback: Done): void {
  const mark = handle.bytesWritten
  // Not `….writecb = error => …`: V8 expects a function that is written like this to live long, and makes it in the old
  // generation. All that it holds on to, which is what the program's callback does, would stay until V8 collects
  // everything.
  const whenWritten: Done = error => {
    if (error) callback(error)
    else if (handle.writeErrno !== 0) callback(writeFailed(socket, handle.writeErrno))
    else if (sent(handle) >= mark) callback(error)
    // Behind the 'error' of the socket.
    else if (handle.closed) process.nextTick(callback, canceledOn(socket, handle))
    else {
      // Here it is in the async context of the write, and later it would not be.
      const request = new Request('WRITEWRAP', handle, callback)
      ;(socket[kHeld] ??= []).push({ handle, mark, callback: request.complete.bind(request) })
    }
  }
  socket._writableState.writecb = whenWritten
}

/**
 * The error of a write that the stream took for done. The stream gets the state that it would have if the write had
 * failed at once: later writes fail with the same error, and callbacks find the socket `errored`.
 */
export function writeFailed(socket: Connection, status: number): Error {
  const { _writableState: writable, _readableState: readable } = socket
  const error = writable.errored ?? fromLoop(() => errnoException(status, 'write'))
  writable.errored = error
  readable.errored ??= error
  return error
}

/** Calls back, in order, those whose bytes have been sent, or all of them with `error`. */
export function releaseHeld(socket: Connection, error: Error | null): void {
  const held = socket[kHeld]
  if (held === null) return
  // Taken off the list one by one: when a callback throws, the next release goes on with the others.
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

/**
 * The callback for the close of the handle. Writes that are still queued fail before 'close', as libuv cancels its own; a
 * handle that the program brought does that itself, or does not. `last` runs behind 'close'.
 */
export function closeCallback(
  socket: Connection,
  handle: Handle | ForeignHandle,
  hadError: boolean,
  last?: () => void,
): () => void {
  const foreign = isForeign(handle)
  // Usually nothing is under way; then the socket gets no fields for it either.
  if (socket[kHeld] !== null || socket[kWriteRequest] !== null || socket[kShutdownRequest] !== null) {
    if (!foreign) {
      const calls = canceledCalls(socket, handle)
      if (calls.length > 0) handle.canceled = calls
    }
    socket[kHeld] = null
    socket[kWriteRequest] = null
    socket[kShutdownRequest] = null
  }
  const close = (): void => {
    try {
      socket.emit('close', hadError)
    } finally {
      last?.()
    }
  }
  if (foreign || !carriesSession(socket)) return close
  // A session says that it is closed in an immediate that it asks for after this. The connection's 'close' comes first.
  for (const call of [...(handle.canceled ?? []), close]) setImmediate(() => handle.runInAsyncScope(call))
  if (handle.canceled !== undefined) handle.canceled = []
  return nothing
}

function nothing(): void {}

/** In Node only the first is under way. The others are in the stream still, and hear why it was destroyed. */
function canceledOn(socket: Connection, handle: Handle): Error {
  const { _writableState: writable, _readableState: readable } = socket
  if (handle.firstCanceled !== undefined) return writable.errored ?? handle.firstCanceled
  const error = socket[kTls]?.canceled() ?? canceled()
  handle.firstCanceled = error
  writable.errored ??= error
  readable.errored ??= error
  return error
}

function canceledCalls(socket: Connection, handle: Handle): (() => void)[] {
  const { [kHeld]: held, [kWriteRequest]: write, [kShutdownRequest]: shutdown } = socket
  // If the callback of an earlier write closes the socket, the handle may have completed the last one as well.
  const isQueued = handle.writeQueueSize !== 0
  const status = handle.writeErrno
  const outcome = status === 0 ? null : fromLoop(() => errnoException(status, 'write'))
  const error = (): Error => canceledOn(socket, handle)
  const calls = (held ?? []).map(
    ({ callback }) =>
      () =>
        callback(error()),
  )
  if (write !== null) calls.push(() => write.complete(isQueued ? error() : outcome))
  if (shutdown !== null) calls.push(() => shutdown.complete())
  return calls
}
