// Small things that a TLSSocket tells.

import { getDiffieHellman } from 'node:crypto'
import { certificates } from '../helpers/certificates.mjs'
import { first, identity, secured, told, trust } from '../helpers/tls.mjs'

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

secured('more keying material than there can be', { both: true }, async (t, kit) => {
  const { client } = await kit.meet()
  t.attempt('too much', () => client.exportKeyingMaterial(1_000_000, 'label').length)
})
