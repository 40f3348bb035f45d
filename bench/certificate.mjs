// The key and certificate of the TLS scenarios, made anew for each run.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Writes `key.pem` and `cert.pem`: P-256, for localhost and the addresses that the client scenarios connect to. */
export function makeCertificate(directory) {
  const addresses = Array.from({ length: 16 }, (_, at) => `IP:127.0.0.${1 + at}`)
  const config = join(directory, 'openssl.cnf')
  writeFileSync(
    config,
    `[req]
distinguished_name = name
x509_extensions = extensions
[name]
[extensions]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:localhost,${addresses}
`,
  )
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30']
  const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')]
  const { status, stderr, error } = spawnSync(
    'openssl',
    ['req', ...kind, '-config', config, '-subj', '/CN=localhost', ...files],
    { encoding: 'utf8' },
  )
  if (error) throw new Error(`The TLS scenarios need a certificate, and openssl to make it: ${error.message}`)
  if (status !== 0) throw new Error(`openssl cannot make a certificate: ${stderr.trim()}`)
}
