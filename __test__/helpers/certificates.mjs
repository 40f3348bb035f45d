// Certificates of every kind that a program may meet, made with openssl when they are asked for: no key is kept.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib'
import {
  authority,
  certificate,
  names,
  newKey,
  pem,
  permitted,
  purpose,
  revocations,
  unheardOf,
  usage,
} from './x509.mjs'

const handed = 'FERRONET_TEST_CERTIFICATES'

/**
 * By name: `key` and `cert` of a server, and the `ca` that its client trusts, maybe with a `crl` of the client's, or
 * `ciphers` of the server's. The same in this process and its children.
 */
export function certificates() {
  const given = process.env[handed]
  if (given !== undefined) return JSON.parse(brotliDecompressSync(Buffer.from(given, 'base64')))
  const all = { ...made(), ...written() }
  // A variable holds 32 KB on Windows and 128 KB on Linux.
  process.env[handed] = brotliCompressSync(JSON.stringify(all)).toString('base64')
  return all
}

function made() {
  const directory = mkdtempSync(join(tmpdir(), 'ferronet-certificates-'))
  const at = name => join(directory, name)
  const run = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const read = name => readFileSync(at(name), 'latin1')
  writeFileSync(at('openssl.cnf'), '[req]\ndistinguished_name=name\n[name]\n')

  function make(name, { subject = `/CN=${name}`, issuer, extensions = [], days = ['-days', '30'] } = {}) {
    run('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', at(`${name}.key`))
    const request = ['-config', at('openssl.cnf'), '-subj', subject, '-key', at(`${name}.key`)]
    run('req', '-new', ...request, '-out', at(`${name}.csr`))
    writeFileSync(at(`${name}.ext`), extensions.join('\n'))
    const signer =
      issuer === undefined
        ? ['-signkey', at(`${name}.key`)]
        : ['-CA', at(`${issuer}.crt`), '-CAkey', at(`${issuer}.key`), '-CAcreateserial']
    run(
      ...['x509', '-req', '-in', at(`${name}.csr`), ...signer, ...days],
      ...['-extfile', at(`${name}.ext`), '-out', at(`${name}.crt`)],
    )
    return { key: read(`${name}.key`), cert: read(`${name}.crt`) }
  }

  try {
    const authority = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
    const localhost = ['subjectAltName=DNS:localhost,IP:127.0.0.1']
    const root = make('root', { extensions: authority })
    const other = make('other root', { extensions: authority })
    const between = make('intermediate', { issuer: 'root', extensions: authority })
    const leaf = (name, extensions, more) => ({
      ...make(name, { subject: '/CN=localhost', issuer: 'root', extensions, ...more }),
      ca: root.cert,
    })
    const good = leaf('good', localhost)
    const below = make('below', { subject: '/CN=localhost', issuer: 'intermediate', extensions: localhost })
    const single = make('single', { subject: '/CN=localhost', extensions: localhost })
    const singleCa = make('single authority', {
      subject: '/CN=localhost',
      extensions: [...authority, ...localhost],
    })
    return {
      good,
      'not trusted': { ...good, ca: other.cert },
      'without any trust': { ...good, ca: undefined },
      'self-signed': { ...single, ca: undefined },
      'self-signed and trusted': { ...single, ca: single.cert },
      'self-signed authority': { ...singleCa, ca: undefined },
      'self-signed authority and trusted': { ...singleCa, ca: singleCa.cert },
      expired: leaf('expired', localhost, { days: ['-days', '-1'] }),
      'wrong host': leaf('elsewhere', ['subjectAltName=DNS:example.org']),
      wildcard: leaf('wildcard', ['subjectAltName=DNS:*.localhost']),
      'wrong address': leaf('address', ['subjectAltName=IP:127.0.0.9']),
      'for clients only': leaf('client', [...localhost, 'extendedKeyUsage=clientAuth']),
      'intermediate left out': { ...below, ca: root.cert },
      'root sent along': { key: below.key, cert: below.cert + between.cert + root.cert, ca: other.cert },
      'intermediate sent, root unknown': { key: below.key, cert: below.cert + between.cert, ca: other.cert },
      'intermediate sent': {
        key: below.key,
        cert: below.cert + between.cert,
        ca: root.cert,
      },
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Those that openssl does not make. */
function written() {
  const signs = [authority(), usage('keyCertSign', 'cRLSign')]
  const root = certificate('written root', { extensions: signs })
  const other = certificate('other written root', { extensions: signs })
  const between = certificate('between', { issuer: root, extensions: signs })
  const local = names(['dns', 'localhost'], ['ip', Buffer.from([127, 0, 0, 1])])
  const leaf = ({ subject = 'localhost', extensions = [local], ...more } = {}) =>
    certificate(subject, { issuer: root, extensions, ...more })
  const shown = ({ key, cert }, more = {}) => ({ key: pem(key), cert, ca: root.cert, ...more })
  const one = more => shown(leaf(more))
  /** Below an authority that is sent along. */
  const under = (options, extensions = [local]) => {
    const issuer = certificate('between', { issuer: root, extensions: signs, ...options })
    const { key, cert } = leaf({ issuer, extensions })
    return shown({ key, cert: cert + issuer.cert })
  }
  const named = (...all) => one({ extensions: [names(...all)] })

  const revoked = leaf()
  const kept = leaf()
  const lists = crl => shown(kept, { crl })
  const list = revocations(root, [revoked])
  const below = leaf({ issuer: between })
  const chain = { key: below.key, cert: below.cert + between.cert }

  const level = { ciphers: 'DEFAULT@SECLEVEL=0' }
  const small = newKey('rsa', { modulusLength: 1024 })
  const sha256 = { hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 32 }
  const strong = certificate('root with RSA', {
    ...{ key: newKey('rsa', { modulusLength: 2048 }), extensions: signs },
  })

  return {
    'not yet valid': one({ from: 1 }),
    'valid for a thousand years': one({ to: 365_000 }),
    'of an authority that has expired': under({ to: -0.5 }),
    'of an authority that is not yet valid': under({ from: 1 }),
    'of one that is no authority': under({ extensions: [authority(false)] }),
    'of an authority that may not sign': under({ extensions: [authority(), usage('digitalSignature')] }),
    'of an authority without extensions': under({ extensions: [] }),
    'of an authority of clients': under({ extensions: [...signs, purpose('clientAuth')] }),
    'of an authority of other names': under({ extensions: [...signs, permitted(['dns', 'example.org'])] }),
    'of a root that allows none between': (() => {
      const strict = certificate('strict root', { extensions: [authority(true, 0), signs[1]] })
      const issuer = certificate('between', { issuer: strict, extensions: signs })
      const { key, cert } = leaf({ issuer })
      return { key: pem(key), cert: cert + issuer.cert, ca: strict.cert }
    })(),
    'with another signature': one({ broken: true }),
    'of an authority with another signature': under({ broken: true }),

    revoked: shown(revoked, { crl: list }),
    'not revoked': shown(kept, { crl: list }),
    'revoked by the second of two lists': shown(revoked, { crl: [revocations(other, [revoked]), list] }),
    'a list that has expired': lists(revocations(root, [revoked], { from: -2, to: -1 })),
    'a list that is not yet valid': lists(revocations(root, [revoked], { from: 1 })),
    'a list of another authority': lists(revocations(other, [revoked])),
    'a list with another signature': lists(revocations(root, [revoked], { broken: true })),
    'its authority revoked': shown(chain, {
      crl: [revocations(root, [between]), revocations(between, [])],
    }),
    'a list for each authority': shown(chain, { crl: [list, revocations(between, [revoked])] }),
    'no list for its authority': shown(chain, { crl: list }),

    'a weak key': shown(leaf({ key: small }), level),
    'a weak signature (SHA-1)': shown(leaf({ hash: 'sha1' }), level),
    'a weak signature (MD5)': {
      ...shown(leaf({ issuer: strong, hash: 'md5' })),
      ...{ ca: strong.cert, ...level },
    },
    'an authority with a weak key': { ...under({ key: small }), ...level },

    'with RSA': one({ key: strong.key }),
    'with RSA-PSS': one({ key: newKey('rsa-pss', { modulusLength: 2048 }) }),
    'with RSA-PSS for one digest': one({ key: newKey('rsa-pss', { modulusLength: 2048, ...sha256 }) }),
    'with Ed25519': one({ key: newKey('ed25519') }),
    'with Ed448': one({ key: newKey('ed448') }),
    'with P-384': one({ key: newKey('ec', { namedCurve: 'P-384' }) }),
    'with P-521': one({ key: newKey('ec', { namedCurve: 'P-521' }) }),

    'for servers only': one({ extensions: [local, purpose('serverAuth')] }),
    'for e-mail only': one({ extensions: [local, purpose('emailProtection')] }),
    'with a key for authorities only': one({ extensions: [local, usage('keyCertSign')] }),
    'with a key for agreements only': one({ extensions: [local, usage('keyAgreement')] }),
    'with a demand that nobody knows': one({ extensions: [local, unheardOf(true)] }),
    'with a wish that nobody knows': one({ extensions: [local, unheardOf(false)] }),

    'NUL in a name': named(['dns', 'localhost\0.example.org']),
    'NUL in the CN': one({ subject: 'localhost\0.example.org', extensions: [] }),
    'NUL in the CN, and a right name': one({ subject: 'example.org\0' }),
    'several names in one': named(['dns', 'example.org, DNS:localhost']),
    'quotes in a name': named(['dns', '"localhost"']),
    'a name with other letters': named(['dns', 'löcalhost'], ['uri', 'https://ö/?a, DNS:localhost']),
    'an address as a name': named(['dns', '127.0.0.1']),
    'an address of five bytes': named(['ip', Buffer.from([127, 0, 0, 1, 0])]),
    'names of other kinds': named(['email', 'a@localhost'], ['uri', 'https://localhost/']),
    'a CN alone': one({ extensions: [] }),
    'two CNs': one({
      ...{ extensions: [], subject: ['example.org', 'localhost'].map(each => ['2.5.4.3', each]) },
    }),
  }
}
