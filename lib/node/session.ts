// A TLS or HTTP/2 session above a Socket of ours. To Node's tls and http2 it is one stream among others: they drive it
// through a JSStream, a handle in JavaScript whose owner keeps the stream as `stream`, and ask that handle for what only
// a socket can do: setNoDelay, getpeername and so on. A JSStream has none of that, so these calls came to nothing. Here
// it learns them, for streams that are Sockets of ours; for all others it lacks them as before. Seen in Node 20 to 26;
// node-insides.test.mjs notices when the listener changes.

import { kBelow } from '../symbols.js'
import { ownerSymbol } from './owner-symbol.js'
import { binding } from './stream-base.js'
import type { StreamInternals } from './stream-state.js'

/** What a session asks of the connection below it, with the arguments of libuv's handles. */
export interface Below {
  setNoDelay(enable: boolean): number
  setKeepAlive(enable: boolean, delay: number, interval?: number, count?: number): number
  getsockname(out: object): number
  getpeername(out: object): number
  ref(): void
  unref(): void
}

const verbs = ['setNoDelay', 'setKeepAlive', 'getsockname', 'getpeername', 'ref', 'unref'] as const

// Also of a copy of this file that was loaded earlier in the thread: its Sockets and ours have `kBelow` in common.
const taught = Symbol.for('ferronet.sessions')
let passes: boolean | undefined

/** From now on sessions reach what a stream's `[kBelow]()` returns. False if they cannot: Node may deny its bindings. */
export function letSessionsThrough(): boolean {
  passes ??= teach()
  return passes
}

function teach(): boolean {
  const owner = ownerSymbol()
  const prototype = (binding('js_stream')?.JSStream as { prototype: object } | undefined)?.prototype
  if (owner === undefined || prototype === undefined) return false
  if (taught in prototype) return true
  Object.defineProperty(prototype, taught, { value: true })
  for (const verb of verbs) {
    Object.defineProperty(prototype, verb, {
      get(this: { [owner: symbol]: { stream?: { [kBelow]?(): Below } } | undefined }): unknown {
        const below = this[owner]?.stream?.[kBelow]?.()
        return below?.[verb].bind(below)
      },
      // As with a member that is not there.
      set(this: object, value: unknown): void {
        Object.defineProperty(this, verb, { value, writable: true, enumerable: true, configurable: true })
      },
      configurable: true,
    })
  }
  return true
}

/**
 * Whether a session reads this stream: its listener of 'data', `ondata` of lib/internal/js_stream_socket.js, is the only
 * sign of it. Below a session three things are different:
 *
 * - Where http2 cannot turn Nagle's algorithm off, it is off: with it, each round trip can take 40 ms, and 6 MB up and
 *   down took 8 s instead of 0.3 s (Linux, loopback, 2026-11).
 * - The session ends our side when it has written everything. If the peer's FIN did that, as usual without
 *   `allowHalfOpen`, what it has still to write would be lost.
 * - It may begin to write before anybody connects: that waits.
 */
export function carriesSession({ _events: { data } }: Pick<StreamInternals, '_events'>): boolean {
  return Array.isArray(data) ? data.some(readsForSession) : readsForSession(data)
}

function readsForSession(listener: unknown): boolean {
  return (
    typeof listener === 'function' &&
    listener.name === 'ondata' &&
    Function.prototype.toString.call(listener).includes('.readBuffer(')
  )
}
