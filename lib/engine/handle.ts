// One endpoint, a TCP or Unix-domain socket or a listener, with libuv's verbs in the order of its life. Its owner is the
// Socket or Server that hears of it. No policy of `net` belongs here: what to do with an event is the owner's business.
// Loaded by once.ts, once in a thread.
//
// Numbers: every verb returns 0 or a count when it succeeded and libuv's negative error number otherwise.

import { type InspectContext, inspect } from 'node:util'
import { setImmediate } from '../node/timers.js'
import { Backlog } from './backlog.js'
import { BOUND, CONNECTING, GONE, LISTENING, NEW, OPEN } from './base.js'
import * as batch from './batch.js'
import { examine } from './descriptor.js'
import { spelled } from './endpoint.js'
import {
  DIRECT_SIZE,
  EAGAIN,
  EBADF,
  ECANCELED,
  EINVAL,
  EMFILE,
  ENFILE,
  ENOTCONN,
  EPIPE,
  engine,
  out,
  slots,
  UNKNOWN,
} from './engine.js'
import {
  closed,
  closeLater,
  closeSoon,
  hold,
  post,
  posted,
  release,
  retryAcceptLater,
  thenDrain,
  uncalled,
  uncompleted,
} from './loop.js'
import * as outbox from './outbox.js'
import {
  kOnConnect,
  kOnConnection,
  kOnRelayRest,
  kOnRelayStopped,
  kOnShutdown,
  kOnWriteFailed,
  kOnWritten,
} from './owner.js'
import { Reading } from './reading.js'
import { Segments } from './segments.js'
import type { SocketHandle } from './socket-handle.js'
import type { TlsOwner, TlsStart } from './tls.js'

// A shorter chunk does not become more than a few segments; it is longer than the end that may wait (DIRECT_SIZE).
const SEGMENTED_SIZE = 32 * 1024
const nothing = new Uint8Array(0)
const onWindows = process.platform === 'win32'

// What Node says of a write on a socket that is just bound, or listens.
const UNWRITABLE = { tcp: EPIPE, pipe: ENOTCONN }

/**
 * Whether an accept's failure is told, which makes it an 'error' of the server. As in libuv, what the system says of an
 * accept (no memory, a network that is down, a firewall) is not, but on Windows; it is tried again. When the descriptor
 * table is full libuv closes the clients that wait; here they are accepted when there is room again.
 */
function isTold(status: number): boolean {
  return status === UNKNOWN || (onWindows && status !== EMFILE && status !== ENFILE)
}

const byteLengthOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object,
  'byteLength',
)!.get as () => number

/**
 * A chunk whose lengths can be believed. Properties that a program has put in front of its own may say anything, and what
 * stands behind its bytes in `out` is other sockets'.
 */
function asItIs(chunk: Uint8Array): Uint8Array {
  const length = byteLengthOf.call(chunk)
  if (chunk.byteLength === length && chunk.length === length) return chunk
  const copy = Buffer.alloc(length)
  copy.set(chunk)
  return copy
}

/** What a handle that is given away leaves to whoever gets it. */
export interface Leftover {
  /** Bytes that were read and not delivered, in order. */
  unread: Uint8Array[]
  /** Bytes that the kernel has not taken yet, in order. */
  unsent: Uint8Array[]
  /** FIN was to follow them. */
  ending: boolean
  /** The error that reading met behind `unread`, or 0. */
  readErrno: number
}

/** What `activeHandles` tells of a handle beyond its own properties. */
export interface Facts {
  server: boolean
  listening: boolean
  referenced: boolean
  /** What was asked for and is not done. */
  requests: ('connect' | 'write' | 'shutdown' | 'close')[]
  keepsAlive: boolean
}

export * from './busy-poll.js'
export { closeDescriptor, kindOfDescriptor } from './descriptor.js'
export * from './tls.js'

export class Handle extends Reading<Handle> implements SocketHandle {
  /** Bytes given to us for sending: sent, coalescing, queued, or refused. */
  bytesWritten = 0
  /** What is called before the callback of `close`: the writes that it cancels. */
  declare canceled?: (() => void)[]
  /** What the first write has heard that was under way when it was closed. */
  declare firstCanceled?: Error
  /** Not null: a write is under way. */
  #backlog: Backlog | null = null
  /** FIN is to follow it. */
  #finFollows = false
  #writeErrno = 0
  /** The tick in which it has written outside of a batch. */
  #tick = -1
  /** Not null: it has made a large write. */
  #segments: Segments | null = null
  /** Somebody may wait for the outcome of what is in the backlog. */
  #isAwaited = false
  #isHandshaking = false
  #lost = 0
  /** Where the bytes go that are read here, and where those come from that are sent here, without JavaScript. */
  #relayTo: Handle | null = null
  #relayFrom: Handle | null = null

  // --- from elsewhere -----------------------------------------------------------------------------------------

  /** Takes in a descriptor (or a copy of it), connected, listening or just bound; a negative error number otherwise. */
  static adopt(kind: Handle['kind'], provider: string, fd: number, copy = false): Handle | number {
    return Handle.#of(kind, provider, engine.adopt(fd, copy))
  }

  /** The socket that a handle of another thread parked under this number. */
  static claim(kind: Handle['kind'], provider: string, ticket: number): Handle | number {
    return Handle.#of(kind, provider, engine.claim(ticket))
  }

  static #of(kind: Handle['kind'], provider: string, slot: number): Handle | number {
    if (slot < 0) return slot
    const handle = new Handle(kind, provider)
    // What it really is, the system tells when a verb does not fit.
    handle.openSlot(OPEN, slot)
    handle.adopted = examine(kind, handle.fd)
    return handle
  }

  /** For a listener's events: the handle of a connection that the reactor accepted. */
  static accepted(kind: 'tcp' | 'pipe', slot: number, triggerAsyncId: number): Handle {
    const handle = new Handle(kind, kind === 'tcp' ? 'TCPWRAP' : 'PIPEWRAP', triggerAsyncId)
    handle.openSlot(OPEN, slot)
    return handle
  }

  // --- write --------------------------------------------------------------------------------------------------

  /**
   * Sends, or lets the bytes wait for the end of the handler or tick.
   * Returns 0 when they need no further notice, 1 when `owner[kOnWritten]` will tell, or an error number.
   */
  write(chunk: Uint8Array | string, encoding?: BufferEncoding): number {
    if (this.slot < 0) return EBADF
    if (this.#relayFrom !== null) this.#relayFrom.stopRelay()
    if (typeof chunk !== 'string') chunk = asItIs(chunk)
    if (this.#writeErrno !== 0) return this.#writeAgain(chunk)
    if (this.#backlog !== null)
      return this.#enqueue(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
    if (chunk.length === 0) return this.#writeNothing()
    if (typeof chunk === 'string') {
      // Three bytes bound a UTF-16 unit in UTF-8, two in UTF-16 itself, one in latin1.
      const bound = encoding === 'latin1' ? chunk.length : chunk.length * 3
      if (bound > DIRECT_SIZE) return this.#writeNow(Buffer.from(chunk, encoding))
      const at = outbox.room(bound)
      if (this.#isBlocked()) return this.write(chunk, encoding)
      const before = this.bytesWritten
      const result = this.#pend(at, out.write(chunk, at, encoding))
      // Node counts bytes that fail at once, but no text.
      if (result < 0) this.bytesWritten = before
      return result
    }
    const length = chunk.byteLength
    if (length >= DIRECT_SIZE) return this.#writeNow(chunk)
    const at = outbox.room(length)
    if (this.#isBlocked()) return this.write(chunk)
    out.set(chunk, at)
    return this.#pend(at, length)
  }

  // It fails with the error of the first one, and Node counts it again.
  #writeAgain(chunk: Uint8Array | string): number {
    if (typeof chunk !== 'string') this.bytesWritten += chunk.byteLength
    return this.#writeErrno
  }

  /** Calls `note`, which makes several small writes: they leave together. Returns like `write`, for all of them. */
  join(note: () => number): number {
    const result = outbox.join(note)
    return result === 0 ? this.#leave() : result
  }

  /** Before a write whose outcome somebody waits for: it is sent when the handler returns, or the tick ends. */
  flushSoon(): void {
    this.#isAwaited = true
    outbox.flushSoon()
  }

  /** Several chunks in order; returns like `write`. */
  writev(chunks: Uint8Array[]): number {
    if (this.slot < 0) return EBADF
    if (this.#relayFrom !== null) this.#relayFrom.stopRelay()
    if (this.#writeErrno !== 0) return this.#writeErrno
    let length = 0
    for (let index = 0; index < chunks.length; index++) {
      const chunk = asItIs(chunks[index]!)
      chunks[index] = chunk
      length += chunk.byteLength
    }
    if (this.#backlog === null && length === 0) return this.#writeNothing()
    if (this.#backlog === null && length < DIRECT_SIZE) {
      const at = outbox.room(length)
      if (this.#isBlocked()) return this.writev(chunks)
      let end = at
      for (const chunk of chunks) {
        out.set(chunk, end)
        end += chunk.byteLength
      }
      return this.#pend(at, length)
    }
    outbox.flushWaiting()
    if (this.#writeErrno !== 0) return this.#writeErrno
    const idle = this.#backlog === null
    for (const chunk of chunks) this.#queue(chunk)
    this.bytesWritten += length
    return idle ? this.#sendBacklog() : 1
  }

  /**
   * Sends at most `count` bytes of a file from `offset` on. Returns how many, or an error number: EOF when there are none,
   * EINVAL and ENOTSUP when the system cannot do it, EBADF when the file is not open for reading. Behind it `blocked`:
   * `owner[kOnWritten]` tells when to go on.
   */
  sendFile(descriptor: number, offset: number, count: number): { sent: number; blocked: boolean } {
    if (this.slot < 0) return { sent: EBADF, blocked: false }
    this.#relayFrom?.stopRelay()
    outbox.flushWaiting()
    if (this.#writeErrno !== 0) return { sent: this.#writeErrno, blocked: false }
    if (this.#backlog !== null && !this.#backlog.isDone) return { sent: 0, blocked: true }
    const sent = engine.sendFile(this.slot, descriptor, offset, count)
    // This socket is open, so EBADF is about the file.
    if (sent < 0) return { sent: sent === EBADF ? sent : this.#reason(sent), blocked: false }
    this.bytesWritten += sent
    const blocked = engine.blocked()
    if (blocked) this.#queue(nothing).isDone = false
    return { sent, blocked }
  }

  /** Whether making room showed that this handle's own bytes do not all get out. */
  #isBlocked(): boolean {
    return this.#backlog !== null || this.#writeErrno !== 0
  }

  /** Notes bytes that stand in `out` for sending. Returns like `write`. */
  #pend(at: number, length: number): number {
    if (length === 0) return 0
    this.bytesWritten += length
    outbox.append(this.slot, at, length)
    return this.#leave()
  }

  /** Has what waits leave, unless it may wait. Returns like `write`. */
  #leave(): number {
    if (outbox.mayWait(this.#tick)) return 0
    this.#tick = outbox.currentTick()
    outbox.flushFor(this.slot)
    if (this.#writeErrno !== 0) return this.#writeErrno
    return this.#backlog === null ? 0 : 1
  }

  #writeNow(chunk: Uint8Array): number {
    // First, because they may run the program (by way of async_hooks), and what is taken must stay where it is.
    const segments = this.#segmentsFor(chunk.byteLength)
    const lead = outbox.take(this.slot)
    if (this.#writeErrno !== 0) return this.#writeErrno
    if (this.#backlog !== null) return this.#enqueue(chunk)
    const tail = segments?.tail(this.slot, lead + chunk.byteLength, this.tls !== null) ?? 0
    const at = tail === 0 ? 0 : outbox.room(tail)
    const sent =
      lead + tail === 0
        ? engine.write(this.slot, chunk, 0)
        : engine.writeBehind(this.slot, outbox.takenFrom(), lead, chunk, 0, tail, at)
    // Counted whatever comes of it, as libuv's handles count.
    this.bytesWritten += chunk.byteLength
    if (sent < 0) return (this.#writeErrno = this.#reason(sent))
    if (sent === lead + chunk.byteLength - tail && !this.#isSealedAndWaits()) {
      if (tail > 0) outbox.appendTail(this.slot, at, tail)
      return 0
    }
    if (sent < lead) {
      const from = outbox.takenFrom()
      this.#queue(Buffer.from(out.subarray(from + sent, from + lead)))
    }
    this.#queue(chunk, Math.max(sent - lead, 0))
    return 1
  }

  /** What says how much of a chunk of so many bytes is sent at once; null: all of it. */
  #segmentsFor(length: number): Segments | null {
    if (length < SEGMENTED_SIZE || this.kind !== 'tcp' || !outbox.mayFollow()) return null
    return (this.#segments ??= new Segments())
  }

  // No byte moves, but the kernel tells whether any could: a write of nothing to a dead connection fails in node:net.
  // What waits in `out` asks that too.
  #writeNothing(): number {
    // With TLS it waits for the handshake like any other.
    if (this.#isHandshaking) return this.#enqueue(nothing)
    if (outbox.has(this.slot)) return 0
    const sent = engine.write(this.slot, nothing, 0)
    return sent < 0 ? (this.#writeErrno = this.#reason(sent)) : 0
  }

  #enqueue(chunk: Uint8Array): number {
    this.#queue(chunk)
    this.bytesWritten += chunk.byteLength
    return 1
  }

  #queue(chunk: Uint8Array, offset = 0): Backlog {
    if (this.#backlog === null) {
      this.#backlog = new Backlog()
      hold()
    }
    this.#backlog.add(chunk, offset)
    return this.#backlog
  }

  #dropBacklog(): void {
    if (this.#backlog === null) return
    this.#backlog = null
    this.#isAwaited = false
    release()
  }

  /** 0 when the kernel took all, 1 when a WRITABLE event will follow, or an error. `keeps`: it stays when it is empty. */
  #sendBacklog(keeps = false): number {
    const backlog = this.#backlog!
    const mayLeaveTail = !keeps && !this.#isAwaited && this.#segments !== null && outbox.mayFollow()
    const segments = mayLeaveTail && backlog.isOne ? this.#segments : null
    const tail = segments?.tail(this.slot, backlog.size, this.tls !== null) ?? 0
    const at = tail === 0 ? 0 : outbox.room(tail)
    // With TLS all may be sealed, and the kernel have refused it: a write of nothing is told.
    const isSealed = this.tls !== null && backlog.size === 0
    const status = isSealed
      ? Math.min(engine.write(this.slot, nothing, 0), 0)
      : backlog.send(this.slot, tail, at)
    if (status === 1) return 1
    if (status === 0 && tail > 0) outbox.appendTail(this.slot, at, tail)
    if (status < 0 || !keeps) this.#dropBacklog()
    return status < 0 ? this.#reason(status) : 0
  }

  /** @internal The outcome of a flush that did not send everything of this handle. */
  settle(result: number, rest: Buffer[], own: boolean): void {
    if (result >= 0) {
      for (const chunk of rest) this.#queue(chunk)
      // The addon has sealed all of it, and the kernel has not taken all of that.
      if (rest.length === 0) this.#queue(nothing)
      return
    }
    const status = this.#reason(result)
    this.#writeErrno = status
    if (own) return
    const tell = (): void => this.scope.runInAsyncScope(() => this.owner?.[kOnWriteFailed]?.(status))
    if (this.tls === null) process.nextTick(tell)
    // The peer may have said why it has gone, in an alert: there is an iteration for reading it.
    else setImmediate(setImmediate, () => !this.closed && tell())
  }

  // The kernel tells a connection's error once, to the first call that meets it. That may have been a read whose event
  // is yet to come: a write after it hears EPIPE, but both then fail with that error.
  #reason(status: number): number {
    if (status === EBADF) return this.adopted?.writable === false ? EPIPE : UNWRITABLE[this.kind]
    if (status !== EPIPE) return status
    return batch.readErrorOf(this.slot) ?? (this.unread?.error || status)
  }

  #onWritable(): void {
    const backlog = this.#backlog
    if (backlog === null) {
      // A shutdown was refused for now: the peer of a pipe has read everything, or the kernel has room for TLS's end.
      this.#goOnEnding()
      return
    }
    // libuv on Windows counts a write as pending until its callback is over: what is written there has to wait, too.
    const status = this.#sendBacklog(onWindows)
    if (status === 1) return
    if (status < 0) this.#writeErrno = status
    else backlog.done()
    try {
      this.owner?.[kOnWritten]?.(status)
    } finally {
      if (this.#backlog === backlog && backlog.isDone) this.#reuse(backlog)
      this.#goOnEnding()
    }
  }

  #reuse(backlog: Backlog): void {
    backlog.isDone = false
    if (backlog.hasMore) post(this, this.#onWritable)
    else this.#dropBacklog()
  }

  #goOnEnding(): void {
    if (this.#finFollows && this.slot >= 0) this.#finish()
  }

  /** Of `bytesWritten`, the bytes that were refused by a full kernel buffer and wait, or did when this was closed. */
  get writeQueueSize(): number {
    if (this.#backlog === null) return this.#lost
    // What the addon has sealed is not sent before the backlog is gone.
    return this.tls === null || this.#backlog.isDone ? this.#backlog.size : Math.max(this.#backlog.size, 1)
  }

  /** Whether bytes wait for the handshake. */
  get holdsBytes(): boolean {
    return this.#backlog !== null && this.#backlog.size > 0
  }

  /** The error that ended sending, or 0. */
  get writeErrno(): number {
    return this.#writeErrno
  }

  // --- relay --------------------------------------------------------------------------------------------------

  override readStop(): number {
    if (this.#relayTo !== null) this.stopRelay()
    return super.readStop()
  }

  override unref(): void {
    // A write that waits for a slow peer would keep the process alive.
    this.stopRelay()
    super.unref()
  }

  /**
   * Whether `startRelay` is worth a try: no bytes are on the way that JavaScript has to do with. What this handle itself
   * has to send does not matter.
   */
  mayRelay(to: Handle): boolean {
    return (
      this.#relayTo === null &&
      to.#relayFrom === null &&
      this.phase === OPEN &&
      this.mayDivert() &&
      this.hasRef() &&
      to.#maySend()
    )
  }

  /**
   * Has what is read from here on sent by `to`, which may be the same handle, without JavaScript. Every verb that reads
   * from this handle, or writes to the other, ends that. After `mayRelay`; what waits for the end of the handler leaves
   * now. False, and nothing else has changed, if the kernel did not take all of it.
   */
  startRelay(to: Handle): boolean {
    outbox.flushWaiting()
    if (!this.mayRelay(to) || engine.relayStart(this.slot, to.slot) !== 0) return false
    this.#relayTo = to
    to.#relayFrom = this
    return true
  }

  #maySend(): boolean {
    return (
      this.slot >= 0 && this.phase === OPEN && this.tls === null && !this.#isBlocked() && !this.#finFollows
    )
  }

  /** What is read here is JavaScript's again. What was read and is not sent goes out first, like a write. */
  stopRelay(): void {
    this.#stopRelay(true)
  }

  #stopRelay(readsOn: boolean): void {
    const to = this.#relayTo
    if (to === null) return
    this.#countRelayed()
    const [idle, toIdle] = [this.relayIdle, to.relayIdle]
    this.#relayTo = null
    to.#relayFrom = null
    const unsent = engine.relayStop(this.slot, to.slot)
    this.owner?.[kOnRelayStopped]?.(idle)
    if (to !== this) to.owner?.[kOnRelayStopped]?.(toIdle)
    if (unsent !== undefined) this.#handBack(unsent, to)
    if (readsOn) this.readAgain()
  }

  // To the streams it is a chunk that has just come: so they know that the destination is full, and that it ends later.
  #handBack(unsent: Buffer, to: Handle): void {
    to.bytesWritten -= unsent.byteLength
    if (this.owner?.[kOnRelayRest]?.(unsent, to.owner)) return
    to.bytesWritten += unsent.byteLength
    to.#queue(unsent)
  }

  /** Ends a relay that brings bytes to be sent here. */
  stopRelayTo(): void {
    this.#relayFrom?.stopRelay()
  }

  /** Whether bytes come or go here without JavaScript. */
  get relays(): boolean {
    return this.#relayTo !== null || this.#relayFrom !== null
  }

  /** Brings `bytesRead` and `bytesWritten` up to date. */
  count(): this {
    this.#countRelayed()
    if (this.#relayFrom !== null) this.#relayFrom.#countRelayed()
    return this
  }

  #countRelayed(): void {
    if (this.#relayTo === null) return
    const moved = engine.relayCount(this.slot)
    this.bytesRead += moved
    this.#relayTo.bytesWritten += moved
  }

  /** How many milliseconds ago a relay has last read or sent here. */
  get relayIdle(): number {
    const read = this.#relayTo === null ? Number.POSITIVE_INFINITY : engine.relayIdle(this.slot, false)
    const from = this.#relayFrom
    return from === null ? read : Math.min(read, engine.relayIdle(from.slot, true))
  }

  // What had been read for it is lost, like a write that fails.
  #failRelay(status: number): void {
    this.stopRelayTo()
    this.#writeErrno = this.#reason(status)
    this.owner?.[kOnWriteFailed]?.(this.#writeErrno)
  }

  // --- close --------------------------------------------------------------------------------------------------

  /** Sends FIN after all that was written; `owner[kOnShutdown](status)` tells, from a later phase of the loop. */
  shutdown(): number {
    if (this.slot < 0) return ENOTCONN
    this.stopRelayTo()
    hold()
    if (this.#backlog === null) this.#finish()
    else this.#finFollows = true
    return 0
  }

  #finish(): void {
    this.#finFollows = false
    post(this, this.#shutdown)
  }

  #shutdown(): void {
    outbox.flushWaiting()
    if (this.#backlog !== null && this.slot >= 0) {
      // Not all of what was written last has left: FIN follows it.
      this.#finFollows = true
      return
    }
    const status = this.slot < 0 ? ECANCELED : this.#writeErrno || engine.shutdown(this.slot)
    if (status === EAGAIN) {
      this.#finFollows = true
      return
    }
    release()
    this.owner?.[kOnShutdown]?.(status)
  }

  /** Closes the descriptor now, dropping what is queued; `callbacks` run in the loop's closing phase, each by itself. */
  close(...callbacks: ((() => void) | undefined)[]): void {
    this.#close(callbacks, false)
  }

  /** Closes with RST; TCP only. */
  reset(...callbacks: ((() => void) | undefined)[]): number {
    if (this.kind !== 'tcp') return EINVAL
    this.#close(callbacks, true)
    return 0
  }

  #close(callbacks: ((() => void) | undefined)[], reset: boolean): void {
    if (this.closed) return
    this.stopRelay()
    this.stopRelayTo()
    outbox.flushWaiting()
    const busy =
      this.isReading || this.phase === CONNECTING || this.phase === LISTENING || this.#backlog !== null
    if (this.phase === CONNECTING) release()
    this.#handshakeEnds()
    this.#lost = this.writeQueueSize
    this.#drop()
    if (this.slot >= 0) {
      slots[this.slot] = undefined
      const kept = this.adopted?.standard && engine.release(this.slot) >= 0
      if (!kept) engine.close(this.slot, reset)
      this.slot = -1
    }
    this.tls?.closed()
    this.phase = GONE
    this.isReading = false
    this.recount()
    const all = this.canceled === undefined ? callbacks : [...this.canceled, ...callbacks]
    // Another socket on this connection may bring its own.
    if (this.canceled !== undefined) this.canceled = undefined
    // On Windows libuv closes a handle once it has seen that what was under way is cancelled: an iteration later.
    if (busy && onWindows) closeLater(this, all)
    else closeSoon(this, all)
  }

  /** Forgets what was neither delivered nor sent. */
  #drop(): void {
    this.#dropBacklog()
    if (this.#finFollows) release()
    this.#finFollows = false
    this.unread = null
  }

  // --- TLS ----------------------------------------------------------------------------------------------------

  /**
   * From here on bytes travel in TLS. Nothing is read but by the handshake, and what is written waits, until `openTls`.
   * After `leave()`, with nothing left to send. `owner` hears how it goes, from later phases of the loop.
   */
  startTls(owner: TlsOwner, start: TlsStart): number {
    if (this.slot < 0) return EBADF
    this.stopRelay()
    this.stopRelayTo()
    const { context, flags, servername, protocols, session, unread, shown } = start
    const status = engine.tlsStart(this.slot, context, flags, servername, protocols, session, unread, shown)
    if (status < 0) return status
    this.tls = owner
    this.#isHandshaking = true
    hold()
    return 0
  }

  /** The peer's certificate is all right: bytes come and go from here on, those that wait after `goOnTls`. */
  openTls(): void {
    if (this.slot < 0) return
    this.#handshakeEnds()
    engine.tlsOpen(this.slot)
  }

  /** Sends what has waited for the handshake. */
  goOnTls(): void {
    if (this.slot < 0) return
    if (this.#backlog !== null) this.#onWritable()
    else if (this.#finFollows) this.#finish()
  }

  /** In its place, if nobody says so: the peer gets the rest of the handshake, and all that is told is how it ends. */
  partTls(): void {
    if (this.slot >= 0) engine.tlsPart(this.slot)
  }

  #handshakeEnds(): void {
    if (!this.#isHandshaking) return
    this.#isHandshaking = false
    release()
  }

  // Sealed bytes of a write that the kernel has not taken: a WRITABLE event tells when it has.
  #isSealedAndWaits(): boolean {
    return this.tls !== null && engine.blocked()
  }

  // --- hand over ----------------------------------------------------------------------------------------------

  /** Sends what waits for the end of the handler or tick; 0, or the error that ended sending. */
  flush(): number {
    outbox.flushWaiting()
    return this.#writeErrno
  }

  /** What would be lost if the descriptor went now. Nothing more is read or sent by this handle. */
  leave(): Leftover {
    this.stopRelay()
    this.stopRelayTo()
    outbox.flushWaiting()
    this.readStop()
    this.holdRest()
    batch.take(this.slot, this.#takeEvent.bind(this))
    const leftover = {
      unread: this.unread?.chunks ?? [],
      unsent: this.#backlog?.chunks() ?? [],
      ending: this.#finFollows,
      readErrno: this.unread?.error ?? 0,
    }
    this.#drop()
    return leftover
  }

  // What the reactor has told of this handle and the batch has not come to would be told to nobody.
  #takeEvent(kind: number, a: number, b: number): void {
    switch (kind) {
      case batch.DATA_SCRATCH:
        this.holdCopies(a, a + b)
        break
      case batch.DATA_SMALL:
      case batch.DATA_BULK: {
        const chunk = batch.ownChunk(kind, a, b)
        if (typeof chunk === 'number') this.holdEnd(chunk)
        else this.holdChunk(chunk)
        break
      }
      case batch.READ_ERROR:
        this.holdEnd(a)
        break
      case batch.ACCEPT: {
        const client = Handle.accepted(this.kind, a, this.asyncId())
        post(this, () => this.onconnection(0, client))
        break
      }
    }
  }

  /** Gives the descriptor to the caller; nothing is left for the handle but `close()`. After `leave()`. */
  release(): number {
    return this.#part(engine.release(this.slot))
  }

  /** Leaves the socket for another thread, which claims it by the number that is returned. After `leave()`. */
  park(): number {
    return this.#part(engine.park(this.slot))
  }

  /** A second descriptor of the same socket, for the caller. */
  copy(): number {
    return this.slot < 0 ? EBADF : engine.copy(this.slot)
  }

  /** Has a path removed when this closes, as if it had been bound here; the path goes along to another thread. */
  removeOnClose(path: string): number {
    return this.slot < 0 ? EBADF : engine.removeOnClose(this.slot, path)
  }

  #part(result: number): number {
    if (result < 0) return result
    slots[this.slot] = undefined
    this.slot = -1
    this.phase = NEW
    this.isReading = false
    this.recount()
    return result
  }

  /** What is worth knowing in a dump of a Socket or Server: where it is, not how it is kept. */
  [inspect.custom](depth: number, options: InspectContext, show: typeof inspect): string {
    if (depth < 0) return options.stylize('[Handle]', 'special')
    const { kind, fd, reading, bytesRead, bytesWritten, writeQueueSize } = this.count()
    const listening = this.phase === LISTENING
    const local = spelled(this.sockname())
    const facts = listening
      ? { kind, fd, listening, local, referenced: this.hasRef() }
      : {
          ...{ kind, fd, reading, local, remote: spelled(this.peername()), referenced: this.hasRef() },
          ...{ bytesRead, bytesWritten, writeQueueSize },
        }
    return `Handle ${show(facts, options)}`
  }

  /** @internal For `activeHandles`. A closed handle counts until its callback. */
  facts(): Facts {
    const posted = uncompleted().filter(({ handle }) => handle === this)
    const requests: Facts['requests'] = []
    if (this.phase === CONNECTING) requests.push('connect')
    if (this.#backlog !== null) requests.push('write')
    if (this.#finFollows || posted.some(({ complete }) => complete === this.#shutdown))
      requests.push('shutdown')
    if (uncalled().includes(this)) requests.push('close')
    return {
      server: this.server,
      listening: this.phase === LISTENING,
      referenced: this.referenced,
      requests,
      keepsAlive: this.counted || requests.length > 0 || posted.length > 0,
    }
  }

  // --- events -------------------------------------------------------------------------------------------------

  /** @internal One event of the batch. */
  deliver(kind: number, a: number, b: number): void {
    switch (kind) {
      case batch.DATA_SCRATCH:
        this.deliverCopy(a, a + b)
        break
      case batch.DATA_SMALL:
      case batch.DATA_BULK:
        this.deliverView(batch.view(kind, a, b))
        break
      case batch.WRITABLE:
        this.scope.runInAsyncScope(this.#onWritable, this)
        break
      case batch.END:
      case batch.READ_ERROR:
        this.#stopRelay(false)
        // Nobody reads during a handshake, but it ends.
        if (this.#isHandshaking) this.scope.runInAsyncScope(this.#failTls, this, a)
        else this.deliverEndInTurn(a)
        break
      case batch.CONNECT:
        this.phase = a === 0 ? OPEN : BOUND
        release()
        this.runInAsyncScope(this.#emitConnect, this, a)
        break
      case batch.READABLE:
        this.deliverReadable()
        break
      case batch.ACCEPT: {
        // Made outside the listener's async scope, as node:net makes it.
        const client = Handle.accepted(this.kind, a, this.asyncId())
        this.runInAsyncScope(this.onconnection, this, 0, client)
        break
      }
      case batch.SECURE:
        this.scope.runInAsyncScope(this.#emitSecure, this, a, b)
        break
      case batch.TLS_ERROR:
        this.#handshakeEnds()
        this.scope.runInAsyncScope(this.#emitTlsError, this)
        break
      case batch.TLS_NEWS:
        this.scope.runInAsyncScope(this.#emitNews, this)
        break
      case batch.TLS_ASKS:
        this.scope.runInAsyncScope(this.#emitQuestion, this, a)
        break
      case batch.RELAY_FAILED:
        this.runInAsyncScope(this.#failRelay, this, a)
        break
      case batch.ACCEPT_ERROR:
        retryAcceptLater()
        if (isTold(a)) this.runInAsyncScope(this.onconnection, this, a)
        break
    }
  }

  #failTls(status: number): void {
    this.#handshakeEnds()
    this.tls!.ended(status)
  }

  #emitSecure(verdict: number, reused: number): void {
    this.tls!.secure(verdict, reused === 1)
  }

  #emitTlsError(): void {
    this.tls!.failed()
  }

  #emitNews(): void {
    this.tls!.news()
  }

  #emitQuestion(question: number): void {
    this.tls!.asked(question)
  }

  #emitConnect(status: number): void {
    this.owner?.[kOnConnect]?.(status)
  }

  /** What a listener's events go through; a program may put a function of its own in its place. */
  onconnection(status: number, client?: Handle): void {
    this.owner?.[kOnConnection]?.(status, client)
  }
}

/** Those that are open, or closing: in the order of their slots, then of their requests. */
export function openHandles(): Handle[] {
  const all = [...slots, ...uncompleted().map(({ handle }) => handle), ...uncalled()]
  return [...new Set(all)].filter(handle => handle instanceof Handle)
}

engine.start({
  dispatch: thenDrain(batch.dispatch),
  goOn: batch.goOn,
  posted: thenDrain(posted),
  closed: thenDrain(closed),
})
