// Does a socket carry a session of Node's tls or http2? Both treat every Duplex that is not Node's own socket as a
// plain stream: they read it with one and the same listener, which is the only sign of them, and cannot ask it for what
// only a socket can do. So ferronet does two things for them:
//
// - Nagle's algorithm is off below both, since http2's `setNoDelay()` does not get through. With the algorithm on, a
//   round trip can take 40 ms, and 6 MB up and down took 8 s instead of 0.3 s (Linux, loopback, 2026-11).
// - The session ends our side when it has written everything. If the peer's FIN did that, as usual without
//   `allowHalfOpen`, what it has still to write would be lost.
//
// The listener is `ondata` of lib/internal/js_stream_socket.js. Seen in Node 20 to 26; node-insides.test.mjs notices
// when it changes.

import type { StreamInternals } from './stream-state.js'

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
