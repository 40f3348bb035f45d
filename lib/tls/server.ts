// Server of ferronet/tls: a Server whose connections become TLSSockets. Beside it stands a server of Node's with the same
// options, which listens on nothing. It says what is wrong with options, has the keys of tickets, and serves what our
// engine cannot: streams that are no ferronet sockets, and sessions that are Node's to do.

import nodeTls = require('node:tls')

import { EventEmitter } from 'node:events'
import { type Duplex, getDefaultHighWaterMark } from 'node:stream'
import type * as tls from 'node:tls'
import { adoptMethods } from '../constructor.js'
import { isForeign } from '../node/foreign-handle.js'
import { isInstance, standsFor } from '../node/instances.js'
import type { StreamInternals } from '../node/stream-state.js'
import type { AcceptedOptions } from '../options.js'
import { Server as PlainServer, type ServerOptions } from '../server.js'
import type { Socket } from '../socket.js'
import type { Connection } from '../state.js'
import { kNewSocket } from '../symbols.js'
import { invalidArgType, validateFunction } from '../validate.js'
import { type Context, isUnavailable, newContext } from './context.js'
import { forcedEngine, serverOptions } from './engine.js'
import { disconnected } from './errors.js'
import { heard } from './heard.js'
import { type Hearer, NodeServer, sharedBy } from './node-server.js'
import { type Wanted, wanted } from './options.js'
import { contextAmong, patternOf } from './questions.js'
import { judge, shaken, told } from './roles.js'
import { awaits, hasConnection, isControlled, kAccepted, kWanted, TLSSocket } from './socket.js'
import { createSecureContext, isSecureContext, pairWith, twinOf } from './twins.js'
import type { Role } from './types.js'

type Options = Record<string, unknown>
type Listener = (socket: TLSSocket) => void

/** What a Server keeps besides what it shows. */
interface Terms {
  /** The options as they are for all connections, looked at once. */
  wanted: Wanted
  node: NodeServer
  /** Of the context, and the context made of them; a text is why there is none. */
  options: Options
  context: Context | string
  /** Node's context, which ours stands for. */
  shared: tls.SecureContext | undefined
}

const kTerms = Symbol('ferronet.terms')
/** Of a TLSSocket: the server has been told of its error. */
const kFailed = Symbol('ferronet.failed')

/** The methods of Server; never constructed. */
export class TLSServerMethods extends PlainServer {
  declare [kTerms]: Terms
  declare requestCert: boolean
  declare rejectUnauthorized: boolean
  declare ALPNProtocols: Uint8Array | undefined
  declare ALPNCallback: unknown
  declare _contexts: [RegExp, tls.SecureContext][]

  // --- accept ---------------------------------------------------------------------------------------------------

  override [kNewSocket](options: AcceptedOptions): Socket {
    // Where nobody else looks at the connection before it is secure, one object is enough for both. In a cluster on
    // Windows the connection is libuv's, and Node's server accepts it.
    const { connection } = (this as unknown as StreamInternals)._events
    if (connection !== onConnection || isForeign(options.handle)) return super[kNewSocket](options)
    options.manualStart = true
    // As in Node, where the one of the options is that of the plain socket below.
    options.readableHighWaterMark = options.writableHighWaterMark = getDefaultHighWaterMark(false)
    return accept(this, undefined, { [kAccepted]: options })
  }

  // --- certificates and keys ------------------------------------------------------------------------------------

  /** Other certificates, keys and so on for the connections to come. */
  setSecureContext(options: tls.SecureContextOptions): void {
    const terms = this[kTerms]
    terms.node.setSecureContext(options)
    terms.options = { ...options }
    renew(terms)
  }

  /** For clients that ask for this name, in which `*` stands for a part without dots, another context. */
  addContext(servername: string, context: tls.SecureContext | tls.SecureContextOptions): void {
    const secure =
      !servername || isSecureContext(context)
        ? context
        : createSecureContext(context as tls.SecureContextOptions)
    this[kTerms].node.addContext(servername, secure as tls.SecureContextOptions)
    this._contexts.push([patternOf(servername), secure as tls.SecureContext])
  }

  // Programs change the certificate by way of it, or put another context in its place.
  get _sharedCreds(): tls.SecureContext | undefined {
    return sharedBy(this[kTerms].node)
  }
  set _sharedCreds(context: tls.SecureContext | undefined) {
    Object.assign(this[kTerms].node.server, { _sharedCreds: context })
  }

  /** The 48 bytes that tickets are encrypted with. */
  getTicketKeys(): Buffer {
    return this[kTerms].node.server.getTicketKeys()
  }

  /** Others, for the connections to come. */
  setTicketKeys(keys: Buffer): void {
    // They are those of its context, and so of ours.
    this[kTerms].node.server.setTicketKeys(keys)
  }

  _getServerData(): { ticketKeys: string } {
    return { ticketKeys: this.getTicketKeys().toString('hex') }
  }

  _setServerData(data: { ticketKeys: string }): void {
    this.setTicketKeys(Buffer.from(data.ticketKeys, 'hex'))
  }

  override [EventEmitter.captureRejectionSymbol](error: Error, event: string, ...args: unknown[]): void {
    if (event === 'secureConnection') (args[0] as TLSSocket).destroy(error)
    else super[EventEmitter.captureRejectionSymbol](error, event, ...args)
  }
}

// --- a connection, in the order of its life ---------------------------------------------------------------------------

function onConnection(this: Server, raw: Duplex): void {
  if (isInstance(TLSSocket, raw) && awaits(raw as TLSSocket, this)) {
    begin(raw as TLSSocket, raw)
    return
  }
  if (hasConnection(raw)) {
    begin(accept(this, raw), raw)
    return
  }
  const { requestCert, rejectUnauthorized } = this
  this[kTerms].node.accept(raw, inTheNameOf(this), { requestCert, rejectUnauthorized })
}

/** A listener of 'connection' that ends the connection turns the client away, before it has a session. */
function begin(socket: TLSSocket, raw: Duplex): void {
  socket._start()
  process.nextTick(() => {
    if (raw.writableEnded && isControlled(socket)) socket.destroy()
  })
}

/** Node's code has made the socket, whose `server` is Node's until somebody sees it. */
function inTheNameOf(server: Server): Hearer {
  return {
    emit(event, ...args) {
      for (const each of args) if (each instanceof nodeTls.TLSSocket) Object.assign(each, { server })
      return server.emit(event, ...args)
    },
    listenerCount: event => server.listenerCount(event),
  }
}

function accept(server: Server, lower: Connection | undefined, accepted: Options = {}): TLSSocket {
  const want = termsFor(server)
  const { pauseOnConnect } = server
  const socket = new TLSSocket(lower, { ...accepted, [kWanted]: want, server, pauseOnConnect })
  socket._closeAfterHandlingError = true
  socket.on('secure', judge)
  socket.on('_tlsError', onError)
  // It stays when the handshake is done: as in Node, an error of a client that nobody listens for ends no process.
  socket.on('error', onError)
  socket.on('close', onClose)
  if (server.listenerCount('keylog') > 0)
    socket.on('keylog', line => void server.emit('keylog', line, socket))
  return socket
}

/** The options for one connection, with the server's properties and listeners as they are now. */
function termsFor(server: Server): Wanted {
  const terms = server[kTerms]
  const { requestCert, rejectUnauthorized } = server
  const questions = { ...terms.wanted.questions }
  if (questions.context === undefined && server._contexts.length > 0)
    questions.context = contextAmong(server._contexts)
  const { _sharedCreds: shared } = server
  const context = shared === undefined || shared === terms.shared ? terms.context : twinOf(shared)
  const want = { ...terms.wanted, requestCert, rejectUnauthorized, questions, context }
  want.nodeServer = terms.node
  heard(want, server)
  return want
}

/** With the ticket keys of Node's server, so that either goes on with the sessions of the other. */
function contextOf({ node, options }: Pick<Terms, 'node' | 'options'>): Context | string {
  // Bun has no keys to tell, and no context for them either.
  const context =
    isUnavailable() ?? newContext(serverOptions({ ...options, ticketKeys: node.server.getTicketKeys() }))
  const shared = sharedBy(node)
  if (shared !== undefined && typeof context !== 'string') pairWith(shared, context)
  return context
}

/** Node's server has another context, or one with other keys. */
function renew(terms: Terms): void {
  terms.context = contextOf(terms)
  terms.shared = sharedBy(terms.node)
}

const role: Role = {
  shaken,
  secure(secure) {
    const socket = secure as unknown as TLSSocket
    told(secure)
    socket.off('secure', judge)
    if (socket._releaseControl()) (socket.server as unknown as Server).emit('secureConnection', socket)
  },
  // Node's server says no more to that than that it has hung up.
  rejected: () => undefined,
  dropped(secure, error) {
    const socket = secure as unknown as TLSSocket
    try {
      // While the socket is there. Of one whose client has hung up its 'close' tells.
      if (!isHangUp(error)) socket._emitTLSError(error)
    } finally {
      socket.destroy()
    }
  },
}

function isHangUp(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET'
}

function onError(this: TLSSocket, error: Error): void {
  const failed = this as TLSSocket & { [kFailed]?: true }
  if (failed[kFailed] || !isControlled(this)) return
  failed[kFailed] = true
  ;(this.server as unknown as Server).emit('tlsClientError', error, this)
}

function onClose(this: TLSSocket): void {
  // Making an error takes time, and most of them are for nobody.
  if (isControlled(this)) onError.call(this, disconnected(true, {}))
}

// --- the constructor ------------------------------------------------------------------------------------------------

/** Server as the files above this one see it. */
export type Server = TLSServerMethods

interface ServerFunction {
  new (options?: Options | Listener | null, listener?: Listener): Server
  (options?: Options | Listener | null, listener?: Listener): Server
  prototype: Server
}

/**
 * `new Server([options][, secureConnectionListener])`. The options are those of Node's, and for accepted connections
 * those of ferronet's `Server`.
 */
export const Server = function Server(
  this: Server,
  given?: Options | Listener | null,
  listener?: Listener,
): Server | undefined {
  if (!isInstance(Server, this)) return new (Server as ServerFunction)(given, listener)
  if (given != null && typeof given !== 'object' && typeof given !== 'function')
    throw invalidArgType('options', 'of type object', given)
  const options: Options = typeof given === 'function' ? {} : { ...given }
  const onSecure = typeof given === 'function' ? given : listener
  forcedEngine()
  const node = new NodeServer(options as tls.TlsOptions)
  // Node has no server that waits for ever.
  const handshakeTimeout = options.handshakeTimeout || undefined
  const want = wanted({ ...options, handshakeTimeout, isServer: true }, null, role)
  const context = contextOf({ node, options })
  this[kTerms] = { wanted: want, node, options, context, shared: sharedBy(node) }
  this._contexts = []
  this.requestCert = options.requestCert === true
  this.rejectUnauthorized = options.rejectUnauthorized !== false
  const { ALPNProtocols } = node.server as unknown as { ALPNProtocols?: Uint8Array }
  if (ALPNProtocols !== undefined) this.ALPNProtocols = ALPNProtocols
  this.ALPNCallback = options.ALPNCallback
  PlainServer.call(this, options as ServerOptions, onConnection as never)
  // The options, as Node's server shows them.
  for (const [name, value] of Object.entries(node.server))
    if (!(name in this)) Object.assign(this, { [name]: value })
  if (onSecure !== undefined && onSecure !== null) {
    validateFunction(onSecure, 'listener')
    this.on('secureConnection', onSecure)
  }
  return undefined
} as unknown as ServerFunction

// Deprecated, and gone from Node 24 on.
type SetOptions = (this: object, options: Options) => void
const { setOptions } = nodeTls.Server.prototype as unknown as { setOptions?: SetOptions }
if (setOptions !== undefined) {
  const ours = {
    setOptions(this: Server, ...[options]: [Options]): void {
      const terms = this[kTerms]
      setOptions.call(terms.node.server, options)
      const { requestCert, rejectUnauthorized } = terms.node.server as unknown as Server
      Object.assign(this, { requestCert, rejectUnauthorized })
      terms.options = { ...terms.options, ...options }
      renew(terms)
    },
  }
  Object.defineProperty(ours.setOptions, 'length', { value: setOptions.length, configurable: true })
  Object.assign(TLSServerMethods.prototype, ours)
}

adoptMethods(Server, TLSServerMethods, { shown: [EventEmitter.captureRejectionSymbol] })
standsFor(Server, nodeTls.Server)

/** `new Server(…)` */
export function createServer(options?: Options | Listener | null, listener?: Listener): Server {
  return new Server(options, listener)
}
