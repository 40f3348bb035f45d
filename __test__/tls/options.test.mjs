// Options of secure contexts: which version, cipher, key and certificate come of them, or which error, at which end.

import { execFileSync } from 'node:child_process'
import { createPrivateKey, getDiffieHellman, constants as openssl, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { certificates } from '../helpers/certificates.mjs'
import { first, secured, told } from '../helpers/tls.mjs'

const all = certificates()
const { key, cert, ca } = all.good
const good = { key, cert }
const identity = name => ({ key: all[name].key, cert: all[name].cert })
const [rsa, written] = ['with RSA', 'not revoked'].map(identity)
const kinds = Object.fromEntries(
  ['RSA-PSS', 'RSA-PSS for one digest', 'Ed25519', 'Ed448', 'P-384', 'P-521'].map(kind => [
    kind,
    identity(`with ${kind}`),
  ]),
)
const writtenCa = all['with RSA'].ca
const everyCa = [ca, writtenCa]

/** The names of the certificates by their numbers. */
const named = Object.fromEntries(
  Object.entries({ good, rsa, written, ...kinds }).map(([name, { cert }]) => [
    new X509Certificate(cert).serialNumber + new X509Certificate(cert).issuer,
    name,
  ]),
)
const nameOf = socket => {
  const certificate = socket.getPeerX509Certificate()
  return certificate && named[certificate.serialNumber + certificate.issuer]
}

const oldest = { ciphers: 'DEFAULT:@SECLEVEL=0' }
const only = version => ({ minVersion: version, maxVersion: version })
const [two, three] = [only('TLSv1.2'), only('TLSv1.3')]

const pem = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc' }
const locked = passphrase => createPrivateKey(key).export({ ...pem, passphrase })

/** Parameters for Diffie-Hellman in PEM: a prime and 2. */
function group(name) {
  const prime = Buffer.concat([Buffer.from([0]), getDiffieHellman(name).getPrime()])
  const long = (tag, body) =>
    Buffer.concat([Buffer.from([tag, 0x82, body.length >> 8, body.length & 255]), body])
  const der = long(0x30, Buffer.concat([long(0x02, prime), Buffer.from([2, 1, 2])]))
  const lines = der.toString('base64').match(/.{1,64}/g)
  return `-----BEGIN DH PARAMETERS-----\n${lines.join('\n')}\n-----END DH PARAMETERS-----\n`
}

const finite = { ...rsa, ...two, ciphers: 'DHE-RSA-AES128-GCM-SHA256' }
const between = all['intermediate sent']
const blocks = (...all) => all.join('here is another one:\n')
const ecdsa = ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384']
const both = [rsa, good]

// The server's and the client's. A client trusts all authorities.
const cases = {
  // --- keys and certificates
  'a locked key': [{ key: locked('open'), cert, passphrase: 'open' }],
  'a locked key with a passphrase of its own': [{ key: [{ pem: locked('open'), passphrase: 'open' }], cert }],
  'a locked key, the passphrase that is meant for all': [
    { key: [{ pem: locked('open') }], cert, passphrase: 'open' },
  ],
  'a passphrase that nothing needs': [{ ...good, passphrase: 'open' }],
  'no passphrase for a locked key': [{ key: locked('open'), cert }],
  'bytes instead of texts': [{ key: Buffer.from(key), cert: new Uint8Array(Buffer.from(cert)) }],
  'lists of one': [{ key: [key], cert: [cert] }],
  'a key and no certificate': [{ key }],
  'a certificate and no key': [{ cert }],
  'a key of another certificate': [{ key: rsa.key, cert }],
  ...Object.fromEntries(
    Object.entries(kinds).flatMap(([kind, identity]) => [
      [`${kind}, TLS 1.2`, [{ ...identity, ...two }]],
      [`${kind}, TLS 1.3`, [{ ...identity, ...three }]],
      [`${kind}, no signature in common`, [identity, { sigalgs: 'rsa_pss_rsae_sha512' }]],
      [`${kind} beside others`, [{ key: [rsa.key, identity.key], cert: [rsa.cert, identity.cert] }, three]],
      [`${kind} of a client`, [{ ...good, requestCert: true, ca: everyCa }, identity]],
      [`${kind} of a client, TLS 1.2`, [{ ...good, ...two, requestCert: true, ca: everyCa }, identity]],
      [`${kind} of a client, which nobody trusts`, [{ ...good, requestCert: true, ca: cert }, identity]],
    ]),
  ),
  ...Object.fromEntries(
    [
      ['ECDSA by cipher', { ...two, ciphers: ecdsa[0] }],
      ['RSA by cipher', { ...two, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }],
      ['ECDSA by algorithm', { ...three, sigalgs: 'ecdsa_secp256r1_sha256' }],
      ['RSA by algorithm', { ...three, sigalgs: 'rsa_pss_rsae_sha256' }],
    ].flatMap(([label, client]) => [
      [
        `several keys, ${label}`,
        [{ key: both.map(each => each.key), cert: both.map(each => each.cert) }, client],
      ],
      [`several keys in another order, ${label}`, [{ key: [rsa.key, key], cert: [cert, rsa.cert] }, client]],
    ]),
  ),
  // --- authorities
  'authorities in a text': [good, { ca: blocks(writtenCa, ca) }],
  'authorities in a text, the right one is missing': [good, { ca: blocks(writtenCa, all['not trusted'].ca) }],
  'authorities in a list': [good, { ca: [Buffer.from(writtenCa), ca] }],
  'authorities in texts in a list': [good, { ca: [blocks(writtenCa, ca), writtenCa] }],
  'an authority twice': [good, { ca: [ca, ca] }],
  'no authority': [good, { ca: [] }],
  'an empty text for an authority': [good, { ca: '' }],
  'an authority that is none': [good, { ca: 'nobody' }],
  'an authority behind a list that is broken': [good, { ca: `${ca}-----BEGIN CERTIFICATE-----\n` }],
  'the certificate itself': [good, { ca: cert }],
  'the certificate itself is enough': [good, { ca: cert, allowPartialTrustChain: true }],
  'the one in between is enough': [
    between,
    { ca: between.cert.slice(between.cert.lastIndexOf('-----BEGIN')), allowPartialTrustChain: true },
  ],
  // --- ciphers
  'a cipher in common': [{ ...good, ...two, ciphers: ecdsa[1] }, { ciphers: ecdsa.join(':') }],
  'no cipher in common': [{ ...good, ...two, ciphers: ecdsa[1] }, { ciphers: ecdsa[0] }],
  'no certificate for the cipher': [{ ...good, ...two }, { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }],
  'a cipher of TLS 1.3': [
    { ...good, ciphers: 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256' },
    { ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256' },
  ],
  'no cipher of TLS 1.3 in common': [
    { ...good, ciphers: 'TLS_CHACHA20_POLY1305_SHA256' },
    { ciphers: 'TLS_AES_128_GCM_SHA256' },
  ],
  'ciphers of TLS 1.3 for 1.2': [{ ...good, ...two, ciphers: 'TLS_AES_128_GCM_SHA256' }],
  'ciphers that nobody knows': [good, { ciphers: 'NONSENSE' }],
  'ciphers that nobody knows, and one that is known': [good, { ...two, ciphers: `NONSENSE:${ecdsa[0]}` }],
  'a level of security that RSA is too short for': [{ ...rsa, ciphers: 'DEFAULT@SECLEVEL=3' }],
  'a level of security for the client': [rsa, { ciphers: 'DEFAULT@SECLEVEL=3' }],
  ...Object.fromEntries(
    [true, false, undefined].map(honorCipherOrder => [
      `honorCipherOrder ${honorCipherOrder}`,
      [
        { ...good, ...two, honorCipherOrder, ciphers: ecdsa.join(':') },
        { ciphers: ecdsa.toReversed().join(':') },
      ],
    ]),
  ),
  // --- groups and signatures
  'a curve': [{ ...good, ecdhCurve: 'P-384' }],
  'a curve, TLS 1.2': [{ ...good, ...two, ecdhCurve: 'P-384' }],
  'curves in an order': [{ ...good, ecdhCurve: 'P-521:P-384' }, { ecdhCurve: 'P-256:P-384:P-521' }],
  'the curve X25519': [{ ...good, ecdhCurve: 'X25519' }, { ecdhCurve: 'auto' }],
  'no curve in common': [{ ...good, ecdhCurve: 'P-384' }, { ecdhCurve: 'P-521' }],
  'no curve in common, TLS 1.2': [{ ...good, ...two, ecdhCurve: 'P-384' }, { ecdhCurve: 'P-521' }],
  'a curve that nobody knows': [good, { ecdhCurve: 'nonsense' }],
  'a server with a curve that nobody knows': [{ ...good, ecdhCurve: 'nonsense' }],
  'no signature in common': [good, { sigalgs: 'rsa_pss_rsae_sha256' }],
  'signatures of a server': [
    { ...good, ...two, sigalgs: 'ECDSA+SHA256' },
    { sigalgs: 'ECDSA+SHA384:ECDSA+SHA256' },
  ],
  'signatures that nobody knows': [good, { sigalgs: 'nonsense' }],
  dhparam: [{ ...finite, dhparam: group('modp14') }],
  'dhparam of 1536 bits': [{ ...finite, dhparam: Buffer.from(group('modp5')) }],
  'dhparam auto': [{ ...finite, dhparam: 'auto' }],
  'no dhparam': [finite],
  'dhparam that is too small': [{ ...finite, dhparam: group('modp1') }],
  'dhparam that is none': [{ ...finite, dhparam: 'nonsense' }],
  'dhparam that is too small for the client': [{ ...finite, dhparam: group('modp14') }, { minDHSize: 3072 }],
  // --- versions
  'a server that is too new': [{ ...good, ...three }, two],
  'a server that is too old': [{ ...good, ...two }, three],
  'the highest that both know': [{ ...good, maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1' }],
  'TLS 1': [
    { ...good, ...oldest, minVersion: 'TLSv1' },
    { ...oldest, ...only('TLSv1') },
  ],
  'TLS 1.1': [
    { ...good, ...oldest, ...only('TLSv1.1') },
    { ...oldest, minVersion: 'TLSv1' },
  ],
  'TLS 1, which is not safe': [{ ...good, minVersion: 'TLSv1' }, only('TLSv1')],
  'a lowest version above the highest': [{ ...good, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }],
  'a version that nobody knows': [good, { minVersion: 'TLSv2' }],
  ...Object.fromEntries(
    [
      'TLS_method',
      'TLSv1_2_method',
      'TLSv1_2_client_method',
      'SSLv3_method',
      'SSLv23_method',
      'nonsense',
    ].map(secureProtocol => [`secureProtocol ${secureProtocol}`, [good, { secureProtocol }]]),
  ),
  'secureProtocol of a server': [{ ...good, secureProtocol: 'TLSv1_2_server_method' }],
  'secureProtocol and a version': [good, { secureProtocol: 'TLSv1_2_method', minVersion: 'TLSv1.2' }],
  'secureOptions without TLS 1.3': [{ ...good, secureOptions: openssl.SSL_OP_NO_TLSv1_3 }],
  'secureOptions without TLS 1.3, of a client': [good, { secureOptions: openssl.SSL_OP_NO_TLSv1_3 }],
  'secureOptions without any': [
    good,
    { secureOptions: openssl.SSL_OP_NO_TLSv1_3 | openssl.SSL_OP_NO_TLSv1_2 },
  ],
  'secureOptions for an order': [
    {
      ...{ ...good, ...two, honorCipherOrder: false, ciphers: ecdsa.join(':') },
      secureOptions: openssl.SSL_OP_CIPHER_SERVER_PREFERENCE,
    },
    { ciphers: ecdsa.toReversed().join(':') },
  ],
}

const facts = socket => ({
  protocol: socket.getProtocol(),
  cipher: socket.getCipher(),
  sigalgs: socket.getSharedSigalgs(),
  authorized: socket.authorized,
  authorizationError: socket.authorizationError,
  peer: nameOf(socket),
})

const keyOf = ({ type = 'none', name = 'none', size }) => [type, name, size]

for (const [label, [ofServer, ofClient = {}]] of Object.entries(cases)) {
  secured(label, async (t, kit) => {
    let server
    try {
      server = await kit.listen({ key: undefined, cert: undefined, ...ofServer })
    } catch (error) {
      t.log('the server throws', error.name, told(error))
      return
    }
    const near = { ca: everyCa, ...ofClient }
    const ofWay = near.minDHSize ? { minDHSize: near.minDHSize } : {}
    const ways = {
      options: () => near,
      secureContext: () => ({
        ...ofWay,
        ca: undefined,
        secureContext: kit.tls.createSecureContext(near),
      }),
    }
    for (const [way, make] of Object.entries(ways)) {
      const far = new Promise(resolve => {
        server.once('secureConnection', peer => resolve(facts(peer)))
        server.once('tlsClientError', error => resolve(told(error)))
      })
      try {
        const client = kit.connect(server, make())
        const error = await Promise.race([
          first(client, 'secureConnect').then(() => undefined),
          first(client, 'error'),
        ])
        if (error === undefined) t.log(`${way}: secure`, facts(client), keyOf(client.getEphemeralKeyInfo()))
        else t.log(`${way}: fails`, error.name, told(error))
        // What a client says of a certificate, the server may not hear of.
        if (error === undefined || /SSL/.test(error.code)) t.log('server', await far)
        client.destroy()
      } catch (error) {
        t.log(`${way}: throws`, error.name, told(error))
      }
      server.removeAllListeners('tlsClientError').on('tlsClientError', () => {})
    }
  })
}

secured(
  'a key of Diffie-Hellman that is too small, for a client that believes any certificate',
  async (t, kit) => {
    const server = await kit.listen({ key: undefined, cert: undefined, ...finite, dhparam: group('modp14') })
    const client = kit.connect(server, { rejectUnauthorized: false, minDHSize: 3072 })
    client.on('secureConnect', () => t.log('secure'))
    client.on('error', error => t.log('error', told(error), client.authorized, client.authorizationError))
    await new Promise(resolve => client.on('close', (...args) => resolve(t.log('close', ...args))))
  },
)

// --- PKCS #12 ---------------------------------------------------------------------------------------------------------

/** The good certificate and its authority as PKCS #12. */
function packed(t, passphrase) {
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

secured('pfx', async (t, kit) => {
  const [open, secret] = [packed(t, ''), packed(t, 'secret')]
  const ways = {
    'without a passphrase': { pfx: open },
    'with a passphrase': { pfx: secret, passphrase: 'secret' },
    'in a list': { pfx: [secret], passphrase: 'secret' },
    'in a list, with a passphrase of its own': {
      pfx: [{ buf: secret, passphrase: 'secret' }],
      passphrase: 'x',
    },
    'another passphrase': { pfx: secret, passphrase: 'other' },
    'no passphrase': { pfx: secret },
    'cut off': { pfx: open.subarray(0, 100) },
  }
  for (const [label, options] of Object.entries(ways)) {
    try {
      // Its authority is trusted along with it, on both sides.
      const server = await kit.listen({ key: undefined, cert: undefined, ...options, requestCert: true })
      const { client, peer } = await kit.meet({ over: server, client: { ca: undefined, ...options } })
      t.log(label, facts(client), facts(peer))
    } catch (error) {
      t.log(label, error.name, told(error))
    }
  }
})

// --- sessions ---------------------------------------------------------------------------------------------------------

secured('sessionIdContext', { both: true }, async (t, kit) => {
  const ticketKeys = Buffer.alloc(48, 5)
  const one = await kit.listen({ ...good, ticketKeys, sessionIdContext: 'one' })
  for (const sessionIdContext of ['one', 'other', undefined]) {
    const session = await kit.earned(one, { ca })
    const server = await kit.listen({ ...good, ticketKeys, sessionIdContext })
    const { client, peer } = await kit.meet({ over: server, client: { ca, session } })
    t.log(String(sessionIdContext), client.isSessionReused(), peer.isSessionReused())
  }
})

// --- X509Certificate --------------------------------------------------------------------------------------------------

secured('getX509Certificate() and getPeerX509Certificate()', { both: true }, async (t, kit) => {
  const near = { key: between.key, cert: between.cert, ca }
  const server = await kit.listen({ ...good, ca: between.ca, requestCert: true, rejectUnauthorized: false })
  for (const ofClient of [near, { ca }]) {
    const accepted = first(server, 'secureConnection')
    const client = kit.connect(server, ofClient)
    const show = (label, socket) => {
      for (const name of ['getX509Certificate', 'getPeerX509Certificate']) {
        const certificate = socket[name]()
        if (!certificate) t.log(label, name, certificate)
        else {
          const { subject, issuer } = certificate
          const known = [cert, between.cert].findIndex(
            each => new X509Certificate(each).fingerprint256 === certificate.fingerprint256,
          )
          const kind = certificate instanceof X509Certificate
          const again = socket[name]() === certificate
          t.log(label, name, kind, subject, issuer, known, again)
          t.log(
            'checks',
            certificate.checkHost('localhost'),
            certificate.ca,
            certificate.verify(certificate.publicKey),
          )
        }
      }
    }
    t.log('before', client.getPeerX509Certificate())
    const peer = await accepted
    show('peer', peer)
    if (client.secureConnecting) await first(client, 'secureConnect')
    show('client', client)
    for (const socket of [client, peer]) socket.destroy()
    await t.closed(client, peer)
    t.attempt('client behind', () => client.getPeerX509Certificate())
    t.attempt('peer behind', () => peer.getX509Certificate())
  }
})
