// What every handle has, connection or listener: its slot, how it is opened, its options, and whether it keeps the
// process alive.

import { HandleSurface, keepAliveArguments } from '../node/handle-surface.js'
import { CONNECT } from './batch.js'
import type { Adopted } from './descriptor.js'
import { type Endpoint, parseEndpoint } from './endpoint.js'
import { EADDRINUSE, EBADF, EINVAL, ENOTSOCK, engine, type Slot, slots } from './engine.js'
import { hold, post, release } from './loop.js'
import { PIPE_READS, PIPE_WRITES } from './pipe.js'
import { FACTS, type Fact, NEWS, type News, type TlsContext } from './tls.js'

// The phases of its life.
/** There is no operating system socket yet, or it has been given away. */
export const NEW = 0
export const BOUND = 1
/** The outcome of the connect is not told yet. */
export const CONNECTING = 2
export const OPEN = 3
export const LISTENING = 4
/** Closed; the callbacks of `close` may be yet to come. */
export const GONE = 5

const nothing = new Uint8Array(0)

export abstract class Base extends HandleSurface implements Slot {
  readonly kind: 'tcp' | 'pipe'
  /** The reactor's slot, -1 before an operating system socket exists and after it is closed. */
  slot = -1

  // Few fields, and nothing allocated before it is needed: an idle connection should cost next to nothing.
  protected phase = NEW
  protected referenced = true
  /** Referenced and active: one of those that keep the process alive. */
  protected counted = false
  protected isReading = false
  /** Null for an ordinary socket. */
  protected adopted: Adopted | null = null
  /** Has listened. */
  protected server = false

  /** `triggerAsyncId`: what async_hooks are told made this handle; by default, whatever runs. */
  constructor(kind: 'tcp' | 'pipe', provider: string, triggerAsyncId?: number) {
    super(provider, triggerAsyncId)
    this.kind = kind
  }

  abstract deliver(kind: number, a: number, b: number): void
  abstract settle(result: number, rest: Buffer[], own: boolean): void

  // --- open ---------------------------------------------------------------------------------------------------

  /** Binds a TCP handle. `flags`: UV_TCP_IPV6ONLY, UV_TCP_REUSEPORT of listen.ts. */
  bindTcp(address: string, port: number, flags = 0): number {
    return this.openSlot(BOUND, engine.bindTcp(address, port, flags))
  }

  /** Binds a pipe handle to a path; a leading NUL names Linux's abstract namespace. */
  bindPath(path: string): number {
    return this.openSlot(BOUND, engine.bindPath(path))
  }

  /** The same for a named pipe of Windows. `flags`: PIPE_* of engine.ts; ENOTSUP elsewhere. */
  bindPipe(path: string, flags: number, security: string): number {
    return this.openSlot(BOUND, engine.bindPipe(path, flags, security))
  }

  /** Lets everybody open the pipe that listens here as a client. */
  openToAll(readable: boolean, writable: boolean): number {
    return this.slot < 0 ? EBADF : engine.openToAll(this.slot, readable, writable)
  }

  /** Whether bytes can come, and go. Only a named pipe of Windows may have one direction. */
  directions(): { readable: boolean; writable: boolean } {
    const access = this.slot < 0 ? EBADF : engine.access(this.slot)
    return {
      readable: access < 0 || (access & PIPE_READS) !== 0,
      writable: access < 0 || (access & PIPE_WRITES) !== 0,
    }
  }

  /** Starts to accept; each connection comes as `owner[kOnConnection](0, client)`. */
  listen(backlog: number): number {
    const status = engine.listen(this.slot, backlog)
    if (status === EBADF && this.slot >= 0) return this.adopted?.fifo ? ENOTSOCK : EINVAL
    if (status === 0) {
      this.phase = LISTENING
      this.server = true
      this.recount()
    }
    return status
  }

  /** Starts to connect; the outcome comes as `owner[kOnConnect](status)`, never inside this call. */
  connect(address: string, port: number): number {
    const result = engine.connectTcp(this.slot, address, port)
    // That of the bind, which is as late: every port of the address is taken.
    return result === EADDRINUSE ? this.#connectFails(result) : this.#connect(result)
  }

  connectPath(path: string): number {
    const result = engine.connectPath(this.slot, path)
    // There is no descriptor left, for example. libuv refuses at once only what cannot be a path.
    return result < 0 && result !== EINVAL ? this.#connectFails(result) : this.#connect(result)
  }

  #connect(result: number): number {
    const status = this.openSlot(CONNECTING, result)
    if (status === 0) hold()
    return status
  }

  #connectFails(status: number): number {
    this.phase = CONNECTING
    hold()
    post(this, () => {
      if (this.phase === CONNECTING) this.deliver(CONNECT, status, 0)
    })
    return 0
  }

  /** Takes a slot, or passes an error number on. */
  protected openSlot(phase: number, result: number): number {
    if (result < 0) return result
    this.phase = phase
    this.slot = result
    slots[result] = this
    return 0
  }

  // --- options and facts --------------------------------------------------------------------------------------

  // Programs call these two as well: arguments are not checked, and a closed handle is no error, as in libuv.
  setNoDelay(enable: boolean): number {
    return this.slot < 0 ? 0 : engine.setNoDelay(this.slot, enable === true)
  }

  /** Seconds. Without `interval` and `count` 1 and 10; without a delay the system's three, and EINVAL. */
  setKeepAlive(enable: boolean, delay: number, interval?: number, count?: number): number {
    if (this.slot < 0) return 0
    const options = keepAliveArguments(enable, delay, interval, count)
    const status = engine.setKeepAlive(this.slot, ...options)
    return status === 0 && options[0] && options[1] === 0 ? EINVAL : status
  }

  setTypeOfService(tos: number): number {
    return this.slot < 0 ? EBADF : engine.setTypeOfService(this.slot, tos)
  }

  getTypeOfService(): number {
    return this.slot < 0 ? EBADF : engine.typeOfService(this.slot)
  }

  /** SO_BUSY_POLL, in microseconds. */
  setBusyPoll(microseconds: number): number {
    return this.slot < 0 ? EBADF : engine.setSocketBusyPoll(this.slot, microseconds)
  }

  getBusyPoll(): number {
    return this.slot < 0 ? EBADF : engine.socketBusyPoll(this.slot)
  }

  /** The local end; a pipe's path comes as a string. */
  sockname(): Endpoint | string | number {
    return this.slot < 0 ? EBADF : parseEndpoint(engine.sockname(this.slot))
  }

  peername(): Endpoint | string | number {
    return this.slot < 0 ? EBADF : parseEndpoint(engine.peername(this.slot))
  }

  /** The descriptor, -1 when there is none; it stays ferronet's: do not close it. */
  get fd(): number {
    return this.slot < 0 ? -1 : engine.fd(this.slot)
  }

  // Of a TLS session.
  tlsFact(fact: Fact): Buffer | undefined {
    return this.slot < 0 ? undefined : engine.tlsInfo(this.slot, FACTS.indexOf(fact))
  }

  tlsNews(): News | undefined {
    const news = this.slot < 0 ? undefined : engine.tlsNews(this.slot)
    if (news === undefined) return undefined
    return { kind: NEWS[String.fromCharCode(news[0]!) as keyof typeof NEWS], bytes: news.subarray(1) }
  }

  /** For a listener that comes when the session is there already. */
  tlsKeylog(): void {
    if (this.slot >= 0) engine.tlsKeylog(this.slot)
  }

  /** Has a server show the certificate of another context. */
  tlsShow(context: TlsContext): number {
    return this.slot < 0 ? EBADF : engine.tlsShow(this.slot, context)
  }

  /** What was asked is answered; after a close it makes no difference. */
  answerTls(
    question: number,
    first: Uint8Array = nothing,
    second: Uint8Array = nothing,
    context?: TlsContext,
  ): number {
    return this.slot < 0 ? EBADF : engine.tlsAnswer(this.slot, question, context, first, second)
  }

  /** Begins another handshake: undefined, or why there is none. */
  tlsRenegotiate(flags: number | undefined): Uint8Array | undefined {
    return this.slot < 0 ? nothing : engine.tlsRenegotiate(this.slot, flags ?? 0, flags !== undefined)
  }

  tlsExport(length: number, label: Buffer, context: Uint8Array | undefined): Buffer | undefined {
    if (this.slot < 0) return undefined
    return engine.tlsExport(this.slot, length, label, context ?? nothing, context !== undefined)
  }

  tlsMaxSendFragment(size: number): boolean {
    return this.slot >= 0 && engine.tlsFragment(this.slot, size) === 0
  }

  ref(): void {
    this.referenced = true
    this.recount()
  }

  unref(): void {
    this.referenced = false
    this.recount()
  }

  get closed(): boolean {
    return this.phase === GONE
  }

  hasRef(): boolean {
    return this.referenced && !this.closed
  }

  getAsyncId(): number {
    return this.asyncId()
  }

  protected recount(): void {
    const active = this.isReading || this.phase === LISTENING
    const counts = active && this.referenced
    if (counts === this.counted) return
    this.counted = counts
    if (counts) hold()
    else release()
  }
}
