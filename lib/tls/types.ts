// What the two engines and `startTLS()` have in common.

import type * as tls from 'node:tls'
import type { Handle } from '../engine/once.js'
import type { Connection } from '../state.js'
import type { TlsSession } from '../types.js'

/** A Socket from `startTLS()` on. */
export interface SecureSocket extends Connection {
  encrypted: true
  authorized: boolean
  authorizationError: Error | string | null
  alpnProtocol: string | false | null
  tls: Session | null
  /** Of a TLSSocket. */
  secureConnecting?: boolean
  servername?: string | false | null
}

/** A session, with what TLSSocket shows of it under another name. */
export interface Session extends TlsSession {
  verifyError(): Error | null
}

/** One of the two engines, ready for one socket. */
export interface Engine {
  /** With what was received already. The socket is connected, and nothing is left to be sent. */
  start(socket: SecureSocket, handle: Handle, unread: Buffer): void
  /** The certificate of its context, before there is a session that knows. */
  ownCertificate(): Buffer | null
  /** A server shows the certificate of this context from now on. Throws what Node throws if it cannot. */
  show(context: tls.SecureContext): void
  /** Whether what somebody else writes to its handle would leave unencrypted. */
  readonly isBeside?: true
  /** What a write hears that is under way when the socket is closed now. */
  canceled(): Error
}

/** What a program wants to be asked or told while a session runs: methods of its socket. One that is missing is not asked. */
export interface Questions {
  /** Server, SNI: the context for the name that the client wants; null or undefined keeps the server's own. */
  context?(servername: string, done: (error: Error | null, context?: tls.SecureContext | null) => void): void
  /** Server: the protocol of the client's that is taken; undefined refuses the client (no_application_protocol). */
  protocol?(offer: { servername: string; protocols: string[] }): string | undefined
  /** Server: a client wants to go on with this session. */
  resume?(id: Buffer, done: (error?: Error | null, session?: Buffer | null) => void): void
  /** Server: a session that later connections may go on with; the handshake waits for done. */
  store?(id: Buffer, session: Buffer, done: () => void): void
  /** Server: the client wants an OCSP response for this certificate (DER). */
  status?(
    certificate: Buffer,
    issuer: Buffer | null,
    done: (error: Error | null, response?: Buffer) => void,
  ): void
  /** Client: the server's OCSP response, before 'secure'; asked for if the member is there. */
  response?(response: Buffer | null): void
}

/** What becomes of the end of a handshake: what `startTLS()` makes of it, or a TLSSocket. */
export interface Role {
  /**
   * The handshake is done, and what the peer's certificate is worth not yet known: `judge` finds out, and calls one of
   * the two below. It is called afterwards in any case.
   */
  shaken?(socket: SecureSocket, judge: () => void): void
  /** The peer is who it should be, or that does not matter. */
  secure(socket: SecureSocket): void
  /** If the connection ends before, that is `'end'` first, and then the error. */
  tellsEnd?: true
  /** The connection ends before, or there is no answer in time: closes it, and sees to it that somebody hears of it. */
  dropped?(socket: SecureSocket, error: Error): void
  /** It is not. Returns what the socket is destroyed with. */
  rejected(error: Error): Error | undefined
}
