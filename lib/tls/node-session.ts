// What `socket.tls` tells where Node's own TLSSocket does the TLS: whatever that says.

import type * as tls from 'node:tls'
import type { TlsSession } from '../types.js'

export class NodeSession implements TlsSession {
  readonly engine = 'node'
  #over: tls.TLSSocket
  #handle: { readonly closeNotify: boolean }

  constructor(over: tls.TLSSocket, handle: { readonly closeNotify: boolean }) {
    this.#over = over
    this.#handle = handle
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
    return this.#over.exportKeyingMaterial(length, label, context as Buffer)
  }
  setMaxSendFragment(size: number): boolean {
    return this.#over.setMaxSendFragment(size)
  }
  renegotiate(...args: Parameters<TlsSession['renegotiate']>): boolean | undefined {
    return this.#over.renegotiate(...(args as Parameters<tls.TLSSocket['renegotiate']>))
  }
  disableRenegotiation(): void {
    this.#over.disableRenegotiation()
  }

  /** What the other engine does not do. */
  enableTrace(): void {
    this.#over.enableTrace()
  }
}
