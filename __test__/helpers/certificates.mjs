// Certificates of every kind that a program may meet, made with openssl when they are asked for: no key is kept.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const handed = 'FERRONET_TEST_CERTIFICATES'

/** By name: `key` and `cert` of a server, and the `ca` that its client trusts. The same in this process and its children. */
export function certificates() {
  const given = process.env[handed]
  const all = given === undefined ? made() : JSON.parse(given)
  process.env[handed] = JSON.stringify(all)
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
