// Large writes in whole segments. TCP cuts what it is given into segments, 65483 bytes over loopback and 1448 in most
// networks, and what is left over becomes a short segment of its own: 53 bytes of each 64 KiB. It costs as much as a full
// one, and the peer is woken once more for it. So while a socket writes one large chunk after the other, such an end waits
// for the next write, for no longer than small writes wait, and leaves with it in one system call.

import { engine } from './engine.js'
import * as outbox from './outbox.js'

// A segment is no larger than half of the peer's window, which grows while a connection is young.
const ASK_AFTER = 16

// For fewer writes the call that sends the last end costs as much as the short segments: an echo of 64 KiB chunks, two in a
// batch, took 10 % more CPU time with it.
const STREAK = 3

// A record of TLS carries so many bytes, and is larger by this: header, nonce and tag of TLS 1.2. With TLS 1.3 it is 22, and
// the last segment is not quite full.
const RECORD = 16 * 1024
const SEAL = 29

/** What a socket that makes large writes remembers of them. */
export class Segments {
  #size = 0
  /** For how many writes it counts. */
  #known = 0
  #tick = -1
  /** How many there were in that tick or callback. */
  #writes = 0
  /** There were many in the last one, so there will be. */
  #goesOn = false

  /** Of so many bytes that are about to be sent, after `mayFollow`: how many, at their end, wait for what is written next. */
  tail(slot: number, bytes: number, sealed: boolean): number {
    const tick = outbox.currentTick()
    if (tick !== this.#tick) {
      this.#goesOn = this.#writes >= STREAK
      this.#writes = 0
      this.#tick = tick
    }
    this.#writes++
    if (this.#writes < STREAK && !this.#goesOn) return 0
    if (this.#known-- === 0) {
      this.#size = engine.segmentSize(slot)
      this.#known = ASK_AFTER
    }
    const tail = this.#size > 0 ? beyond(this.#size, bytes, sealed) : 0
    return tail < outbox.MAX_TAIL ? tail : 0
  }
}

/** How many bytes are more than whole segments. */
function beyond(segment: number, bytes: number, sealed: boolean): number {
  if (!sealed) return bytes % segment
  const sent = bytes + SEAL * Math.ceil(bytes / RECORD)
  const whole = sent - (sent % segment)
  return bytes - (whole - SEAL * Math.ceil(whole / (RECORD + SEAL)))
}
