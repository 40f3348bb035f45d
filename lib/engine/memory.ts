// The memory of chunks: each is the program's own, as in node:net.

import { engine } from './engine.js'

// V8 frees the memory of a dead buffer cheaply in a collection of its young generation, and begins one when that has
// filled up with objects. We make so few that the memory would grow until V8 collects everything, for 5 ms and more,
// some 30 times a second (Node 24, 16 KiB messages, 2026-11). So each buffer comes with an object a sixteenth of its
// size, garbage at once, which brings the small collections on: p99 fell from 4.6 ms to 0.86 ms, CPU by a seventh, on
// bulk uploads by a third. A quarter of a KiB at least (in words), so that a collection does not find too many buffers
// to free: with 1 KiB messages p99 fell by a sixth.
const MIN_BALLAST = 32
const young: { ballast: unknown[] } = { ballast: [] }

// Such a collection frees megabytes at once, and glibc would give most of them back to the system, only to ask for them
// page by page in the moments after (crates/binding/src/memory.rs). Chunks of less than a page do not get that far.
const PAGE = 4096
let keepsFreed = false

/** Uninitialised memory that is nobody else's. */
export function allocate(size: number): Buffer {
  if (size >= PAGE && !keepsFreed) {
    keepsFreed = true
    engine.keepFreedMemory()
  }
  young.ballast = new Array(Math.max(size >>> 7, MIN_BALLAST))
  return Buffer.allocUnsafeSlow(size)
}

// Node's own class of Buffers, whose constructor allocates nothing else.
const FastBuffer = (Buffer as unknown as { [Symbol.species]: new (size: number) => Buffer })[Symbol.species]
// Up to here V8 keeps the bytes of a typed array in the object itself: no memory has to be fetched and given back, and
// an ArrayBuffer is made when somebody asks for it. 0.1 µs a chunk; above, 1.5 µs and more (Node 26, 2026-11).
const ON_HEAP = 64

/** The program's own copy: its ArrayBuffer begins and ends with it. */
export function ownCopy(from: Buffer, start: number, end: number): Buffer {
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
