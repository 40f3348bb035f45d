// Socket: one connection as a stream, in the order of its life. It inherits the Duplex of the running Node. Below it is
// a Handle: the Socket calls its verbs, and the Handle reports events through the symbols of symbols.ts. I/O never
// throws here: it destroys the socket.

import { channel } from 'node:diagnostics_channel'
import type { FileHandle } from 'node:fs/promises'
import { Duplex } from 'node:stream'
import { type AddressInfo, localEnd, remoteEnd } from './address.js'
import { handleOf } from './adopt.js'
import { isNormalized, normalizeArgs } from './arguments.js'
import {
  attemptEnded,
  connectPath,
  lookupAndConnect,
  stopAttemptsOnAbort,
  stopSeries,
  whenConnected,
} from './connect.js'
import { adoptMethods, setDefaults } from './constructor.js'
import { debug, debugging } from './debug.js'
import { Handle, type SocketHandle } from './engine/once.js'
import { endedByPeer, errnoException, errnoOf, fromLoop, invalidHandleType, socketClosed } from './errors.js'
import { ForeignHandle, foreignHandle, isForeign } from './node/foreign-handle.js'
import { isPooled } from './node/http-agent.js'
import { isInstance, standsFor } from './node/instances.js'
import { nodeNet } from './node/net.js'
import { type Below, carriesSession, letSessionsThrough, sessionsAreTaught } from './node/session.js'
import type { Chunk } from './node/stream-state.js'
import { queueMicrotask } from './node/timers.js'
import { deliver, readIntoBuffer, takeOnread } from './onread.js'
import {
  AcceptedOptions,
  apply,
  kRemembered,
  ownOptions,
  type Remembered,
  remembered,
  type SocketOptions,
  withKeepAlive,
} from './options.js'
import {
  isAwaited,
  relayPiped,
  relayRest,
  relayResumed,
  relayStopped,
  relaysPipes,
  takeMethods,
} from './relay.js'
import { type Done, Request } from './request.js'
import type { SendFileOptions } from './send-file.js'
import {
  Fields,
  forgetTls,
  kBoundPath,
  kBoundSource,
  kBytesRead,
  kBytesWritten,
  kConnected,
  kFiles,
  kHandle,
  kLastWriteQueueSize,
  kOnread,
  kOpened,
  kReconnects,
  kRelay,
  kReplaceHandle,
  kShutdownRequest,
  kTimeout,
  kTls,
  kWriteRequest,
  type SocketBase,
} from './state.js'
import {
  kBelow,
  kOnConnect,
  kOnRead,
  kOnReadEnd,
  kOnReadInto,
  kOnRelayRest,
  kOnRelayStopped,
  kOnShutdown,
  kOnWriteFailed,
  kOnWritten,
} from './symbols.js'
import { refreshIdleTimers, setIdleTimeout, stillSending, stopIdleTimers } from './timeout.js'
import type { StartTlsOptions } from './types.js'
import { invalidArgType, missingArgs, validateBlockList, validateInt32 } from './validate.js'
import {
  callBackWhenSent,
  callbackOfWrite,
  closeCallback,
  releaseHeld,
  sizeOf,
  skipTick,
  writeChunk,
  writeChunks,
  writeFailed,
} from './write.js'

const clientChannel = channel('net.client.socket')

const EBADF = errnoOf('EBADF')

const pushOriginal = Duplex.prototype.push

/** Duplex, and for the compiler the fields of state.ts. */
const Base = Duplex as unknown as new () => SocketBase

/**
 * The methods of Socket. Never constructed: `Socket` below is a plain function with this prototype, because
 * programs call it without `new` and inherit from it as in ES5.
 */
export class SocketMethods extends Base {
  // --- connect --------------------------------------------------------------------------------------------------

  /**
   * `connect(options[, listener])`, `connect(port[, host][, listener])`, `connect(path[, listener])`: opens the
   * connection, also again after `'close'`. Wrong arguments throw; everything else comes as `'connect'` or
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
      this[kReconnects]()
    }
    // A handle that is bound has its kind, whatever the options say.
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

  /** A socket that connects again after `startTLS()` is a plain one. */
  [kReconnects](): void {
    forgetTls(this)
  }

  /** A socket that is secure from the beginning begins here. */
  [kConnected](): void {}

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
    if (handle.kind === 'pipe' && process.platform === 'win32') endOneWay(this, handle)
    const status = apply(handle, this[kRemembered])
    // Windows often refuses a type of service, or half of it.
    if (status !== 0 && status !== EBADF && process.platform !== 'win32')
      this.emit('error', errnoException(status, 'setTypeOfService'))
    this[kConnected]()
    this.emit('connect')
    this.emit('ready')
    // Reading starts by itself, so that the peer's FIN is noticed.
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
    const noDelay = enable === undefined ? true : Boolean(enable)
    if (this[kHandle]?.kind !== 'pipe' && noDelay !== this[kRemembered].noDelay)
      change(this, { ...this[kRemembered], noDelay })
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
    const wanted = withKeepAlive(this[kRemembered], enable, initialDelay, interval, count)
    if (this[kHandle]?.kind !== 'pipe') change(this, wanted)
    return this
  }

  /**
   * The type of service (IPv4) or traffic class (IPv6) of what is sent, 0-255; before a connection it is
   * remembered. Throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE and what the system refuses. Since Node 25.6 and 24.15.
   */
  setTypeOfService(tos: number): this {
    if (Number.isNaN(tos)) throw invalidArgType('tos', 'of type number', tos)
    validateInt32(tos, 'tos', 0, 255)
    const status = change(this, { ...this[kRemembered], typeOfService: tos })
    if (status !== 0 && process.platform !== 'win32') throw errnoException(status, 'setTypeOfService')
    return this
  }

  /** The type of service as the system has it; without a connection the one that was set, or 0. */
  getTypeOfService(): number {
    const handle = this[kHandle]
    if (handle === null || handle.kind !== 'tcp') return this[kRemembered].typeOfService ?? 0
    const found = handle.getTypeOfService()
    if (found >= 0) return found
    if (process.platform === 'win32') return this[kRemembered].typeOfService ?? 0
    throw errnoException(found, 'getTypeOfService')
  }

  /**
   * For how many microseconds a call that finds nothing asks the network card itself (SO_BUSY_POLL, Linux); before a
   * connection it is remembered. Throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE and what the system refuses. Only here.
   */
  setBusyPoll(microseconds: number): this {
    validateInt32(microseconds, 'microseconds', 0)
    const has = this[kRemembered]
    const handle = this[kHandle]
    const status = handle?.kind === 'tcp' && !this.connecting ? handle.setBusyPoll(microseconds) : 0
    if (status !== 0) throw errnoException(status, 'setBusyPoll')
    this[kRemembered] = { ...has, busyPoll: microseconds }
    return this
  }

  /** `setBusyPoll()`'s value as the system has it; without a connection the one that was set, or 0. */
  getBusyPoll(): number {
    const handle = this[kHandle]
    const found = handle?.kind === 'tcp' && !this.connecting ? handle.getBusyPoll() : -1
    return found >= 0 ? found : (this[kRemembered].busyPoll ?? 0)
  }

  // --- read -----------------------------------------------------------------------------------------------------

  override _read(size: number): void {
    const handle = this[kHandle]
    if (this.connecting || handle === null) this.once('connect', () => this._read(size))
    else if (!handle.reading) startReading(this, handle)
  }

  /** Bytes arrived. Hot: an echo server runs this for each request. */
  [kOnRead](chunk: Buffer): void {
    if (this[kHandle]?.onread !== undefined && isPooled(this[kHandle])) {
      this.destroy()
      return
    }
    if (this[kTimeout] !== null || this._parent !== null) this._unrefTimer()
    const state = this._readableState
    // When `push` would hand the chunk straight to the 'data' listeners, we do so without it, and save the tick in
    // which the stream would ask for more: `state.reading` stays true, as the handle's does.
    if (
      state.flowing &&
      state.length === 0 &&
      !state.sync &&
      this._events.data !== undefined &&
      !state.decoder &&
      (state.awaitDrainWriters === null || !isAwaited(state)) &&
      !state.ended &&
      !state.destroyed &&
      this.push === pushOriginal
    ) {
      if (!state.dataEmitted) state.dataEmitted = true
      this.emit('data', chunk)
      if (relaysPipes && state.pipes.length === 1) relayPiped(this)
      return
    }
    if (state.destroyed) return
    if (!this.push(chunk)) stopReading(this, this[kHandle])
  }

  /** Bytes arrived in the buffer of the `onread` option. */
  [kOnReadInto](nread: number): void {
    if (this[kTimeout] !== null || this._parent !== null) this._unrefTimer()
    if (this.destroyed) return
    if (!deliver(this, nread)) stopReading(this, this[kHandle])
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

  /** What is piped to another socket, or from one, passes through JavaScript again. */
  [kOnRelayStopped](idle: number): void {
    relayStopped(this, idle)
  }

  [kOnRelayRest](bytes: Buffer, to: object | null): boolean {
    return relayRest(this, bytes, to)
  }

  /** Stops `'data'`; the socket still reads ahead up to the high-water mark, except with `onread`. */
  override pause(): this {
    const handle = this[kHandle]
    if (this[kOnread] !== null && !this.connecting && handle?.reading) stopReading(this, handle)
    return super.pause()
  }

  override resume(): this {
    readOn(this)
    const { noDelay } = this[kRemembered]
    if ((!noDelay || !sessionsAreTaught()) && carriesSession(this) && !letSessionsThrough() && !noDelay)
      this.setNoDelay(true)
    super.resume()
    if (this[kRelay] !== null) relayResumed(this, this[kRelay])
    return this
  }

  override read(size?: number): unknown {
    readOn(this)
    return super.read(size)
  }

  // --- write ----------------------------------------------------------------------------------------------------

  // `write` is the stream's, as in Node: tools wrap `Duplex.prototype.write` and list this prototype.

  override _write(data: Buffer | string, encoding: BufferEncoding, done: Done): void {
    if (this[kFiles] !== null) this[kFiles].write(data, encoding, done)
    else this._writeGeneric(false, data, encoding, done)
  }

  override _writev(chunks: Chunk[], done: Done): void {
    if (this[kFiles] !== null) this[kFiles].writev(chunks, done)
    else this._writeGeneric(true, chunks, '', done)
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
    if (isForeign(handle)) {
      this[kLastWriteQueueSize] = writeForeign(this, handle, writev, data, encoding, done)
      return
    }
    const callback = callbackOfWrite(this)
    if (callback !== null) handle.flushSoon()
    const before = handle.bytesWritten
    const result = writev
      ? writeChunks(handle, data as Chunk[])
      : writeChunk(handle, data as Buffer | string, encoding as BufferEncoding)
    if (result === 0) {
      if (callback !== null) {
        // One that has waited for the connection is called in this call, and the bytes are not sent before it returns.
        if (!this._writableState.sync) handle.flush()
        callBackWhenSent(this, handle, callback)
      } else skipTick(this._writableState)
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
      // Read only now, because one of those callbacks may have destroyed the socket or given it away.
      const request = this[kWriteRequest]
      this[kWriteRequest] = null
      if (request !== null) request.complete(error)
      else if (error !== null) this.destroy(error)
    }
  }

  /** Bytes of a write that the stream took for done could not be sent. */
  [kOnWriteFailed](status: number): void {
    const error = writeFailed(this, status)
    releaseHeld(this, error)
    this.destroy(error)
  }

  // --- TLS ------------------------------------------------------------------------------------------------------

  /**
   * Goes on in TLS, on the same socket: what was written before leaves first, unencrypted, and what comes later waits for
   * the handshake. `'secure'` when that is done and the peer is who it should be. The options are those of
   * `tls.connect()`, with `isServer: true` those of `tls.createServer()`.
   */
  startTLS(options?: StartTlsOptions | (() => void), listener?: () => void): this {
    if (typeof options === 'function') [options, listener] = [undefined, options]
    // Loaded when first needed: node:tls comes with it.
    const { startTls }: typeof import('./tls/start.js') = require('./tls/start.js')
    startTls(this, options, listener)
    return this
  }

  /**
   * Sends a file, or a part of it, in the order of the writes, and resolves with the number of bytes when they are out.
   */
  sendFile(file: string | Buffer | URL | FileHandle, options?: SendFileOptions): Promise<number> {
    const { sendFile }: typeof import('./send-file.js') = require('./send-file.js')
    return sendFile(this, file, options)
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

  // The status does not matter: if the peer is gone, the reading side finds out.
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
    else if (isForeign(handle) ? !handle.isTcp : handle.kind !== 'tcp') throw invalidHandleType()
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
    stopIdleTimers(this)
    stopSeries(this)
    const handle = this[kHandle]
    if (handle !== null) {
      const hadError = Boolean(error)
      handle.count()
      // One that takes no new fields is closed all the same.
      if (Object.isExtensible(this)) {
        this[kBytesRead] = handle.bytesRead
        this[kBytesWritten] = handle.bytesWritten
      }
      if (this.resetAndClosing) {
        this.resetAndClosing = false
        const status = handle.reset(closeCallback(this, handle, hadError))
        if (status !== 0) this.emit('error', errnoException(status, 'reset'))
      } else if (this._closeAfterHandlingError) {
        // The 'error' listeners, which run in the next tick, still find the socket as it was.
        queueMicrotask(() =>
          handle.close(
            closeCallback(this, handle, hadError, () => {
              this[kHandle] = null
              this._sockname = null
            }),
          ),
        )
      } else {
        handle.close(closeCallback(this, handle, hadError))
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
  //
  // Tools that list the prototype read these without an instance. There is no `kHandle` then, and no stream.

  /** The local end: `{ address, family, port }`, empty while there is none and for pipes. */
  address(): AddressInfo {
    return this._getsockname()
  }

  _getsockname(): AddressInfo {
    // The path stays, as in Node, also after the socket has closed or connected again.
    if (this[kBoundPath] !== undefined) return { address: this[kBoundPath] }
    const handle = this[kHandle]
    if (handle == null || handle.kind === 'pipe') return {}
    this._sockname ??= localEnd(handle)
    return this._sockname
  }

  // Kept once found, so that it can still be asked for after the socket is destroyed.
  _getpeername(): AddressInfo {
    const handle = this[kHandle]
    if (handle != null && !this.connecting && handle.kind === 'tcp' && !this._peername) {
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
  get bytesRead(): number | undefined {
    const handle = this[kHandle]
    return handle === null ? this[kBytesRead] : handle?.count().bytesRead
  }

  get _bytesDispatched(): number | undefined {
    const handle = this[kHandle]
    return handle === null ? this[kBytesWritten] : handle?.count().bytesWritten
  }

  /** Bytes written, those included that still wait in the stream. */
  get bytesWritten(): number | undefined {
    let bytes = this._bytesDispatched
    if (bytes === undefined) return undefined
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
    return this[kHandle] == null || this.connecting
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
    if (handle instanceof ForeignHandle) return handle.foreign as unknown as Handle
    // What it has counted is up to date then.
    if (handle?.relays) handle.count()
    return handle
  }
  set _handle(handle: Handle | null) {
    this[kHandle]?.stopRelay()
    this[kHandle]?.stopRelayTo()
    this[kHandle] = handle instanceof Handle || !handle ? handle : foreignHandle(handle)
  }
}

// --- helpers of the above, in its order -----------------------------------------------------------------------------

function attach(socket: Socket, handle: Handle): void {
  socket[kHandle] = handle
  socket._undestroy()
  socket._sockname = null
  own(socket, handle)
}

function own(socket: Socket, handle: SocketHandle): void {
  handle.owner = socket
  if (socket[kRemembered].sharedChunks) handle.shareChunks()
  if (socket[kOnread] !== null) readIntoBuffer(socket, handle)
}

/** A pipe whose server lets bytes go one way only: the other way ends before it begins, as in node:net. */
function endOneWay(socket: Socket, handle: Handle): void {
  const { readable, writable } = handle.directions()
  if (!readable && socket.readable) {
    socket.push(null)
    socket.read()
  }
  if (!writable && socket.writable) socket.end()
}

/** Remembers `wanted`, and sets on the connection what is different in it; returns as `apply` does. */
function change(socket: Socket, wanted: Remembered): number {
  const has = socket[kRemembered]
  socket[kRemembered] = wanted
  const handle = socket[kHandle]
  return handle === null ? 0 : apply(handle, wanted, has)
}

function startReading(socket: Socket, handle: SocketHandle): void {
  const status = handle.readStart()
  if (status !== 0) socket.destroy(errnoException(status, 'read'))
}

function stopReading(socket: Socket, handle: SocketHandle | null): void {
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
  if (socket[kOnread] === null || socket.connecting) return
  const handle = socket[kHandle]
  if (handle !== null && !handle.reading) startReading(socket, handle)
}

// Replaces `write` when the peer's FIN has ended our side too: the stream's own error, "write after end", would blame
// the program.
function writeAfterFin(this: Socket, chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
  if (!this.writableEnded)
    return Duplex.prototype.write.call(this, chunk, encoding as never, callback as Done)
  const done = typeof encoding === 'function' ? encoding : callback
  const error = endedByPeer()
  if (typeof done === 'function') process.nextTick(done as Done, error)
  this.destroy(error)
  return false
}

function onReadableStreamEnd(this: Socket): void {
  if (!this.allowHalfOpen) this.write = writeAfterFin
}

// Without an argument, as Node closes a socket that never had a handle. Its TLSSocket always has one.
function emitClose(socket: Socket): void {
  if (socket[kTls] === null) socket.emit('close')
  else socket.emit('close', false)
}

// --- the constructor ------------------------------------------------------------------------------------------------

/** Socket as the files above this one see it. */
export type Socket = SocketMethods

interface SocketFunction {
  new (options?: SocketOptions | number): Socket
  (options?: SocketOptions | number): Socket
  prototype: Socket
}

/**
 * `new Socket([options])`: not connected yet, or the connection of `handle` or `fd`. Options: `allowHalfOpen` (false),
 * `noDelay` (false), `keepAlive` (false), `keepAliveInitialDelay` (ms, 0), `onread`, `signal`, `blockList` and
 * the stream's `highWaterMark`s. Since Node 0.3.4. ferronet's own: `sharedChunks` (false), chunks that are views of
 * memory shared with other sockets' chunks, which is faster; docs/api.md says what a program has to mind then.
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

  const handle = options.handle instanceof Handle ? options.handle : handleOf(this, options)
  const { onread } = options
  if (onread !== null && typeof onread === 'object') takeOnread(this, onread)
  const wanted = remembered(options)
  if (wanted !== this[kRemembered]) this[kRemembered] = wanted

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
    // A signal that has fired already has destroyed the stream in its constructor. Even so it can be connected, until
    // the 'error' comes.
    this._undestroy()
    stopAttemptsOnAbort(this, options.signal)
  }
  if (options.blockList) {
    validateBlockList(options.blockList, 'options.blockList')
    this.blockList = options.blockList
  }
  return undefined
} as unknown as SocketFunction

const facts = ['bytesRead', 'bytesWritten', '_bytesDispatched'].concat(
  ['local', 'remote'].flatMap(end => [`${end}Address`, `${end}Port`, `${end}Family`]),
)
adoptMethods(Socket, SocketMethods, {
  shown: facts,
  fixed: [...facts, '_connecting', '_handle', 'readyState', 'bufferSize'],
})
standsFor(Socket, nodeNet.Socket)
takeMethods(Socket.prototype)
setDefaults(Socket.prototype, new Fields())

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
