// Streams of bytes that can be checked: what the tests in handover/ send through sockets that move.

import { createHash } from 'node:crypto'

// `count` different chunks of 1 byte to 100 KB, the same in each run.
export function* chunks(count, seed = 1) {
  let state = seed
  for (let at = 0; at < count; at++) {
    state = (state * 1103515245 + 12345) & 0x7fffffff
    const chunk = Buffer.alloc(1 + (state % (at % 3 === 0 ? 100_000 : 3_000)), state & 0xff)
    for (let place = 0; place < chunk.length; place += 97) chunk[place] = (place ^ (state >> 8)) & 0xff
    yield chunk
  }
}

// Writes the rest of `source`, waiting for 'drain', then ends. Returns a function that stops this, so that another
// socket can continue with the same source.
export function send(socket, source, { end = true } = {}) {
  let stopped = false
  const more = () => {
    while (!stopped) {
      const { value, done } = source.next()
      if (done) {
        if (end) socket.end()
        return
      }
      if (!socket.write(value)) {
        socket.once('drain', more)
        return
      }
    }
  }
  more()
  return () => {
    stopped = true
    socket.off('drain', more)
  }
}

// A hash of everything that `add` is called with.
export class Sum {
  bytes = 0
  #hash = createHash('sha1')

  add(chunk) {
    this.bytes += chunk.length
    this.#hash.update(chunk)
  }

  // The hash of everything that `source` yields; this uses it up.
  static of(source) {
    const sum = new Sum()
    for (const chunk of source) sum.add(chunk)
    return sum
  }

  toString() {
    return `${this.bytes} bytes, ${this.#hash.copy().digest('hex')}`
  }
}

// Echoes what arrives, until `moved()` says that another socket has taken over.
export function echo(socket, moved = () => false) {
  socket.on('data', chunk => {
    if (!socket.write(chunk)) socket.pause()
    if (moved()) socket.removeAllListeners('end')
  })
  socket.on('drain', () => socket.resume())
  socket.on('end', () => socket.end())
  socket.resume()
}
