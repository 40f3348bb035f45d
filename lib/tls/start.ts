// `socket.startTLS()`: from plain bytes to TLS on the same socket. What was written before leaves first, unencrypted;
// what is written later waits. What was received and not read is ciphertext already: it goes to the engine.

import { addAbortSignal, Duplex } from 'node:stream'
import type { SocketHandle } from '../engine/once.js'
import { errnoException } from '../errors.js'
import { isForeign } from '../node/foreign-handle.js'
import { type Chunk, takeBuffered } from '../node/stream-state.js'
import { override } from '../override.js'
import type { Done } from '../request.js'
import { type Connection, kFiles, kHandle, kTls } from '../state.js'
import { kOnWritten } from '../symbols.js'
import type { StartTlsOptions } from '../types.js'
import { validateBoolean, validateFunction } from '../validate.js'
import { canceled } from '../write.js'
import { chooseEngine } from './engine.js'
import { cannotStart, disconnected } from './errors.js'
import { assertName, type Wanted, wanted } from './options.js'
import type { Engine, Role, SecureSocket } from './types.js'

/** What becomes of the handshake of a socket that stays what it is. */
const inPlace: Role = {
  secure: socket => void socket.emit('secure'),
  rejected: error => error,
}

/** Throws for wrong options, and for a socket that is in no state for it. */
export function startTls(
  socket: Connection,
  given: StartTlsOptions | undefined,
  listener: (() => void) | undefined,
): void {
  if (given?.isServer !== undefined) validateBoolean(given.isServer, 'options.isServer')
  const options = wanted(given, socket, inPlace)
  if (!options.isServer) assertName(options.servername)
  if (listener !== undefined) validateFunction(listener, 'listener')
  assertStartable(socket)
  const engine = chooseEngine(options)
  abortWith(socket, options)
  if (listener !== undefined) socket.once('secure', listener)
  const secure = socket as SecureSocket
  prepare(secure)
  start(secure, engine, options)
}

/** As `tls.connect()` does it with `signal`. The engines are not to do it once more. */
function abortWith(socket: Connection, { options }: Wanted): void {
  const { signal } = options
  delete options.signal
  if (signal) addAbortSignal(signal as AbortSignal, socket as unknown as Duplex)
}

/** The properties of a socket that has TLS, before the handshake. */
export function prepare(socket: SecureSocket): void {
  socket.encrypted = true
  socket.authorized = false
  socket.authorizationError = null
  socket.alpnProtocol = null
  socket.tls = null
}

/** Begins when the socket is connected, behind what was written until now. */
export function start(socket: SecureSocket, engine: Engine, options: Wanted): void {
  socket[kTls] = engine
  const buffered = settleReads(socket)
  whenWritten(socket, () => begin(socket, options, buffered))
}

/** The same for a socket that has been secure from the beginning: nothing of it leaves unencrypted. */
export function startAtOnce(socket: SecureSocket, engine: Engine, options: Wanted): void {
  socket[kTls] = engine
  begin(socket, options, settleReads(socket))
}

/**
 * The same on the connection of another socket, which `take` makes this one's. `letGo`: what this one has been asked for
 * until then.
 */
export function startOver(
  lower: Connection,
  socket: SecureSocket,
  options: Wanted,
  take: () => void,
  letGo: () => void,
): void {
  const buffered = settleReads(lower)
  whenWritten(lower, () => {
    if (socket.destroyed) return
    take()
    // What has waited is not let go before it is sealed.
    begin(socket, options, buffered, lower)
    letGo()
  })
}

function assertStartable(socket: Connection): void {
  const handle = socket[kHandle]
  if (socket[kTls] !== null) throw cannotStart('this socket has TLS already')
  if (socket.writableEnded) throw cannotStart('this socket has been ended')
  if (handle !== null && isForeign(handle)) throw cannotStart("this socket's handle is not one of ferronet's")
  // One that has been destroyed may not have said so yet.
  const isClosed = !socket.destroyed || socket._readableState.closeEmitted
  if (handle === null && !socket.connecting && isClosed) throw cannotStart('this socket is not connected')
  const { decoder, length } = socket._readableState
  if (decoder !== null && (length > 0 || decoder.lastNeed > 0))
    throw cannotStart(
      'what has been received was turned into text: call it before setEncoding(), or read first',
    )
}

/** Nothing is read any more, or relayed. What was read and nobody has taken is returned. */
function settleReads(socket: Connection): Buffer[] {
  const handle = socket[kHandle]
  handle?.readStop()
  // What it has for this socket is plain, and has been sent before.
  handle?.stopRelayTo()
  return takeBuffered(socket._readableState)
}

function begin(socket: SecureSocket, options: Wanted, buffered: Buffer[], reader: Connection = socket): void {
  const handle = socket[kHandle]
  if (handle === null || isForeign(handle) || socket.destroyed) return
  const { unread, readErrno } = handle.leave()
  if (readErrno !== 0) {
    socket.destroy(errnoException(readErrno, 'read'))
    return
  }
  if (reader._readableState.ended) {
    socket.destroy(disconnected(options.isServer, options.options))
    return
  }
  // The one of now: while the socket connects, a program may ask for what takes the other one.
  const engine = socket[kTls] as Engine
  engine.start(socket, handle, Buffer.concat([...buffered, ...unread]))
  if (options.maxSendFragment !== undefined) socket.tls?.setMaxSendFragment(options.maxSendFragment)
}

/**
 * Calls `start` when the socket is connected and the kernel has all that was written until now: what is written later
 * waits in the stream. Nothing is read meanwhile. If the socket closes before, it is as it was.
 */
function whenWritten(socket: Connection, start: () => void): void {
  if (isIdle(socket)) {
    start()
    return
  }
  // A write of nothing, that comes behind all the others.
  const marker = Buffer.alloc(0)
  const methods = socket as unknown as {
    _write(data: Buffer | string, encoding: BufferEncoding, done: Done): void
    _writev(chunks: Chunk[], done: Done): void
  }
  const { _write, _writev } = methods
  const changed = [
    override(socket, {
      _read: () => {},
      _write(data: Buffer | string, encoding: BufferEncoding, done: Done): void {
        if (data === marker) settle(done, done)
        else _write.call(socket, data, encoding, done)
      },
      _writev(chunks: Chunk[], done: Done): void {
        const at = chunks.findIndex(({ chunk }) => chunk === marker)
        if (at < 0) {
          _writev.call(socket, chunks, done)
          return
        }
        const later = chunks.slice(at + 1)
        // By then they may be for somebody else.
        const rest = (): void => (later.length > 0 ? methods._writev(later, done) : done())
        const drop = (): void => done(later.length > 0 ? canceled() : null)
        if (at === 0) {
          settle(rest, drop)
          return
        }
        _writev.call(socket, chunks.slice(0, at), error => (error ? done(error) : settle(rest, drop)))
      },
      _destroy(error: Error | null, done: Done): void {
        restore()
        abandon?.()
        socket._destroy(error, done)
      },
    }),
  ]
  const restore = (): void => {
    for (const undo of changed.splice(0).reverse()) undo()
  }
  let abandon: (() => void) | undefined
  if (!socket.connecting) changed.push(barReads(socket[kHandle]))
  function settle(goOn: () => void, drop: () => void): void {
    if (socket.destroyed) return
    abandon = drop
    if (socket.connecting) {
      const connected = (): void => settle(goOn, drop)
      socket.once('connect', connected)
      changed.push(() => void socket.off('connect', connected))
      return
    }
    const handle = socket[kHandle]
    if (handle !== null && handle.flush() === 0 && handle.writeQueueSize > 0) {
      changed.push(barReads(handle))
      const before = socket[kOnWritten]
      const undo = override(socket, {
        [kOnWritten](status: number): void {
          undo()
          before.call(socket, status)
          settle(goOn, drop)
        },
      })
      changed.push(undo)
      return
    }
    restore()
    start()
    goOn()
  }
  // The stream's own: a program may have put another `write` in its place, which gives the stream copies.
  Duplex.prototype.write.call(socket, marker, 'utf8')
}

/** Whoever asks the handle for bytes gets none: those that come are ciphertext, and for the session. */
function barReads(handle: SocketHandle | null): () => void {
  return handle === null ? () => {} : override(handle, { readStart: () => 0 })
}

/** Nothing waits in the stream or in the handle, and nothing is under way. */
function isIdle(socket: Connection): boolean {
  const handle = socket[kHandle]
  if (socket.connecting || handle === null || socket._writableState.length > 0) return false
  // A file is a write of no bytes.
  if (socket[kFiles] !== null) return false
  return handle.flush() !== 0 || handle.writeQueueSize === 0
}
