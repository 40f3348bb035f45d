// The contract with the addon: its verbs, the memory that both sides look at, and the sockets by their numbers.
//
// Numbers: every verb returns 0 or a count when it succeeded, and libuv's negative error number otherwise.

import { libuv } from '../node/host.js'
import { open } from './addon.js'

/** What a slot's events and the outcome of its writes go to: a Handle. */
export interface Slot {
  /** One event of the batch: its code, and two numbers that depend on it. */
  deliver(kind: number, a: number, b: number): void
  /**
   * The outcome of a flush that did not send everything: an error number, or how many bytes were sent and what is left.
   * `own`: it was flushed for this slot alone, and whoever asked looks at the outcome.
   */
  settle(result: number, rest: Buffer[], own: boolean): void
}

/** What the addon calls. */
export interface Entries {
  /** A batch of events. */
  dispatch(batch: number): void
  /** Before the loop polls, while writes wait or while a handler that runs the loop has not returned. */
  goOn(): void
  /** Where libuv runs its pending callbacks, after `post()`. */
  posted(): void
  /** In the loop's closing phase, after `closeSoon()`. */
  closed(): void
}

/** An SSL_CTX of ours; it lives for as long as the value. */
export interface TlsContext {
  readonly context: unique symbol
}

/**
 * The addon's verbs. Each returns a count, a slot or 0, or libuv's negative error number; none throws, and none calls
 * back. `slot` is the reactor's number of a socket.
 */
interface Engine {
  /**
   * Begins to call these functions, from the event loop only. Before that no verb but `errno` and `kind` is of use. Throws
   * if the loop refuses, and the engine is of no more use then.
   */
  start(entries: Entries): void

  readonly driver: 'in-loop' | 'helper-thread'

  /** `flags`: UV_TCP_IPV6ONLY, UV_TCP_REUSEPORT of listen.ts. Returns a slot. */
  bindTcp(address: string, port: number, flags: number): number
  bindPath(path: string): number
  /** A named pipe of Windows. `flags`: PIPE_* below; `security`: a descriptor as text, or ''. */
  bindPipe(path: string, flags: number, security: string): number
  /** Lets everybody open a listening pipe as a client. */
  openToAll(slot: number, readable: boolean, writable: boolean): number
  /** PIPE_READS and PIPE_WRITES: what a connection can do. */
  access(slot: number): number
  listen(slot: number, backlog: number): number
  /** From a bound slot, or from a new socket (-1). Returns a slot; a CONNECT event tells the outcome. */
  connectTcp(slot: number, address: string, port: number): number
  connectPath(slot: number, path: string): number

  /** What a descriptor is: 'TCP', 'PIPE', 'UDP', 'FILE', 'TTY', or 'UNKNOWN', also when it is none. */
  kind(descriptor: number): string
  /** Takes a descriptor in, or a `copy` of it. Returns a slot; on failure the descriptor stays the caller's. */
  adopt(descriptor: number, copy: boolean): number
  /** Closes the slot, but not its descriptor, which is returned and the caller's from now on. */
  release(slot: number): number
  /** Another descriptor of the same socket, the caller's; on Windows another SOCKET, ENOTSOCK for a named pipe. */
  copy(slot: number): number
  /** Closes what `release` or `copy` returned. */
  closeCopy(descriptor: number): void
  /** Closes the slot and keeps its socket for another thread: returns the number that `claim` takes, once. */
  park(slot: number): number
  /** EBADF for a number that has nothing behind it; after any other error it can be claimed again. */
  claim(ticket: number): number

  /** `mode`: READ_CHUNKS or READ_SHARED, which bring DATA events; READ_INTO, which brings READABLE ones, for `readInto`. */
  readStart(slot: number, mode: number): number
  readStop(slot: number): number
  /** Reads into `buffer`: the number of bytes, EOF at the peer's FIN, EAGAIN when nothing waits. */
  readInto(slot: number, buffer: Uint8Array): number

  /**
   * Sends what the first `count` entries of the log describe, each socket's in one system call. Returns how many
   * sockets could not send all; (slot, bytes sent or error) of each stands in the log behind the entries.
   */
  flush(count: number): number
  /** Sends a chunk from `offset` on: the number of bytes that the kernel took. */
  write(slot: number, chunk: Uint8Array, offset: number): number
  /**
   * Sends `lead` bytes that stand in `out` at `from`, and behind them a chunk from `offset` on, but for its last `tail`
   * bytes, in one system call. When all of that is sent, these are copied to `out`, to `at`; or else they were not sent.
   */
  writeBehind(
    slot: number,
    from: number,
    lead: number,
    chunk: Uint8Array,
    offset: number,
    tail: number,
    at: number,
  ): number
  /** Several chunks, the first from `offset` on, in one system call. */
  writev(slot: number, chunks: Uint8Array[], offset: number): number
  /**
   * Sends bytes of a file: as many as the kernel took. Fewer than asked for, and not blocked: the file has no more; EOF if
   * it has none there. EINVAL if the system cannot send them, ENOTSUP if it never can.
   */
  sendFile(slot: number, descriptor: number, offset: number, count: number): number
  /** Whether the last write, writev or sendFile took less than it was offered; a WRITABLE event follows then. */
  blocked(): boolean

  /**
   * From here on what `from` receives is sent by `to`, which may be the same. END and READ_ERROR of `from` come when all
   * before them is sent, RELAY_FAILED of `to` when it cannot send.
   */
  relayStart(from: number, to: number): number
  /**
   * Ends a relay, also one that has ended: returns what has been read and not sent, which `to` sends next, when a WRITABLE
   * event says so. Nobody reads `from` then.
   */
  relayStop(from: number, to: number): Buffer | undefined
  /** How many bytes a relay has read since this was last asked. */
  relayCount(from: number): number
  /** How many milliseconds ago a relay has last read, or sent. */
  relayIdle(from: number, sent: boolean): number

  /** Begins to notice the contexts that OpenSSL makes in this thread: '', or why there is no TLS here. */
  tlsCapture(): string
  /** The one that was made since then; undefined if it was none, or several. */
  tlsCaptured(): TlsContext | undefined
  /** `flags`: TLS_SERVER and those behind it. `unread`: ciphertext that has been read from the slot already. `shown`: as of `tlsShow`. */
  tlsStart(
    slot: number,
    context: TlsContext,
    flags: number,
    servername: string,
    protocols: Uint8Array,
    session: Uint8Array,
    unread: Uint8Array,
    shown: TlsContext | undefined,
  ): number
  /** After SECURE: from here on bytes come and go. */
  tlsOpen(slot: number): number
  /** In its place, if nobody says whether the peer is all right: it gets the rest of the handshake, and no bytes go up or down. */
  tlsPart(slot: number): number
  /** A server shows the certificate of this context from here on. */
  tlsShow(slot: number, context: TlsContext): number
  /**
   * After TLS_ASKS with `question`. TLS_HELLO takes a session and a protocol, TLS_CERTIFICATE a context and an OCSP
   * response; nothing (no bytes, undefined) where there is none.
   */
  tlsAnswer(
    slot: number,
    question: number,
    context: TlsContext | undefined,
    first: Uint8Array,
    second: Uint8Array,
  ): number
  /** `fact`: a position in FACTS of tls.ts. */
  tlsInfo(slot: number, fact: number): Buffer | undefined
  /** After TLS_NEWS, until there are none: a letter and bytes, see `NEWS` of tls.ts. */
  tlsNews(slot: number): Buffer | undefined
  /** From here on lines of a keylog are among the news. */
  tlsKeylog(slot: number): number
  /**
   * Begins another handshake. `flags`: if `verifies`, TLS_REQUEST_CERTIFICATE and TLS_REQUIRE_CERTIFICATE from here on.
   * What is returned is the failure, as the fact `failure`; no bytes if the session is not open.
   */
  tlsRenegotiate(slot: number, flags: number, verifies: boolean): Buffer | undefined
  tlsExport(
    slot: number,
    length: number,
    label: Uint8Array,
    context: Uint8Array,
    hasContext: boolean,
  ): Buffer | undefined
  tlsFragment(slot: number, size: number): number

  /** EAGAIN on a named pipe whose peer has not read everything; a WRITABLE event says when to try again. */
  shutdown(slot: number): number
  /** Closes the descriptor, with RST if `reset`. */
  close(slot: number, reset: boolean): void

  /** Has a path removed when the slot is closed, as if it had been bound here. */
  removeOnClose(slot: number, path: string): number

  setNoDelay(slot: number, enable: boolean): number
  /** Seconds; 0 leaves the system's. */
  setKeepAlive(slot: number, enable: boolean, delay: number, interval: number, count: number): number
  /** IP_TOS or IPv6's traffic class, 0-255. */
  setTypeOfService(slot: number, tos: number): number
  typeOfService(slot: number): number
  /** SO_BUSY_POLL, in microseconds; ENOTSUP where there is no such option. */
  setSocketBusyPoll(slot: number, microseconds: number): number
  socketBusyPoll(slot: number): number
  /** TCP_MAXSEG: how many bytes of a stream a TCP segment carries; 0 where the system does not tell. */
  segmentSize(slot: number): number
  /** "4 address port", "6 address port" or "p path". */
  sockname(slot: number): string | number
  peername(slot: number): string | number
  fd(slot: number): number

  /** Whether the event loop stays alive for us. */
  setRef(referenced: boolean): void
  /** Gives a handler's exception to 'uncaughtException'; without a listener the process ends here, as Node would. */
  fatal(error: unknown): void
  /** Has `posted` called where libuv runs its own pending callbacks: right after the poll phase, or before the next. */
  post(): void
  /** Has `dispatch` called in the next iteration of the loop, also when nothing has happened. */
  again(): void
  /** How long the loop polls without sleeping after the last event. Other loops than libuv's cannot. */
  setBusyPoll(microseconds: number): void
  /** Has `closed` called in the loop's closing phase. */
  closeSoon(): void
  /** Lets listeners that met a full descriptor table try again. */
  retryAccept(): void
  /** New slabs; `undefined` leaves one as it is. */
  setSlabs(small: Uint8Array | undefined, bulk: Uint8Array | undefined): void
  /** Memory for the chunks of large reads, in the place of what was lent before; for the next batch that uses any. */
  lendPieces(pieces: Uint8Array[]): void
  /** Lets malloc keep up to 16 MiB that was freed, for what is allocated next; for the whole process, with glibc only. */
  keepFreedMemory(): void
  errno(name: string): number
}

// How a socket reads.
export const READ_CHUNKS = 0
export const READ_SHARED = 1
export const READ_INTO = 2

// An event of the batch is four int32: its code, the slot, and two more (batch.ts).
export const EVENT_WORDS = 4
const MAX_EVENTS = 1024
// An entry of the log is three: slot, offset in `out`, length (outbox.ts).
export const LOG_WORDS = 3
export const MAX_LOG = 4096

export const events = new Int32Array(EVENT_WORDS * MAX_EVENTS)
export const log = new Int32Array(LOG_WORDS * MAX_LOG)
/** How many entries of `log` wait to be sent, and how many handles go on with what they hold. */
export const state = new Int32Array(2)
export const WAITING = 0
export const RESUMED = 1
/**
 * Small writes wait here for the end of the handler or tick. As large as the default high-water mark: a tick that writes
 * more than that is flushed at once, so that a writer sees the backpressure it would see from node:net.
 */
export const OUT_SIZE = 64 * 1024
export const out = Buffer.allocUnsafeSlow(OUT_SIZE)
/** From this size on a copy costs more than a system call of its own saves. */
export const DIRECT_SIZE = 16 * 1024
/**
 * Reads go into the same memory each time, which stays hot in the cache, and are copied from there into chunks that are
 * the program's own. Room for the largest read behind a batch that is nearly full: see crates/binding/src/batch.rs.
 */
export const scratch = Buffer.allocUnsafeSlow(640 * 1024)

const driver = process.env.FERRONET_DRIVER
if (driver !== undefined && driver !== '' && driver !== 'in-loop' && driver !== 'helper-thread') {
  throw new TypeError(`FERRONET_DRIVER must be 'in-loop' or 'helper-thread', not '${driver}'`)
}

export const engine = open(driver || undefined, libuv, { events, log, state, out, scratch }) as Engine

/** By the reactor's numbers; what keeps an open socket from being collected. */
export const slots: (Slot | undefined)[] = []

function errno(name: string): number {
  return engine.errno(name)
}

export const EADDRINUSE = errno('EADDRINUSE')
export const EAGAIN = errno('EAGAIN')
export const EBADF = errno('EBADF')
export const ECANCELED = errno('ECANCELED')
export const EFAULT = errno('EFAULT')
export const EINVAL = errno('EINVAL')
export const EMFILE = errno('EMFILE')
export const ENFILE = errno('ENFILE')
export const ENOBUFS = errno('ENOBUFS')
export const ENOTCONN = errno('ENOTCONN')
export const ENOTSOCK = errno('ENOTSOCK')
export const EOF = errno('EOF')
export const EPIPE = errno('EPIPE')
/** Not of the system: a bug of ours. */
export const UNKNOWN = errno('UNKNOWN')
