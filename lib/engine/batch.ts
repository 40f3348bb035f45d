// Up: events. The addon fills `events` and calls `dispatch`, once for a whole batch; here each event is given to its
// slot, and between two of them Node's ticks and microtasks run, as after each callback from Node's own loop. The other
// side is crates/binding/src/batch.rs.
//
// Where delivery stands is kept here and not on the stack, because a handler may run the event loop itself (`deasync`
// and other addons call `uv_run`): the call within goes on from there, before the addon uses the memory again.

import { markAsUntransferable } from 'node:worker_threads'
import { libuv } from '../node/host.js'
import { EFAULT, EVENT_WORDS, engine, events, RESUMED, scratch, slots, state } from './engine.js'
import { drain } from './loop.js'
import { allocate, ownCopy } from './memory.js'
import { beginBatch, beginHandler, endHandler, enterCallback, flushWaiting, leaveCallback } from './outbox.js'

// The codes of events, and what their two numbers are.
const NOTHING = 0
export const CONNECT = 1 // a: status
export const DATA_SMALL = 2 // a: offset in the slab for small reads, b: length
export const DATA_BULK = 3 // a: offset in the bulk slab, b: length
export const END = 4
export const READ_ERROR = 5 // a: error number
export const READABLE = 6 // bytes wait in the kernel for a socket that reads into its own buffer
export const WRITABLE = 7
export const ACCEPT = 8 // a: the slot of the new socket
export const ACCEPT_ERROR = 9 // a: error number
export const DATA_SCRATCH = 10 // a: offset in the scratch buffer or pieces, b: length; gone with the next batch
export const SECURE = 11 // a: OpenSSL's verdict on the peer's certificate, b: whether a session was resumed
export const TLS_ERROR = 12
export const TLS_NEWS = 13 // the addon has a session, or lines for a keylog
export const TLS_ASKS = 14 // a: what it wants to know before the handshake goes on, TLS_HELLO and so on
export const RELAY_FAILED = 15 // a: error number
// Beside the number of events: this slab is nearly full, or a program has detached it.
const RENEW_SMALL = 1 << 16
const RENEW_BULK = 1 << 17
// Large reads need pieces: there are none, or some of them have bytes in this batch.
const RENEW_PIECES = 1 << 19
// A new batch, and not more of the one that is being delivered.
const BEGIN = 1 << 18

/** JavaScript sees chunks of at most so many bytes, as from node:net. */
export const MAX_CHUNK = 64 * 1024

/** A slot that has more than one chunk to deliver. */
export interface Reader {
  /** The next chunk of a read that is more than one; `takeRest` says where it is. */
  deliverRest(): void
  /** The first of what it holds; false when there is nothing more for this batch. */
  deliverHeld(): boolean
}

// --- the cursor -------------------------------------------------------------------------------------------------------

let count = 0
let next = 0
let renew = 0
// Readers that go on with what they hold, in the next batch, and in this one.
let resumed: Reader[] = []
let resuming: Reader[] = []
let resumingNext = 0
// The rest of a read that is more than one chunk: whose it is, and where it lies in the scratch buffer or the pieces.
let restOwner: Reader | null = null
let restFrom = 0
let restEnd = 0

/**
 * Called by the addon with BEGIN, the number of events in the batch, and RENEW_*. A handler's exception is given to
 * 'uncaughtException' right here: the events behind it are not lost. (Called again, with 0, if one got out after all.)
 */
export function dispatch(batch: number): void {
  if (batch !== 0) begin(batch)
  enterCallback()
  try {
    deliverAll()
    // What the ticks behind the last handler have written.
    flushWaiting()
    // Nobody is kept from being collected by having been here.
    if (resuming.length > 0) resuming = []
    resumingNext = 0
  } finally {
    leaveCallback()
  }
  // Here, where no event points into them any more.
  if ((renew & RENEW_PIECES) !== 0) lendPieces()
  if (renew !== 0) renewSlabs()
}

/** Called by the addon before the loop polls while writes wait, or while a handler that runs the loop has not returned. */
export function goOn(): void {
  flushWaiting()
  dispatch(0)
}

function begin(batch: number): void {
  count = batch & ~(BEGIN | RENEW_SMALL | RENEW_BULK | RENEW_PIECES)
  next = 0
  renew = batch & (RENEW_SMALL | RENEW_BULK | RENEW_PIECES)
  if (state[RESUMED] !== 0) {
    resuming = resumed
    resumingNext = 0
    resumed = []
    state[RESUMED] = 0
  }
  if (count > 1) beginBatch()
}

function deliverAll(): void {
  while (!isDelivered()) {
    beginHandler()
    try {
      if (restOwner !== null) restOwner.deliverRest()
      else if (resumingNext < resuming.length) deliverResumed()
      else deliverNext()
    } catch (error) {
      engine.fatal(error)
    }
    endHandler(!isDelivered())
    drain()
  }
}

function isDelivered(): boolean {
  return next === count && restOwner === null && resumingNext === resuming.length
}

// One chunk; the reader stays in its place while it has more for this batch.
function deliverResumed(): void {
  const reader = resuming[resumingNext]!
  if (!reader.deliverHeld()) resumingNext++
}

function deliverNext(): void {
  const at = next++ * EVENT_WORDS
  const slot = slots[events[at + 1]!]
  if (slot !== undefined) slot.deliver(events[at]!, events[at + 2]!, events[at + 3]!)
  else if (events[at] === ACCEPT) engine.close(events[at + 2]!, false)
}

/** Has `reader.deliverHeld()` called in the next batch, which comes in the next iteration of the loop. */
export function resumeSoon(reader: Reader): void {
  resumed.push(reader)
  state[RESUMED] = resumed.length
  engine.again()
}

/** From within `deliverHeld`: that was all of this reader's for this batch. */
export function resumedAll(): void {
  resumingNext++
}

/** Has `reader.deliverRest()` called before any other event, for these bytes of the scratch buffer or the pieces. */
export function keepRest(reader: Reader, from: number, end: number): void {
  restOwner = reader
  restFrom = from
  restEnd = end
}

/** Whether anything is kept for a reader. */
export function hasRest(reader: Reader): boolean {
  return restOwner === reader
}

/** What was kept for a reader, or null; it is the reader's from now on. */
export function takeRest(reader: Reader): { from: number; end: number } | null {
  if (restOwner !== reader) return null
  restOwner = null
  return { from: restFrom, end: restEnd }
}

/** The error that a read of this slot has met, in an event that is not delivered yet; or undefined. */
export function readErrorOf(slot: number): number | undefined {
  for (let event = next; event < count; event++) {
    const at = event * EVENT_WORDS
    if (events[at] === READ_ERROR && events[at + 1] === slot) return events[at + 2]!
  }
  return undefined
}

/** Takes a slot's events that are not delivered yet out of the batch. */
export function take(slot: number, visit: (kind: number, a: number, b: number) => void): void {
  for (let event = next; event < count; event++) {
    const at = event * EVENT_WORDS
    if (events[at + 1] !== slot) continue
    const kind = events[at]!
    events[at] = NOTHING
    visit(kind, events[at + 2]!, events[at + 3]!)
  }
}

// --- bytes ------------------------------------------------------------------------------------------------------------

// Sockets that share their chunks' memory (`sharedChunks`) read into slabs, which are handed out as views: nothing is
// allocated per read, and a slab that is used up is left to the garbage collector. A chunk that a program keeps pins its
// slab, so small reads have a slab of their own, about as large as Buffer's own pool.
const SMALL_SIZE = 16 * 1024
const BULK_SIZE = 256 * 1024
let small: Buffer | undefined
let bulk: Buffer | undefined

/** A view of the slab that a DATA_SMALL or DATA_BULK event is about; undefined if a handler has detached it since. */
export function view(kind: number, from: number, length: number): Buffer | undefined {
  const slab = kind === DATA_SMALL ? small! : bulk!
  return slab.byteLength === 0 ? undefined : slab.subarray(from, from + length)
}

/** The program's own chunk of at most MAX_CHUNK bytes of the scratch buffer, or of one of the pieces. */
export function chunkAt(from: number, end: number): Buffer {
  return from < PIECES_AT ? ownCopy(scratch, from, end) : chunkOfPiece(from - PIECES_AT, end - from)
}

// Large reads go straight into memory that becomes chunks: they would go through the scratch buffer's share of the cache
// several times, and the copy was a third of an upload's time. A piece that is full is handed out as it is, only the end
// of a read is copied. (Node 24, both ends on one core, 2026-11.)
const PIECES = 8
/** A DATA_SCRATCH event whose offset is this or more is about the pieces, counted from here. */
const PIECES_AT = 1 << 24
const pieces: (Buffer | undefined)[] = []

function chunkOfPiece(at: number, length: number): Buffer {
  const index = at / MAX_CHUNK
  const piece = pieces[index]!
  if (length < MAX_CHUNK) return ownCopy(piece, 0, length)
  pieces[index] = undefined
  return piece
}

// Those that the program has are replaced. Others have never been seen outside of this file.
function lendPieces(): void {
  for (let index = 0; index < PIECES; index++) pieces[index] ??= allocate(MAX_CHUNK)
  engine.lendPieces(pieces as Buffer[])
}

/** The bytes of a DATA_SMALL or DATA_BULK event as a chunk of its own, or EFAULT. */
export function ownChunk(kind: number, from: number, length: number): Buffer | number {
  const bytes = view(kind, from, length)
  return bytes === undefined ? EFAULT : ownCopy(bytes, 0, length)
}

/** Before somebody reads who shares. */
export function needSlabs(): void {
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

// A slab holds the bytes of several sockets: transferring the memory of one chunk would take the others' along. Node
// marks Buffer's own pool like this. (Node 22 lets `ArrayBuffer.prototype.transfer` pass; then `view` finds nothing.)
function allocateSlab(size: number): Buffer {
  const slab = allocate(size)
  if (libuv) markAsUntransferable(slab.buffer)
  return slab
}
