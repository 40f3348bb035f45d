// Whom a client or a server believes: the verdicts, codes and messages are those of node:tls.

import { certificates } from '../helpers/certificates.mjs'
import { secured } from '../helpers/tls.mjs'
import { facts, told, upgrades } from '../helpers/upgrade.mjs'

const all = certificates()

const outcome = promise => promise.then(facts, told)

for (const [name, { key, cert, ca, crl, ciphers }] of Object.entries(all)) {
  upgrades(`a server's certificate: ${name}`, async (t, upgrade) => {
    // A server with a weak one must want it; a client may, too.
    const wants = ciphers === undefined ? [] : [{ ciphers }]
    for (const options of [{}, { rejectUnauthorized: false }, { host: '127.0.0.1' }, ...wants]) {
      const { client, peer } = await t.pair()
      const far = upgrade(peer, { isServer: true, key, cert, ciphers }).catch(() => {})
      const near = upgrade(client, { ca, crl, host: 'localhost', ...options })
      t.log(JSON.stringify(options), await outcome(near))
      t.log('encrypted', client.encrypted ?? true)
      client.destroy()
      await far
    }
  })
}

upgrades(
  'nothing is delivered, and nothing sent, to a server that is not believed',
  { module: 'ferronet' },
  async (t, upgrade) => {
    const { client, peer } = await t.pair()
    const { key, cert } = all['self-signed']
    client.on('data', () => {
      throw new Error('delivered')
    })
    peer.on('data', () => {
      throw new Error('sent')
    })
    const far = upgrade(peer, { isServer: true, key, cert })
    peer.write('for nobody')
    const near = upgrade(client, { servername: 'localhost' })
    client.write('a password')
    const error = await near.catch(error => error)
    if (error.code !== 'DEPTH_ZERO_SELF_SIGNED_CERT') throw error
    if (client.authorizationError !== error.code || client.authorized) throw new Error('authorized')
    await far.catch(() => {})
    await t.closed(client, peer)
  },
)

upgrades('a checkServerIdentity of the program', async (t, upgrade) => {
  const { key, cert, ca } = all.good
  for (const verdict of [undefined, Object.assign(new Error('not this one'), { code: 'MINE' })]) {
    const { client, peer } = await t.pair()
    const far = upgrade(peer, { isServer: true, key, cert }).catch(() => {})
    const checkServerIdentity = (host, certificate) => {
      t.log('asked', host, certificate.subject, certificate.issuerCertificate.subject)
      return verdict
    }
    t.log('outcome', await outcome(upgrade(client, { ca, servername: 'other.name', checkServerIdentity })))
    client.destroy()
    await far
  }
})

for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
  upgrades(`a client's certificate, ${maxVersion}`, async (t, upgrade) => {
    const { key, cert, ca } = all.good
    for (const identity of [{ key, cert }, all['self-signed'], {}]) {
      const { client, peer } = await t.pair()
      const far = upgrade(peer, {
        ...{ isServer: true, key, cert, ca, maxVersion },
        ...{ requestCert: true, rejectUnauthorized: false },
      })
      const near = upgrade(client, { ca, servername: 'localhost', key: identity.key, cert: identity.cert })
      const [one, two] = await Promise.all([outcome(near), outcome(far)])
      t.log('client', one)
      t.log('server', two)
    }
  })
}

// The server believes the authority of the certificate that a client shows.
for (const name of [
  ...['not yet valid', 'expired', 'revoked', 'not revoked', 'its authority revoked', 'a weak key'],
  ...['no list for its authority', 'a list that has expired', 'for servers only', 'for e-mail only'],
  ...['with a key for authorities only', 'with a demand that nobody knows', 'NUL in a name'],
  ...['a weak signature (SHA-1)', 'of an authority of clients', 'intermediate left out'],
]) {
  secured(`a client's certificate, by a server: ${name}`, { both: true }, async (t, kit) => {
    const { key, cert, ca, crl, ciphers } = all[name]
    for (const rejectUnauthorized of [false, true]) {
      const asks = { requestCert: true, rejectUnauthorized, ca, crl }
      const server = await kit.listen({ key: all.good.key, cert: all.good.cert, ...asks })
      const end = new Promise(resolve => {
        server.once('secureConnection', peer => {
          const { authorized, authorizationError } = peer
          resolve({ authorized, authorizationError, subject: peer.getPeerCertificate().subject })
        })
        server.once('tlsClientError', error => resolve(told(error)))
      })
      const client = kit.connect(server, { ca: all.good.ca, key, cert, ciphers }).on('error', () => {})
      client.resume()
      t.log(`rejectUnauthorized: ${rejectUnauthorized}`, await end)
      client.destroy()
    }
  })
}

upgrades('a server that insists on a certificate', { module: 'ferronet' }, async (t, upgrade) => {
  const { key, cert, ca } = all.good
  const insists = { isServer: true, key, cert, ca, requestCert: true }
  const codes = []
  for (const identity of [{ key, cert }, all['self-signed'], {}]) {
    const { client, peer } = await t.pair()
    const far = upgrade(peer, insists)
    peer.on('data', () => {
      throw new Error('delivered')
    })
    const near = upgrade(client, { ca, servername: 'localhost', key: identity.key, cert: identity.cert })
    near.then(() => identity.key !== key && client.write('to nobody')).catch(() => {})
    codes.push(
      await far.then(
        () => peer.authorized,
        error => error.code,
      ),
    )
    client.destroy()
  }
  const [good, alone, none] = codes
  if (good !== true || none !== 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') throw new Error(String(codes))
  // Node's server says no more than that it has hung up.
  if (!['DEPTH_ZERO_SELF_SIGNED_CERT', 'ECONNRESET'].includes(alone)) throw new Error(String(codes))
})
