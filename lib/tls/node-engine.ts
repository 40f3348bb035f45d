// TLS by `node:tls`, where the host's OpenSSL is out of reach or an option asks for what the addon cannot do. The socket
// gets a handle that stands on Node's TLSSocket, and that stands on a stream over the socket's former handle.

import * as tls from 'node:tls'
import { Handle } from '../engine/once.js'
import { nodeNet } from '../node/net.js'
import { setImmediate } from '../node/timers.js'
import { readIntoBuffer } from '../onread.js'
import { kHandle, kOnread } from '../state.js'
import { kOnRead, kOnReadEnd, kOnReadInto, kOnShutdown, kOnWritten } from '../symbols.js'
import { canceled } from '../write.js'
import { certificateOf } from './borrow.js'
import { Carrier } from './carrier.js'
import { secureContextOfNodes } from './context.js'
import * as errors from './errors.js'
import { keep } from './heard.js'
import { throwLater } from './later.js'
import { type Hearer, NodeServer, sharedBy } from './node-server.js'
import { NodeSession } from './node-session.js'
import { takesAddresses, type Wanted } from './options.js'
import { endEarly, failWrites, readOn, refuseKey } from './roles.js'
import type { Engine, Questions, SecureSocket } from './types.js'
import { noCertificate } from './verify.js'

type Bytes = Uint8Array | string

export class NodeEngine implements Engine {
  readonly isBeside = true
  #wanted: Wanted
  #secureContext: tls.SecureContext | undefined
  #server: NodeServer | undefined
  /** Node's own, from the end of the handshake on. */
  #over: (tls.TLSSocket & { setKeyCert?(context: tls.SecureContext): void }) | undefined
  /** What a server shows instead of its own. */
  #shown: tls.SecureContext | undefined
  #isShaken = false
  #isOpen = false

  constructor(options: Wanted) {
    this.#wanted = options
    const given = options.options
    // Wrong options throw here, as with the other engine.
    if (options.isServer) this.#server = options.nodeServer ?? new NodeServer(given)
    else this.#secureContext = (given.secureContext as tls.SecureContext) ?? secureContextOfNodes(given)
  }

  canceled(): Error {
    if (this.#isOpen) return canceled()
    return this.#isShaken ? errors.closedByVerdict() : errors.canceledInHandshake()
  }

  ownCertificate(): Buffer | null {
    const context = this.#shown ?? this.#secureContext ?? this.#contextOfServer()
    return (context && certificateOf(context)) ?? null
  }

  #contextOfServer(): tls.SecureContext | undefined {
    const { secureContext } = this.#wanted.options as { secureContext?: tls.SecureContext }
    return secureContext ?? (this.#server && sharedBy(this.#server))
  }

  show(context: tls.SecureContext): void {
    if (certificateOf(context) === null) throw errors.noKeyCert()
    if (this.#over !== undefined) this.#over.setKeyCert?.(context)
    else this.#shown = context
  }

  start(socket: SecureSocket, below: Handle, unread: Buffer): void {
    const carrier = new Carrier(below, unread)
    const handle = new HandleOverNode(carrier, below)
    socket[kHandle] = handle
    handle.owner = socket as unknown as Handle['owner']
    if (socket[kOnread] !== null) {
      below.readInto(null)
      readIntoBuffer(socket, handle)
    }
    const { isServer, options, role } = this.#wanted
    const endsEarly = (): void => {
      if (!socket.destroyed) endEarly(socket, role, errors.disconnected(isServer, options))
    }
    handle.onEarlyEnd = endsEarly
    if (isServer) this.#accept(socket, handle, carrier)
    else this.#connect(socket, handle, carrier)
  }

  #connect(socket: SecureSocket, handle: HandleOverNode, carrier: Carrier): void {
    const { options, host, servername, session, rejectUnauthorized, role, questions } = this.#wanted
    const over = tls.connect({
      ...options,
      ...(servername === '' || (!takesAddresses && nodeNet.isIP(servername) !== 0) ? {} : { servername }),
      ...(session.length === 0 ? {} : { session: Buffer.from(session) }),
      host,
      rejectUnauthorized,
      checkServerIdentity: this.#wanted.checkServerIdentity,
      secureContext: this.#secureContext,
      socket: carrier,
    } as tls.ConnectionOptions)
    handle.client = over
    this.#watch(socket, handle, over, error => {
      if (over.authorizationError) this.#shaken(socket, over, () => void socket.destroy(role.rejected(error)))
      else if (handle.isOpen || !isReset(error)) fail(socket, handle, error)
      else endEarly(socket, role, errors.disconnected(false, options))
    })
    over.on('session', session => tell(socket, 'session', session))
    if (socket.listenerCount('keylog') > 0) over.on('keylog', line => tell(socket, 'keylog', line))
    over.on('OCSPResponse', response => throwLater(() => questions.response?.(response)))
    over.once('secureConnect', () => this.#shaken(socket, over, () => this.#secure(socket, handle, over)))
  }

  #accept(socket: SecureSocket, handle: HandleOverNode, carrier: Carrier): void {
    const { server, requestCert, rejectUnauthorized, options, role } = this.#wanted
    const own = {
      requestCert,
      rejectUnauthorized,
      secureContext: options.secureContext as tls.SecureContext | undefined,
      shown: this.#shown,
    }
    const failEarly = (error: NodeJS.ErrnoException): void => {
      const isDropped = error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' && role.dropped !== undefined
      if (isDropped) role.dropped!(socket, error)
      else fail(socket, handle, error)
    }
    const hearer: Hearer = {
      emit: (event, ...args) => {
        const over = args.at(-1) as tls.TLSSocket
        if (event === 'tlsClientError') failEarly(args[0] as NodeJS.ErrnoException)
        else if (event === 'keylog') tell(socket, 'keylog', args[0])
        else if (event === 'secureConnection') {
          this.#watch(socket, handle, over, error => void socket.destroy(error))
          this.#shaken(socket, over, () => this.#secure(socket, handle, over))
        } else if (event === 'newSession') {
          // Without a listener Node goes on by itself.
          if (server === undefined || server.listenerCount(event) === 0) return false
          const [id, session, done] = args as Parameters<NonNullable<Questions['store']>>
          throwLater(() => keep(server, id, session, done))
        } else return server?.emit(event, ...args) ?? false
        return true
      },
      listenerCount: event =>
        event === 'keylog' ? socket.listenerCount(event) : (server?.listenerCount(event) ?? 0),
    }
    this.#server!.accept(carrier, hearer, own)
  }

  /** The handshake is done, and Node has judged the peer: `judge` says so. */
  #shaken(socket: SecureSocket, over: tls.TLSSocket, judge: () => void): void {
    if (socket.destroyed) {
      over.destroy()
      return
    }
    let judged = false
    const once = (): void => {
      if (judged) return
      judged = true
      if (socket.destroyed) over.destroy()
      else judge()
    }
    this.#isShaken = true
    socket.alpnProtocol = over.alpnProtocol
    throwLater(() => this.#wanted.role.shaken?.(socket, once))
    once()
  }

  #secure(socket: SecureSocket, handle: HandleOverNode, over: tls.TLSSocket): void {
    // Deno's server says yes of a client that it has not asked for a certificate.
    const { isServer, requestCert, rejectUnauthorized, role } = this.#wanted
    socket.authorized = over.authorized && (!isServer || requestCert)
    socket.authorizationError = over.authorizationError ?? null
    if (isServer && socket.authorized && isAnonymous(over)) {
      const error = noCertificate()
      socket.authorized = false
      socket.authorizationError = error.code!
      if (rejectUnauthorized) {
        socket.destroy(role.rejected(error))
        return
      }
    }
    throwLater(() => role.secure(socket))
    if (socket.destroyed) return
    this.#isOpen = true
    handle.open(over)
    if (!socket.destroyed) readOn(socket, role)
  }

  #watch(
    socket: SecureSocket,
    handle: HandleOverNode,
    over: tls.TLSSocket,
    fail: (error: Error) => void,
  ): void {
    this.#over = over
    socket.tls = new NodeSession(over, handle)
    handle.requireCloseNotify = this.#wanted.requireCloseNotify
    over.on('error', error => {
      if (over.authorizationError) socket.authorizationError = over.authorizationError
      fail(error)
    })
    // Node says no more than this of a peer that it has rejected.
    over.once('close', () => {
      if (!handle.isOpen && !socket.destroyed) fail(errors.disconnected(this.#wanted.isServer, {}))
    })
  }
}

function fail(socket: SecureSocket, handle: HandleOverNode, error: NodeJS.ErrnoException): void {
  const isBroken = !handle.isOpen && error.code?.startsWith('ERR_SSL_')
  if (error.code === 'ERR_TLS_DH_PARAM_SIZE') refuseKey(socket, error)
  else if (isBroken && handle.holdsBytes) failWrites(socket, error.message)
  else socket.destroy(error)
}

/** What a handler throws must not unwind through Node's TLSSocket, which has more to tell. */
function tell(socket: SecureSocket, event: string, value: unknown): void {
  throwLater(() => socket.emit(event, value))
}

/** A client whose session went on and which has no certificate: Node believes it before 24.21. */
function isAnonymous(over: tls.TLSSocket): boolean {
  return over.isSessionReused() && over.getPeerX509Certificate() === undefined
}

/** Node's error for the end of the connection in the handshake. */
function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET' && error.syscall === undefined
}

/** What the Socket calls: libuv's verbs on Node's TLSSocket. The connection's own go to the handle below. */
class HandleOverNode extends Handle {
  requireCloseNotify = false
  closeNotify = false
  /** Called when the connection has ended in the handshake, and Node has nothing to say to the bytes before that. */
  onEarlyEnd: (() => void) | undefined
  #carrier: Carrier
  #below: Handle
  #over: tls.TLSSocket | null = null
  /** Of a client, from the beginning of its handshake on. */
  client: tls.TLSSocket | undefined
  #waits: (() => void)[] = []
  #reads = false
  #into: Uint8Array | null = null
  /** What was read and the reader has not taken. */
  #rest: Buffer | null = null
  #unsent = 0
  #writes = 0
  /** The pieces of one write, while they are being told. */
  #joined: Uint8Array[] | null = null
  #gone = false

  constructor(carrier: Carrier, below: Handle) {
    super(below.kind, below.kind === 'tcp' ? 'TCPWRAP' : 'PIPEWRAP')
    this.#carrier = carrier
    this.#below = below
    this.bytesRead = below.bytesRead
    this.bytesWritten = below.bytesWritten
    const onEnd = (status: number): void => this.#connectionEnds(status)
    carrier.onEnd = onEnd
  }

  get isOpen(): boolean {
    return this.#over !== null
  }

  /** The handshake is done, and the peer is who it should be. */
  open(over: tls.TLSSocket): void {
    this.#over = over
    over.on('data', (chunk: Buffer) => this.#deliver(chunk)).pause()
    over.on('end', () => {
      this.closeNotify ||= !this.#carrier.readableEnded
      if (this.requireCloseNotify && !this.closeNotify) this.#tell(() => over.destroy(errors.truncated()))
      else this.#tell(() => this.owner?.[kOnReadEnd]?.(0))
    })
    if (this.#reads) over.resume()
    for (const run of this.#waits.splice(0)) run()
  }

  #tell(run: () => void): void {
    if (!this.#gone) throwLater(() => this.runInAsyncScope(run))
  }

  #connectionEnds(status: number): void {
    const over = this.#over as unknown as { _readableState: { ended: boolean } } | null
    if (status === 0 && over?._readableState.ended) this.closeNotify = true
    // Node waits for the end of both directions.
    if (over === null) setImmediate(() => setImmediate(() => !this.isOpen && this.onEarlyEnd?.()))
  }

  // --- read ---------------------------------------------------------------------------------------------------

  override get reading(): boolean {
    return this.#reads
  }
  override set reading(_announced: boolean) {}

  override readStart(): number {
    if (this.#reads) return 0
    this.#reads = true
    const rest = this.#rest
    this.#rest = null
    if (rest !== null) process.nextTick(() => this.#deliver(rest))
    else this.#over?.resume()
    return 0
  }

  override readStop(): number {
    this.#reads = false
    this.#over?.pause()
    return 0
  }

  override readInto(buffer: Uint8Array | null): void {
    this.#into = buffer
  }

  override shareChunks(): void {}

  #deliver(chunk: Buffer): void {
    if (this.#gone) return
    if (!this.#reads) {
      this.#rest = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
      return
    }
    if (this.#into === null) {
      this.bytesRead += chunk.length
      this.#tell(() => this.owner?.[kOnRead]?.(chunk))
    } else {
      const part = chunk.subarray(0, this.#into.byteLength)
      this.#into.set(part)
      this.bytesRead += part.length
      this.#tell(() => this.owner?.[kOnReadInto]?.(part.length))
      if (part.length < chunk.length) this.#deliver(chunk.subarray(part.length))
    }
    if (this.#reads && this.#rest === null) this.#over?.resume()
  }

  // --- write --------------------------------------------------------------------------------------------------

  override write(chunk: Bytes, encoding?: BufferEncoding): number {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    if (this.#joined === null) return this.#write(bytes)
    this.#joined.push(bytes)
    return 0
  }

  override join(note: () => number): number {
    const joined: Uint8Array[] = (this.#joined = [])
    try {
      note()
    } finally {
      this.#joined = null
    }
    return this.writev(joined)
  }

  override writev(chunks: Uint8Array[]): number {
    return this.#write(Buffer.concat(chunks))
  }

  #write(bytes: Uint8Array): number {
    // The program may use its memory again when the socket has called back, which is when Node has.
    this.bytesWritten += bytes.byteLength
    this.#unsent += bytes.byteLength
    this.#writes++
    this.#whenOpen(over => {
      this.#carrier.isWritten = true
      over.write(bytes, error => {
        this.#unsent -= bytes.byteLength
        this.#writes--
        // Node tells of an error in 'error' as well.
        if (!error) this.#tell(() => this.owner?.[kOnWritten]?.(0))
      })
    })
    return 1
  }

  #whenOpen(run: (over: tls.TLSSocket) => void): void {
    if (this.#over !== null) run(this.#over)
    else this.#waits.push(() => run(this.#over!))
  }

  override flushSoon(): void {}
  override flush(): number {
    return 0
  }

  override get writeQueueSize(): number {
    // One of no bytes is under way, too.
    return this.#writes === 0 ? 0 : Math.max(this.#unsent, 1)
  }

  override get holdsBytes(): boolean {
    return this.#unsent > 0
  }

  override get writeErrno(): number {
    return 0
  }

  // --- half-close and close -----------------------------------------------------------------------------------

  override shutdown(): number {
    const end = (over: tls.TLSSocket): void => {
      over.end(() => this.#tell(() => this.owner?.[kOnShutdown]?.(0)))
    }
    // Nothing waits for the handshake, so FIN does not either.
    if (this.client !== undefined && this.#writes === 0) end(this.client)
    else this.#whenOpen(end)
    return 0
  }

  override get closed(): boolean {
    return this.#gone
  }

  override close(...callbacks: ((() => void) | undefined)[]): void {
    this.#leave()
    this.#below.close(...callbacks)
  }

  override reset(...callbacks: ((() => void) | undefined)[]): number {
    this.#leave()
    return this.#below.reset(...callbacks)
  }

  #leave(): void {
    this.#gone = true
    if (this.canceled !== undefined) this.#below.canceled = this.canceled
    this.#over?.destroy()
    this.#carrier.destroy()
    this.emitDestroy()
  }

  // --- options and facts --------------------------------------------------------------------------------------

  override setNoDelay(enable: boolean): number {
    return this.#below.setNoDelay(enable)
  }
  override setKeepAlive(...args: Parameters<Handle['setKeepAlive']>): number {
    return this.#below.setKeepAlive(...args)
  }
  override setTypeOfService(tos: number): number {
    return this.#below.setTypeOfService(tos)
  }
  override getTypeOfService(): number {
    return this.#below.getTypeOfService()
  }
  override sockname(): ReturnType<Handle['sockname']> {
    return this.#below.sockname()
  }
  override peername(): ReturnType<Handle['peername']> {
    return this.#below.peername()
  }
  override get fd(): number {
    return this.#below.fd
  }
  override ref(): void {
    this.#below.ref()
  }
  override unref(): void {
    this.#below.unref()
  }
  override hasRef(): boolean {
    return this.#below.hasRef()
  }
}
