// TLSSocket: a Socket that is secure from the beginning, under Node's names. What `startTLS()` does on a socket, it does
// on its own connection, or on that of another ferronet socket, which it takes over. Over any other stream there is
// nothing to take over, and Node's own TLSSocket is made instead.

import nodeTls = require('node:tls')

import { X509Certificate } from 'node:crypto'
import type * as tls from 'node:tls'
import { adoptMethods } from '../constructor.js'
import type { Handle } from '../engine/once.js'
import { hold } from '../hold.js'
import { ForeignHandle } from '../node/foreign-handle.js'
import { acceptInstances, isInstance } from '../node/instances.js'
import { queueMicrotask } from '../node/timers.js'
import type { AcceptedOptions, SocketOptions } from '../options.js'
import { override } from '../override.js'
import type { Done } from '../request.js'
import { Socket } from '../socket.js'
import { type Connection, kConnected, kHandle, kReconnects, kTls } from '../state.js'
import { stopIdleTimers } from '../timeout.js'
import {
  validateBoolean,
  validateFunction,
  validateInt32,
  validateObject,
  validateString,
} from '../validate.js'
import { legacy } from './certificate.js'
import { chooseEngine } from './engine.js'
import {
  canceledInHandshake,
  handshakeTimeout,
  invalidState,
  setAfterStart,
  sniFromServer,
  takenOver,
} from './errors.js'
import { heard } from './heard.js'
import type { Hearer } from './node-server.js'
import { sessionBytes, type Wanted, wanted } from './options.js'
import { unjudged } from './roles.js'
import { assertExport } from './session.js'
import { prepare, start, startAtOnce, startOver } from './start.js'
import { closeTogether } from './together.js'
import { createSecureContext, isSecureContext } from './twins.js'
import type { Engine, Role, SecureSocket } from './types.js'

type Options = Record<string, unknown>

/** What a TLSSocket keeps besides what it shows. */
interface Session {
  wanted: Wanted
  engine: Engine
  /** The socket whose connection this one takes over. */
  lower: Connection | null
  started: boolean
  /** From here on errors are the program's; before, a server's. */
  released: boolean
  /** Lets go what is held back until the connection of the socket below has been taken over. */
  letGo: (() => void) | undefined
}

const kSession = Symbol('ferronet.session')

/** An option that only we give: what becomes of the handshake. */
export const kRole = Symbol('ferronet.role')
/** An option that only we give: the options of the server, looked at once for all its connections. */
export const kWanted = Symbol('ferronet.wanted')
/** An option that only we give: the socket options of a connection that a server has accepted. */
export const kAccepted = Symbol('ferronet.accepted')

// What OpenSSL takes for the size of a record.
const MIN_FRAGMENT = 512
const MAX_FRAGMENT = 16_384

/** The methods of TLSSocket. Never constructed: `TLSSocket` below is a plain function with this prototype, as in Node. */
export class TLSSocketMethods extends Socket {
  declare [kSession]: Session
  declare encrypted: true
  declare authorized: boolean
  declare authorizationError: Error | string | null
  declare alpnProtocol: string | false | null
  declare servername: string | false | null
  declare secureConnecting: boolean
  declare tls: SecureSocket['tls']

  // --- beginning ------------------------------------------------------------------------------------------------

  /** Begins the handshake, once, as soon as there is a connection. */
  _start(): void {
    const session = this[kSession]
    const { lower, engine, wanted, letGo } = session
    if (session.started || this.destroyed) return
    const secure = this as unknown as SecureSocket
    if (lower === null) {
      if (this[kHandle] === null || this.connecting) return
      session.started = true
      start(secure, engine, wanted)
    } else if (this.connecting) {
      this.once('connect', this._start)
    } else {
      session.started = true
      startOver(lower, secure, wanted, () => takeOver(this, lower), letGo!)
    }
  }

  /** Before any listener may write: what has been written until now waits for 'connect'. */
  override [kConnected](): void {
    const session = this[kSession]
    if (session.started || session.lower !== null) return
    session.started = true
    startAtOnce(this as unknown as SecureSocket, session.engine, session.wanted)
  }

  /** Begins anew: it stays a TLSSocket, of which nothing ever leaves unencrypted. */
  override [kReconnects](): void {
    const session = this[kSession]
    session.engine = chooseEngine(session.wanted)
    session.letGo?.()
    session.letGo = undefined
    session.started = false
    session.lower = null
    this._parent = null
    prepare(this as unknown as SecureSocket)
    this[kTls] = session.engine
    this.servername = null
    this.secureConnecting = true
    this.off('connect', this._start)
  }

  /** The name of the server that is wanted (SNI), if the handshake has not begun. */
  setServername(name: string): void {
    validateString(name, 'name')
    const { wanted } = this[kSession]
    if (wanted.isServer) throw sniFromServer()
    assertNotBegun(this, 'setServername')
    wanted.servername = name
  }

  /** A session of an earlier connection, to go on with. */
  setSession(session: Buffer | string): void {
    const bytes = sessionBytes(session)
    assertNotBegun(this, 'setSession')
    this[kSession].wanted.session = bytes
  }

  /** Of a server: shows the certificate of another context, until it has been shown; in ALPNCallback, for example. */
  setKeyCert(context: tls.SecureContext | tls.SecureContextOptions): void {
    const secureContext = isSecureContext(context) ? context : createSecureContext(context)
    const { wanted, engine } = this[kSession]
    if (wanted.isServer && !this.destroyed) engine.show(secureContext)
  }

  /** Prints what TLS does to the standard error output. That takes Node's engine, so it must be called early. */
  enableTrace(): null | undefined {
    if (this.destroyed) return null
    assertNotBegun(this, 'enableTrace')
    const session = this[kSession]
    const { wanted } = session
    wanted.options = { ...wanted.options, enableTrace: true }
    wanted.unsupported = 'enableTrace()'
    session.engine = chooseEngine(wanted)
    this[kTls] = session.engine
    return undefined
  }

  // --- handshake ------------------------------------------------------------------------------------------------

  /** Until control is released an error is no concern of the program's: `'_tlsError'` tells the server. */
  _tlsError(error: Error): Error | null {
    this.emit('_tlsError', error)
    return this[kSession].released ? error : null
  }

  _emitTLSError(error: Error): void {
    const own = this._tlsError(error)
    if (own) this.destroy(own)
  }

  _handleTimeout(): void {
    this._emitTLSError(handshakeTimeout())
  }

  _releaseControl(): boolean {
    if (this[kSession].released) return false
    this[kSession].released = true
    this._closeAfterHandlingError = false
    this.removeListener('error', this._tlsError)
    return true
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // A signal that is aborted already destroys it in its constructor.
    const lower = (this[kSession] as Session | undefined)?.lower ?? null
    const late = this._closeAfterHandlingError
    if (lower !== null && !lower.destroyed && this[kHandle]?.owner !== (this as object)) {
      // Its connection is still the one of the socket below, if there is one, and is closed by that.
      this.connecting = false
      this[kHandle] = null
      stopIdleTimers(this)
      lower.once('close', () => this.emit('close', Boolean(error)))
      done(error)
      if (this.resetAndClosing) {
        ;(lower as unknown as Socket).resetAndDestroy()
        return
      }
    } else super._destroy(error, done)
    if (lower === null || lower.destroyed) return
    if (late) queueMicrotask(() => lower.destroy())
    else lower.destroy()
  }

  // --- later ----------------------------------------------------------------------------------------------------

  /** Another handshake on the open connection (TLS 1.2). */
  renegotiate(
    options: { rejectUnauthorized?: boolean; requestCert?: boolean },
    callback?: (error: Error | null) => void,
  ): boolean | undefined {
    validateObject(options, 'options')
    if (callback !== undefined) validateFunction(callback, 'callback')
    if (this.destroyed) return undefined
    if (this.tls !== null) return this.tls.renegotiate(options, callback)
    if (callback !== undefined) process.nextTick(callback, invalidState())
    return false
  }

  disableRenegotiation(): void {
    this.tls?.disableRenegotiation()
  }

  setMaxSendFragment(size: number): boolean {
    validateInt32(size, 'size')
    if (this.tls !== null) return this.tls.setMaxSendFragment(size)
    if (size < MIN_FRAGMENT || size > MAX_FRAGMENT) return false
    this[kSession].wanted.maxSendFragment = size
    return true
  }

  exportKeyingMaterial(length: number, label: string, context?: Buffer): Buffer {
    assertExport(length, label, context)
    if (this.tls === null || this.secureConnecting || this[kHandle] === null) throw invalidState()
    return this.tls.exportKeyingMaterial(length, label, context)
  }

  // --- facts ----------------------------------------------------------------------------------------------------
  //
  // Those of the session, or what Node says before there is one, and when there is none any more.

  /** Of Node's `ssl`, what programs use: mysql asks `socket.ssl.verifyError()` in 'secure'. */
  get ssl(): SecureSocket['tls'] {
    return this[kHandle] === null ? null : this.tls
  }

  getPeerCertificate(detailed: boolean): nodeTls.PeerCertificate {
    return asked(this, {}, null, session => session.getPeerCertificate(detailed)) as never
  }
  getCertificate(): nodeTls.PeerCertificate | object | null {
    return asked(this, legacyOf(ownOf(this)), null, session => session.getCertificate()) as never
  }
  getPeerX509Certificate(_detailed?: boolean): X509Certificate | undefined {
    return asked(this, undefined, undefined, session => session.getPeerX509Certificate()) as never
  }
  getX509Certificate(): X509Certificate | undefined {
    return asked(this, ownOf(this), undefined, session => session.getX509Certificate()) as never
  }
  getCipher(): nodeTls.CipherNameAndProtocol {
    return asked(this, undefined, null, session => session.getCipher()) as never
  }
  getSharedSigalgs(): string[] {
    return asked(this, [], null, session => session.getSharedSigalgs()) as never
  }
  getEphemeralKeyInfo(): nodeTls.EphemeralKeyInfo | object | null {
    return asked(this, this[kSession].wanted.isServer ? null : {}, null, session =>
      session.getEphemeralKeyInfo(),
    ) as never
  }
  getFinished(): Buffer | undefined {
    return asked(this, undefined, null, session => session.getFinished()) as never
  }
  getPeerFinished(): Buffer | undefined {
    return asked(this, undefined, null, session => session.getPeerFinished()) as never
  }
  getProtocol(): string | null {
    // The newest that OpenSSL can do, whatever the options allow.
    return asked(this, 'TLSv1.3', null, session => session.getProtocol()) as never
  }
  getSession(): Buffer | undefined {
    return asked(this, undefined, null, session => session.getSession()) as never
  }
  getTLSTicket(): Buffer | undefined {
    return asked(this, undefined, null, session => session.getTLSTicket()) as never
  }
  isSessionReused(): boolean {
    return asked(this, false, null, session => session.isSessionReused()) as never
  }
}

// --- helpers of the above -------------------------------------------------------------------------------------------

function asked(
  socket: TLSSocket,
  before: unknown,
  after: unknown,
  ask: (session: NonNullable<SecureSocket['tls']>) => unknown,
): unknown {
  if (socket.destroyed) return after
  return socket.tls === null ? before : ask(socket.tls)
}

/** What it is going to show. */
function ownOf(socket: TLSSocket): X509Certificate | undefined {
  if (socket.tls !== null || socket.destroyed) return undefined
  const der = socket[kSession].engine.ownCertificate()
  return der === null ? undefined : new X509Certificate(der)
}

function legacyOf(certificate: X509Certificate | undefined): object {
  return certificate === undefined ? {} : legacy(certificate)
}

function assertNotStarted(socket: TLSSocket, method: string): void {
  if (socket[kSession].started) throw setAfterStart(method)
}

/** For what is looked at when the handshake begins: while there is no connection it is not too late. */
function assertNotBegun(socket: TLSSocket, method: string): void {
  if (!(socket.connecting && socket[kSession].lower === null)) assertNotStarted(socket, method)
}

/** Whether a stream is a socket whose connection can be taken over: not one that has TLS, or a program's handle. */
export function hasConnection(stream: unknown): stream is Connection {
  if (!isInstance(Socket, stream)) return false
  const socket = stream as unknown as Connection
  return socket[kTls] === null && !(socket[kHandle] instanceof ForeignHandle)
}

/** Whether a server has accepted this one for itself, and not begun with it. */
export function awaits(socket: TLSSocket, server: unknown): boolean {
  const { started, lower } = socket[kSession]
  return !started && lower === null && socket.server === server
}

/** Whether errors are still a server's. */
export function isControlled(socket: TLSSocket): boolean {
  return !socket[kSession].released
}

/** Makes the connection of `lower` the one of `socket`. */
function lean(socket: TLSSocket, lower: Connection): void {
  const session = socket[kSession]
  socket._parent = lower
  socket.connecting = lower.connecting || lower[kHandle] === null
  if (socket.connecting) {
    lower.once('connect', () => {
      if (socket.destroyed) return
      socket.connecting = false
      socket[kHandle] = lower[kHandle]
      socket.emit('connect')
    })
  } else {
    // For what it tells about the connection: nothing is read or written before the handshake begins.
    socket[kHandle] = lower[kHandle]
    lower[kHandle]!.readStop()
  }
  session.letGo = hold(socket, canceledInHandshake)
  // Of a connection that fails; once it has been taken over, errors come here.
  lower.on('error', error => {
    const own = socket._tlsError(error)
    if (own) socket.emit('error', own)
  })
  lower.once('close', () => socket.destroy())
  if (lower.destroyed) process.nextTick(() => socket.destroy())
}

function takeOver(socket: TLSSocket, lower: Connection): void {
  // `hasConnection` has seen it.
  const handle = lower[kHandle] as Handle
  closeTogether(handle, socket)
  socket[kHandle] = handle
  handle.owner = socket as unknown as Handle['owner']
  lower[kTls] = socket[kTls]
  if (socket[kSession].engine.isBeside !== true) return
  // Nothing leaves unencrypted any more. The other engine seals it.
  const restore = override(lower, {
    _write: (_data: unknown, _encoding: unknown, done: Done) => done(takenOver()),
    _writev: (_chunks: unknown, done: Done) => done(takenOver()),
  })
  lower.once('close', restore)
}

// --- the constructor ------------------------------------------------------------------------------------------------

/** TLSSocket as the files above this one see it. */
export type TLSSocket = TLSSocketMethods

interface TLSSocketFunction {
  new (lower?: unknown, options?: Options): TLSSocket
  (lower?: unknown, options?: Options): TLSSocket
  prototype: TLSSocket
}

/** What a program wants of a TLSSocket that it makes by itself. */
function wantedAlone(options: Options, lower: Connection | null, socket: Connection): Wanted {
  const all = wanted(options, lower ?? socket, unjudged, socket)
  const { isServer } = all
  // Node's defaults: nobody is rejected, and nobody is hurried. A server of its own wants `true`; here what is true will do.
  all.requestCert = Boolean(options.requestCert)
  all.rejectUnauthorized = isServer && Boolean(options.rejectUnauthorized)
  if (options.handshakeTimeout === undefined) all.handshakeTimeout = 0
  if (!isServer) all.checkServerIdentity = () => undefined
  const { server } = options as { server?: Hearer }
  if (isServer && server) heard(all, server)
  return all
}

/**
 * `new TLSSocket(socket[, options])`: secure over another stream. A ferronet Socket gives its connection away: what it
 * was asked for is asked of the new one. Of any other stream Node's TLSSocket is made.
 */
export const TLSSocket = function TLSSocket(
  this: TLSSocket,
  lower?: unknown,
  given?: Options,
): TLSSocket | nodeTls.TLSSocket | undefined {
  if (!isInstance(TLSSocket, this)) return new (TLSSocket as TLSSocketFunction)(lower, given)
  const options: Options & { [kRole]?: Role; [kWanted]?: Wanted; [kAccepted]?: AcceptedOptions } = given ?? {}
  if (lower != null && !hasConnection(lower)) return new nodeTls.TLSSocket(lower as never, options as object)
  if (options.enableTrace != null) validateBoolean(options.enableTrace, 'options.enableTrace')
  const below = (lower ?? null) as Connection | null
  const self = this as unknown as Connection
  const want =
    options[kWanted] ??
    (options[kRole] === undefined
      ? wantedAlone(options, below, self)
      : wanted(options, below ?? self, options[kRole], self))
  const engine = chooseEngine(want)
  const accepted = options[kAccepted]
  Socket.call(this, accepted ?? socketOptions(options, below))
  this[kSession] = {
    wanted: want,
    engine,
    lower: below,
    started: false,
    released: false,
    letGo: undefined,
  }
  prepare(this as unknown as SecureSocket)
  this[kTls] = engine
  this.servername = null
  this.secureConnecting = true
  this.on('error', this._tlsError)
  if (want.isServer) this.server = (options.server as never) ?? null
  if (below !== null) lean(this, below)
  // As in Node: what is written before `connect()` waits for that.
  else if (accepted === undefined) this.connecting = !this.destroyed
  if (below !== null && options[kRole] === undefined) process.nextTick(() => this._start())
  return undefined
} as unknown as TLSSocketFunction

function socketOptions(options: Options, lower: Connection | null): SocketOptions {
  const { pauseOnConnect, highWaterMark, signal } = options
  const { noDelay, keepAlive, keepAliveInitialDelay, busyPoll, sharedChunks } = options
  // The connection of another socket has its own.
  const ofConnection = { noDelay, keepAlive, keepAliveInitialDelay, busyPoll, sharedChunks }
  return {
    allowHalfOpen: Boolean(lower === null ? options.allowHalfOpen : lower.allowHalfOpen),
    pauseOnCreate: Boolean(pauseOnConnect),
    manualStart: true,
    ...(highWaterMark === undefined ? {} : { highWaterMark }),
    ...(signal === undefined ? {} : { signal: signal as AbortSignal }),
    ...(lower === null ? { onread: options.onread as null, ...ofConnection } : {}),
  } as SocketOptions
}

adoptMethods(TLSSocket, TLSSocketMethods)
acceptInstances(TLSSocket, nodeTls.TLSSocket)
