// Certificates as Node shows them. They come as DER; Node's own X509Certificate makes its legacy objects of them.

import { X509Certificate } from 'node:crypto'
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls'
import { parts } from '../engine/once.js'

/** A peer's certificates as the addon has them: its own first, then those that it has sent, and of what they lead to. */
export function certificates(bytes: Buffer | undefined): X509Certificate[] {
  return made(parts(bytes).filter(der => der.length > 0))
}

/** Those that it has sent. */
export function sentCertificates(bytes: Buffer | undefined): X509Certificate[] {
  const all = parts(bytes)
  return made(
    all.slice(
      0,
      all.findIndex(der => der.length === 0),
    ),
  )
}

function made(all: Buffer[]): X509Certificate[] {
  return all.map(der => new X509Certificate(der))
}

/** The first of them, which leads to the one behind it, and so on: `issuerCertificate`. */
export function chained(all: X509Certificate[]): X509Certificate | undefined {
  for (let at = 1; at < all.length; at++)
    Object.defineProperty(all[at - 1]!, 'issuerCertificate', { value: all[at], configurable: true })
  return all[0]
}

/** As `getPeerCertificate()` shows a certificate. */
export function legacy(certificate: X509Certificate): PeerCertificate {
  return certificate.toLegacyObject() as PeerCertificate
}

/**
 * As `getPeerCertificate(true)` shows a certificate: `issuerCertificate` leads from each to the next, and from a root to
 * itself. `others`: those among which the issuers are looked for.
 */
export function detailed(leaf: X509Certificate, others: X509Certificate[]): DetailedPeerCertificate {
  const first = legacy(leaf) as DetailedPeerCertificate
  let shown = first
  let certificate = leaf
  const left = [...others]
  for (;;) {
    const at = left.findIndex(other => certificate.checkIssued(other))
    if (at < 0) break
    const [issuer] = left.splice(at, 1)
    if (issuer!.fingerprint256 === certificate.fingerprint256) continue
    shown.issuerCertificate = legacy(issuer!) as DetailedPeerCertificate
    shown = shown.issuerCertificate
    certificate = issuer!
  }
  if (certificate.checkIssued(certificate)) shown.issuerCertificate = shown
  return first
}
