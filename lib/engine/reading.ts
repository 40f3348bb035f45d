// The reading half of a handle: the verbs, and what becomes of bytes that come when the reader has stopped.

import type { AsyncResource } from 'node:async_hooks'
import { Base } from './base.js'
import * as batch from './batch.js'
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINVAL,
  ENOBUFS,
  ENOTCONN,
  EOF,
  engine,
  READ_CHUNKS,
  READ_INTO,
  READ_SHARED,
} from './engine.js'
import { kOnRead, kOnReadEnd, kOnReadInto, type Owner } from './owner.js'
import type { TlsOwner } from './tls.js'
import { Unread } from './unread.js'

/** In a row, into a program's own buffer: as many as libuv reads in one iteration. */
const MAX_READS = 32
let readsInRow = 0

// The reactor reads connections only. What Node says of a socket that is just bound, or listens: of TCP libuv knows it,
// of a pipe the system is asked.
const UNREADABLE = { tcp: ENOTCONN, pipe: process.platform === 'linux' ? EINVAL : ENOTCONN }

export abstract class Reading<Client> extends Base implements batch.Reader {
  owner: Owner<Client> | null = null
  /** Bytes received from the kernel. */
  bytesRead = 0
  /** Where libuv's handles have their listener of reads, which Node's http agent replaces: see `Socket`. */
  declare onread?: unknown
  /** Reads into slabs, and hands out views of them. */
  #shares = false
  #into: Uint8Array | null = null
  protected unread: Unread | null = null
  /** The TLS session that bytes travel in. */
  tls: TlsOwner | null = null

  /** In whose async context the program hears of what comes: the session's, once there is one, as in Node. */
  protected get scope(): AsyncResource {
    return this.tls ?? this
  }

  // --- read ---------------------------------------------------------------------------------------------------

  // Node's http sets it before it calls one of the verbs, as it would on a handle of libuv's; the verbs are what counts.
  /** Whether bytes are asked for. */
  get reading(): boolean {
    return this.isReading
  }
  set reading(_announced: boolean) {}

  readStart(): number {
    if (this.isReading) return 0
    if (this.slot < 0) return EBADF
    if (this.adopted?.readable === false) return ENOTCONN
    this.isReading = true
    this.recount()
    if (this.unread !== null && !this.unread.isEmpty) {
      this.#resumeSoon()
      return 0
    }
    const status = engine.readStart(this.slot, this.#readMode())
    return status === ENOTCONN || status === EBADF ? UNREADABLE[this.kind] : status
  }

  #readMode(): number {
    if (this.#into !== null) return READ_INTO
    if (!this.#shares) return READ_CHUNKS
    batch.needSlabs()
    return READ_SHARED
  }

  /** From now on chunks are views of memory that other sockets' chunks are in as well. */
  shareChunks(): void {
    this.#shares = true
  }

  readStop(): number {
    if (!this.isReading) return 0
    this.isReading = false
    this.recount()
    // Also while bytes are held: when a handler threw, the kernel's are still being read behind them.
    return this.slot < 0 ? 0 : engine.readStop(this.slot)
  }

  /** From now on bytes are read straight into `buffer` and reported as `owner[kOnReadInto](nread)`; with null, as chunks. */
  readInto(buffer: Uint8Array | null): void {
    this.#into = buffer
  }

  // --- what comes ---------------------------------------------------------------------------------------------

  #emitRead(chunk: Buffer): void {
    this.owner?.[kOnRead]?.(chunk)
  }

  #emitReadInto(nread: number): void {
    this.owner?.[kOnReadInto]?.(nread)
  }

  #emitReadEnd(status: number): void {
    if (this.tls?.ended(status)) return
    this.owner?.[kOnReadEnd]?.(status)
  }

  protected deliverView(bytes: Buffer | undefined): void {
    // A handler of this batch has detached the slab, and the bytes with it.
    if (bytes === undefined) this.#deliverEnd(EFAULT)
    else if (this.#isHeld()) this.holdChunk(bytes)
    else this.#deliverChunk(bytes)
  }

  #deliverChunk(chunk: Buffer): void {
    this.bytesRead += chunk.byteLength
    this.scope.runInAsyncScope(this.#emitRead, this, chunk)
  }

  /** Whether whatever is read next may go elsewhere: nothing waits that was read before it, and chunks are all it gives. */
  protected mayDivert(): boolean {
    if (!this.isReading || this.#into !== null || this.onread !== undefined || this.tls !== null) return false
    return (this.unread === null || this.unread.isEmpty) && !batch.hasRest(this)
  }

  /** Reads again, after what was read has gone elsewhere. */
  protected readAgain(): void {
    if (this.isReading) engine.readStart(this.slot, this.#readMode())
  }

  /** Whether what was read has to wait: the reader stopped in an earlier event of the batch, or something waits. */
  #isHeld(): boolean {
    return !this.isReading || (this.unread !== null && !this.unread.isEmpty)
  }

  protected holdChunk(chunk: Buffer): void {
    this.unread ??= new Unread()
    this.unread.add(chunk)
  }

  protected holdEnd(status: number): void {
    this.unread ??= new Unread()
    this.unread.end(status)
  }

  protected deliverCopy(from: number, end: number): void {
    if (this.#isHeld()) {
      this.holdCopies(from, end)
    } else if (end - from <= batch.MAX_CHUNK) {
      this.#deliverChunk(batch.chunkAt(from, end))
    } else {
      batch.keepRest(this, from, end)
      this.deliverRest()
    }
  }

  /** @internal The next chunk of a read that is more than one. */
  deliverRest(): void {
    // A reader that stops in the middle keeps the rest waiting here, not in its own buffer beyond the high-water mark.
    if (!this.isReading && this.#into === null) {
      this.holdRest()
      return
    }
    const { from, end } = batch.takeRest(this)!
    if (this.#into !== null) {
      if (this.isReading) this.#readInto()
      return
    }
    const to = Math.min(from + batch.MAX_CHUNK, end)
    if (to < end) batch.keepRest(this, to, end)
    this.#deliverChunk(batch.chunkAt(from, to))
  }

  /** Keeps what is left of a read, if it is this handle's that is being delivered. */
  protected holdRest(): void {
    const rest = batch.takeRest(this)
    // Of what is read into the program's buffer the rest is in the kernel.
    if (rest !== null && !this.closed && this.#into === null) this.holdCopies(rest.from, rest.end)
  }

  protected holdCopies(from: number, end: number): void {
    for (let at = from; at < end; at += batch.MAX_CHUNK) {
      this.holdChunk(batch.chunkAt(at, Math.min(at + batch.MAX_CHUNK, end)))
    }
  }

  // In the next iteration of the loop, like bytes that have waited in the kernel.
  #resumeSoon(): void {
    if (this.unread!.resuming) return
    this.unread!.resuming = true
    batch.resumeSoon(this)
  }

  /** @internal The first of what is held, a chunk or the end; false when there is nothing (more) for this batch. */
  deliverHeld(): boolean {
    const unread = this.unread
    if (unread === null) return false
    if (unread.isEmpty || !this.isReading) {
      unread.resuming = false
      if (unread.isEmpty) this.unread = null
      return false
    }
    const first = unread.next()
    if (typeof first === 'number' || first.byteLength === 0) {
      this.unread = null
      batch.resumedAll()
      // No bytes: the program has transferred their memory away.
      this.#deliverEnd(typeof first === 'number' ? first : EFAULT)
      return true
    }
    if (unread.isEmpty) {
      engine.readStart(this.slot, this.#readMode())
    } else if (unread.isAtEnd) {
      // The end is never told in one iteration with the bytes before it.
      unread.resuming = false
      batch.resumedAll()
      this.#resumeSoon()
    }
    this.#deliverChunk(first)
    return true
  }

  /** The peer's FIN (0) or an error, told now or behind what is held. */
  protected deliverEndInTurn(status: number): void {
    if (this.#isHeld()) this.holdEnd(status)
    else this.#deliverEnd(status)
  }

  protected deliverReadable(): void {
    readsInRow = 0
    if (this.isReading) this.#readInto()
  }

  #deliverEnd(status: number): void {
    this.isReading = false
    this.recount()
    this.scope.runInAsyncScope(this.#emitReadEnd, this, status)
  }

  #readInto(): void {
    // libuv's answer to a buffer without room.
    const hasRoom = this.#into!.byteLength > 0
    const nread = hasRoom ? engine.readInto(this.slot, this.#into!) : ENOBUFS
    // What TLS has found on the way to these bytes is told before them.
    if (this.tls !== null) {
      this.tls.runInAsyncScope(this.tls.news, this.tls)
      if (this.closed) return
    }
    if (nread > 0) {
      this.bytesRead += nread
      // More may wait behind a full buffer.
      if (nread === this.#into!.byteLength && ++readsInRow < MAX_READS) batch.keepRest(this, 0, 0)
      this.scope.runInAsyncScope(this.#emitReadInto, this, nread)
    } else if (nread !== EAGAIN) {
      this.#deliverEnd(nread === EOF ? 0 : nread)
    }
  }
}
