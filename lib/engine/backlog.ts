// What the kernel would not take yet, by reference and in order. A handle that has one has a write under way: the addon
// reports when the socket is writable again.

import { EFAULT, engine } from './engine.js'

export class Backlog {
  /** Bytes left. */
  size = 0
  /** Its owner is hearing that all of it is sent. */
  isDone = false
  /** Something has been added since then, be it a chunk of no bytes. */
  hasMore = false
  #chunks: Uint8Array[] = []
  /** Where the first chunk goes on. */
  #offset = 0

  /** `offset`: how much of the chunk has been sent. */
  add(chunk: Uint8Array, offset = 0): void {
    this.hasMore = true
    if (chunk.byteLength === offset) return
    if (this.#chunks.length === 0) this.#offset = offset
    this.#chunks.push(chunk)
    this.size += chunk.byteLength - offset
  }

  /** Whether it is a single chunk. */
  get isOne(): boolean {
    return this.#chunks.length === 1
  }

  /** What has not been sent. */
  chunks(): Uint8Array[] {
    const [first, ...others] = this.#chunks
    return first === undefined ? [] : [first.subarray(this.#offset), ...others]
  }

  /**
   * Gives the kernel what it takes: 0 when that is all, 1 when a WRITABLE event will follow, or an error number. `tail`: so
   * many bytes, the last of a single chunk, are copied to `at` in `out` in the end.
   */
  send(slot: number, tail = 0, at = 0): number {
    if (!this.#isIntact()) return EFAULT
    const chunks = this.#chunks
    while (chunks.length > 0) {
      const sent = this.#send(slot, tail, at)
      if (sent < 0) return sent
      // The addon has armed the event whenever the kernel took less than it was offered. With TLS that may be less of the
      // ciphertext, when all of the bytes are sealed; then the tail stays here too.
      const waits = engine.blocked()
      const isAllButTail = sent === this.size - tail && !waits
      this.#drop(isAllButTail ? this.size : sent)
      if (waits) return 1
    }
    return 0
  }

  #send(slot: number, tail: number, at: number): number {
    const chunks = this.#chunks
    if (tail > 0) return engine.writeBehind(slot, 0, 0, chunks[0]!, this.#offset, tail, at)
    if (chunks.length === 1) return engine.write(slot, chunks[0]!, this.#offset)
    return engine.writev(slot, chunks, this.#offset)
  }

  /** Before its owner hears that all of it is sent. */
  done(): void {
    this.isDone = true
    this.hasMore = false
  }

  // A program may have transferred a chunk's memory away meanwhile: better no byte than the wrong one.
  #isIntact(): boolean {
    let size = -this.#offset
    for (const chunk of this.#chunks) size += chunk.byteLength
    return size === this.size
  }

  #drop(sent: number): void {
    this.size -= sent
    let left = this.#offset + sent
    let done = 0
    while (done < this.#chunks.length && left >= this.#chunks[done]!.byteLength) {
      left -= this.#chunks[done++]!.byteLength
    }
    this.#chunks.splice(0, done)
    this.#offset = left
  }
}
