// Down: writes that wait to be sent together, and when they are. Small writes of a handler or tick are copied into
// `out`, one behind the other; `log` lists (slot, offset, length); one call of the addon sends each slot's bytes in one
// system call. The other side is crates/binding/src/outbox.rs.

import { performance } from 'node:perf_hooks'
import { host } from '../node/host.js'
import {
  DIRECT_SIZE,
  engine,
  LOG_WORDS,
  log,
  MAX_LOG,
  OUT_SIZE,
  out,
  slots,
  state,
  WAITING,
} from './engine.js'

// The answers of a batch's handlers leave together, for as long as the handlers take less than this (ms): the peer is
// woken once instead of once for each, which made 64-byte echoes on 50 connections 10 % faster (2026-11). A handler
// that computes for longer has its answer sent as soon as it returns.
const MAX_WAIT = 0.1

/** The end of a large write that waits is shorter than this. */
export const MAX_TAIL = DIRECT_SIZE

let top = 0
/** Counts ticks that write outside of a batch, and callbacks from the loop. */
let tick = 0
let tickEnds = false
/** A large write has come since `endTick` last ran: another one may follow from a later callback of the same tick. */
let wroteMuch = false
/** The slot whose large write has left its end here last. */
let tailOf = -1
/** As `flushBy`, for that end: sending the rest takes time, too. */
let tailBy = 0
let taken = 0
let exiting = false
/** How many callbacks from the loop are on the stack: a handler may run the loop itself. */
let depth = 0
let inHandler = false
/** The pieces of one write are being noted. */
let joining = false
/** Somebody waits for the outcome of a write of this handler or tick: it is sent when that is over. */
let flushNow = false
/** When waiting any longer for the other handlers of the batch would be noticed (performance.now()). */
let flushBy = 0
/** The slot whose own write is being flushed, or -1. */
let flushing = -1

// --- what is on the stack, which decides what may wait ----------------------------------------------------------------

export function enterCallback(): void {
  depth++
}

export function leaveCallback(): void {
  if (--depth === 0) tick++
}

/** Whether this callback from the loop runs inside another: a handler runs the loop. */
export function isNested(): boolean {
  return depth > 1
}

export function beginHandler(): void {
  inHandler = true
}

/** Sends what the handler has written, unless it may wait for other handlers of the batch, which follow at once. */
export function endHandler(othersFollow: boolean): void {
  inHandler = false
  const now = flushNow
  flushNow = false
  if (state[WAITING] !== 0 && !(othersFollow && !now && mayStay())) flush()
}

function mayStay(): boolean {
  const now = performance.now()
  return now <= flushBy || (now <= tailBy && isTailAlone())
}

/** A batch of several events begins. */
export function beginBatch(): void {
  flushBy = performance.now() + MAX_WAIT
}

/** Before a write whose outcome somebody waits for: it is sent when the handler returns, or the tick ends. */
export function flushSoon(): void {
  flushNow = true
  if (!inHandler) scheduleFlush()
}

/**
 * Whether what was just appended may wait. In a batch its end comes soon, and the bytes leave with the others' answers.
 * Elsewhere the first write of a socket in a tick goes at once, as in Node: most ticks write once, and whatever the
 * program does next, even if it kills its own process, the bytes are on their way. `lastTick`: see `currentTick`.
 */
export function mayWait(lastTick: number): boolean {
  if (exiting) return joining
  if (depth > 0) return true
  scheduleFlush()
  return joining || lastTick === tick
}

/** Calls `note`, which appends the pieces of one write: they wait for each other. */
export function join(note: () => number): number {
  const before = joining
  joining = true
  try {
    return note()
  } finally {
    joining = before
  }
}

/**
 * Whether the end of a large write may wait for what its writer writes when it hears that this one is done: not if it
 * hears that by the write's callback, which says that the kernel has everything. Then there is room for such an end.
 */
export function mayFollow(): boolean {
  if (exiting || flushNow) return false
  if (depth === 0) {
    wroteMuch = true
    scheduleFlush()
  }
  room(MAX_TAIL)
  return true
}

/** What a socket remembers of its last write outside of a batch, and of its last large one. */
export function currentTick(): number {
  return tick
}

function scheduleFlush(): void {
  if (tickEnds) return
  tickEnds = true
  process.nextTick(endTick)
}

function endTick(): void {
  if (wroteMuch) {
    // A writer that waits for 'drain' hears of it behind us, and takes the end of its last write along.
    wroteMuch = false
    if (flushNow || !isTailAlone()) flushWaiting()
    process.nextTick(endTick)
    return
  }
  tickEnds = false
  flushNow = false
  tick++
  flushWaiting()
}

// --- what waits -------------------------------------------------------------------------------------------------------

/** Where in `out` the next `bytes` bytes go; may flush to make room. */
export function room(bytes: number): number {
  if (top + bytes > OUT_SIZE || state[WAITING]! >= MAX_LOG / 2 - 1) flush()
  return top
}

/** Notes that `length` bytes of a slot stand in `out`, where `room` said. */
export function append(slot: number, at: number, length: number): void {
  top = at + length
  const count = state[WAITING]!
  const last = (count - 1) * LOG_WORDS
  // `take` leaves gaps, which are other sockets' bytes.
  if (count > 0 && log[last] === slot && log[last + 1]! + log[last + 2]! === at) {
    log[last + 2]! += length
    return
  }
  const next = count * LOG_WORDS
  state[WAITING] = count + 1
  log[next] = slot
  log[next + 1] = at
  log[next + 2] = length
}

/** As `append`, for the end of a large write. */
export function appendTail(slot: number, at: number, length: number): void {
  append(slot, at, length)
  tailOf = slot
  if (inHandler) tailBy = performance.now() + MAX_WAIT
}

/** Whether all that waits is the end of a large write. */
function isTailAlone(): boolean {
  return state[WAITING] === 1 && log[0] === tailOf
}

/**
 * What waits of a slot leaves the log, because its large write takes it along: how many bytes, which stand where
 * `takenFrom` says until others come. None if several pieces waited, which have been sent now.
 */
export function take(slot: number): number {
  const count = state[WAITING]!
  let found = -1
  for (let entry = 0; entry < count; entry++) {
    if (log[entry * LOG_WORDS] !== slot) continue
    if (found !== -1) {
      flush()
      return 0
    }
    found = entry
  }
  if (found === -1) return 0
  const at = found * LOG_WORDS
  taken = log[at + 1]!
  const length = log[at + 2]!
  // What comes next may stand in its place.
  if (found === count - 1) top = taken
  else log.copyWithin(at, at + LOG_WORDS, count * LOG_WORDS)
  state[WAITING] = count - 1
  return length
}

export function takenFrom(): number {
  return taken
}

/** Whether bytes of this slot wait. */
export function has(slot: number): boolean {
  for (let entry = state[WAITING]! - 1; entry >= 0; entry--) if (log[entry * LOG_WORDS] === slot) return true
  return false
}

export function flushWaiting(): void {
  if (state[WAITING] !== 0) flush()
}

/** Flushes for a slot that looks at the outcome itself. */
export function flushFor(slot: number): void {
  flushing = slot
  flush()
}

function flush(): void {
  const own = flushing
  flushing = -1
  const count = state[WAITING]!
  // It sets WAITING to 0.
  const short = engine.flush(count)
  top = 0
  if (short !== 0) settleShort(short, count, own)
}

interface Outcome {
  slot: number
  /** Bytes sent, or an error number. */
  result: number
  rest: Buffer[]
}

// engine.flush left (slot, bytes sent or error number) behind the entries, for each slot that could not send all. Telling
// of a failure may run the program (an `init` hook of async_hooks), which may write: by then everything is read from the
// log and from `out`, and what is left of each slot's bytes is in its queue.
function settleShort(short: number, count: number, own: number): void {
  const outcomes: Outcome[] = []
  for (let i = 0; i < short; i++) {
    const at = (count + i) * LOG_WORDS
    const [slot, result] = [log[at]!, log[at + 1]!]
    outcomes.push({ slot, result, rest: result < 0 ? [] : unsent(slot, result, count) })
  }
  const settle = ({ slot, result, rest }: Outcome): void => slots[slot]?.settle(result, rest, slot === own)
  outcomes.filter(({ result }) => result >= 0).forEach(settle)
  outcomes.filter(({ result }) => result < 0).forEach(settle)
}

/** Copies of what a slot has in `out` beyond the first `sent` bytes. */
function unsent(slot: number, sent: number, count: number): Buffer[] {
  const rest: Buffer[] = []
  let skip = sent
  for (let entry = 0; entry < count; entry++) {
    const at = entry * LOG_WORDS
    if (log[at] !== slot) continue
    const length = log[at + 2]!
    const skipped = Math.min(skip, length)
    skip -= skipped
    const from = log[at + 1]! + skipped
    if (skipped < length) rest.push(Buffer.from(out.subarray(from, from + length - skipped)))
  }
  return rest
}

// --- last words -------------------------------------------------------------------------------------------------------

// What a program has written is on its way, as far as it knows, whatever it does next: also when it ends itself without
// 'exit'. (When a thread is terminated, the addon sends what waits.)
flushBefore('abort', 'kill', 'reallyExit', 'execve')

function flushBefore(...deaths: string[]): void {
  for (const death of deaths) {
    const property = Object.getOwnPropertyDescriptor(process, death)
    const die: unknown = property?.value
    if (typeof die !== 'function') continue
    const flushed = function (this: unknown, ...args: unknown[]): unknown {
      flushWaiting()
      return Reflect.apply(die, this, args)
    }
    Object.defineProperty(flushed, 'name', { value: die.name, configurable: true })
    Object.defineProperty(flushed, 'length', { value: die.length, configurable: true })
    Object.defineProperty(process, death, { ...property, value: flushed })
  }
}

// Deno does not emit 'exit' when nobody has caught an exception.
if (host === 'Deno') process.on('uncaughtExceptionMonitor', flushWaiting)

process.on('exit', () => {
  // No tick comes any more for what later listeners write.
  exiting = true
  flushWaiting()
})
