// What the environment and Node's flags say about TLS, in processes of their own: the same outcome and the same warnings
// as node:tls.

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { certificates } from '../helpers/certificates.mjs'
import { collect } from '../helpers/parity.mjs'
import { secured } from '../helpers/tls.mjs'

const all = certificates()
const { key, cert, ca } = all.good
const program = fileURLToPath(new URL('../fixtures/tls/visit.mjs', import.meta.url))
const own = { module: 'ferronet' }
const byUs = { ...own, engine: 'openssl' }

/** What a server and its clients say in a process with this environment and these flags, and what is on stderr. */
async function visit(t, { environment = {}, flags = [], server = { key, cert }, clients = [{}], set } = {}) {
  const { NODE_TLS_REJECT_UNAUTHORIZED, NODE_EXTRA_CA_CERTS, NODE_DEBUG, ...inherited } = process.env
  const module = t.moduleName === 'node:net' ? 'node:tls' : 'ferronet/tls'
  const env = { ...inherited, ...environment }
  const args = [...flags, program, import.meta.resolve(module), JSON.stringify({ server, clients, set })]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  t.cleanup(() => child.kill('SIGKILL'))
  const output = collect(child)
  const [code, signal] = await new Promise(resolve => child.once('close', (...end) => resolve(end)))
  if (code !== 0) throw new Error(`${code} ${signal} ${output.stderr}`)
  const stderr = output.stderr.replaceAll(/\(node:\d+\)/g, '(node)').replaceAll(/^[A-Z]+ \d+: /gm, '')
  // What both ends say does not come in an order.
  const lines = new Set(stderr.split('\n').filter(Boolean))
  return { said: JSON.parse(output.stdout).map(String).sort(), stderr: [...lines] }
}

function written(t, name, text) {
  const path = join(t.directory(), name)
  writeFileSync(path, text)
  return path
}

// --- NODE_TLS_REJECT_UNAUTHORIZED -------------------------------------------------------------------------------------

const clients = [{}, {}, { rejectUnauthorized: true }, { rejectUnauthorized: false }, { ca }]

for (const value of ['0', '1', '', 'false', undefined]) {
  secured(`NODE_TLS_REJECT_UNAUTHORIZED: ${value}`, async (t, _kit) => {
    const environment = value === undefined ? {} : { NODE_TLS_REJECT_UNAUTHORIZED: value }
    const { said, stderr } = await visit(t, { environment, clients })
    t.log('said', said)
    t.log('stderr', stderr)
  })
}

secured('NODE_TLS_REJECT_UNAUTHORIZED is set while the program runs', async t => {
  const { said, stderr } = await visit(t, { clients, set: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } })
  t.log('said', said)
  t.log('stderr', stderr)
})

secured('NODE_TLS_REJECT_UNAUTHORIZED is not for servers', async t => {
  const environment = { NODE_TLS_REJECT_UNAUTHORIZED: '0' }
  const server = { key, cert, ca: all['not trusted'].ca, requestCert: true }
  const { said, stderr } = await visit(t, {
    environment,
    server,
    clients: [{ ca, key, cert, maxVersion: 'TLSv1.2' }],
  })
  t.log('said', said)
  t.log('stderr', stderr)
})

// --- authorities ------------------------------------------------------------------------------------------------------

const files = {
  'the right one': ca,
  'the right one among others': all['not trusted'].ca + ca,
  'another one': all['not trusted'].ca,
  nonsense: 'nonsense',
  nothing: '',
  'no file': undefined,
}
for (const [label, text] of Object.entries(files)) {
  secured(`NODE_EXTRA_CA_CERTS: ${label}`, async t => {
    const path = text === undefined ? join(t.directory(), 'missing') : written(t, 'extra.pem', text)
    const environment = { NODE_EXTRA_CA_CERTS: path }
    const { said, stderr } = await visit(t, {
      environment,
      clients: [{}, { ca }, { ca: all['not trusted'].ca }],
    })
    t.log('said', said)
    t.log('stderr', stderr)
  })
}

secured('--use-openssl-ca and SSL_CERT_FILE', async t => {
  const environment = { SSL_CERT_FILE: written(t, 'own.pem', ca) }
  for (const flags of [['--use-openssl-ca'], ['--use-bundled-ca']])
    t.log(flags[0], await visit(t, { environment, flags, clients: [{}, { ca }] }))
})

// --- flags ------------------------------------------------------------------------------------------------------------

for (const flags of [
  ['--tls-max-v1.2'],
  ['--tls-min-v1.3'],
  ['--tls-min-v1.0', '--tls-max-v1.2'],
  ['--tls-cipher-list=ECDHE-ECDSA-AES256-GCM-SHA384', '--tls-max-v1.2'],
  ['--tls-cipher-list=TLS_CHACHA20_POLY1305_SHA256'],
]) {
  secured(flags.join(' '), async t => {
    t.log('visit', await visit(t, { flags, clients: [{ ca }, { ca, maxVersion: 'TLSv1.3' }] }))
  })
}

// --- ferronet's own ---------------------------------------------------------------------------------------------------

const debugged = async (t, engine, server, client) => {
  const environment = { NODE_DEBUG: 'ferronet', FERRONET_TLS: engine }
  const all = await visit(t, { environment, server: { key, cert, ...server }, clients: [{ ca, ...client }] })
  return all.stderr.filter(line => line.startsWith('tls: ')).sort()
}

function equal(seen, wanted) {
  if (JSON.stringify(seen) !== JSON.stringify(wanted))
    throw new Error(`${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`)
}

secured('NODE_DEBUG=ferronet tells which engine is used, and why', byUs, async t => {
  const [client, server] = ['client', 'server'].map(each => `tls: OpenSSL of the process, ${each}`)
  equal(await debugged(t, 'openssl'), [client, server])
  equal(await debugged(t, ''), [client, server])
  const told = 'tls: node:tls, because of FERRONET_TLS'
  equal(await debugged(t, 'node'), [told])
  equal(await debugged(t, '', {}, { own: true }), [client, server])
  const traced = await debugged(t, '', {}, { enableTrace: true })
  equal(traced, [server, 'tls: node:tls, because of the option enableTrace'])
})

secured('a FERRONET_TLS that is no engine', byUs, async t => {
  const { said } = await visit(t, { environment: { FERRONET_TLS: 'wolf' }, clients: [{ ca }] })
  if (!said.some(line => /TypeError.*FERRONET_TLS must be 'openssl' or 'node', not 'wolf'/.test(line)))
    throw new Error(said.join('\n'))
})
