// Keys of every kind that TLS knows, each with an authority of the same kind, made with openssl when they are asked for.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib'

/** Curves that NIST has not named. */
export const others = ['secp256k1', 'brainpoolP256r1', 'brainpoolP384r1']

const handed = 'FERRONET_TEST_KEYS'

const curve = name => ['EC', `ec_paramgen_curve:${name}`, 'ec_param_enc:named_curve']
const pss = (...more) => ['RSA-PSS', 'rsa_keygen_bits:2048', ...more]

/** The algorithm of `openssl genpkey` and its options. */
const kinds = {
  RSA: ['RSA', 'rsa_keygen_bits:2048'],
  'RSA of 3072 bits': ['RSA', 'rsa_keygen_bits:3072'],
  'RSA-PSS': pss(),
  'RSA-PSS for SHA-256': pss(
    'rsa_pss_keygen_md:sha256',
    'rsa_pss_keygen_mgf1_md:sha256',
    'rsa_pss_keygen_saltlen:32',
  ),
  'RSA-PSS for SHA-512': pss(
    'rsa_pss_keygen_md:sha512',
    'rsa_pss_keygen_mgf1_md:sha512',
    'rsa_pss_keygen_saltlen:64',
  ),
  'P-256': curve('P-256'),
  'P-384': curve('P-384'),
  'P-521': curve('P-521'),
  ...Object.fromEntries(others.map(name => [name, curve(name)])),
  'P-256, written out': ['EC', 'ec_paramgen_curve:P-256', 'ec_param_enc:explicit'],
  Ed25519: ['ED25519'],
  Ed448: ['ED448'],
}

/**
 * By the name of the kind: `key` and `cert` of a server or client, and the `ca` that has signed it. The same in this
 * process and its children.
 */
export function keys() {
  const given = process.env[handed]
  if (given !== undefined) return JSON.parse(brotliDecompressSync(Buffer.from(given, 'base64')))
  const all = made()
  process.env[handed] = brotliCompressSync(JSON.stringify(all)).toString('base64')
  return all
}

function made() {
  const directory = mkdtempSync(join(tmpdir(), 'ferronet-keys-'))
  const at = name => join(directory, name)
  const run = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const read = name => readFileSync(at(name), 'latin1')
  const sections = {
    root: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'],
    leaf: ['subjectAltName=DNS:localhost,IP:127.0.0.1'],
  }
  const lines = Object.entries(sections).flatMap(([name, extensions]) => [`[${name}]`, ...extensions])
  writeFileSync(at('openssl.cnf'), ['[req]', 'distinguished_name=name', '[name]', ...lines, ''].join('\n'))

  function make([algorithm, ...options], name, subject, issuer) {
    const key = at(`${name}.key`)
    run('genpkey', '-algorithm', algorithm, ...options.flatMap(each => ['-pkeyopt', each]), '-out', key)
    const request = ['-new', '-key', key, '-subj', `/CN=${subject}`, '-config', at('openssl.cnf')]
    if (issuer === undefined) {
      run('req', '-x509', ...request, '-extensions', name, '-days', '30', '-out', at(`${name}.crt`))
    } else {
      run('req', ...request, '-out', at(`${name}.csr`))
      run(
        ...[
          'x509',
          '-req',
          '-in',
          at(`${name}.csr`),
          '-CA',
          at(`${issuer}.crt`),
          '-CAkey',
          at(`${issuer}.key`),
        ],
        ...['-CAcreateserial', '-days', '30', '-out', at(`${name}.crt`)],
        ...['-extfile', at('openssl.cnf'), '-extensions', name],
      )
    }
    return read(`${name}.crt`)
  }

  try {
    return Object.fromEntries(
      Object.entries(kinds).map(([kind, options]) => {
        const ca = make(options, 'root', `root with ${kind}`.replace(',', ''))
        const cert = make(options, 'leaf', 'localhost', 'root')
        return [kind, { key: read('leaf.key'), cert, ca }]
      }),
    )
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A certificate and its key as PKCS #12. */
export function packed(t, { key, cert, ca }, passphrase) {
  const directory = t.directory()
  const write = (name, text) => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const from = [
    '-inkey',
    write('key.pem', key),
    '-in',
    write('cert.pem', cert),
    '-certfile',
    write('ca.pem', ca),
  ]
  const args = ['pkcs12', '-export', ...from, '-out', join(directory, 'all.p12')]
  execFileSync('openssl', [...args, '-passout', `pass:${passphrase}`], { stdio: 'pipe' })
  return readFileSync(join(directory, 'all.p12'))
}
