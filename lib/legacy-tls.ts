// TLS as in 2010, for lib/legacy.ts, which loads this file when a program first asks for it: credentials, what
// `setSecure()` makes of them, and a peer's certificate. `startTLS()` does the rest.

import { isIP } from 'node:net'
import * as tls from 'node:tls'
import type { SecureSocket } from './tls/types.js'
import type { StartTlsOptions } from './types.js'
import { invalidArgType } from './validate.js'

export type CredentialsOptions = tls.SecureContextOptions

/** What `createCredentials()` returns. */
export class Credentials {
  readonly #options: CredentialsOptions

  /** Throws what `tls.createSecureContext()` throws. */
  constructor(options: CredentialsOptions = {}) {
    tls.createSecureContext(options)
    this.#options = { ...options }
  }

  static optionsOf(credentials: unknown): CredentialsOptions {
    if (credentials === undefined || credentials === null) return {}
    if (typeof credentials === 'object' && #options in credentials) return credentials.#options
    throw invalidArgType('credentials', 'what createCredentials() returns', credentials)
  }
}

/** `stream.setSecure(credentials)` in the words of `startTLS()`. */
export function startOptions(stream: SecureSocket, credentials: unknown): StartTlsOptions {
  const options = Credentials.optionsOf(credentials)
  const judged = { ...options, rejectUnauthorized: false }
  if (stream.server !== null) return { ...judged, isServer: true, requestCert: hasAuthority(options) }
  // In 2010 nobody sent the name of the server; today many servers have a certificate for each name.
  const name = stream._host && isIP(stream._host) === 0 ? stream._host : undefined
  // `verifyPeer()` is about who has signed the certificate. Whose it is, the program asks itself.
  return { ...judged, servername: name, checkServerIdentity: () => undefined }
}

function hasAuthority({ ca }: CredentialsOptions): boolean {
  return Array.isArray(ca) ? ca.length > 0 : Boolean(ca)
}

/** Its names are objects, as in Node today; as text they are the lines of 2010. */
export function peerCertificate({ tls: session }: SecureSocket): tls.PeerCertificate {
  const certificate = session?.getPeerCertificate() ?? ({} as tls.PeerCertificate)
  for (const name of [certificate.subject, certificate.issuer]) {
    if (name)
      Object.defineProperty(name, 'toString', { value: inOneLine, writable: true, configurable: true })
  }
  return certificate
}

/** `/C=UK/O=node.js/CN=localhost` */
function inOneLine(this: tls.Certificate): string {
  const fields = Object.entries(this).flatMap(([field, values]) =>
    [values].flat().map(value => `/${field}=${value}`),
  )
  return fields.join('')
}
