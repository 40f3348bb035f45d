// TLS on a Socket, as a user's compiler sees it: the options of `startTLS()` and the session that it makes.

import type { X509Certificate } from 'node:crypto'
import type * as net from 'node:net'
import type * as tls from 'node:tls'

/** An option that only ferronet has. */
export interface RequireCloseNotify {
  /**
   * The end of the connection is the error ERR_TLS_TRUNCATED, unless the peer has announced it (close_notify).
   * @default false
   */
  requireCloseNotify?: boolean | undefined
}

/** What `socket.startTLS()` takes: the options of `tls.connect()`, and with `isServer` those of `tls.createServer()`. */
export interface StartTlsOptions
  extends Omit<tls.ConnectionOptions, 'path' | 'port' | 'socket'>,
    Omit<tls.TlsOptions, keyof tls.ConnectionOptions | keyof net.ServerOpts>,
    RequireCloseNotify {
  /**
   * This is the server's side. Has to be given for a socket that a server accepted, too.
   * @default false
   */
  isServer?: boolean | undefined
  /** Destroys the socket with an `AbortError` when it is aborted, during the handshake or later. */
  signal?: AbortSignal | undefined
}

/** What else `socket.tls` knows of the session, under the names of `tls.TLSSocket`. */
export interface TlsSession {
  /** What does the TLS: ferronet with the OpenSSL of the process, or `node:tls`. */
  readonly engine: 'openssl' | 'node'
  /** The name of the server that the client has asked for, or false. */
  readonly servername: string | false
  /** The application protocol that both ends have chosen, or false. */
  readonly alpnProtocol: string | false | null
  /** Whether the peer has announced its end (close_notify). If it has not, bytes may be missing. */
  readonly closeNotify: boolean
  /** Our own certificate; an empty object if we have shown none. */
  getCertificate(): tls.PeerCertificate | object | null
  /** Our own certificate as an object of `node:crypto`; undefined if we have shown none. */
  getX509Certificate(): X509Certificate | undefined
  /** The peer's certificate; an empty object if it has shown none. With `true`, the whole chain. */
  getPeerCertificate(detailed: true): tls.DetailedPeerCertificate
  /** The peer's certificate; an empty object if it has shown none. */
  getPeerCertificate(detailed?: boolean): tls.PeerCertificate
  /** The peer's certificate as an object of `node:crypto`; undefined if it has shown none. */
  getPeerX509Certificate(): X509Certificate | undefined
  /** The cipher that both ends have chosen; undefined before that. */
  getCipher(): tls.CipherNameAndProtocol
  /** `'TLSv1.3'` and the like. */
  getProtocol(): string | null
  /** The key exchange, on a client; null on a server. */
  getEphemeralKeyInfo(): tls.EphemeralKeyInfo | object | null
  /** On a server: the signature algorithms that both ends know, the client's favourites first. */
  getSharedSigalgs(): string[]
  /** For the option `session` of a later `startTLS()`. */
  getSession(): Buffer | undefined
  /** On a client: the ticket of the session, if the server has sent one. */
  getTLSTicket(): Buffer | undefined
  /** Whether an earlier session goes on. */
  isSessionReused(): boolean
  /** The last Finished message that we have sent, for protocols that bind to the channel. */
  getFinished(): Buffer | undefined
  /** The last Finished message that the peer has sent. */
  getPeerFinished(): Buffer | undefined
  /**
   * `length` bytes of keying material for a protocol above TLS (RFC 5705). Throws ERR_TLS_INVALID_STATE before the
   * handshake is done.
   */
  exportKeyingMaterial(length: number, label: string, context?: Buffer): Buffer
  /** The most that goes into one record from now on, in bytes: 512 to 16384. Returns whether it was accepted. */
  setMaxSendFragment(size: number): boolean
  /**
   * Begins another handshake on the open connection (TLS 1.2 and older; with TLS 1.3 the callback gets an error). On a
   * server the options say whether it asks for the client's certificate from here on. Undefined if the socket is gone,
   * false if OpenSSL refuses.
   */
  renegotiate(
    options: { rejectUnauthorized?: boolean | undefined; requestCert?: boolean | undefined },
    callback?: (error: Error | null) => void,
  ): boolean | undefined
  /** The connection ends with ERR_TLS_RENEGOTIATION_DISABLED if the client begins another handshake. */
  disableRenegotiation(): void
}
