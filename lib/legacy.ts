// The `net.Stream` of Node 0.1 and 0.2, and its Server, as subclasses of Socket and Server. Here is only what programs
// of 2010 rely on and Node has changed since. For the entry `ferronet/legacy`; the rest of lib/ does not know of it.

import { StringDecoder } from 'node:string_decoder'
import type { PeerCertificate, SecureContextOptions } from 'node:tls'
import { type AnyOptions, isNormalized, normalizeArgs } from './arguments.js'
import { adoptMethods, setDefaults } from './constructor.js'
import { nodeError } from './errors.js'
import type { Listener } from './listen.js'
import { type Decoder, partOfCharacter, type ReadableState } from './node/stream-state.js'
import { AcceptedOptions, type SocketOptions } from './options.js'
import { Server as ModernServer, type ServerOptions } from './server.js'
import { Socket } from './socket.js'
import { forgetTls, kHandle } from './state.js'
import { kNewSocket } from './symbols.js'
import type { SecureSocket } from './tls/types.js'
import type * as types from './types.js'

// --- types --------------------------------------------------------------------------------------------------------

/**
 * A stream as in Node 0.1 and 0.2. How it differs from a `Socket`:
 *
 * - When the peer ends, our side stays open (`allowHalfOpen` is true by default): call `end()` in `'end'`.
 * - It flows from the beginning, with or without a `'data'` listener: `'end'` and `'close'` are emitted either way, and
 *   data without a listener is lost. To keep it, call `pause()` in the handler that receives the stream.
 * - The stream of a Server emits `'connect'` too, after the listeners of `'connection'`.
 */
export interface Stream extends types.Socket {
  /**
   * Connects, or connects again after `'close'`, to the same or another address; the default host is 127.0.0.1.
   * A stream that is used again starts fresh: it flows, and keeps nothing of its former connection except what the
   * program has set on it.
   */
  connect(options: types.SocketConnectOpts, listener?: () => void): this
  connect(port: number, host: string, listener?: () => void): this
  connect(port: number, listener?: () => void): this
  connect(path: string, listener?: () => void): this

  /**
   * `'data'` gives strings in this encoding; with `null` or without an argument, Buffers again. This also applies to
   * data that was received but not delivered yet, including the first bytes of a character. Only what the previous
   * encoding could not represent (ascii: the eighth bit; utf8: invalid sequences) is lost.
   */
  setEncoding(encoding?: BufferEncoding | null): this

  /**
   * `'open'` while connected, `'readOnly'` after our `end()`, `'writeOnly'` after the peer's, and `'closed'` otherwise,
   * also before `connect()`.
   */
  readonly readyState: types.SocketReadyState

  /** Characters and bytes not handed to the system yet; 0 when there is no connection. */
  readonly bufferSize: number

  /**
   * Goes on in TLS, on the same stream; `'secure'` when the handshake is done. A stream of a Server is the server's side,
   * and asks for a certificate of its client if the credentials have a `ca`. Nobody is rejected: ask `verifyPeer()`.
   * `startTLS()` rejects whom it cannot trust.
   */
  setSecure(credentials?: Credentials): this
  /**
   * From `'secure'` on: whether the peer has shown a certificate that the `ca` of our credentials has signed, or without
   * one an authority that Node trusts. For whom it was made is not looked at.
   */
  verifyPeer(): boolean
  /**
   * The peer's certificate, with `subject`, `issuer`, `valid_from`, `valid_to` and all else that Node tells of one; an
   * empty object if it has shown none. The two names are objects, and as text the lines of 2010: `/C=UK/CN=localhost`.
   */
  getPeerCertificate(): PeerCertificate
}

declare const brand: unique symbol

/** What `createCredentials()` returns, and nothing else. */
export interface Credentials {
  readonly [brand]: never
}

/**
 * A private key and certificate, and the authorities to trust, for `setSecure()`: all options of
 * `tls.createSecureContext()`. Throws what that throws.
 */
export type CreateCredentials = (options?: SecureContextOptions) => Credentials

/** What `new Stream()` takes: the options of a Socket, and the encoding of strings that are written without one. */
export interface StreamOptions extends types.SocketConstructorOpts {
  /** The default is `getDefaultEncoding()` at this moment; `stream.setDefaultEncoding()` changes it later. */
  defaultEncoding?: BufferEncoding | undefined
}

/** `Stream` can be called without `new`, and inherited from with `Stream.call(this)`. */
export interface StreamConstructor {
  new (options?: StreamOptions): Stream
  (options?: StreamOptions): Stream
  readonly prototype: Stream
}

/**
 * A server of Streams, which are half-open unless the option `allowHalfOpen` is false.
 *
 * `listen()` on a server that already listens moves it to the new address: connections stay, and there is no `'close'`.
 * If the new address cannot be bound, the server is closed; after wrong arguments, or when the host is not found, it
 * goes on listening as before.
 */
export interface Server extends types.Server {
  /** How many connections are open now. */
  readonly connections: number

  addListener(event: 'connection', listener: (stream: Stream) => void): this
  addListener<E extends keyof types.ServerEventMap>(
    event: E,
    listener: (...args: types.ServerEventMap[E]) => void,
  ): this
  addListener(event: string | symbol, listener: (...args: never[]) => void): this

  on(event: 'connection', listener: (stream: Stream) => void): this
  on<E extends keyof types.ServerEventMap>(
    event: E,
    listener: (...args: types.ServerEventMap[E]) => void,
  ): this
  on(event: string | symbol, listener: (...args: never[]) => void): this

  once(event: 'connection', listener: (stream: Stream) => void): this
  once<E extends keyof types.ServerEventMap>(
    event: E,
    listener: (...args: types.ServerEventMap[E]) => void,
  ): this
  once(event: string | symbol, listener: (...args: never[]) => void): this

  prependListener(event: 'connection', listener: (stream: Stream) => void): this
  prependListener<E extends keyof types.ServerEventMap>(
    event: E,
    listener: (...args: types.ServerEventMap[E]) => void,
  ): this
  prependListener(event: string | symbol, listener: (...args: never[]) => void): this

  prependOnceListener(event: 'connection', listener: (stream: Stream) => void): this
  prependOnceListener<E extends keyof types.ServerEventMap>(
    event: E,
    listener: (...args: types.ServerEventMap[E]) => void,
  ): this
  prependOnceListener(event: string | symbol, listener: (...args: never[]) => void): this
}

/** `Server` can be called without `new`. */
export interface ServerConstructor {
  new (listener?: (stream: Stream) => void): Server
  new (options?: types.ServerOpts | null, listener?: (stream: Stream) => void): Server
  (listener?: (stream: Stream) => void): Server
  (options?: types.ServerOpts | null, listener?: (stream: Stream) => void): Server
  readonly prototype: Server
}

export interface CreateConnection {
  (port: number, host?: string, listener?: () => void): Stream
  (path: string, listener?: () => void): Stream
  (options: types.NetConnectOpts, listener?: () => void): Stream
}

export interface CreateServer {
  (listener?: (stream: Stream) => void): Server
  (options?: types.ServerOpts | null, listener?: (stream: Stream) => void): Server
}

// --- the encoding of strings --------------------------------------------------------------------------------------

// In 2010 the default was ASCII, because that was faster. UTF-8 sends ASCII text as the same bytes. Of other characters
// the encoding 'ascii' keeps one byte each, which only programs that ask for it want.
let defaultEncoding: BufferEncoding = 'utf8'

/** The encoding of strings that are written without one, for streams that are made from now on. */
export function getDefaultEncoding(): BufferEncoding {
  return defaultEncoding
}

/**
 * Sets it, for the whole process: `'ascii'` is the default of Node 0.1, for programs that send bytes as strings.
 * Throws ERR_UNKNOWN_ENCODING.
 */
export function setDefaultEncoding(encoding: BufferEncoding): void {
  if (!Buffer.isEncoding(encoding)) {
    throw nodeError(TypeError, 'ERR_UNKNOWN_ENCODING', `Unknown encoding: ${String(encoding)}`)
  }
  defaultEncoding = encoding
}

// --- Stream -------------------------------------------------------------------------------------------------------

const loopback = '127.0.0.1'

class StreamMethods extends Socket {
  override connect(...args: unknown[]): this {
    const [options, listener] = isNormalized(args[0]) ? args[0] : normalizeArgs(args)
    const again = this.destroyed
    if (again) forgetConnection(this)
    try {
      super.connect(atLoopback(options), listener)
    } finally {
      // The base class sets `write` on the object, which would hide the one of a subclass.
      Reflect.deleteProperty(this, 'write')
    }
    if (again || this.readableFlowing === null) this.resume()
    return this
  }

  override setEncoding(encoding?: BufferEncoding | null): this {
    if (encoding != null && !Buffer.isEncoding(encoding)) return super.setEncoding(encoding)
    undecode(this._readableState)
    return encoding == null ? this : super.setEncoding(encoding)
  }

  override get readyState(): types.SocketReadyState {
    return this[kHandle] === null && !this.connecting ? 'closed' : super.readyState
  }

  override get bufferSize(): number {
    return super.bufferSize ?? 0
  }

  setSecure(credentials?: unknown): this {
    return this.startTLS(tlsOf2010().startOptions(this as unknown as SecureSocket, credentials))
  }

  verifyPeer(): boolean {
    return (this as unknown as SecureSocket).authorized === true
  }

  getPeerCertificate(): PeerCertificate {
    return tlsOf2010().peerCertificate(this as unknown as SecureSocket)
  }
}

/** Loaded when first needed: node:tls comes with it. */
function tlsOf2010(): typeof import('./legacy-tls.js') {
  return require('./legacy-tls.js')
}

/** `createCredentials([options])` */
export const createCredentials = function createCredentials(options?: SecureContextOptions): unknown {
  return new (tlsOf2010().Credentials)(options)
} as CreateCredentials

function atLoopback(options: AnyOptions): AnyOptions {
  return options.path == null && !options.host ? { ...options, host: loopback } : options
}

/** Removes the decoder; turns the text it has decoded, and the part of a character it holds, back into bytes. */
function undecode(state: ReadableState): void {
  const { decoder, encoding } = state
  if (decoder === null || encoding === null) return
  const waiting = [...state.buffer].slice(state.bufferIndex ?? 0)
  const bytes = waiting.map(chunk => (typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk))
  bytes.push(partOfCharacter(decoder))
  state.decoder = null
  state.encoding = null
  refill(state, Buffer.concat(bytes))
}

function refill(state: ReadableState, chunk: Buffer): void {
  if (state.buffer.clear) {
    state.buffer.clear()
  } else {
    state.buffer.length = 0
    state.bufferIndex = 0
  }
  if (chunk.length > 0) state.buffer.push(chunk)
  state.length = chunk.length
}

// Clears what Node leaves in a socket that connects again: unread bytes, part of a character, the Server that had
// accepted it, which would otherwise count the new connection as its own when that ends, and a TLS session.
function forgetConnection(stream: StreamMethods): void {
  const state = stream._readableState
  const { encoding } = state
  refill(state, Buffer.alloc(0))
  if (encoding !== null) state.decoder = new StringDecoder(encoding) as unknown as Decoder
  stream.server = null
  stream._server = null
  forgetTls(stream)
}

interface StreamFunction {
  new (options?: SocketOptions | number): StreamMethods
  (options?: SocketOptions | number): StreamMethods
  prototype: StreamMethods
}

const StreamFunction = function Stream(
  this: StreamMethods,
  given?: SocketOptions | number,
): StreamMethods | undefined {
  if (!(this instanceof StreamFunction)) return new StreamFunction(given)
  let options: SocketOptions | undefined = typeof given === 'number' ? { fd: given } : given
  if (!(options instanceof AcceptedOptions)) {
    options = { ...options, allowHalfOpen: options?.allowHalfOpen ?? true }
  }
  ;(Socket as unknown as (this: StreamMethods, options: SocketOptions) => void).call(this, options)
  if (options.defaultEncoding === undefined) this.setDefaultEncoding(defaultEncoding)
  const connected = options instanceof AcceptedOptions || (options.fd !== undefined && this[kHandle] !== null)
  if (connected && options.readable !== false && this.readableFlowing === null) this.resume()
  return undefined
} as unknown as StreamFunction

adoptMethods(StreamFunction, StreamMethods)

/** `new Stream([options])`: not connected. */
export const Stream = StreamFunction as unknown as StreamConstructor

/** A new Stream with the options of both `Stream` and `connect()`, connecting; the host is 127.0.0.1 unless given. */
export const createConnection = function createConnection(...args: unknown[]): StreamMethods {
  const [options, listener] = normalizeArgs(args)
  const stream = new StreamFunction(options as SocketOptions)
  if (options.timeout) stream.setTimeout(options.timeout as number)
  return stream.connect(options, listener)
} as unknown as CreateConnection

// --- Server -------------------------------------------------------------------------------------------------------

const kFormer = Symbol('ferronet.legacy.former')

class ServerMethods extends ModernServer {
  /** What is to be replaced by the `listen()` under way. */
  declare [kFormer]: Listener | null

  override listen(...args: unknown[]): this {
    const handle = this._handle
    this[kFormer] = handle
    // The base refuses while there is one.
    this._handle = null
    try {
      return super.listen(...args)
    } finally {
      // Still there: the host is being looked up, or the arguments were wrong. The old listener goes on.
      if (this[kFormer] !== null) this._handle = handle
    }
  }

  override _listen2(...args: Parameters<ModernServer['_listen2']>): void {
    const former = this[kFormer]
    if (former !== null) {
      this[kFormer] = null
      former.close()
      if (this._handle === former) this._handle = null
    }
    super._listen2(...args)
  }

  override [kNewSocket](options: AcceptedOptions): StreamMethods {
    const stream = new StreamFunction(options)
    process.nextTick(emitConnect, stream)
    return stream
  }

  get connections(): number {
    return this._connections
  }
}

function emitConnect(stream: StreamMethods): void {
  if (!stream.destroyed) stream.emit('connect')
}

interface ServerFunction {
  new (options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener): ServerMethods
  (options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener): ServerMethods
  prototype: ServerMethods
}
type ConnectionListener = (stream: Socket) => void

const ServerFunction = function Server(
  this: ServerMethods,
  given?: ServerOptions | ConnectionListener | null,
  listener?: ConnectionListener,
): ServerMethods | undefined {
  if (!(this instanceof ServerFunction)) return new ServerFunction(given, listener)
  ;(ModernServer as unknown as (this: ServerMethods, ...args: unknown[]) => void).call(this, given, listener)
  if (typeof given !== 'object' || given?.allowHalfOpen === undefined) this.allowHalfOpen = true
  return undefined
} as unknown as ServerFunction

adoptMethods(ServerFunction, ServerMethods, { shown: ['connections'] })
setDefaults(ServerFunction.prototype, { [kFormer]: null })

/** `new Server([options][, connectionListener])` */
export const Server = ServerFunction as unknown as ServerConstructor

/** `new Server(…)` */
export const createServer = function createServer(
  options?: ServerOptions | ConnectionListener | null,
  listener?: ConnectionListener,
): ServerMethods {
  return new ServerFunction(options, listener)
} as unknown as CreateServer
