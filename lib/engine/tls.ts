// TLS of a handle, as its verbs have it: what a session is started with, what it tells, and what it can be asked. What
// that means is lib/tls's business. The other side is crates/binding/src/tls.rs.

import { engine, type TlsContext } from './engine.js'

export type { TlsContext } from './engine.js'

// Flags of `tlsStart`.
export const TLS_SERVER = 1
export const TLS_REQUEST_CERTIFICATE = 2
export const TLS_REQUIRE_CERTIFICATE = 4
export const TLS_KEYLOG = 8

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
] as const

export type Fact = (typeof FACTS)[number]

export interface TlsStart {
  context: TlsContext
  flags: number
  servername: string
  protocols: Uint8Array
  session: Uint8Array
  unread: Uint8Array
}

/** What a handle tells its session. Each call runs in the handle's async context. */
export interface TlsOwner {
  /** The handshake is done; `handle.openTls()` lets bytes through. `verdict`: 0 if the peer's certificate is all right. */
  secure(verdict: number, reused: boolean): void
  /** It has failed; the fact `failure` tells why. */
  failed(): void
  /** Of `handle.tlsNews()`. */
  news(): void
  /** No bytes will come any more: 0 for the peer's FIN, or an error. True if its owner need not hear of it. */
  ended(status: number): boolean
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
