// What the two engines and `startTLS()` have in common.

import type { Handle } from '../engine/once.js'
import type { Connection } from '../state.js'
import type { TlsSession } from '../types.js'

/** A Socket from `startTLS()` on. */
export interface SecureSocket extends Connection {
  encrypted: true
  authorized: boolean
  authorizationError: Error | string | null
  alpnProtocol: string | false | null
  tls: TlsSession | null
}

/** One of the two engines, ready for one socket. */
export interface Engine {
  /** With what was received already. The socket is connected, and nothing is left to be sent. */
  start(socket: SecureSocket, handle: Handle, unread: Buffer): void
}
