// Names and protocols: SNI with contexts and with a callback, ALPN with a list and with a callback, OCSP, PSK.

import { certificates } from '../helpers/certificates.mjs'
import { first, outcome, secured, told } from '../helpers/tls.mjs'

const all = certificates()
const [one, two, three] = [all.good, all.wildcard, all['self-signed']]

const shown = async (t, kit, server, servername) => {
  const { client, peer } = await kit.meet({
    over: server,
    client: { servername, rejectUnauthorized: false },
  })
  const fingerprint = client.getPeerCertificate().fingerprint256
  const names = { [fingerprintOf(one)]: 'one', [fingerprintOf(two)]: 'two', [fingerprintOf(three)]: 'three' }
  t.log(String(servername), names[fingerprint], peer.servername)
  client.destroy()
  await t.closed(peer)
}

const { X509Certificate } = await import('node:crypto')
const fingerprintOf = ({ cert }) => new X509Certificate(cert).fingerprint256

secured('addContext: names, and stars in them', { both: true }, async (t, kit) => {
  const server = await kit.listen(one)
  server.addContext('*.example.org', two)
  server.addContext('a.example.org', kit.tls.createSecureContext(three))
  for (const name of ['localhost', 'b.example.org', 'a.example.org', 'x.y.example.org', 'example.org'])
    await shown(t, kit, server, name)
})

secured('SNICallback', { both: true }, async (t, kit) => {
  const contexts = { 'two.org': kit.tls.createSecureContext(two) }
  const server = await kit.listen({
    ...one,
    SNICallback: (name, done) => {
      t.log('asked', name)
      setImmediate(() => done(null, contexts[name]))
    },
  })
  for (const name of ['two.org', 'other.org']) await shown(t, kit, server, name)
})

secured('an SNICallback that fails refuses the client', async (t, kit) => {
  const server = await kit.listen({ ...one, SNICallback: (_name, done) => done(new Error('unknown name')) })
  const failed = new Promise(resolve => server.once('tlsClientError', error => resolve(told(error).message)))
  const client = kit.connect(server).on('error', () => {})
  t.log('failed', await failed)
  client.destroy()
})

for (const [label, theirs] of [
  ['one in common', ['x', 'b']],
  ['several in common', ['b', 'a']],
  ['none in common', ['x']],
  ['none wanted', undefined],
]) {
  secured(`ALPN: ${label}`, { both: true }, async (t, kit) => {
    const server = await kit.listen({ ALPNProtocols: ['a', 'b'] })
    server.on('secureConnection', socket => t.log('server', socket.alpnProtocol))
    server.on('tlsClientError', error => t.log('refused', told(error).code))
    const client = kit.connect(server, theirs === undefined ? {} : { ALPNProtocols: theirs })
    const end = await outcome(client)
    t.log('client', typeof end === 'string' ? end : (end.code ?? end), client.alpnProtocol)
    client.destroy()
  })
}

secured('ALPNCallback', { both: true }, async (t, kit) => {
  const server = await kit.listen({
    ALPNCallback: ({ servername, protocols }) => {
      t.log('asked', servername, protocols)
      return protocols.includes('b') ? 'b' : undefined
    },
  })
  for (const ALPNProtocols of [['a', 'b'], ['x']]) {
    const client = kit.connect(server, { ALPNProtocols })
    const end = await outcome(client)
    t.log('client', end.authorized, /NO_APPLICATION_PROTOCOL/.test(end.code), client.alpnProtocol)
    client.destroy()
  }
})

secured('OCSP', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  server.on('OCSPRequest', (certificate, issuer, done) => {
    t.log('request', Buffer.isBuffer(certificate), issuer === undefined)
    done(null, Buffer.from('a response'))
  })
  const client = kit.connect(server, { requestOCSP: true })
  client.on('OCSPResponse', response => t.log('response', response))
  await first(client, 'secureConnect')
  t.log('authorized', client.authorized)
})

secured('PSK instead of certificates', async (t, kit) => {
  const psk = Buffer.from('c033f52671c61c8128f7f8a40be88038bcf2b07a6eb3095c36e3759f0cf40837', 'hex')
  const ciphers = 'PSK+HIGH'
  const server = t.own(
    kit.tls.createServer({
      ...{ ciphers, maxVersion: 'TLSv1.2', pskIdentityHint: 'hint' },
      pskCallback: (_socket, identity) => {
        t.log('identity', identity)
        return psk
      },
    }),
  )
  server.on('secureConnection', socket => t.own(socket).end('hello'))
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const client = t.own(
    kit.tls.connect({
      ...t.to(server),
      ...{ ciphers, maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined },
      pskCallback: hint => {
        t.log('hint', hint)
        return { psk, identity: 'me' }
      },
    }),
  )
  t.log('said', String(await t.drained(client)))
})
