// THE SEAM: the only file that talks to the addon. A Handle is one endpoint (a TCP or Unix-domain socket, or a
// listener) with libuv's verbs; its owner is the Socket or Server that hears of it. Events come up in batches,
// one crossing a turn (`dispatch`); writes go down through a shared buffer, one crossing a flush. No policy of
// `net` belongs here: what to do with an event is the owner's business. Loaded by handle-once.ts, once in a thread.
//
// Numbers: every verb returns 0 or a count when it succeeded and libuv's negative error number otherwise.

import { fstatSync, readvSync, writevSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { type InspectContext, inspect } from 'node:util'
import { markAsUntransferable } from 'node:worker_threads'
import { open } from './addon.js'
import { HandleSurface, keepAliveArguments } from './node/handle-surface.js'
import {
  kOnConnect,
  kOnConnection,
  kOnRead,
  kOnReadEnd,
  kOnReadInto,
  kOnShutdown,
  kOnWriteFailed,
  kOnWritten,
} from './symbols.js'

/** What a Handle calls on the object it belongs to; each call runs in the handle's async context. */
export interface Owner {
  [kOnConnect]?(status: number): void
  [kOnRead]?(chunk: Buffer): void
  [kOnReadInto]?(nread: number): void
  [kOnReadEnd]?(status: number): void
  [kOnWritten]?(status: number): void
  [kOnWriteFailed]?(status: number): void
  [kOnShutdown]?(status: number): void
  [kOnConnection]?(status: number, client?: Handle): void
}

/**
 * The addon's verbs. Each returns a count, a slot or 0, or libuv's negative error number; none throws, and none calls
 * back. `slot` is the reactor's number of a socket.
 */
interface Engine {
  readonly driver: 'in-loop' | 'helper-thread'

  /** `flags`: 1 = IPV6_V6ONLY, 2 = SO_REUSEPORT. Returns a slot. */
  bindTcp(address: string, port: number, flags: number): number
  bindPath(path: string): number
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
  /** Another descriptor of the same socket, the caller's. */
  copy(slot: number): number
  /** Closes what `release` or `copy` returned. */
  closeCopy(descriptor: number): void
  /** Closes the slot and keeps its socket for another thread: returns the number that `claim` takes, once. */
  park(slot: number): number
  /** EBADF for a number that has nothing behind it; after any other error it can be claimed again. */
  claim(ticket: number): number

  /** `mode`: READ_CHUNKS or READ_SHARED, DATA events; READ_INTO, bytes wait for `readInto` behind a READABLE one. */
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
  /** Several chunks, the first from `offset` on, in one system call. */
  writev(slot: number, chunks: Uint8Array[], offset: number): number
  /** Whether the last write or writev took less than it was offered; a WRITABLE event follows then. */
  blocked(): boolean

  shutdown(slot: number): number
  /** Closes the descriptor, with RST if `reset`. */
  close(slot: number, reset: boolean): void

  setNoDelay(slot: number, enable: boolean): number
  /** Seconds; 0 leaves the system's. */
  setKeepAlive(slot: number, enable: boolean, delay: number, interval: number, count: number): number
  /** IP_TOS or IPv6's traffic class, 0-255. */
  setTypeOfService(slot: number, tos: number): number
  typeOfService(slot: number): number
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
  /** Has `closed` called in the loop's closing phase. */
  closeSoon(): void
  /** Lets listeners that met a full descriptor table try again. */
  retryAccept(): void
  /** New slabs; `undefined` leaves one as it is. */
  setSlabs(small: Uint8Array | undefined, bulk: Uint8Array | undefined): void
  errno(name: string): number
}

export interface Endpoint {
  address: string
  family: 'IPv4' | 'IPv6'
  port: number
}

// The batch protocol, shared with crates/binding/src/batch.rs: an event is four int32.
const EVENT_WORDS = 4
const MAX_EVENTS = 1024
const NOTHING = 0
const CONNECT = 1 // a: status
const DATA_SMALL = 2 // a: offset in the slab for small reads, b: length
const DATA_BULK = 3 // a: offset in the bulk slab, b: length
const END = 4
const READ_ERROR = 5 // a: error number
const READABLE = 6 // bytes wait in the kernel for a socket that reads into its own buffer
const WRITABLE = 7
const ACCEPT = 8 // a: the slot of the new socket
const ACCEPT_ERROR = 9 // a: error number
const DATA_SCRATCH = 10 // a: offset in the scratch buffer, b: length; to be copied before the next batch
// Beside the number of events: this slab is nearly full, or a program has detached it.
const RENEW_SMALL = 1 << 16
const RENEW_BULK = 1 << 17
// A new batch, and not more of the one that is being delivered.
const BEGIN = 1 << 18

const READ_CHUNKS = 0
const READ_SHARED = 1
const READ_INTO = 2

// Reads go into the same memory each time, which stays hot in the cache, and are copied from there into chunks that
// are the program's own. Room for the largest read behind a batch that is nearly full: see crates/binding/src/batch.rs.
const SCRATCH_SIZE = 640 * 1024
// Sockets that share their chunks' memory (`sharedChunks`) read into slabs, which are handed out as views: nothing is
// allocated per read, and a slab that is used up is left to the garbage collector. A chunk that a program keeps pins its
// slab, so small reads have a slab of their own, about as large as Buffer's own pool.
const SMALL_SIZE = 16 * 1024
const BULK_SIZE = 256 * 1024
const MAX_CHUNK = 64 * 1024
// Small writes wait here for the end of the handler or tick. As large as the default high-water mark: a tick that
// writes more than that is flushed at once, so that a writer sees the backpressure it would see from node:net.
const OUT_SIZE = 64 * 1024
const LOG_WORDS = 3
const MAX_LOG = 4096
// The answers of a batch's handlers leave together, for as long as the handlers take less than this (ms): the peer is
// woken once instead of once for each, which made 64-byte echoes on 50 connections 10 % faster (2026-11). A handler
// that computes for longer has its answer sent as soon as it returns.
const MAX_WAIT = 0.1
// From this size on a copy costs more than a system call of its own saves.
const DIRECT_SIZE = 16 * 1024

// V8 frees the memory of a dead buffer cheaply in a collection of its young generation, and begins one when that has
// filled up with objects. We make so few that the memory would grow until V8 collects everything, for 5 ms and more,
// some 30 times a second (Node 24, 16 KiB messages, 2026-11). So each buffer comes with an object a sixteenth of its
// size, garbage at once, which brings the small collections on: p99 fell from 4.6 ms to 0.86 ms, CPU by a seventh, on
// bulk uploads by a third. And a quarter of a KiB at least (in words), lest a collection finds too many buffers to free:
// with 1 KiB messages p99 fell by a sixth.
const MIN_BALLAST = 32
const young: { ballast: unknown[] } = { ballast: [] }

function allocate(size: number): Buffer {
  young.ballast = new Array(Math.max(size >>> 7, MIN_BALLAST))
  return Buffer.allocUnsafeSlow(size)
}

const events = new Int32Array(EVENT_WORDS * MAX_EVENTS)
const log = new Int32Array(LOG_WORDS * MAX_LOG)
/** What the addon looks at too: how many entries of `log` wait to be sent, and how many handles are in `resumed`. */
const state = new Int32Array(2)
const WAITING = 0
const RESUMED = 1
const out = Buffer.allocUnsafeSlow(OUT_SIZE)
const scratch = Buffer.allocUnsafeSlow(SCRATCH_SIZE)
const nothing = new Uint8Array(0)
const libuv = process.versions.bun === undefined && process.versions.deno === undefined
let small: Buffer | undefined
let bulk: Buffer | undefined

/** The handle in each slot of the reactor; what keeps an open socket from being collected. */
const table: (Handle | undefined)[] = []

const driver = process.env.FERRONET_DRIVER
if (driver !== undefined && driver !== '' && driver !== 'in-loop' && driver !== 'helper-thread') {
  throw new TypeError(`FERRONET_DRIVER must be 'in-loop' or 'helper-thread', not '${driver}'`)
}
const engine = open(driver || undefined, libuv, {
  events,
  log,
  state,
  out,
  scratch,
  dispatch,
  goOn,
  posted,
  closed,
}) as Engine
const [EBADF, EFAULT, EINVAL, EPIPE, ENOTCONN, ENOTSOCK, ECANCELED, EAGAIN, EOF] = [
  'EBADF',
  'EFAULT',
  'EINVAL',
  'EPIPE',
  'ENOTCONN',
  'ENOTSOCK',
  'ECANCELED',
  'EAGAIN',
  'EOF',
].map(engine.errno) as [number, number, number, number, number, number, number, number, number]

// The reactor reads and writes connections only. What Node says of a socket that is just bound, or listens: of TCP libuv
// knows it, of a pipe the system is asked.
const UNREADABLE = { tcp: ENOTCONN, pipe: process.platform === 'linux' ? EINVAL : ENOTCONN }
const UNWRITABLE = { tcp: EPIPE, pipe: ENOTCONN }

// ---------------------------------------------------------------------------------------------------------------
// Keeping the process alive: as in libuv, a handle counts while it is referenced and active (reading, listening),
// a request (connect, write, shutdown, close) while it is open.

let alive = 0
function hold(): void {
  if (alive++ === 0) engine.setRef(true)
}
function release(): void {
  if (--alive === 0) engine.setRef(false)
}

// ---------------------------------------------------------------------------------------------------------------
// Up: events. Between two of them Node's tick queue and microtasks run, as after each callback from its own loop.

const drainTicks: () => void = (process as unknown as { _tickCallback(): void })._tickCallback

let eventCount = 0
let eventNext = 0
let renew = 0
// Handles that go on with what they hold, in the next batch, and in this one.
let resumed: Handle[] = []
let resuming: Handle[] = []
let resumingNext = 0
// The rest of a read that is more than one chunk: whose it is, and where it lies in the scratch buffer.
let restOwner: Handle | null = null
let restNext = 0
let restEnd = 0
/** In a row, into a program's own buffer: as many as libuv reads in one iteration. */
const MAX_READS = 32
let readsInRow = 0
/** How many callbacks from the loop are on the stack: a handler may run the loop itself. */
let depth = 0
let inHandler = false

/**
 * Called by the addon with BEGIN, the number of events in the batch, and RENEW_*. A handler's exception is given to
 * 'uncaughtException' right here: the events behind it are not lost. (Called again, with 0, if one got out after all.)
 */
function dispatch(batch: number): void {
  if (batch !== 0) {
    eventCount = batch & ~(BEGIN | RENEW_SMALL | RENEW_BULK)
    eventNext = 0
    renew = batch & (RENEW_SMALL | RENEW_BULK)
    if (state[RESUMED] !== 0) {
      resuming = resumed
      resumingNext = 0
      resumed = []
      state[RESUMED] = 0
    }
    if (eventCount > 1) flushBy = performance.now() + MAX_WAIT
  }
  depth++
  try {
    deliverAll()
    // What the ticks behind the last handler have written.
    if (state[WAITING] !== 0) flush()
    // Nobody is kept from being collected by having been here.
    if (resuming.length > 0) resuming = []
    resumingNext = 0
  } finally {
    depth--
  }
  // Here, where no event points into them any more.
  if (renew !== 0) renewSlabs()
}

// Where it stands is known to all: when a handler runs the loop itself, the call within goes on from there.
function deliverAll(): void {
  while (!isDelivered()) {
    inHandler = true
    try {
      if (restOwner !== null) restOwner.deliverRest()
      else if (resumingNext < resuming.length) deliverResumed()
      else deliverNext()
    } catch (error) {
      engine.fatal(error)
    }
    inHandler = false
    if (state[WAITING] !== 0 && (flushNow || isDelivered() || performance.now() > flushBy)) flush()
    drain()
  }
}

function isDelivered(): boolean {
  return eventNext === eventCount && restOwner === null && resumingNext === resuming.length
}

/** One chunk of what a handle holds, which then comes again while it has more for this batch. */
function deliverResumed(): void {
  const handle = resuming[resumingNext]!
  if (!handle.deliverHeld()) resumingNext++
}

function deliverNext(): void {
  const at = eventNext++ * EVENT_WORDS
  const handle = table[events[at + 1]!]
  if (handle !== undefined) handle.deliver(events[at]!, events[at + 2]!, events[at + 3]!)
  else if (events[at] === ACCEPT) engine.close(events[at + 2]!, false)
}

/** Called by the addon before the loop polls while writes wait, or while a handler that runs the loop has not returned. */
function goOn(): void {
  if (state[WAITING] !== 0) flush()
  dispatch(0)
}

// A slab holds the bytes of several sockets: whoever transferred the memory of one chunk would take the others' along.
// Node marks Buffer's own pool like this. (Node 22 lets `ArrayBuffer.prototype.transfer` pass; see `deliver`.)
function allocateSlab(size: number): Buffer {
  const slab = allocate(size)
  if (libuv) markAsUntransferable(slab.buffer)
  return slab
}

/** Before somebody reads who shares. */
function needSlabs(): void {
  if (small !== undefined) return
  small = allocateSlab(SMALL_SIZE)
  bulk = allocateSlab(BULK_SIZE)
  engine.setSlabs(small, bulk)
}

function renewSlabs(): void {
  const newSmall = (renew & RENEW_SMALL) !== 0 ? allocateSlab(SMALL_SIZE) : undefined
  const newBulk = (renew & RENEW_BULK) !== 0 ? allocateSlab(BULK_SIZE) : undefined
  renew = 0
  small = newSmall ?? small
  bulk = newBulk ?? bulk
  engine.setSlabs(newSmall, newBulk)
}

/** Runs a handle's function as a callback from the loop, and the ticks behind it. */
function enter(handle: Handle, run: (this: Handle) => void): void {
  depth++
  inHandler = true
  try {
    handle.runInAsyncScope(run, handle)
  } catch (error) {
    engine.fatal(error)
  }
  inHandler = false
  if (state[WAITING] !== 0) flush()
  drain()
  depth--
  if (state[WAITING] !== 0) flush()
}

// Leaving the last callback would drain as well, but not under the helper thread, whose thread-safe function has a scope
// of its own around ours. An exception of a tick has left async_hooks' stack as it was; giving it to 'uncaughtException'
// right here clears that, before anything of ours on the stack looks at it. In a callback within another one Node runs
// no ticks; they wait for the outer one's end.
function drain(): void {
  if (depth > 1) return
  try {
    drainTicks()
  } catch (error) {
    engine.fatal(error)
  }
}

// Completions that Node would deliver from the pending phase of the loop: never inside the call that asked.
let completions: { handle: Handle; complete: (this: Handle) => void }[] = []
let completing: typeof completions = []
let completingNext = 0

function post(handle: Handle, complete: (this: Handle) => void): void {
  hold()
  completions.push({ handle, complete })
  if (completions.length === 1) engine.post()
}

function uncompleted(): typeof completions {
  return [...completing.slice(completingNext), ...completions]
}

function posted(): void {
  // What a completion posts in its turn waits for the next call. One that runs the loop itself has the others done there.
  if (completingNext === completing.length) {
    completing = completions
    completingNext = 0
    completions = []
  }
  while (completingNext < completing.length) {
    const { handle, complete } = completing[completingNext++]!
    release()
    enter(handle, complete)
  }
  completing = []
  completingNext = 0
  if (completions.length > 0) engine.post()
}

// Close callbacks run in libuv's closing phase, the last closed first, as libuv's own do.
let closing: { handle: Handle; callbacks: ((() => void) | undefined)[] }[] = []
let closingNow: typeof closing = []

function closed(): void {
  if (closingNow.length === 0) {
    closingNow = closing
    closing = []
  }
  while (closingNow.length > 0) {
    const { handle, callbacks } = closingNow.pop()!
    release()
    for (const callback of callbacks) if (callback !== undefined) enter(handle, callback)
  }
}

// A listener that met a full descriptor table tries again when one of our sockets closes; that somebody else made room
// nobody tells.
const ACCEPT_PAUSE = 100
let acceptTimer: NodeJS.Timeout | undefined

function retryAcceptLater(): void {
  if (acceptTimer !== undefined) return
  acceptTimer = setTimeout(() => {
    acceptTimer = undefined
    engine.retryAccept()
  }, ACCEPT_PAUSE).unref()
}

// ---------------------------------------------------------------------------------------------------------------
// Down: writes. `log` lists (slot, offset, length) of the bytes waiting in `out`; the addon sends each slot's in
// one system call.

let outTop = 0
/** Counts ticks that write outside of a batch. */
let tick = 0
let tickEnds = false
/** Somebody waits for the outcome of a write of this handler: it is sent when the handler returns. */
let flushNow = false
/** When waiting any longer for the other handlers of the batch would be noticed (performance.now()). */
let flushBy = 0
/** The handle that hears of its failure from `flush` itself. */
let flushing: Handle | null = null

function scheduleFlush(): void {
  if (tickEnds) return
  tickEnds = true
  process.nextTick(endTick)
}

function endTick(): void {
  tickEnds = false
  tick++
  if (state[WAITING] !== 0) flush()
}

/** Sends everything that waits in `out`: one crossing, one system call per socket. */
function flush(): void {
  flushNow = false
  const count = state[WAITING]!
  const short = engine.flush(count)
  if (short !== 0) settleShort(short, count)
  state[WAITING] = 0
  outTop = 0
}

function settleShort(short: number, count: number): void {
  // engine.flush left (slot, bytes sent or error number) for each of them behind the entries.
  for (let i = 0; i < short; i++) {
    const at = (count + i) * LOG_WORDS
    const handle = table[log[at]!]
    const result = log[at + 1]!
    if (handle === undefined) continue
    const rest: Buffer[] = []
    let skip = result
    for (let e = 0; e < count && result >= 0; e++) {
      if (log[e * LOG_WORDS] !== log[at]) continue
      let offset = log[e * LOG_WORDS + 1]!
      let length = log[e * LOG_WORDS + 2]!
      const skipped = Math.min(skip, length)
      skip -= skipped
      offset += skipped
      length -= skipped
      if (length > 0) rest.push(Buffer.from(out.subarray(offset, offset + length)))
    }
    handle.settleFlush(result, rest)
  }
}

// What a program has written is on its way, as far as it knows, whatever it does next: also when it ends itself without
// 'exit'. (When a thread is terminated, the addon sends what waits.)
flushBefore('abort', 'kill', 'reallyExit', 'execve')

function flushBefore(...deaths: string[]): void {
  for (const death of deaths) {
    const property = Object.getOwnPropertyDescriptor(process, death)
    const die: unknown = property?.value
    if (typeof die !== 'function') continue
    const flushed = function (this: unknown, ...args: unknown[]): unknown {
      if (state[WAITING] !== 0) flush()
      return Reflect.apply(die, this, args)
    }
    Object.defineProperty(flushed, 'name', { value: die.name, configurable: true })
    Object.defineProperty(flushed, 'length', { value: die.length, configurable: true })
    Object.defineProperty(process, death, { ...property, value: flushed })
  }
}

let exiting = false
process.on('exit', () => {
  // No tick comes any more for what later listeners write.
  exiting = true
  if (state[WAITING] !== 0) flush()
})

// ---------------------------------------------------------------------------------------------------------------

/** What the kernel would not take yet, by reference, in order; the first chunk from `offset` on. */
interface Backlog {
  chunks: Uint8Array[]
  offset: number
  /** Bytes left. */
  size: number
}

/** What was read beyond the point where the reader stopped: a chunk, or (without one) the end and its status. */
interface Held {
  chunk: Buffer | undefined
  status: number
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

/** What a descriptor is, in the words of Node's errors. */
export function kindOfDescriptor(fd: number): string {
  return engine.kind(fd)
}

// The reactor would wait for what the other end never sends; the system tells at once, without moving a byte.
function fifoFlags(fd: number): number {
  if (fd < 0 || !fstatSync(fd).isFIFO()) return 0
  let flags = FIFO
  for (const [ask, direction] of [
    [readvSync, UNREAD],
    [writevSync, UNWRITTEN],
  ] as const) {
    try {
      ask(fd, [nothing])
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EBADF') flags |= direction
    }
  }
  return flags
}

/** Closes a descriptor that `Handle#release` or `Handle#copy` returned and nobody took. */
export function closeDescriptor(fd: number): void {
  engine.closeCopy(fd)
}

const REFERENCED = 1
/** Referenced and active: one of those that keep the process alive. */
const COUNTED = 2
/** A write was reported as under way. */
const WRITING = 4
/** FIN is to follow what is queued. */
const ENDING = 8
const LISTENING = 16
const CLOSED = 32
/** The descriptor is one of 0 to 2: it stays open, as with libuv, lest the next file becomes somebody's stdout. */
const STANDARD = 64
/** A FIFO, and the directions in which it was not opened. */
const FIFO = 128
const UNREAD = 256
const UNWRITTEN = 512
/** Reads into slabs, and hands out views of them. */
const SHARED = 1024
/** In `resumed` or `resuming`. */
const RESUMING = 2048
/** Its outcome is not told yet. */
const CONNECTING = 4096
/** Has listened. */
const SERVER = 8192

export class Handle extends HandleSurface {
  readonly kind: 'tcp' | 'pipe'
  owner: Owner | null = null
  /** The reactor's slot, -1 before an operating system socket exists and after it is closed. */
  slot = -1
  /** Where libuv's handles have their listener of reads, which Node's http agent replaces: see `Socket`. */
  declare onread?: unknown
  /** Bytes received from the kernel. */
  bytesRead = 0
  /** Bytes given to us for sending: sent, coalescing, queued, or refused. */
  bytesWritten = 0
  /** What `bytesWritten` was when the stream heard last that a write of its own is through. */
  doneAt = 0
  /** What is called before the callback of `close`: the writes that it cancels. */
  declare canceled?: (() => void)[]

  // Few fields, and nothing allocated before it is needed: an idle connection should cost next to nothing.
  #flags = REFERENCED
  #reading = false
  #backlog: Backlog | null = null
  #writeErrno = 0
  #into: Uint8Array | null = null
  #held: Held[] | null = null
  /** The tick in which it has written outside of a batch. */
  #tick = -1

  /** `triggerAsyncId`: what async_hooks are told made this handle; by default, whatever runs. */
  constructor(kind: 'tcp' | 'pipe', provider: string, triggerAsyncId?: number) {
    super(provider, triggerAsyncId)
    this.kind = kind
  }

  // --- open ---------------------------------------------------------------------------------------------------

  /** Binds a TCP handle. `flags`: 1 = IPV6_V6ONLY, 2 = SO_REUSEPORT. */
  bindTcp(address: string, port: number, flags = 0): number {
    return this.#adopt(engine.bindTcp(address, port, flags))
  }

  /** Binds a pipe handle to a path; a leading NUL names Linux's abstract namespace. */
  bindPath(path: string): number {
    return this.#adopt(engine.bindPath(path))
  }

  /** Starts to accept; each connection comes as `owner[kOnConnection](0, client)`. */
  listen(backlog: number): number {
    const status = engine.listen(this.slot, backlog)
    if (status === EBADF && this.slot >= 0) return (this.#flags & FIFO) !== 0 ? ENOTSOCK : EINVAL
    if (status === 0) {
      this.#flags |= LISTENING | SERVER
      this.#recount()
    }
    return status
  }

  /** Starts to connect; the outcome comes as `owner[kOnConnect](status)`, never inside this call. */
  connect(address: string, port: number): number {
    return this.#connecting(engine.connectTcp(this.slot, address, port))
  }

  connectPath(path: string): number {
    return this.#connecting(engine.connectPath(this.slot, path))
  }

  #connecting(result: number): number {
    const status = this.#adopt(result)
    if (status === 0) {
      this.#flags |= CONNECTING
      hold()
    }
    return status
  }

  #adopt(result: number): number {
    if (result < 0) return result
    this.slot = result
    table[result] = this
    return 0
  }

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
    handle.#adopt(slot)
    if (handle.fd >= 0 && handle.fd <= 2) handle.#flags |= STANDARD
    if (kind === 'pipe') handle.#flags |= fifoFlags(handle.fd)
    return handle
  }

  /** For a listener's events: the handle of a connection that the reactor accepted. */
  static accepted(kind: 'tcp' | 'pipe', slot: number, triggerAsyncId: number): Handle {
    const handle = new Handle(kind, kind === 'tcp' ? 'TCPWRAP' : 'PIPEWRAP', triggerAsyncId)
    handle.#adopt(slot)
    return handle
  }

  // --- read ---------------------------------------------------------------------------------------------------

  // Node's http sets it before it calls one of the verbs, as it would on a handle of libuv's; the verbs are what counts.
  /** Whether bytes are asked for. */
  get reading(): boolean {
    return this.#reading
  }
  set reading(_announced: boolean) {}

  readStart(): number {
    if (this.#reading) return 0
    if (this.slot < 0) return EBADF
    if ((this.#flags & UNREAD) !== 0) return ENOTCONN
    this.#reading = true
    this.#recount()
    if (this.#held !== null) {
      this.#resumeSoon()
      return 0
    }
    const status = engine.readStart(this.slot, this.#readMode())
    return status === ENOTCONN || status === EBADF ? UNREADABLE[this.kind] : status
  }

  #readMode(): number {
    if (this.#into !== null) return READ_INTO
    if ((this.#flags & SHARED) === 0) return READ_CHUNKS
    needSlabs()
    return READ_SHARED
  }

  /** From now on chunks are views of memory that other sockets' chunks are in as well. */
  shareChunks(): void {
    this.#flags |= SHARED
  }

  readStop(): number {
    if (!this.#reading) return 0
    this.#reading = false
    this.#recount()
    // Also while bytes are held: when a handler threw, the kernel's are still being read behind them.
    return this.slot < 0 ? 0 : engine.readStop(this.slot)
  }

  /** From now on bytes are read straight into `buffer` and reported as `owner[kOnReadInto](nread)`. */
  readInto(buffer: Uint8Array): void {
    this.#into = buffer
  }

  // --- write --------------------------------------------------------------------------------------------------

  /**
   * Sends, or lets the bytes wait for the end of the handler or tick.
   * Returns 0 when they need no further notice, 1 when `owner[kOnWritten]` will tell, or an error number.
   */
  write(chunk: Uint8Array | string, encoding?: BufferEncoding): number {
    if (this.slot < 0) return EBADF
    if (this.#writeErrno !== 0) return this.#writeAgain(chunk)
    if (this.#backlog !== null)
      return this.#enqueue(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
    if (chunk.length === 0) return this.#writeNothing()
    if (typeof chunk === 'string') {
      // Three bytes bound a UTF-16 unit in UTF-8, two in UTF-16 itself, one in latin1.
      const bound = encoding === 'latin1' ? chunk.length : chunk.length * 3
      if (bound > DIRECT_SIZE) return this.#writeNow(Buffer.from(chunk, encoding))
      const at = this.#room(bound)
      if (this.#blocked()) return this.write(chunk, encoding)
      const before = this.bytesWritten
      const result = this.#pend(at, out.write(chunk, at, encoding))
      // Node counts bytes that fail at once, but no text.
      if (result < 0) this.bytesWritten = before
      return result
    }
    const length = chunk.byteLength
    if (length >= DIRECT_SIZE) return this.#writeNow(chunk)
    const at = this.#room(length)
    if (this.#blocked()) return this.write(chunk)
    out.set(chunk, at)
    return this.#pend(at, length)
  }

  // It fails of what the first one failed of, and Node counts it again.
  #writeAgain(chunk: Uint8Array | string): number {
    if (typeof chunk !== 'string') this.bytesWritten += chunk.byteLength
    return this.#writeErrno
  }

  /** Before a write whose outcome somebody waits for: it is sent when the handler returns, or the tick ends. */
  flushSoon(): void {
    flushNow = true
    if (!inHandler) scheduleFlush()
  }

  /** Several chunks in order; returns like `write`. */
  writev(chunks: Uint8Array[]): number {
    if (this.slot < 0) return EBADF
    if (this.#writeErrno !== 0) return this.#writeErrno
    let length = 0
    for (const chunk of chunks) length += chunk.byteLength
    if (this.#backlog === null && length === 0) return this.#writeNothing()
    if (this.#backlog === null && length < DIRECT_SIZE) {
      const at = this.#room(length)
      if (this.#blocked()) return this.writev(chunks)
      let end = at
      for (const chunk of chunks) {
        out.set(chunk, end)
        end += chunk.byteLength
      }
      return this.#pend(at, length)
    }
    if (state[WAITING] !== 0) flush()
    if (this.#writeErrno !== 0) return this.#writeErrno
    const idle = this.#backlog === null
    for (const chunk of chunks) this.#queue(chunk)
    this.bytesWritten += length
    return idle ? this.#sendBacklog() : this.#await()
  }

  /** Whether making room showed that this handle's own bytes do not all get out. */
  #blocked(): boolean {
    return this.#backlog !== null || this.#writeErrno !== 0
  }

  #room(bytes: number): number {
    if (outTop + bytes > OUT_SIZE || state[WAITING]! >= MAX_LOG / 2 - 1) flush()
    return outTop
  }

  /** Notes bytes that stand in `out` for sending. Returns like `write`. */
  #pend(at: number, length: number): number {
    if (length === 0) return 0
    this.bytesWritten += length
    outTop = at + length
    const count = state[WAITING]!
    const last = (count - 1) * LOG_WORDS
    if (count > 0 && log[last] === this.slot) {
      log[last + 2]! += length
    } else {
      const next = count * LOG_WORDS
      state[WAITING] = count + 1
      log[next] = this.slot
      log[next + 1] = at
      log[next + 2] = length
    }
    if (exiting) return this.#flushOwn()
    // In a batch its end comes soon, and the bytes leave with the others' answers.
    if (depth > 0) return 0
    if (this.#tick === tick) {
      scheduleFlush()
      return 0
    }
    // Elsewhere the first write of a tick goes at once, as in Node: most ticks write once, and whatever the program
    // does next, even if it kills its own process, the bytes are on their way.
    this.#tick = tick
    scheduleFlush()
    return this.#flushOwn()
  }

  #flushOwn(): number {
    flushing = this
    flush()
    flushing = null
    if (this.#writeErrno !== 0) return this.#writeErrno
    return this.#backlog === null ? 0 : 1
  }

  #writeNow(chunk: Uint8Array): number {
    if (state[WAITING] !== 0) flush()
    if (this.#writeErrno !== 0) return this.#writeErrno
    if (this.#backlog !== null) return this.#enqueue(chunk)
    const sent = engine.write(this.slot, chunk, 0)
    // Counted whatever comes of it, as libuv's handles count.
    this.bytesWritten += chunk.byteLength
    if (sent < 0) return (this.#writeErrno = this.#reason(sent))
    if (sent === chunk.byteLength) return 0
    this.#backlog = { chunks: [chunk], offset: sent, size: chunk.byteLength - sent }
    return this.#await()
  }

  // No byte moves, but the kernel tells whether any could: a write of nothing to a dead connection fails in node:net.
  // What waits in `out` asks that too.
  #writeNothing(): number {
    for (let e = state[WAITING]! - 1; e >= 0; e--) if (log[e * LOG_WORDS] === this.slot) return 0
    const sent = engine.write(this.slot, nothing, 0)
    return sent < 0 ? (this.#writeErrno = this.#reason(sent)) : 0
  }

  #enqueue(chunk: Uint8Array): number {
    this.#queue(chunk)
    this.bytesWritten += chunk.byteLength
    return this.#await()
  }

  #queue(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    this.#backlog ??= { chunks: [], offset: 0, size: 0 }
    this.#backlog.chunks.push(chunk)
    this.#backlog.size += chunk.byteLength
  }

  #await(): number {
    if ((this.#flags & WRITING) === 0) {
      this.#flags |= WRITING
      hold()
    }
    return 1
  }

  /** Gives the kernel what is queued; 0 when it took all, 1 when a WRITABLE event will follow, or an error. */
  #sendBacklog(): number {
    const backlog = this.#backlog
    if (backlog === null) return 0
    const { chunks } = backlog
    // A program may have transferred a chunk's memory away meanwhile: better no byte than the wrong one.
    let size = -backlog.offset
    for (const chunk of chunks) size += chunk.byteLength
    if (size !== backlog.size) {
      this.#backlog = null
      return EFAULT
    }
    while (chunks.length > 0) {
      const sent =
        chunks.length === 1
          ? engine.write(this.slot, chunks[0]!, backlog.offset)
          : engine.writev(this.slot, chunks, backlog.offset)
      if (sent < 0) {
        this.#backlog = null
        return this.#reason(sent)
      }
      backlog.size -= sent
      let done = backlog.offset + sent
      let full = 0
      while (full < chunks.length && done >= chunks[full]!.byteLength) done -= chunks[full++]!.byteLength
      chunks.splice(0, full)
      backlog.offset = done
      // The addon has armed the writable event whenever the kernel took less than it was offered.
      if (engine.blocked()) return this.#await()
    }
    this.#backlog = null
    return 0
  }

  /** @internal The outcome of a flush that did not send everything of this handle. */
  settleFlush(result: number, rest: Buffer[]): void {
    if (result < 0) {
      const status = this.#reason(result)
      this.#writeErrno = status
      if (flushing === this) return
      process.nextTick(() => this.runInAsyncScope(() => this.owner?.[kOnWriteFailed]?.(status)))
      return
    }
    for (const chunk of rest) this.#queue(chunk)
    this.#await()
  }

  // The kernel tells a connection's error once, to the first call that meets it. That may have been a read whose event
  // is yet to come: a write after it hears EPIPE, but fails of the same.
  #reason(status: number): number {
    if (status === EBADF) return (this.#flags & UNWRITTEN) !== 0 ? EPIPE : UNWRITABLE[this.kind]
    if (status !== EPIPE) return status
    for (let next = eventNext; next < eventCount; next++) {
      const at = next * EVENT_WORDS
      if (events[at] === READ_ERROR && events[at + 1] === this.slot) return events[at + 2]!
    }
    return this.#held?.find(({ status }) => status < 0)?.status ?? status
  }

  #onWritable(): void {
    if (this.#backlog === null) return
    const status = this.#sendBacklog()
    if (status === 1) return
    this.#flags &= ~WRITING
    release()
    if (status < 0) this.#writeErrno = status
    this.owner?.[kOnWritten]?.(status)
    if ((this.#flags & ENDING) !== 0 && this.slot >= 0) this.#finish()
  }

  /** Of `bytesWritten`, the bytes that were refused by a full kernel buffer and wait. */
  get writeQueueSize(): number {
    return this.#backlog === null ? 0 : this.#backlog.size
  }

  /** The error that ended sending, or 0. */
  get writeErrno(): number {
    return this.#writeErrno
  }

  // --- close --------------------------------------------------------------------------------------------------

  /** Sends FIN after all that was written; `owner[kOnShutdown](status)` tells, from a later phase of the loop. */
  shutdown(): number {
    if (this.slot < 0) return ENOTCONN
    hold()
    this.#flags |= ENDING
    if (this.#backlog === null) this.#finish()
    return 0
  }

  #finish(): void {
    this.#flags &= ~ENDING
    post(this, this.#shutdown)
  }

  #shutdown(): void {
    if (state[WAITING] !== 0) flush()
    if (this.#backlog !== null && this.slot >= 0) {
      // Not all of what was written last has left: FIN follows it.
      this.#flags |= ENDING
      return
    }
    const status = this.slot < 0 ? ECANCELED : this.#writeErrno || engine.shutdown(this.slot)
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
    this.#flags |= CLOSED
    if (state[WAITING] !== 0) flush()
    this.#reading = false
    this.#flags &= ~LISTENING
    this.#recount()
    if ((this.#flags & WRITING) !== 0) release()
    if ((this.#flags & ENDING) !== 0) release()
    if ((this.#flags & CONNECTING) !== 0) release()
    this.#flags &= ~(WRITING | ENDING | CONNECTING)
    this.#backlog = null
    this.#held = null
    if (this.slot >= 0) {
      table[this.slot] = undefined
      const kept = (this.#flags & STANDARD) !== 0 && engine.release(this.slot) >= 0
      if (!kept) engine.close(this.slot, reset)
      this.slot = -1
    }
    hold()
    closing.push({
      handle: this,
      callbacks: this.canceled === undefined ? callbacks : [...this.canceled, ...callbacks],
    })
    if (closing.length === 1) engine.closeSoon()
  }

  // --- hand over ----------------------------------------------------------------------------------------------

  /** Sends what waits for the end of the handler or tick; 0, or the error that ended sending. */
  flush(): number {
    if (state[WAITING] !== 0) flush()
    return this.#writeErrno
  }

  /** What would be lost if the descriptor went now. Nothing more is read or sent by this handle. */
  leave(): Leftover {
    if (state[WAITING] !== 0) flush()
    this.readStop()
    this.#holdRest()
    this.#takeFromBatch()
    const unread: Uint8Array[] = []
    let readErrno = 0
    for (const { chunk, status } of this.#held ?? []) {
      if (chunk !== undefined) unread.push(chunk)
      else readErrno = status
    }
    const unsent = this.#backlog?.chunks.slice() ?? []
    if (unsent.length > 0) unsent[0] = unsent[0]!.subarray(this.#backlog!.offset)
    const ending = (this.#flags & ENDING) !== 0
    if ((this.#flags & WRITING) !== 0) release()
    if (ending) release()
    this.#flags &= ~(WRITING | ENDING)
    this.#backlog = null
    this.#held = null
    return { unread, unsent, ending, readErrno }
  }

  // What the reactor has told of this handle, and the batch has not come to: it would be told to nobody.
  #takeFromBatch(): void {
    for (let event = eventNext; event < eventCount; event++) {
      const at = event * EVENT_WORDS
      if (events[at + 1] !== this.slot) continue
      const [kind, , a, b] = events.subarray(at, at + EVENT_WORDS) as unknown as [
        number,
        number,
        number,
        number,
      ]
      events[at] = NOTHING
      const slab =
        kind === DATA_SMALL ? small! : kind === DATA_BULK ? bulk! : kind === DATA_SCRATCH ? scratch : null
      if (slab !== null && slab.byteLength === 0) {
        // As in `#deliverView`.
        this.#hold(undefined, EFAULT)
      } else if (slab !== null) {
        this.#hold(ownCopy(slab, a, a + b), 0)
      } else if (kind === READ_ERROR) {
        this.#hold(undefined, a)
      } else if (kind === ACCEPT) {
        const client = Handle.accepted(this.kind, a, this.asyncId())
        post(this, () => this.onconnection(0, client))
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

  #part(result: number): number {
    if (result < 0) return result
    table[this.slot] = undefined
    this.slot = -1
    this.#flags &= ~LISTENING
    this.#reading = false
    this.#recount()
    return result
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

  /** The local end; a pipe's path comes as a string. */
  sockname(): Endpoint | string | number {
    return this.slot < 0 ? EBADF : endpoint(engine.sockname(this.slot))
  }

  peername(): Endpoint | string | number {
    return this.slot < 0 ? EBADF : endpoint(engine.peername(this.slot))
  }

  /** The descriptor, -1 when there is none; it stays ferronet's: do not close it. */
  get fd(): number {
    return this.slot < 0 ? -1 : engine.fd(this.slot)
  }

  ref(): void {
    this.#flags |= REFERENCED
    this.#recount()
  }

  unref(): void {
    this.#flags &= ~REFERENCED
    this.#recount()
  }

  get closed(): boolean {
    return (this.#flags & CLOSED) !== 0
  }

  hasRef(): boolean {
    return (this.#flags & REFERENCED) !== 0 && !this.closed
  }

  getAsyncId(): number {
    return this.asyncId()
  }

  /** What is worth knowing in a dump of a Socket or Server: where it is, not how it is kept. */
  [inspect.custom](depth: number, options: InspectContext, show: typeof inspect): string {
    if (depth < 0) return options.stylize('[Handle]', 'special')
    const { kind, fd, reading, bytesRead, bytesWritten, writeQueueSize } = this
    const listening = (this.#flags & LISTENING) !== 0
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
    const closes = [...closing, ...closingNow].some(({ handle }) => handle === this)
    const posted = uncompleted().filter(({ handle }) => handle === this)
    const shutsDown =
      (this.#flags & ENDING) !== 0 || posted.some(({ complete }) => complete === this.#shutdown)
    const requests: Facts['requests'] = []
    if ((this.#flags & CONNECTING) !== 0) requests.push('connect')
    if ((this.#flags & WRITING) !== 0) requests.push('write')
    if (shutsDown) requests.push('shutdown')
    if (closes) requests.push('close')
    return {
      server: (this.#flags & SERVER) !== 0,
      listening: (this.#flags & LISTENING) !== 0,
      referenced: (this.#flags & REFERENCED) !== 0,
      requests,
      keepsAlive: (this.#flags & COUNTED) !== 0 || requests.length > 0 || posted.length > 0,
    }
  }

  #recount(): void {
    const active = this.#reading || (this.#flags & LISTENING) !== 0
    const counts = active && (this.#flags & REFERENCED) !== 0
    if (counts === ((this.#flags & COUNTED) !== 0)) return
    this.#flags ^= COUNTED
    if (counts) hold()
    else release()
  }

  // --- events -------------------------------------------------------------------------------------------------

  /** @internal One event of the batch. */
  deliver(kind: number, a: number, b: number): void {
    switch (kind) {
      case DATA_SMALL:
        this.#deliverView(small!, a, b)
        break
      case DATA_BULK:
        this.#deliverView(bulk!, a, b)
        break
      case DATA_SCRATCH:
        this.#deliverCopy(a, b)
        break
      case WRITABLE:
        this.runInAsyncScope(this.#onWritable, this)
        break
      case END:
      case READ_ERROR:
        if (this.#isHeld()) this.#hold(undefined, a)
        else this.#deliverEnd(a)
        break
      case CONNECT:
        this.#flags &= ~CONNECTING
        release()
        this.runInAsyncScope(this.#emitConnect, this, a)
        break
      case READABLE:
        readsInRow = 0
        if (this.#reading) this.#readInto()
        break
      case ACCEPT: {
        // Made outside the listener's async scope, as node:net makes it.
        const client = Handle.accepted(this.kind, a, this.asyncId())
        this.runInAsyncScope(this.onconnection, this, 0, client)
        break
      }
      case ACCEPT_ERROR:
        retryAcceptLater()
        this.runInAsyncScope(this.onconnection, this, a)
        break
    }
  }

  #emitRead(chunk: Buffer): void {
    this.owner?.[kOnRead]?.(chunk)
  }

  #emitReadInto(nread: number): void {
    this.owner?.[kOnReadInto]?.(nread)
  }

  #emitReadEnd(status: number): void {
    this.owner?.[kOnReadEnd]?.(status)
  }

  #emitConnect(status: number): void {
    this.owner?.[kOnConnect]?.(status)
  }

  /** What a listener's events go through; a program may put a function of its own in its place. */
  onconnection(status: number, client?: Handle): void {
    this.owner?.[kOnConnection]?.(status, client)
  }

  #deliverView(slab: Buffer, from: number, length: number): void {
    // A handler of this batch has detached the slab, and the bytes with it.
    if (slab.byteLength === 0) {
      this.#deliverEnd(EFAULT)
      return
    }
    const bytes = slab.subarray(from, from + length)
    if (this.#isHeld()) this.#hold(bytes, 0)
    else this.#deliverChunk(bytes)
  }

  #deliverChunk(chunk: Buffer): void {
    this.bytesRead += chunk.byteLength
    this.runInAsyncScope(this.#emitRead, this, chunk)
  }

  /** Whether what was read has to wait: the reader stopped in an earlier event of the batch, or something waits. */
  #isHeld(): boolean {
    return !this.#reading || this.#held !== null
  }

  #hold(chunk: Buffer | undefined, status: number): void {
    this.#held ??= []
    this.#held.push({ chunk, status })
  }

  // JavaScript sees chunks of at most 64 KiB, as from node:net.
  #deliverCopy(from: number, length: number): void {
    const to = from + length
    if (this.#isHeld()) {
      this.#holdCopies(from, to)
    } else if (length <= MAX_CHUNK) {
      this.#deliverChunk(copyOfScratch(from, to))
    } else {
      restOwner = this
      restNext = from
      restEnd = to
      this.deliverRest()
    }
  }

  /** @internal The next chunk of a read that is more than one. */
  deliverRest(): void {
    if (this.#into !== null) {
      restOwner = null
      if (this.#reading) this.#readInto()
      return
    }
    // A reader that stops in the middle keeps the rest waiting here, not in its own buffer beyond the high-water mark.
    if (!this.#reading) {
      this.#holdRest()
      return
    }
    const from = restNext
    restNext = Math.min(from + MAX_CHUNK, restEnd)
    if (restNext === restEnd) restOwner = null
    this.#deliverChunk(copyOfScratch(from, Math.min(from + MAX_CHUNK, restEnd)))
  }

  /** Keeps what is left of a read, if it is this handle's that is being delivered. */
  #holdRest(): void {
    if (restOwner !== this) return
    restOwner = null
    // Of what is read into the program's buffer the rest is in the kernel.
    if (!this.closed && this.#into === null) this.#holdCopies(restNext, restEnd)
  }

  #holdCopies(from: number, to: number): void {
    for (let at = from; at < to; at += MAX_CHUNK) {
      this.#hold(copyOfScratch(at, Math.min(at + MAX_CHUNK, to)), 0)
    }
  }

  // In the next iteration of the loop, like bytes that have waited in the kernel.
  #resumeSoon(): void {
    if ((this.#flags & RESUMING) !== 0) return
    this.#flags |= RESUMING
    resumed.push(this)
    state[RESUMED] = resumed.length
    engine.again()
  }

  /** @internal The first of what is held, a chunk or the end; false when there is nothing (more) for this batch. */
  deliverHeld(): boolean {
    const held = this.#held
    if (held === null || !this.#reading) {
      this.#flags &= ~RESUMING
      return false
    }
    const { chunk, status } = held[0]!
    if (chunk === undefined || chunk.byteLength === 0) {
      this.#held = null
      this.#flags &= ~RESUMING
      resumingNext++
      this.#deliverEnd(chunk === undefined ? status : EFAULT)
      return true
    }
    held.shift()
    if (held.length === 0) {
      this.#held = null
      engine.readStart(this.slot, this.#readMode())
    } else if (held[0]!.chunk === undefined) {
      // The end is never told in one iteration with the bytes before it.
      this.#flags &= ~RESUMING
      resumingNext++
      this.#resumeSoon()
    }
    this.#deliverChunk(chunk)
    return true
  }

  #deliverEnd(status: number): void {
    this.#reading = false
    this.#recount()
    this.runInAsyncScope(this.#emitReadEnd, this, status)
  }

  #readInto(): void {
    const nread = engine.readInto(this.slot, this.#into!)
    if (nread > 0) {
      this.bytesRead += nread
      // More may wait behind a full buffer.
      if (nread === this.#into!.byteLength && ++readsInRow < MAX_READS) restOwner = this
      this.runInAsyncScope(this.#emitReadInto, this, nread)
    } else if (nread !== EAGAIN) {
      this.#deliverEnd(nread === EOF ? 0 : nread)
    }
  }
}

// Node's own class of Buffers, whose constructor allocates nothing else.
const FastBuffer = (Buffer as unknown as { [Symbol.species]: new (size: number) => Buffer })[Symbol.species]
// Up to here V8 keeps the bytes of a typed array in the object itself: no memory has to be fetched and given back, and
// an ArrayBuffer is made when somebody asks for it. 0.1 µs a chunk; above, 1.5 µs and more (Node 26, 2026-11).
const ON_HEAP = 64

/** The program's own copy: its ArrayBuffer begins and ends with it. */
function ownCopy(from: Buffer, start: number, end: number): Buffer {
  const size = end - start
  if (size <= ON_HEAP) {
    const chunk = new FastBuffer(size)
    chunk.set(from.subarray(start, end))
    return chunk
  }
  const chunk = allocate(size)
  from.copy(chunk, 0, start, end)
  return chunk
}

function copyOfScratch(start: number, end: number): Buffer {
  return ownCopy(scratch, start, end)
}

/** Those that are open, or closing: in the order of their slots, then of their requests. */
export function openHandles(): Handle[] {
  const requests = [...uncompleted(), ...closing, ...closingNow]
  return [...new Set([...table, ...requests.map(({ handle }) => handle)])].filter(
    handle => handle !== undefined,
  )
}

function endpoint(found: string | number): Endpoint | string | number {
  // The addon spells an IP endpoint "4 127.0.0.1 80"; a path starts with "p ".
  if (typeof found === 'number') return found
  if (found.startsWith('p ')) return found.slice(2)
  const [family, address, port] = found.split(' ')
  return { address: address!, family: family === '4' ? 'IPv4' : 'IPv6', port: Number(port) }
}

export function spelled(end: Endpoint | string | number): string | undefined {
  if (typeof end === 'number') return undefined
  if (typeof end === 'string') return end
  return end.family === 'IPv6' ? `[${end.address}]:${end.port}` : `${end.address}:${end.port}`
}
