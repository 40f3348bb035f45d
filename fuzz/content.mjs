// What the sockets of a program send. Each byte is a function of its stream and its position in it, so that the
// receiver can tell whether it is the right one. Nothing here knows about sockets.

// A prime, so that a chunk that is lost, repeated or shifted by any usual size does not match by accident.
const PERIOD = 65_521

// Seven bits and never a control character, so the bytes are the same in utf8, latin1 and ascii, and pairs of them are
// valid characters in utf16le too.
const pattern = Buffer.alloc(2 * PERIOD)
for (let at = 0, state = 1; at < PERIOD; at++) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  pattern[at] = pattern[at + PERIOD] = 0x20 + ((state >>> 16) % 95)
}

const WIDE = 'é€😀ß漢'
const HIGH = Buffer.from(Array.from({ length: 128 }, (_, at) => 255 - at)).toString('latin1')

/** One direction of one connection, on the sender's side. Only what was sent so far may be received. */
export class Stream {
  #number
  #odd = []
  /** Bytes that were handed out for sending. */
  length = 0

  constructor(number) {
    this.#number = number
  }

  /** The next `size` bytes, as the arguments of `write()`. They count as sent with `sent(chunk)`. */
  next(size, as) {
    switch (as) {
      case 'buffer':
        return [Buffer.from(this.#plain(this.length, size))]
      case 'uint8array':
        return [new Uint8Array(this.#plain(this.length, size))]
      case 'string':
        return [this.#plain(this.length, size).toString('latin1')]
      case 'wide':
        return [WIDE.repeat(Math.ceil(size / Buffer.byteLength(WIDE)))]
      case 'high':
        return [HIGH.repeat(Math.ceil(size / HIGH.length)).slice(0, size), 'latin1']
      case 'utf16le':
        return [this.#plain(this.length, size + (size % 2)).toString(as), as]
      default:
        return [this.#plain(this.length, size).toString(as), as]
    }
  }

  sent([chunk, encoding]) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    if (bytes.length > 0 && !this.#plain(this.length, bytes.length).equals(bytes)) {
      this.#odd.push({ from: this.length, bytes })
    }
    this.length += bytes.length
  }

  /** The first index at which `bytes` are not what belongs at `offset`, or -1. */
  wrongAt(offset, bytes) {
    if (bytes.length === 0) return -1
    let wanted = this.#plain(offset, bytes.length)
    if (this.#odd.length > 0) {
      wanted = Buffer.from(wanted)
      for (const odd of this.#odd) {
        const start = Math.max(odd.from - offset, 0)
        if (start < wanted.length)
          wanted.set(
            odd.bytes.subarray(Math.max(offset - odd.from, 0)).subarray(0, wanted.length - start),
            start,
          )
      }
    }
    if (offset + bytes.length <= this.length && wanted.equals(bytes)) return -1
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] !== wanted[at] || offset + at >= this.length) return offset + at
    }
    return -1
  }

  #plain(offset, size) {
    const start = (this.#number * 7919 + offset) % PERIOD
    if (start + size <= pattern.length) return pattern.subarray(start, start + size)
    const bytes = Buffer.allocUnsafe(size)
    for (let at = 0; at < size; at += PERIOD)
      pattern.copy(bytes, at, start, start + Math.min(PERIOD, size - at))
    return bytes
  }
}
