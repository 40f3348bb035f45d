// Certificates as Node shows them. They come as DER; Node's own X509Certificate makes its legacy objects of them.

import { type KeyObject, X509Certificate } from 'node:crypto'
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
  if (!CRASHES) return certificate.toLegacyObject() as PeerCertificate
  const key = keyOf(certificate)
  const curve = key?.asymmetricKeyType === 'ec' ? String(key.asymmetricKeyDetails?.namedCurve) : undefined
  if (key !== undefined && (curve === undefined || NIST.test(curve)))
    return certificate.toLegacyObject() as PeerCertificate
  return withAnotherKey(certificate, key, curve)
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

// --- keys that Node cannot show ---------------------------------------------------------------------------------------

// In Node 24.21 and 26.10 `toLegacyObject()` ends the process for a key on a curve that has no name of NIST's, such as
// secp256k1 and brainpoolP256r1, and in 24.21 for one that OpenSSL does not understand. Any peer may show one.

const CRASHES = Number.parseInt(process.versions.node, 10) >= 24

const NIST = /^(prime(192v1|256v1)|secp(224|384|521)r1|sect(163(k1|r2)|(233|283|409|571)[kr]1))$/

/** Curves that TLS has, whose names tell the size. */
const SIZED = /^(?:brainpoolP|secp(?=192k|256k))(\d+)/

/** A point of P-256, as a public key. */
const OTHER = Buffer.from(
  '3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a1394' +
    '5d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
  'hex',
)

/** Undefined for one that OpenSSL does not understand. */
function keyOf(certificate: X509Certificate): KeyObject | undefined {
  try {
    return certificate.publicKey
  } catch {
    return undefined
  }
}

/** Node shows the same certificate with a key that it knows; what is about the key comes from the certificate itself. */
function withAnotherKey(
  certificate: X509Certificate,
  key: KeyObject | undefined,
  curve: string | undefined,
): PeerCertificate {
  const { raw, fingerprint, fingerprint256, fingerprint512 } = certificate
  let shown: PeerCertificate
  try {
    shown = new X509Certificate(replaceKey(raw, OTHER)).toLegacyObject() as PeerCertificate
  } catch {
    return {} as PeerCertificate // It is not DER.
  }
  const size = SIZED.exec(curve ?? '')?.[1]
  const ofKey = {
    bits: size === undefined ? undefined : Number(size),
    pubkey: key && curve !== undefined ? point(key.export({ type: 'spki', format: 'der' })) : undefined,
    asn1Curve: curve === 'undefined' ? undefined : curve,
    nistCurve: undefined,
  }
  return Object.assign(shown, ofKey, { raw, fingerprint, fingerprint256, fingerprint512 })
}

/** The certificate with another key, whose signature is then wrong. */
function replaceKey(raw: Buffer, key: Buffer): Buffer {
  const [begin] = element(raw, 0)
  const [first, end] = element(raw, begin)
  // The version, which may be left out, then serial, algorithm, issuer, dates and subject.
  let at = first
  for (let left = raw[at] === 0xa0 ? 6 : 5; left > 0; left--) at = element(raw, at)[1]
  const behind = element(raw, at)[1]
  const inner = sequence(raw.subarray(first, at), key, raw.subarray(behind, end))
  return sequence(inner, raw.subarray(end))
}

/** The point of a public key: behind the algorithm, and the number of unused bits. */
function point(spki: Buffer): Buffer {
  const [algorithm] = element(spki, 0)
  return spki.subarray(element(spki, element(spki, algorithm)[1])[0] + 1)
}

/** Where the content of an element of DER begins and ends. */
function element(der: Buffer, at: number): [begin: number, end: number] {
  const length = der[at + 1]!
  if (length < 0x80) return [at + 2, at + 2 + length]
  const begin = at + 2 + (length & 0x7f)
  return [begin, begin + der.readUIntBE(at + 2, length & 0x7f)]
}

function sequence(...content: Buffer[]): Buffer {
  const all = Buffer.concat(content)
  return Buffer.concat([
    Buffer.from([0x30, 0x83, all.length >> 16, (all.length >> 8) & 255, all.length & 255]),
    all,
  ])
}
