// Certificates and revocation lists that the command openssl does not make: any dates, names, extensions and signatures.
// DER is written by hand; keys and signatures are node:crypto's.

import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'

// --- DER --------------------------------------------------------------------------------------------------------------

const der = (tag, ...parts) => {
  const body = Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)))
  const { length } = body
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...head]), body])
}
const sequence = (...parts) => der(0x30, ...parts)
const integer = number => der(0x02, Buffer.from([number]))
const bits = (bytes, unused = 0) => der(0x03, Buffer.from([unused]), bytes)

function oid(dotted) {
  const [first, second, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const number of rest) {
    const sevens = [number & 127]
    for (let left = number >> 7; left > 0; left >>= 7) sevens.unshift((left & 127) | 128)
    bytes.push(...sevens)
  }
  return der(0x06, Buffer.from(bytes))
}

/** In days from now. UTCTime ends in 2049, GeneralizedTime does not. */
function time(days) {
  const digits = new Date(Date.now() + days * 86_400_000).toISOString().replace(/[-:T]|\..*/g, '')
  return digits < '2050' ? der(0x17, `${digits.slice(2)}Z`) : der(0x18, `${digits}Z`)
}

/** A text is a CN. The value of a part may contain anything. */
function name(parts) {
  const all = typeof parts === 'string' ? [['2.5.4.3', parts]] : parts
  return sequence(...all.map(([type, value]) => der(0x31, sequence(oid(type), der(0x0c, value)))))
}

// --- extensions -------------------------------------------------------------------------------------------------------

const extension = (id, value, critical = false) =>
  sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([255]))] : []), der(0x04, value))

const tags = { email: 0x81, dns: 0x82, uri: 0x86, ip: 0x87 }
const generalNames = names => names.map(([kind, value]) => der(tags[kind], value))

/** subjectAltName: `['dns', 'localhost'], ['ip', Buffer.from([127, 0, 0, 1])]`. */
export const names = (...all) => extension('2.5.29.17', sequence(...generalNames(all)))

/** basicConstraints. */
export const authority = (is = true, length) => {
  const limit = length === undefined ? [] : [integer(length)]
  return extension('2.5.29.19', sequence(...(is ? [der(0x01, Buffer.from([255]))] : []), ...limit), true)
}

const usages = { digitalSignature: 0, keyEncipherment: 2, keyAgreement: 4, keyCertSign: 5, cRLSign: 6 }
/** keyUsage. */
export const usage = (...all) => {
  const byte = all.reduce((sum, each) => sum | (128 >> usages[each]), 0)
  return extension('2.5.29.15', bits(Buffer.from([byte])), true)
}

const purposes = { serverAuth: 1, clientAuth: 2, emailProtection: 4 }
/** extendedKeyUsage. */
export const purpose = (...all) =>
  extension('2.5.29.37', sequence(...all.map(each => oid(`1.3.6.1.5.5.7.3.${purposes[each]}`))))

/** nameConstraints: the only names that are permitted. */
export const permitted = (...all) =>
  extension('2.5.29.30', sequence(der(0xa0, ...generalNames(all).map(each => sequence(each)))), true)

/** One that nobody knows. */
export const unheardOf = critical => extension('1.3.6.1.4.1.99999.1', sequence(), critical)

// --- keys and signatures ----------------------------------------------------------------------------------------------

/** One for ECDSA, or of another type. */
export const newKey = (type = 'ec', options = { namedCurve: 'prime256v1' }) =>
  generateKeyPairSync(type, options).privateKey

const algorithms = {
  ec: { sha1: '1.2.840.10045.4.1', sha256: '1.2.840.10045.4.3.2' },
  rsa: { md5: '1.2.840.113549.1.1.4', sha1: '1.2.840.113549.1.1.5', sha256: '1.2.840.113549.1.1.11' },
}

function signed(label, key, hash, broken, content) {
  const type = key.asymmetricKeyType
  const algorithm = sequence(oid(algorithms[type][hash]), ...(type === 'rsa' ? [der(0x05)] : []))
  const body = content(algorithm)
  const signature = sign(hash, body, key)
  // In the middle of a number, which stays one.
  if (broken) signature[signature.length - 8] ^= 1
  const lines = sequence(body, algorithm, bits(signature))
    .toString('base64')
    .match(/.{1,64}/g)
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

let serials = 0

/** A certificate by `issuer`, or by itself: `{ subject, key, serial, cert }`, `key` a KeyObject. */
export function certificate(subject, options = {}) {
  const { key = newKey(), issuer, extensions = [], from = -1, to = 30, hash = 'sha256', broken } = options
  const serial = (serials = (serials % 126) + 1)
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const by = issuer ?? { subject, key }
  const cert = signed('CERTIFICATE', by.key, hash, broken, algorithm =>
    sequence(
      ...[der(0xa0, integer(2)), integer(serial), algorithm, name(by.subject)],
      ...[sequence(time(from), time(to)), name(subject), spki],
      ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
    ),
  )
  return { subject, key, serial, cert }
}

/** A list by `issuer` of certificates that have been revoked. */
export function revocations(issuer, revoked, { from = -1, to = 30, broken } = {}) {
  return signed('X509 CRL', issuer.key, 'sha256', broken, algorithm => {
    const entries = revoked.map(({ serial }) => sequence(integer(serial), time(-1)))
    const list = entries.length > 0 ? [sequence(...entries)] : []
    return sequence(integer(1), algorithm, name(issuer.subject), time(from), time(to), ...list)
  })
}

/** As PEM. */
export const pem = key => key.export({ type: 'pkcs8', format: 'pem' })
