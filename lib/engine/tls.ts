// TLS of a handle, as its verbs have it: what a session is started with, what it tells, and what it can be asked. What
// that means is lib/tls's business. The other side is crates/binding/src/tls.rs.

import type { AsyncResource } from 'node:async_hooks'
import { engine, type TlsContext } from './engine.js'

export type { TlsContext } from './engine.js'

// Flags of `tlsStart`.
export const TLS_SERVER = 1
export const TLS_REQUEST_CERTIFICATE = 2
export const TLS_REQUIRE_CERTIFICATE = 4
export const TLS_KEYLOG = 8
export const TLS_ASK_RESUME = 16
export const TLS_ASK_PROTOCOL = 32
export const TLS_ASK_CONTEXT = 64
export const TLS_ASK_STORE = 128
export const TLS_ASK_STATUS = 256
export const TLS_ASK_RESPONSE = 512

// What a session asks its owner. The fact `question` has the particulars, as `parts`.
/** The client has said hello: the session it wants to go on with, the server's name, the protocols. */
export const TLS_HELLO = 1
/** A certificate is to be shown: the server's name, "1" for an OCSP response. */
export const TLS_CERTIFICATE = 2
/** Sessions are to be kept: each one's number, and the session. */
export const TLS_STORE = 3

/** What can be asked of a session, under the addon's numbers. */
export const FACTS = [
  'failure',
  'verdict',
  'protocol',
  'cipher',
  'servername',
  'alpn',
  'peerCertificates',
  'certificate',
  'session',
  'ticket',
  'finished',
  'peerFinished',
  'reused',
  'closeNotify',
  'ephemeralKey',
  'sharedSigalgs',
  'question',
] as const

export type Fact = (typeof FACTS)[number]

/** What comes of `handle.tlsNews()`, by the addon's letters. */
export const NEWS = {
  s: 'session',
  k: 'keylog',
  o: 'response',
  b: 'renegotiating',
  e: 'renegotiated',
} as const

export interface News {
  kind: (typeof NEWS)[keyof typeof NEWS]
  bytes: Buffer
}

/** What stands each behind its length in four bytes. */
export function parts(bytes: Buffer | undefined): Buffer[] {
  const all: Buffer[] = []
  if (bytes === undefined) return all
  for (let at = 0; at < bytes.length; ) {
    const from = at + 4
    at = from + bytes.readUInt32LE(at)
    all.push(bytes.subarray(from, at))
  }
  return all
}

export interface TlsStart {
  context: TlsContext
  flags: number
  servername: string
  protocols: Uint8Array
  session: Uint8Array
  unread: Uint8Array
  /** Of a server: the context whose certificate it shows, if not that of `context`. */
  shown: TlsContext | undefined
}

/** What a handle tells its session. Each call runs in the async context of the session, and so does what is read by it. */
export interface TlsOwner extends AsyncResource {
  /** The handshake is done; `handle.openTls()` lets bytes through. `verdict`: 0 if the peer's certificate is all right. */
  secure(verdict: number, reused: boolean): void
  /** It has failed; the fact `failure` tells why. */
  failed(): void
  /** Of `handle.tlsNews()`. */
  news(): void
  /** `handle.answerTls(question, …)` has the handshake go on. */
  asked(question: number): void
  /** No bytes will come any more: 0 for the peer's FIN, or an error. True if its owner need not hear of it. */
  ended(status: number): boolean
  /** The connection is closed, by its owner. */
  closed(): void
}

/** Makes a context of our own by what `make` does; throws what `make` throws. A text is why there can be none. */
export function captureContext(make: () => unknown): TlsContext | string {
  const reason = engine.tlsCapture()
  if (reason !== '') return reason
  try {
    make()
  } catch (error) {
    engine.tlsCaptured()
    throw error
  }
  return engine.tlsCaptured() ?? 'the SSL_CTX of a secure context could not be told'
}
