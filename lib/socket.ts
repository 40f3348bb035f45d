// Socket: one connection as a stream, in the order of its life. Above it are programs and Node's own stream
// machinery, which it inherits as it is in the running Node; below it a Handle, which it asks with verbs and
// which tells it of events by the symbols of symbols.ts. I/O never throws here: it destroys the socket.

import { channel } from 'node:diagnostics_channel'
import { addAbortListener } from 'node:events'
import type { BlockList } from 'node:net'
import { Duplex } from 'node:stream'
import { types } from 'node:util'
import { type AddressInfo, localEnd, remoteEnd } from './address.js'
import { adoptBound, isBound } from './bound.js'
import {
  type AnyOptions,
  type Attempt,
  attemptEnded,
  connectPath,
  isNormalized,
  lookupAndConnect,
  normalizeArgs,
  whenConnected,
} from './connect.js'
import { adoptMethods, setDefaults } from './constructor.js'
import { debug, debugging } from './debug.js'
import { endedByPeer, errnoException, errnoOf, fromLoop, invalidHandleType, socketClosed } from './errors.js'
import {
  kAttempt,
  kBoundPath,
  kBoundSource,
  kBuffer,
  kBufferCb,
  kBufferGen,
  kBytesRead,
  kBytesWritten,
  kHandle,
  kHeld,
  kKeepAlive,
  kKeepAliveCount,
  kKeepAliveDelay,
  kKeepAliveInterval,
  kLastWriteQueueSize,
  kNoDelay,
  kOpened,
  kReplaceHandle,
  kSharedChunks,
  kShutdownRequest,
  kTimeout,
  kTypeOfService,
  kWriteRequest,
} from './fields.js'
import { adoptDescriptor, adoptNative, isNative } from './foreign.js'
import { Handle } from './handle-once.js'
import { isInstance, standsFor } from './instances.js'
import { ForeignHandle, foreignHandle } from './node/foreign-handle.js'
import { type Below, letSessionsThrough, readsForSession } from './node/session.js'
import { nodeNet } from './node-net.js'
import type { Server } from './server.js'
import {
  kBelow,
  kOnConnect,
  kOnRead,
  kOnReadEnd,
  kOnReadInto,
  kOnShutdown,
  kOnWriteFailed,
  kOnWritten,
} from './symbols.js'
import { refreshIdleTimers, setIdleTimeout, stillSending, stopIdleTimer } from './timeout.js'
import {
  invalidArgType,
  invalidArgValue,
  missingArgs,
  validateAbortSignal,
  validateBlockList,
  validateInt32,
  validateKeepAliveDelay,
} from './validate.js'
import {
  type Chunk,
  COALESCED,
  canceled,
  type Done,
  type Held,
  Request,
  releaseHeld,
  sizeOf,
  writeChunk,
  writeChunks,
  writeFailed,
  writeHeard,
} from './write.js'

/** The parts of Node's stream states that the two fast paths read, and write.ts and handover.ts set, the same on Node 20 to 26. */
interface ReadableState {
  flowing: boolean | null
  length: number
  sync: boolean
  ended: boolean
  decoder: unknown
  awaitDrainWriters: unknown
  dataEmitted: boolean
  endEmitted: boolean
  destroyed: boolean
  errored: Error | null
}
interface WritableState {
  length: number
  corked: number
  ending: boolean
  destroyed: boolean
  errored: Error | null
  sync: boolean
  defaultEncoding: string
  highWaterMark: number
  getBuffer(): Chunk[]
}

export interface SocketOptions extends AnyOptions {
  allowHalfOpen?: boolean
  blockList?: BlockList
  fd?: number
  handle?: unknown
  keepAlive?: boolean
  keepAliveInitialDelay?: number
  manualStart?: boolean
  noDelay?: boolean
  objectMode?: boolean
  onread?: { buffer?: unknown; callback?: unknown } | null
  pauseOnCreate?: boolean
  readable?: boolean
  readableObjectMode?: boolean
  sharedChunks?: boolean
  signal?: AbortSignal
  typeOfService?: number
  writableObjectMode?: boolean
}

const clientChannel = channel('net.client.socket')

const EBADF = errnoOf('EBADF')

const pushOriginal = Duplex.prototype.push
// Also of arrays that another realm made (node:vm, Jest), as Node asks.
const { isUint8Array } = types

/**
 * The methods of Socket. Never constructed: `Socket` below is a plain function with this prototype, because
 * programs call it without `new` and inherit from it in the way of ES5.
 */
export class SocketMethods extends Duplex {
  /** Whether `connect()` has been called and its outcome is not known yet. */
  declare connecting: boolean
  /** The Server that accepted this connection, or null. */
  declare server: Server | null
  /** The last value given to `setTimeout()`, in milliseconds. */
  declare timeout: number | undefined
  /** `address:port` of each address tried so far, when the host had several. */
  declare autoSelectFamilyAttemptedAddresses: string[] | undefined
  declare blockList: BlockList | undefined
  declare resetAndClosing: boolean | undefined
  declare _hadError: boolean
  declare _parent: Socket | null
  declare _host: string | null
  declare _closeAfterHandlingError: boolean
  declare _aborted: boolean | undefined
  declare _sockname: AddressInfo | null
  declare _peername: AddressInfo | null | undefined
  declare _pendingData: Buffer | string | Chunk[] | null
  declare _pendingEncoding: BufferEncoding | ''
  declare _server: Server | null
  declare _readableState: ReadableState
  declare _writableState: WritableState
  declare _events: Record<string, unknown>
  declare _undestroy: () => void

  declare [kHandle]: Handle | null
  declare [kAttempt]: Attempt | null
  declare [kTimeout]: NodeJS.Timeout | null
  declare [kLastWriteQueueSize]: number
  declare [kBuffer]: Uint8Array | true | null
  declare [kBufferGen]: (() => unknown) | null
  declare [kBufferCb]: ((nread: number, buffer: Uint8Array) => unknown) | null
  declare [kNoDelay]: boolean
  declare [kKeepAlive]: boolean
  declare [kKeepAliveDelay]: number
  declare [kKeepAliveInterval]: number | undefined
  declare [kKeepAliveCount]: number | undefined
  declare [kTypeOfService]: number | undefined
  declare [kSharedChunks]: boolean
  declare [kBoundSource]: boolean
  declare [kBoundPath]: string | undefined
  declare [kWriteRequest]: Request | null
  declare [kHeld]: Held[] | null
  declare [kShutdownRequest]: Request | null
  declare [kBytesRead]: number
  declare [kBytesWritten]: number

  // --- connect --------------------------------------------------------------------------------------------------

  /**
   * `connect(options[, listener])`, `connect(port[, host][, listener])`, `connect(path[, listener])`: opens the
   * connection, again too after `'close'`. Wrong arguments throw; everything else comes as `'connect'` or
   * `'error'`. Since Node 0.1.90.
   */
  connect(...args: unknown[]): this {
    const [options, listener] = isNormalized(args[0]) ? args[0] : normalizeArgs(args)
    if (clientChannel.hasSubscribers) clientChannel.publish({ socket: this })
    if (listener !== null) this.once('connect', listener)
    if (this._parent?.connecting) return this
    if (options.port === undefined && options.path == null) throw missingArgs('options', 'port', 'path')
    if (this.write !== Socket.prototype.write) this.write = Socket.prototype.write
    if (this.destroyed) {
      this[kHandle] = null
      this._peername = null
      this._sockname = null
    }
    // What is bound already is what it is, whatever the options say.
    const pipe =
      this[kBoundSource] && this[kHandle] !== null ? this[kHandle].kind === 'pipe' : Boolean(options.path)
    if (this[kHandle] === null)
      attach(this, pipe ? new Handle('pipe', 'PIPEWRAP') : new Handle('tcp', 'TCPWRAP'))
    this._unrefTimer()
    this.connecting = true
    if (pipe) connectPath(this, options.path)
    else lookupAndConnect(this, options)
    return this
  }

  [kReplaceHandle](handle: Handle): void {
    const old = this[kHandle]
    if (old !== null) {
      old.owner = null
      old.close()
    }
    attach(this, handle)
  }

  [kOnConnect](status: number): void {
    attemptEnded(this, status)
  }

  [kOpened](): void {
    const handle = this[kHandle]!
    this.connecting = false
    this._sockname = null
    this._unrefTimer()
    if (this[kNoDelay]) handle.setNoDelay(true)
    if (this[kKeepAlive]) applyKeepAlive(this, handle)
    if (this[kTypeOfService] !== undefined && handle.kind === 'tcp') {
      const status = handle.setTypeOfService(this[kTypeOfService])
      // Windows often refuses it, or half of it.
      if (status !== 0 && status !== EBADF && process.platform !== 'win32')
        this.emit('error', errnoException(status, 'setTypeOfService'))
    }
    this.emit('connect')
    this.emit('ready')
    // Reading starts by itself, for the peer's FIN to be noticed.
    if (!this.isPaused()) this.read(0)
  }

  // --- options --------------------------------------------------------------------------------------------------

  /** Lets a referenced socket keep the process alive (the default). */
  ref(): this {
    if (this[kHandle] === null) this.once('connect', this.ref)
    else this[kHandle].ref()
    return this
  }

  /** Lets the process end although this socket is open. */
  unref(): this {
    if (this[kHandle] === null) this.once('connect', this.unref)
    else this[kHandle].unref()
    return this
  }

  /**
   * After `msecs` milliseconds without traffic `'timeout'` is emitted; nothing is closed. 0, the default,
   * disables. Throws ERR_INVALID_ARG_TYPE and ERR_OUT_OF_RANGE. Since Node 0.1.90.
   */
  setTimeout(msecs: number, callback?: () => void): this {
    setIdleTimeout(this, msecs, callback)
    return this
  }

  _onTimeout(): void {
    if (stillSending(this)) this._unrefTimer()
    else this.emit('timeout')
  }

  _unrefTimer(): void {
    refreshIdleTimers(this)
  }

  /** Sends small segments at once (TCP_NODELAY); before a connection it is remembered. Default true. */
  setNoDelay(enable?: boolean): this {
    const on = enable === undefined ? true : Boolean(enable)
    const handle = this[kHandle]
    if (handle === null) this[kNoDelay] = on
    else if (handle.kind === 'tcp' && on !== this[kNoDelay]) {
      this[kNoDelay] = on
      handle.setNoDelay(on)
    }
    return this
  }

  /**
   * TCP keep-alive: `initialDelay` milliseconds of silence before the first probe (0, the default, leaves the
   * system's), `interval` between probes (1000) and `count` of them (10) before the connection is given up.
   * Takes the four as arguments or as one object, as Node 26.4 and later do.
   */
  setKeepAlive(
    enable?: boolean | { enable?: boolean; initialDelay?: number; interval?: number; count?: number },
    initialDelay?: number,
    interval?: number,
    count?: number,
  ): this {
    if (enable !== null && typeof enable === 'object') ({ enable, initialDelay, interval, count } = enable)
    warnOfShortDelay(initialDelay)
    const on = Boolean(enable)
    const delay = seconds(initialDelay)
    const every = interval === undefined ? undefined : seconds(interval)
    const handle = this[kHandle]
    if (handle !== null) {
      if (handle.kind !== 'tcp') return this
      const same =
        this[kKeepAliveDelay] === delay &&
        this[kKeepAliveInterval] === every &&
        this[kKeepAliveCount] === count
      if (on === this[kKeepAlive] && (!on || same)) return this
    }
    this[kKeepAlive] = on
    this[kKeepAliveDelay] = delay
    this[kKeepAliveInterval] = every
    this[kKeepAliveCount] = count
    if (handle !== null) applyKeepAlive(this, handle)
    return this
  }

  /**
   * The type of service (IPv4) or traffic class (IPv6) of what is sent, 0-255; before a connection it is
   * remembered. Throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE and what the system refuses. Since Node 25.6 and 24.15.
   */
  setTypeOfService(tos: number): this {
    if (Number.isNaN(tos)) throw invalidArgType('tos', 'of type number', tos)
    validateInt32(tos, 'tos', 0, 255)
    const handle = this[kHandle]
    const changed = tos !== this[kTypeOfService]
    this[kTypeOfService] = tos
    if (handle === null || handle.kind !== 'tcp' || !changed) return this
    const status = handle.setTypeOfService(tos)
    if (status !== 0 && process.platform !== 'win32') throw errnoException(status, 'setTypeOfService')
    return this
  }

  /** The type of service as the system has it; without a connection the one that was set, or 0. */
  getTypeOfService(): number {
    const handle = this[kHandle]
    if (handle === null || handle.kind !== 'tcp') return this[kTypeOfService] ?? 0
    const found = handle.getTypeOfService()
    if (found >= 0) return found
    if (process.platform === 'win32') return this[kTypeOfService] ?? 0
    throw errnoException(found, 'getTypeOfService')
  }

  // --- read -----------------------------------------------------------------------------------------------------

  override _read(size: number): void {
    const handle = this[kHandle]
    if (this.connecting || handle === null) this.once('connect', () => this._read(size))
    else if (!handle.reading) startReading(this, handle)
  }

  /** Bytes arrived. Hot: an echo server comes by here for each request. */
  [kOnRead](chunk: Buffer): void {
    if (this[kHandle]?.onread !== undefined && isPooled(this[kHandle])) {
      this.destroy()
      return
    }
    if (this[kTimeout] !== null || this._parent !== null) this._unrefTimer()
    const state = this._readableState
    // Where `push` would hand the chunk straight to the 'data' listeners, they get it here, without the tick in
    // which the stream would ask for more: `state.reading` stays true, as the handle's does.
    if (
      state.flowing &&
      state.length === 0 &&
      !state.sync &&
      this._events.data !== undefined &&
      !state.decoder &&
      state.awaitDrainWriters === null &&
      !state.ended &&
      !state.destroyed &&
      this.push === pushOriginal
    ) {
      if (!state.dataEmitted) state.dataEmitted = true
      this.emit('data', chunk)
      return
    }
    if (state.destroyed) return
    if (!this.push(chunk)) stopReading(this, this[kHandle])
  }

  /** Bytes arrived in the buffer of the `onread` option. */
  [kOnReadInto](nread: number): void {
    if (this[kTimeout] !== null || this._parent !== null) this._unrefTimer()
    if (this.destroyed) return
    const handle = this[kHandle]
    const more = this[kBufferCb]!(nread, this[kBuffer] as Uint8Array) !== false
    const next = this[kBufferGen]?.()
    if (isUint8Array(next)) {
      this[kBuffer] = next
      handle?.readInto(next)
    }
    if (!more) stopReading(this, this[kHandle])
  }

  [kOnReadEnd](status: number): void {
    if (debugging) debug('read: end, status %d', status)
    this._unrefTimer()
    if (status !== 0) {
      this.destroy(fromLoop(() => errnoException(status, 'read')))
      return
    }
    if (this._readableState.endEmitted) return
    if (!this.allowHalfOpen && carriesSession(this)) this.allowHalfOpen = true
    this.push(null)
    this.read(0)
  }

  /** Stops `'data'`; the socket still reads ahead up to the high-water mark, except with `onread`. */
  override pause(): this {
    const handle = this[kHandle]
    if (this[kBuffer] !== null && !this.connecting && handle?.reading) stopReading(this, handle)
    return super.pause()
  }

  override resume(): this {
    readOn(this)
    if (!this[kNoDelay] && carriesSession(this) && !letSessionsThrough()) this.setNoDelay(true)
    return super.resume()
  }

  override read(size?: number): unknown {
    readOn(this)
    return super.read(size)
  }

  // --- write ----------------------------------------------------------------------------------------------------

  /**
   * Sends `chunk`: a string (`encoding`, default utf8) or bytes. False when the stream's buffer has reached the
   * high-water mark: wait for `'drain'` before writing more. `callback` is called when the kernel has taken
   * this chunk, or with the error. Since Node 0.1.90.
   */
  override write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    if (encoding === undefined && callback === undefined) {
      // Nothing is queued anywhere and the handle will take it whole: the stream has nothing to keep.
      const handle = this[kHandle]
      const state = this._writableState
      if (
        handle !== null &&
        !this.connecting &&
        state.length === 0 &&
        handle.writeQueueSize === 0 &&
        state.corked === 0 &&
        !state.ending &&
        !state.destroyed &&
        handle.writeErrno === 0 &&
        this._write === writeOriginal &&
        this._writeGeneric === writeGenericOriginal &&
        (typeof chunk === 'string' ? state.defaultEncoding === 'utf8' : isUint8Array(chunk)) &&
        (chunk as Buffer | string).length <= COALESCED &&
        (chunk as Buffer | string).length < state.highWaterMark
      ) {
        if (this[kTimeout] !== null || this._parent !== null) this._unrefTimer()
        const before = handle.bytesWritten
        if (handle.write(chunk as Buffer | string, 'utf8') >= 0) return true
        // The stream is to hear of the failure: it tries once more, which counts.
        handle.bytesWritten = before
        return super.write(chunk)
      }
      return super.write(chunk)
    }
    // Not by calling `write` again: who has wrapped it would see one write twice.
    if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding]
    if (typeof callback !== 'function') return super.write(chunk, encoding as BufferEncoding)
    return writeHeard(this, chunk, encoding as BufferEncoding, callback as Done)
  }

  override _write(data: Buffer | string, encoding: BufferEncoding, done: Done): void {
    this._writeGeneric(false, data, encoding, done)
  }

  override _writev(chunks: Chunk[], done: Done): void {
    this._writeGeneric(true, chunks, '', done)
  }

  _writeGeneric(
    writev: boolean,
    data: Buffer | string | Chunk[],
    encoding: BufferEncoding | '',
    done: Done,
  ): false | undefined {
    if (this.connecting || (this[kHandle] === null && !this.destroyed && carriesSession(this))) {
      this._pendingData = data
      this._pendingEncoding = encoding
      whenConnected(this, () => this._writeGeneric(writev, data, encoding, done), done)
      return
    }
    this._pendingData = null
    this._pendingEncoding = ''
    const handle = this[kHandle]
    if (handle === null) {
      done(socketClosed())
      return false
    }
    if (this[kTimeout] !== null || this._parent !== null) this._unrefTimer()
    if (handle instanceof ForeignHandle) {
      this[kLastWriteQueueSize] = writeForeign(this, handle, writev, data, encoding, done)
      return
    }
    const before = handle.bytesWritten
    const result = writev
      ? writeChunks(handle, data as Chunk[])
      : writeChunk(handle, data as Buffer | string, encoding as BufferEncoding)
    if (result === 0) {
      // Hearing of it, the stream writes what has waited behind it.
      handle.doneAt = handle.bytesWritten
      done()
    } else if (result < 0) done(errnoException(result, 'write'))
    else {
      this[kWriteRequest] = new Request('WRITEWRAP', handle, done)
      this[kLastWriteQueueSize] = handle.bytesWritten - before
    }
    return
  }

  /** The kernel has taken all that was queued, or will take no more. */
  [kOnWritten](status: number): void {
    const error = status < 0 ? writeFailed(this, status) : null
    if (error === null) {
      this._unrefTimer()
      this[kLastWriteQueueSize] = 0
    }
    try {
      releaseHeld(this, error)
    } finally {
      // Only here: one of those callbacks may destroy the socket or give it away, and with it what is still to be told.
      const request = this[kWriteRequest]
      this[kWriteRequest] = null
      const handle = this[kHandle]
      if (handle !== null) handle.doneAt = handle.bytesWritten
      if (request !== null) request.complete(error)
      else if (error !== null) this.destroy(error)
    }
  }

  /** Bytes that the stream has forgotten about could not be sent. */
  [kOnWriteFailed](status: number): void {
    const error = writeFailed(this, status)
    releaseHeld(this, error)
    this.destroy(error)
  }

  // --- half-close -----------------------------------------------------------------------------------------------

  /** Sends what is queued, then FIN; the other direction stays open. `'finish'` when that is done. */
  override end(chunk?: unknown, encoding?: unknown, callback?: unknown): this {
    super.end(chunk, encoding as BufferEncoding, callback as () => void)
    return this
  }

  override _final(done: Done): void {
    if (this.connecting) {
      this.once('connect', () => this._final(done))
      return
    }
    const handle = this[kHandle]
    if (handle === null) {
      done()
      return
    }
    const status = handle.shutdown()
    if (status === 0) this[kShutdownRequest] = new Request('SHUTDOWNWRAP', handle, done)
    else if (status === errnoOf('ENOTCONN')) done()
    else done(errnoException(status, 'shutdown'))
  }

  // The status is not asked for: that the peer is gone already is for the reading side to find out.
  [kOnShutdown](_status: number): void {
    const request = this[kShutdownRequest]
    this[kShutdownRequest] = null
    request?.complete()
  }

  // --- close ----------------------------------------------------------------------------------------------------

  /** Closes after everything written has been sent. Since Node 0.3.4. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  /**
   * Closes with RST instead of FIN; while connecting, as soon as connected. Throws ERR_INVALID_HANDLE_TYPE when
   * this is not TCP. Since Node 18.3.
   */
  resetAndDestroy(): this {
    const handle = this[kHandle]
    if (handle === null) this.destroy(socketClosed())
    else if (handle.kind !== 'tcp' || handle instanceof ForeignHandle) throw invalidHandleType()
    else if (this.connecting) this.once('connect', () => this._reset())
    else this._reset()
    return this
  }

  _reset(): this {
    this.resetAndClosing = true
    return this.destroy()
  }

  override _destroy(error: Error | null, done: Done): void {
    if (debugging) debug('destroy: fd %d, %s', this[kHandle]?.fd ?? -1, error?.message ?? 'no error')
    this.connecting = false
    for (let s: Socket | null | undefined = this; s != null; s = s._parent) stopIdleTimer(s)
    stopSeries(this)
    const handle = this[kHandle]
    if (handle !== null) {
      const hadError = Boolean(error)
      this[kBytesRead] = handle.bytesRead
      this[kBytesWritten] = handle.bytesWritten
      if (this.resetAndClosing) {
        this.resetAndClosing = false
        const status = handle.reset(closer(this, handle, hadError))
        if (status !== 0) this.emit('error', errnoException(status, 'reset'))
      } else if (this._closeAfterHandlingError) {
        // The 'error' listeners, which run in the next tick, still find the socket as it was.
        queueMicrotask(() =>
          handle.close(
            closer(this, handle, hadError, () => {
              this[kHandle] = null
              this._sockname = null
            }),
          ),
        )
      } else {
        handle.close(closer(this, handle, hadError))
      }
      if (!this._closeAfterHandlingError) {
        this[kHandle] = null
        this._sockname = null
      }
      done(error)
    } else {
      done(error)
      process.nextTick(emitClose, this)
    }
    const server = this._server
    if (server) {
      server._connections--
      server._emitCloseIfDrained?.()
    }
  }

  /** What a session above reaches: the handle, or while there is no connection yet the socket itself. */
  [kBelow](): Below {
    const handle = this[kHandle]
    if (handle !== null && !this.connecting) {
      return {
        setNoDelay: enable => handle.setNoDelay(enable),
        setKeepAlive: (...args) => handle.setKeepAlive(...args),
        getsockname: out => handle.getsockname?.(out) ?? EBADF,
        getpeername: out => handle.getpeername?.(out) ?? EBADF,
        ref: () => handle.ref(),
        unref: () => handle.unref(),
      }
    }
    return {
      setNoDelay: enable => {
        this.setNoDelay(enable)
        return 0
      },
      setKeepAlive: (enable, delay, interval, count) => {
        this.setKeepAlive(enable, delay * 1000, interval === undefined ? interval : interval * 1000, count)
        return 0
      },
      getsockname: () => EBADF,
      getpeername: () => EBADF,
      ref: () => void this.ref(),
      unref: () => void this.unref(),
    }
  }

  // --- facts ----------------------------------------------------------------------------------------------------

  /** The local end: `{ address, family, port }`, empty while there is none and for pipes. */
  address(): AddressInfo {
    return this._getsockname()
  }

  _getsockname(): AddressInfo {
    // Known for good, as in Node: also when it is closed, and connected again.
    if (this[kBoundPath] !== undefined) return { address: this[kBoundPath] }
    const handle = this[kHandle]
    if (handle === null || handle.kind === 'pipe') return {}
    this._sockname ??= localEnd(handle)
    return this._sockname
  }

  // Kept once found, so that it can still be asked for after the socket is destroyed.
  _getpeername(): AddressInfo {
    const handle = this[kHandle]
    if (handle !== null && !this.connecting && handle.kind === 'tcp' && !this._peername) {
      this._peername = remoteEnd(handle)
    }
    return this._peername ?? {}
  }

  get localAddress(): string | undefined {
    return this._getsockname().address
  }
  get localPort(): number | undefined {
    return this._getsockname().port
  }
  get localFamily(): string | undefined {
    return this._getsockname().family
  }
  get remoteAddress(): string | undefined {
    return this._getpeername().address
  }
  get remotePort(): number | undefined {
    return this._getpeername().port
  }
  get remoteFamily(): string | undefined {
    return this._getpeername().family
  }

  /** Bytes received; kept after `destroy()`. */
  get bytesRead(): number {
    const handle = this[kHandle]
    return handle ? handle.bytesRead : this[kBytesRead]
  }

  get _bytesDispatched(): number {
    const handle = this[kHandle]
    return handle ? handle.bytesWritten : this[kBytesWritten]
  }

  /** Bytes written, those included that still wait in the stream. */
  get bytesWritten(): number {
    let bytes = this._bytesDispatched
    for (const item of this._writableState.getBuffer()) bytes += sizeOf(item)
    const pending = this._pendingData
    if (Array.isArray(pending)) {
      for (const item of pending) bytes += sizeOf(item)
    } else if (pending) {
      bytes += sizeOf({ chunk: pending, encoding: this._pendingEncoding as BufferEncoding })
    }
    return bytes
  }

  /** `writableLength` under its old name, while there is a handle. */
  get bufferSize(): number | undefined {
    return this[kHandle] === null ? undefined : this.writableLength
  }

  /** Whether there is no connection yet. Since Node 11.2. */
  get pending(): boolean {
    return this[kHandle] === null || this.connecting
  }

  /** `'opening'`, `'open'`, `'readOnly'`, `'writeOnly'` or `'closed'`. Since Node 0.5. */
  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening'
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  get _connecting(): boolean {
    return this.connecting
  }

  get _handle(): Handle | null {
    const handle = this[kHandle]
    return handle instanceof ForeignHandle ? (handle.foreign as unknown as Handle) : handle
  }
  set _handle(handle: Handle | null) {
    this[kHandle] = handle instanceof Handle || !handle ? handle : foreignHandle(handle)
  }
}

const writeOriginal = SocketMethods.prototype._write
const writeGenericOriginal = SocketMethods.prototype._writeGeneric

// --- helpers of the above, in its order -----------------------------------------------------------------------------

function attach(socket: Socket, handle: Handle): void {
  socket[kHandle] = handle
  socket._undestroy()
  socket._sockname = null
  own(socket, handle)
}

function own(socket: Socket, handle: Handle): void {
  handle.owner = socket
  if (socket[kSharedChunks]) handle.shareChunks()
  if (socket[kBuffer] === null) return
  if (socket[kBufferGen] !== null) {
    const buffer = socket[kBufferGen]()
    if (!isUint8Array(buffer)) return
    socket[kBuffer] = buffer
  }
  handle.readInto(socket[kBuffer] as Uint8Array)
}

function seconds(msecs: number | undefined): number {
  return Math.trunc((msecs as number) / 1000) | 0
}

let warned = false
// The system counts in seconds: what is meant as "very soon" would be "the system's default of two hours".
function warnOfShortDelay(initialDelay: unknown): void {
  if (warned || typeof initialDelay !== 'number' || !(initialDelay > 0 && initialDelay < 1000)) return
  warned = true
  process.emitWarning(
    `A keep-alive delay of ${initialDelay} ms is less than a second and counts as 0, the system's default.`,
    'KeepAliveWarning',
  )
}

// With Node's arguments: a tool may have a function of its own there.
function applyKeepAlive(socket: Socket, handle: Handle): void {
  handle.setKeepAlive(
    socket[kKeepAlive],
    socket[kKeepAliveDelay],
    socket[kKeepAliveInterval],
    socket[kKeepAliveCount],
  )
}

function startReading(socket: Socket, handle: Handle): void {
  const status = handle.readStart()
  if (status !== 0) socket.destroy(errnoException(status, 'read'))
}

function stopReading(socket: Socket, handle: Handle | null): void {
  if (handle === null || socket.destroyed) return
  const status = handle.readStop()
  if (status !== 0) socket.destroy(errnoException(status, 'read'))
}

/** Returns the bytes that are under way after the call. */
function writeForeign(
  socket: Socket,
  handle: ForeignHandle,
  writev: boolean,
  data: Buffer | string | Chunk[],
  encoding: string,
  done: Done,
): number {
  const completed: Done = error => {
    if (error == null && !socket.destroyed) {
      socket._unrefTimer()
      socket[kLastWriteQueueSize] = 0
    }
    done(error)
  }
  return writev
    ? handle.writev(data as Chunk[], completed)
    : handle.write(data as Buffer | string, encoding, completed)
}

function readOn(socket: Socket): void {
  if (socket[kBuffer] === null || socket.connecting) return
  const handle = socket[kHandle]
  if (handle !== null && !handle.reading) startReading(socket, handle)
}

// Takes the place of `write` when the peer's FIN has ended our side too: the stream's own "write after end" would
// blame the program.
function writeAfterFin(this: Socket, chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
  if (!this.writableEnded) return SocketMethods.prototype.write.call(this, chunk, encoding, callback)
  const done = typeof encoding === 'function' ? encoding : callback
  const error = endedByPeer()
  if (typeof done === 'function') process.nextTick(done as Done, error)
  this.destroy(error)
  return false
}

function onReadableStreamEnd(this: Socket): void {
  if (!this.allowHalfOpen) this.write = writeAfterFin
}

// While a socket waits in the pool of an http Agent, Node's newer ones guard its handle against bytes that nobody asked
// for, lest they become the answer to the next request. The guard itself could make nothing of a handle of ours.
function isPooled({ onread }: Handle): boolean {
  return (onread as { name?: string }).name === 'freeSocketOnReadGuard'
}

// Below a session of Node's tls or http2 (see node/session.ts) three things are different:
//
// - Where http2 cannot turn Nagle's algorithm off, it is off: with it, each round trip can take 40 ms, and 6 MB up and
//   down took 8 s instead of 0.3 s (Linux, loopback, 2026-11).
// - The session ends our side when it has said what it has to say. If the peer's FIN did, as usual without
//   `allowHalfOpen`, the rest would be lost.
// - It may begin to write before anybody connects: that waits.
function carriesSession(socket: Socket): boolean {
  const listeners = socket._events.data
  return Array.isArray(listeners) ? listeners.some(readsForSession) : readsForSession(listeners)
}

function stopSeries(socket: Socket): void {
  const attempt = socket[kAttempt]
  if (attempt === null) return
  if (attempt.series !== null) clearTimeout(attempt.series.timer)
  socket[kAttempt] = null
}

// The callback of the handle's close. The writes that were still queued fail before 'close', as libuv cancels its own;
// a program's handle does so itself, or does not.
function closer(socket: Socket, handle: Handle, hadError: boolean, last?: () => void): () => void {
  if (!(handle instanceof ForeignHandle)) {
    const calls = canceledCalls(socket, handle)
    if (calls.length > 0) handle.canceled = calls
  }
  socket[kHeld] = null
  socket[kWriteRequest] = null
  socket[kShutdownRequest] = null
  const close = (): void => {
    try {
      socket.emit('close', hadError)
    } finally {
      last?.()
    }
  }
  if (handle instanceof ForeignHandle || !carriesSession(socket)) return close
  // A session says that it is closed in an immediate that it asks for after this. The connection's 'close' comes first.
  for (const call of [...(handle.canceled ?? []), close]) setImmediate(() => handle.runInAsyncScope(call))
  if (handle.canceled !== undefined) handle.canceled = []
  return nothing
}

function nothing(): void {}

function canceledCalls(socket: Socket, handle: Handle): (() => void)[] {
  const { [kHeld]: held, [kWriteRequest]: write, [kShutdownRequest]: shutdown } = socket
  const outcome = outcomeOf(handle)
  const calls = (held ?? []).map(
    ({ callback }) =>
      () =>
        callback(canceled()),
  )
  if (write !== null) calls.push(() => write.complete(outcome))
  if (shutdown !== null) calls.push(() => shutdown.complete())
  return calls
}

// When the callback of an earlier write closes the socket, the handle may be through with the last one too.
function outcomeOf(handle: Handle): Error | null {
  if (handle.writeQueueSize !== 0) return canceled()
  return handle.writeErrno === 0 ? null : fromLoop(() => errnoException(handle.writeErrno, 'write'))
}

// Without an argument, as Node closes a socket that never had a handle.
function emitClose(socket: Socket): void {
  socket.emit('close')
}

// --- the constructor ------------------------------------------------------------------------------------------------

/** Socket as the other files of lib/ see it. */
export type Socket = SocketMethods

/** What a Socket demands of its stream: it emits 'close' itself, and encodes strings itself. */
const streamOptions = { emitClose: false, autoDestroy: true, decodeStrings: false } as const

/** The options of a Socket for a connection that a Server accepted: complete, and therefore not copied. */
export class AcceptedOptions implements SocketOptions {
  [option: string]: unknown
  emitClose = streamOptions.emitClose
  autoDestroy = streamOptions.autoDestroy
  decodeStrings = streamOptions.decodeStrings
  constructor(
    public handle: Handle,
    public allowHalfOpen: boolean,
    public pauseOnCreate: boolean,
    public readableHighWaterMark: number,
    public writableHighWaterMark: number,
    public sharedChunks: boolean,
  ) {}
}

interface SocketFunction {
  new (options?: SocketOptions | number): Socket
  (options?: SocketOptions | number): Socket
  prototype: Socket
}

/**
 * `new Socket([options])`: a connection to be, or the one behind a Handle. Options: `allowHalfOpen` (false),
 * `noDelay` (false), `keepAlive` (false), `keepAliveInitialDelay` (ms, 0), `onread`, `signal`, `blockList` and
 * the stream's `highWaterMark`s. Since Node 0.3.4. ferronet's own: `sharedChunks` (false), chunks that are views of
 * memory shared with other sockets' chunks, which is faster; see docs/api.md for what that asks of a program.
 */
export const Socket = function Socket(this: Socket, given?: SocketOptions | number): Socket | undefined {
  if (!isInstance(Socket, this)) return new (Socket as SocketFunction)(given)
  const options: SocketOptions = given instanceof AcceptedOptions ? given : ownOptions(given)

  this.connecting = false
  this._hadError = false
  this[kHandle] = null
  this._parent = null
  this._host = null
  this._closeAfterHandlingError = false

  ;(Duplex as unknown as (this: Socket, options: object) => void).call(this, options)

  if (options.sharedChunks) this[kSharedChunks] = true
  const handle = options.handle instanceof Handle ? options.handle : handleOf(this, options)
  const { onread } = options
  if (onread !== null && typeof onread === 'object') readIntoUserBuffer(this, onread)
  if (options.noDelay) this[kNoDelay] = true
  if (options.keepAlive) this[kKeepAlive] = true
  if (options.keepAliveInitialDelay !== undefined) {
    warnOfShortDelay(options.keepAliveInitialDelay)
    this[kKeepAliveDelay] = seconds(options.keepAliveInitialDelay)
  }
  if (options.typeOfService !== undefined) {
    validateInt32(options.typeOfService, 'options.typeOfService', 0, 255)
    this[kTypeOfService] = options.typeOfService
  }

  this.on('end', onReadableStreamEnd)
  this._sockname = null
  this._pendingData = null
  this._pendingEncoding = ''
  this.server = null
  this._server = null

  if (handle !== null) {
    this[kHandle] = handle
    own(this, handle)
    if (options.readable !== false && !this[kBoundSource]) {
      if (options.pauseOnCreate) {
        handle.readStop()
        ;(this as { readableFlowing: boolean | null }).readableFlowing = false
      } else if (!options.manualStart) this.read(0)
    }
  }
  if (options.signal) {
    // A signal that has fired already destroys the stream while it is being made; it can be connected all the same,
    // until the 'error' comes.
    this._undestroy()
    stopAttemptsOnAbort(this, options.signal)
  }
  if (options.blockList) {
    validateBlockList(options.blockList, 'options.blockList')
    this.blockList = options.blockList
  }
  return undefined
} as unknown as SocketFunction

/** The handle that the options `handle` and `fd` stand for. */
function handleOf(socket: Socket, options: SocketOptions): Handle | null {
  if (isBound(options.handle)) {
    const { handle, path } = adoptBound(options.handle)
    socket[kBoundSource] = true
    if (path !== undefined) socket[kBoundPath] = path
    return handle
  }
  if (options.handle) {
    if (typeof options.handle !== 'object' && typeof options.handle !== 'function') {
      throw invalidArgType('options.handle', 'an instance of BoundSocket or a handle', options.handle)
    }
    if (!isNative(options.handle) || options.handle.fd < 0) return foreignHandle(options.handle)
    const handle = adoptNative(options.handle)
    if (typeof handle === 'number') throw errnoException(handle, 'open')
    return handle
  }
  if (options.fd === undefined) return null
  validateInt32(options.fd, 'fd', 0)
  const handle = adoptDescriptor(options.fd)
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  return handle
}

/** A copy of the caller's options, checked, with what a Socket demands of its stream. */
function ownOptions(given: SocketOptions | number | undefined): SocketOptions {
  const options: SocketOptions = typeof given === 'number' ? { fd: given } : { ...given }
  refuseObjectMode(options)
  if (typeof given !== 'number') validateKeepAliveDelay(given)
  if (options.keepAliveInitialDelay! < 0) options.keepAliveInitialDelay = 0
  return Object.assign(options, streamOptions, { allowHalfOpen: Boolean(options.allowHalfOpen) })
}

function refuseObjectMode(options: SocketOptions): void {
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode']) {
    if (options[name]) throw invalidArgValue(`options.${name}`, options[name], 'is not supported')
  }
}

function readIntoUserBuffer(
  socket: Socket,
  { buffer, callback }: { buffer?: unknown; callback?: unknown },
): void {
  if (typeof callback !== 'function') return
  if (typeof buffer === 'function') {
    socket[kBuffer] = true
    socket[kBufferGen] = buffer as () => unknown
  } else if (isUint8Array(buffer)) {
    socket[kBuffer] = buffer
  } else {
    return
  }
  socket[kBufferCb] = callback as (nread: number, buffer: Uint8Array) => unknown
}

// The stream itself destroys the socket on abort; this keeps a series of attempts from going on.
function stopAttemptsOnAbort(socket: Socket, signal: AbortSignal): void {
  validateAbortSignal(signal, 'options.signal')
  process.nextTick(() => {
    if (signal.aborted) socket._aborted = true
    if (signal.aborted || socket.destroyed) return
    const listener = addAbortListener(signal, () => (socket._aborted = true))
    // A signal may outlive many sockets.
    socket.once('close', () => listener[Symbol.dispose]())
  })
}

const facts = ['bytesRead', 'bytesWritten', '_bytesDispatched'].concat(
  ['local', 'remote'].flatMap(end => [`${end}Address`, `${end}Port`, `${end}Family`]),
)
adoptMethods(Socket, SocketMethods, {
  shown: facts,
  fixed: [...facts, '_connecting', '_handle', 'readyState', 'bufferSize'],
})
standsFor(Socket, nodeNet.Socket)
setDefaults(Socket.prototype, {
  [kAttempt]: null,
  [kTimeout]: null,
  [kLastWriteQueueSize]: 0,
  [kBuffer]: null,
  [kBufferGen]: null,
  [kBufferCb]: null,
  [kNoDelay]: false,
  [kKeepAlive]: false,
  [kKeepAliveDelay]: 0,
  [kKeepAliveInterval]: undefined,
  [kKeepAliveCount]: undefined,
  [kTypeOfService]: undefined,
  [kSharedChunks]: false,
  [kBoundSource]: false,
  [kBoundPath]: undefined,
  [kWriteRequest]: null,
  [kHeld]: null,
  [kShutdownRequest]: null,
  [kBytesRead]: 0,
  [kBytesWritten]: 0,
})

/**
 * A new Socket with the options of both `Socket` and `connect()`, connecting. `timeout` (ms) is the idle timeout.
 */
export function connect(...args: unknown[]): Socket {
  const normalized = normalizeArgs(args)
  const options = normalized[0] as SocketOptions
  const socket = new Socket(options)
  if (options.timeout) socket.setTimeout(options.timeout as number)
  return socket.connect(normalized)
}
