// Small things that a TLSSocket tells.

import assert from 'node:assert/strict'
import { getDiffieHellman } from 'node:crypto'
import { inspect } from 'node:util'
import { certificates } from '../helpers/certificates.mjs'
import { first, identity, secured, told, trust } from '../helpers/tls.mjs'
import { upgrades } from '../helpers/upgrade.mjs'

const all = certificates()
const { key, cert, ca } = all.good
const between = all['intermediate sent']

secured('the message when the one in between is all that is trusted', async (t, kit) => {
  const server = await kit.listen(between)
  const trusted = between.cert.slice(between.cert.lastIndexOf('-----BEGIN'))
  t.log('error', told(await first(kit.connect(server, { ca: trusted }), 'error')))
})

secured('getEphemeralKeyInfo() of Diffie-Hellman without a curve', async (t, kit) => {
  const { key, cert, ca } = all['with RSA']
  const ciphers = 'DHE-RSA-AES128-GCM-SHA256'
  const server = { key, cert, ciphers, maxVersion: 'TLSv1.2', dhparam: 'auto' }
  const { client } = await kit.meet({ server, client: { ca } })
  t.log('key', client.getEphemeralKeyInfo(), getDiffieHellman('modp14').getPrime().length * 8)
})

secured('getX509Certificate() before there is a connection', async (t, kit) => {
  const server = await kit.listen({ key, cert })
  const client = kit.connect(server, { ca, key, cert })
  t.log('own', client.getX509Certificate()?.subject)
  await first(client, 'secureConnect')
})

secured('issuerCertificate of getPeerX509Certificate()', async (t, kit) => {
  const { client } = await kit.meet({ server: between, client: { ca } })
  t.log('issuer', client.getPeerX509Certificate().issuerCertificate?.subject)
})

secured('servername of a client that has refused its server', async (t, kit) => {
  const server = await kit.listen(identity)
  const client = kit.connect(server, { ca: undefined })
  await first(client, 'error')
  t.log('name', client.servername)
})

secured('authorizationError of a server behind a further handshake', async (t, kit) => {
  const { client, peer } = await kit.meet({
    server: { maxVersion: 'TLSv1.2', ca },
    client: { ...trust, key, cert },
  })
  for (const end of [client, peer]) end.resume()
  await new Promise(resolve => {
    peer.renegotiate({ requestCert: true, rejectUnauthorized: false }, resolve)
  })
  t.log('peer', peer.authorized, peer.authorizationError, peer.getPeerCertificate().subject)
})

/** Calls that are wrong, and some that are not, to what tells and sets facts of a session. */
function askWrongly(t, label, session) {
  const exports = [[], ['x', 'y'], [10], [10, 5], [10, 'y', 5], [10, 'y', 'text'], [10, 'y', null]]
  const lengths = [-1, 0, 1.5, Number.NaN, 2 ** 32, 10]
  for (const args of [...exports, ...lengths.map(length => [length, 'y'])]) {
    t.attempt(`${label} export ${inspect(args)}`, () => session.exportKeyingMaterial(...args).length)
  }
  for (const size of [undefined, 'x', null, Number.NaN, 512.5, 2 ** 31, -1, 511, 512, 16_384, 16_385]) {
    t.attempt(`${label} fragment ${inspect(size)}`, () => session.setMaxSendFragment(size))
  }
}

secured('what is no length, label, context or size is refused', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const client = kit.connect(server).on('error', () => {})
  askWrongly(t, 'early', client)
  await first(client, 'secureConnect')
  askWrongly(t, 'secure', client)
})

upgrades('what is no length, label, context or size is refused after startTLS(), too', async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const ends = [upgrade(client, trust), upgrade(peer, { isServer: true, ...identity })]
  const [near, far] = await Promise.all(ends)
  askWrongly(t, 'client', near.tls)
  askWrongly(t, 'server', far.tls)
})

secured('a session that is early or gone says so', { module: 'ferronet' }, async (t, kit) => {
  const { client, peer } = await kit.meet()
  const session = client.tls
  const tooMuch = () => session.exportKeyingMaterial(2 ** 31, 'label')
  assert.throws(tooMuch, { code: 'ERR_SSL_INTERNAL_ERROR' })
  client.destroy()
  peer.destroy()
  await t.closed(client, peer)
  assert.throws(() => session.exportKeyingMaterial(10, 'label'), { code: 'ERR_TLS_INVALID_STATE' })
  assert.equal(session.setMaxSendFragment(512), false)

  const pair = await t.pair()
  pair.client.startTLS(trust)
  const early = pair.client.tls
  assert.throws(() => early.exportKeyingMaterial(10, 'label'), { code: 'ERR_TLS_INVALID_STATE' })
})

secured('more keying material than there can be', { both: true }, async (t, kit) => {
  const { client } = await kit.meet()
  t.attempt('too much', () => client.exportKeyingMaterial(1_000_000, 'label').length)
})

const protocols = [
  {},
  { maxVersion: 'TLSv1.2' },
  { secureProtocol: 'TLSv1_2_method' },
  { minVersion: 'TLSv1.3' },
]

secured('a TLSSocket that has not begun', async (t, kit) => {
  for (const isServer of [false, true]) {
    for (const options of protocols) {
      const socket = t.own(new kit.tls.TLSSocket(undefined, { ...options, isServer, ...identity }))
      t.log(`server ${isServer}`, options, socket.connecting, socket.pending, socket.readyState)
      t.log('protocol', socket.getProtocol(), socket.getCipher(), socket.getX509Certificate()?.subject)
    }
  }
})

secured("the cipher in 'connect'", async (t, kit) => {
  const server = await kit.listen()
  const client = kit.connect(server)
  await first(client, 'connect')
  t.log('cipher', client.getCipher(), client.getProtocol())
  await first(client, 'secureConnect')
  t.log('then', typeof client.getCipher())
})

for (const asked of [false, true]) {
  secured(
    `the certificates of a session that goes on, client ${asked ? '' : 'not '}asked for its own`,
    { both: true },
    async (t, kit) => {
      const server = await kit.listen({ ca: cert, requestCert: asked, rejectUnauthorized: false })
      const session = await kit.earned(server, asked ? { key, cert } : {})
      const options = { ...(asked ? { key, cert } : {}), session }
      const { client, peer } = await kit.meet({ over: server, client: options })
      for (const [name, end] of Object.entries({ client, peer })) {
        t.log(name, end.isSessionReused(), end.getPeerCertificate(), end.getPeerCertificate(true))
        t.log(name, end.getPeerX509Certificate()?.subject)
      }
    },
  )
}

secured('the OCSP response of a client over another socket', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  server.on('OCSPRequest', (_certificate, _issuer, done) => done(null, Buffer.from('response')))
  const lower = t.connect(t.to(server))
  const client = kit.connect(server, { socket: lower, requestOCSP: true, host: undefined, port: undefined })
  for (const event of ['OCSPResponse', 'secureConnect'])
    client.on(event, value => t.log('client', event, String(value)))
  lower.on('OCSPResponse', () => t.log('below', 'OCSPResponse'))
  await first(client, 'secureConnect')
})

// The other engine hears of it in Node's 'session', which comes later.
secured(
  "'session' comes before a further listener of 'secure' (TLS 1.2)",
  { engine: 'openssl' },
  async (t, kit) => {
    const server = await kit.listen({ maxVersion: 'TLSv1.2' })
    const client = kit.connect(server)
    for (const event of ['secureConnect', 'session', 'secure']) client.on(event, () => t.log('client', event))
    client.on('secureConnect', () => process.nextTick(() => t.log('client', 'tick')))
    await first(client, 'secure')
    await t.turns(3)
  },
)
