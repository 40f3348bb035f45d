// What `socket.tls` tells where Node's own TLSSocket does the TLS: whatever that says.

import type * as tls from 'node:tls'
import type { TlsSession } from '../types.js'
import { validateInt32 } from '../validate.js'
import { invalidState } from './errors.js'
import { assertExport } from './session.js'

interface Below {
  readonly closeNotify: boolean
  readonly owner: object | null
}

export class NodeSession implements TlsSession {
  readonly engine = 'node'
  #over: tls.TLSSocket
  #handle: Below

  constructor(over: tls.TLSSocket, handle: Below) {
    this.#over = over
    this.#handle = handle
  }

  /** Node's methods would look into what is null. */
  get #isGone(): boolean {
    return (this.#over as unknown as { _handle: object | null })._handle === null
  }

  get servername(): string | false {
    return (this.#over as unknown as { servername?: string | false }).servername ?? false
  }
  get alpnProtocol(): string | false | null {
    return this.#over.alpnProtocol
  }
  get closeNotify(): boolean {
    return this.#handle.closeNotify
  }
  verifyError(): Error | null {
    const { ssl } = this.#over as unknown as { ssl?: { verifyError(): Error | null } | null }
    return ssl?.verifyError() ?? null
  }
  getCertificate(): ReturnType<TlsSession['getCertificate']> {
    return this.#over.getCertificate()
  }
  getX509Certificate(): ReturnType<TlsSession['getX509Certificate']> {
    return this.#over.getX509Certificate()
  }
  getPeerCertificate(detailed: true): tls.DetailedPeerCertificate
  getPeerCertificate(detailed?: boolean): tls.PeerCertificate
  getPeerCertificate(detailed?: boolean): tls.PeerCertificate {
    return this.#over.getPeerCertificate(detailed)
  }
  getPeerX509Certificate(): ReturnType<TlsSession['getPeerX509Certificate']> {
    return this.#over.getPeerX509Certificate()
  }
  getCipher(): tls.CipherNameAndProtocol {
    return this.#over.getCipher()
  }
  getProtocol(): string | null {
    return this.#over.getProtocol()
  }
  getEphemeralKeyInfo(): ReturnType<TlsSession['getEphemeralKeyInfo']> {
    return this.#over.getEphemeralKeyInfo()
  }
  getSharedSigalgs(): string[] {
    return this.#over.getSharedSigalgs()
  }
  getSession(): Buffer | undefined {
    return this.#over.getSession()
  }
  getTLSTicket(): Buffer | undefined {
    return this.#over.getTLSTicket()
  }
  isSessionReused(): boolean {
    return this.#over.isSessionReused()
  }
  getFinished(): Buffer | undefined {
    return this.#over.getFinished()
  }
  getPeerFinished(): Buffer | undefined {
    return this.#over.getPeerFinished()
  }
  exportKeyingMaterial(length: number, label: string, context?: Buffer): Buffer {
    assertExport(length, label, context)
    if (this.#isGone) throw invalidState()
    return this.#over.exportKeyingMaterial(length, label, context as Buffer)
  }
  setMaxSendFragment(size: number): boolean {
    validateInt32(size, 'size')
    return !this.#isGone && this.#over.setMaxSendFragment(size)
  }
  renegotiate(
    options: Parameters<TlsSession['renegotiate']>[0],
    callback?: (error: Error | null) => void,
  ): boolean | undefined {
    const judged = (error: Error | null): void => {
      // Node has judged the peer again.
      const { authorized, authorizationError } = this.#over
      Object.assign(this.#handle.owner ?? {}, { authorized, authorizationError: authorizationError ?? null })
      callback?.(error)
    }
    // Node looks at what is no function.
    const isWrong = callback !== undefined && typeof callback !== 'function'
    return this.#over.renegotiate(options, isWrong ? callback : judged)
  }
  disableRenegotiation(): void {
    this.#over.disableRenegotiation()
  }

  /** What the other engine does not do. */
  enableTrace(): void {
    this.#over.enableTrace()
  }
}
