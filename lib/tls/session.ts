// A TLS session as programs see it, `socket.tls`: what Node's TLSSocket knows beyond a Socket, under Node's names. Two
// engines answer: the host's OpenSSL through the addon, or Node's own TLSSocket (node-engine.ts).

import { X509Certificate } from 'node:crypto'
import type {
  CipherNameAndProtocol,
  DetailedPeerCertificate,
  EphemeralKeyInfo,
  PeerCertificate,
} from 'node:tls'
import type { Fact, Handle } from '../engine/once.js'
import type { TlsSession } from '../types.js'
import { validateBuffer, validateInt32, validateString } from '../validate.js'
import { bound } from './bound-session.js'
import { certificates, chained, detailed, legacy, sentCertificates } from './certificate.js'
import { invalidState, notExported } from './errors.js'
import type { RenegotiateOptions, Renegotiation } from './renegotiation.js'
import { verifyError } from './verify.js'

/** The session of a handle, by the addon. */
export class HostSession implements TlsSession {
  readonly engine = 'openssl'
  #handle: Handle
  /** Of a client: the name of its server. */
  #host: string | undefined
  #renegotiation: Renegotiation

  constructor(handle: Handle, host: string | undefined, renegotiation: Renegotiation) {
    this.#handle = handle
    this.#host = host
    this.#renegotiation = renegotiation
  }

  #text(fact: Fact): string | undefined {
    return this.#handle.tlsFact(fact)?.toString('latin1')
  }

  get servername(): string | false {
    return this.#text('servername') ?? false
  }

  get alpnProtocol(): string | false {
    return this.#text('alpn') ?? false
  }

  get closeNotify(): boolean {
    return this.#handle.tlsFact('closeNotify') !== undefined
  }

  /** What is wrong with the peer's certificate, its name aside; `socket.ssl.verifyError()` of Node's. */
  verifyError(): Error | null {
    const [verdict = '0', text = ''] = this.#text('verdict')?.split('\0') ?? []
    if (verdict === '0') return null
    return verifyError(Number(verdict), text)
  }

  get hasPeerCertificate(): boolean {
    return this.#handle.tlsFact('peerCertificates') !== undefined
  }

  getCertificate(): PeerCertificate | object | null {
    const own = this.getX509Certificate()
    if (this.#handle.closed) return null
    return own === undefined ? {} : legacy(own)
  }

  getX509Certificate(): X509Certificate | undefined {
    const der = this.#handle.tlsFact('certificate')
    return der === undefined ? undefined : new X509Certificate(der)
  }

  getPeerCertificate(all: true): DetailedPeerCertificate
  getPeerCertificate(all?: boolean): PeerCertificate
  getPeerCertificate(all?: boolean): PeerCertificate {
    if (this.#handle.closed) return null as unknown as PeerCertificate
    if (this.#hasNoPeer) return {} as PeerCertificate
    const [leaf, ...others] = certificates(this.#handle.tlsFact('peerCertificates'))
    if (leaf === undefined) return {} as PeerCertificate
    return all ? detailed(leaf, others) : legacy(leaf)
  }

  /** As in Node: the server of a session that goes on has shown no certificate. */
  get #hasNoPeer(): boolean {
    return this.#host !== undefined && this.isSessionReused()
  }

  getPeerX509Certificate(): X509Certificate | undefined {
    if (this.#hasNoPeer) return undefined
    return chained(sentCertificates(this.#handle.tlsFact('peerCertificates')))
  }

  getCipher(): CipherNameAndProtocol {
    const cipher = this.#text('cipher')
    if (!cipher) return undefined as unknown as CipherNameAndProtocol
    const [name, standardName, version] = cipher.split('\0')
    return { name, standardName, version } as CipherNameAndProtocol
  }

  getProtocol(): string | null {
    return this.#text('protocol') ?? null
  }

  getEphemeralKeyInfo(): EphemeralKeyInfo | object | null {
    // Only a client can tell.
    if (this.#host === undefined || this.#handle.closed) return null
    const [type, name, size] = this.#text('ephemeralKey')?.split('\0') ?? []
    if (type === undefined) return {}
    if (type === 'DH')
      return NAMES_GROUPS ? { type, name: undefined, size: Number(size) } : { type, size: Number(size) }
    // Of groups that are no curve, those with ML-KEM, Node knows the name alone, since version 24.
    if (type === 'TLSGroup' && !NAMES_GROUPS) return {}
    return { type, name, size: size === '' ? undefined : Number(size) }
  }

  getSharedSigalgs(): string[] {
    const names = this.#text('sharedSigalgs')?.split('\0') ?? []
    const all: string[] = []
    for (let at = 0; at + 1 < names.length; at += 2) all.push(sigalg(names[at]!, names[at + 1]!))
    return all
  }

  getSession(): Buffer | undefined {
    const session = this.#handle.tlsFact('session')
    return session === undefined || this.#host === undefined ? session : bound(session, this.#host)
  }

  getTLSTicket(): Buffer | undefined {
    return this.#handle.tlsFact('ticket')
  }

  isSessionReused(): boolean {
    return this.#handle.tlsFact('reused') !== undefined
  }

  getFinished(): Buffer | undefined {
    return this.#handle.tlsFact('finished')
  }

  getPeerFinished(): Buffer | undefined {
    return this.#handle.tlsFact('peerFinished')
  }

  exportKeyingMaterial(length: number, label: string, context?: Buffer): Buffer {
    assertExport(length, label, context)
    const material = this.#handle.tlsExport(length, Buffer.from(label), context)
    if (material !== undefined) return material
    throw this.getPeerFinished() === undefined ? invalidState() : notExported()
  }

  setMaxSendFragment(size: number): boolean {
    validateInt32(size, 'size')
    return this.#handle.tlsMaxSendFragment(size)
  }

  renegotiate(options: RenegotiateOptions, callback?: (error: Error | null) => void): boolean | undefined {
    return this.#renegotiation.begin(options, callback)
  }

  disableRenegotiation(): void {
    this.#renegotiation.disable()
  }
}

/** Checks what `exportKeyingMaterial()` is given. Node ends the process for a length that is no signed number. */
export function assertExport(length: unknown, label: unknown, context: unknown): void {
  validateInt32(length, 'length', 1, 2 ** 32 - 1)
  validateString(label, 'label')
  if (context !== undefined) validateBuffer(context, 'context')
  if ((length as number) >= 2 ** 31) throw notExported()
}

/** Node 24 and later name groups, and say of one without a name that it has none. */
const NAMES_GROUPS = Number.parseInt(process.versions.node, 10) >= 24

/** "RSA-PSS+SHA256" and the like, as Node spells them. */
function sigalg(sign: string, hash: string): string {
  const kinds: Record<string, string> = {
    rsaEncryption: 'RSA',
    'RSASSA-PSS': 'RSA-PSS',
    dsaEncryption: 'DSA',
    'id-ecPublicKey': 'ECDSA',
    ED25519: 'Ed25519',
    ED448: 'Ed448',
  }
  return `${kinds[sign] ?? sign}+${hash === 'UNDEF' || hash === '' ? 'UNDEF' : hash}`
}
