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

/** What `http2`, and a program by `session.socket`, asks of a connection that has TLS. */
const ofTls = [
  'encrypted',
  'authorized',
  'authorizationError',
  'alpnProtocol',
  'servername',
  'getPeerCertificate',
  'getPeerX509Certificate',
  'getCertificate',
  'getX509Certificate',
  'getCipher',
  'getProtocol',
  'getSession',
  'getTLSTicket',
  'isSessionReused',
  'getEphemeralKeyInfo',
  'getSharedSigalgs',
  'getFinished',
  'getPeerFinished',
  'exportKeyingMaterial',
  'disableRenegotiation',
]

/** Node's JSStreamSocket: `stream` is what it stands for, here a Socket of ours. */
type Wrap = NodeJS.EventEmitter & { stream?: Ours }

/** A Socket of ours that may have TLS, by itself or by `startTLS()`. */
type Ours = NodeJS.EventEmitter & {
  [kBelow]?(): Below
  connecting: boolean
  secureConnecting?: boolean
  tls?: Record<string, unknown> | null
  [member: string]: unknown
}

// Also of a copy of this file that was loaded earlier in the thread: its Sockets and ours have `kBelow` in common.
const taught = Symbol.for('ferronet.sessions')
let passes: boolean | undefined

/** Whether it is known if sessions can reach the connection below them. */
export function sessionsAreTaught(): boolean {
  return passes !== undefined
}

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
      get(this: { [owner: symbol]: Wrap | undefined }): unknown {
        const wrap = this[owner]
        const below = wrap?.stream?.[kBelow]?.()
        // The first thing that http2 asks, which then looks whether its connection has TLS.
        if (below !== undefined) teachWraps(Object.getPrototypeOf(wrap) as object)
        return below?.[verb].bind(below)
      },
      set: own(verb),
      configurable: true,
    })
  }
  return true
}

/** Assigns as to an object that does not have the member. */
function own(name: string) {
  return function (this: object, value: unknown): void {
    Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true })
  }
}

function teachWraps(prototype: object): void {
  if (taught in prototype) return
  Object.defineProperty(prototype, taught, { value: true })
  for (const name of ofTls) {
    Object.defineProperty(prototype, name, {
      get(this: Wrap): unknown {
        const { stream } = this
        if (stream?.[kBelow] === undefined) return undefined
        const holder = stream[name] === undefined ? (stream.tls ?? undefined) : stream
        const value = holder?.[name]
        return typeof value === 'function' ? value.bind(holder) : value
      },
      set: own(name),
      configurable: true,
    })
  }
  // Whoever sees that this is true waits for 'connect' (http2, before its own 'connect').
  const waiting = new WeakSet<Wrap>()
  Object.defineProperty(prototype, 'secureConnecting', {
    get(this: Wrap): boolean | undefined {
      const { stream } = this
      if (stream?.[kBelow] === undefined) return undefined
      const { connecting, secureConnecting } = stream
      if (!connecting && !secureConnecting) return secureConnecting
      if (!waiting.has(this)) {
        waiting.add(this)
        stream.once(secureConnecting ? 'secureConnect' : 'connect', () => this.emit('connect'))
      }
      return true
    },
    set: own('secureConnecting'),
    configurable: true,
  })
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
