// Keys of every kind, alone and several at once, at both ends: what is agreed upon, and what either side tells of it.

import { deepEqual as equal } from 'node:assert/strict'
import { createPrivateKey, constants as openssl, X509Certificate } from 'node:crypto'
import { keys, others, packed } from '../helpers/keys.mjs'
import { first, secured, told } from '../helpers/tls.mjs'

const all = keys()
const everyCa = Object.values(all).map(({ ca }) => ca)
const shown = ({ key, cert }) => ({ key, cert })
const none = { key: undefined, cert: undefined }

const only = version => ({ minVersion: version, maxVersion: version })
const [two, three] = [only('TLSv1.2'), only('TLSv1.3')]

/** From the certificate to its root, which is its own issuer in one of the two forms. */
function chainOf(certificate) {
  const chain = []
  for (let at = certificate; at !== undefined; at = at.issuerCertificate) {
    if (chain.includes(at)) return [...chain, 'again']
    chain.push(at)
  }
  return chain
}

const x509 = ({ subject, fingerprint256, publicKey, signatureAlgorithm, serialNumber }) => {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = publicKey
  return { subject, fingerprint256, type, details, signatureAlgorithm, serialNumber }
}

/** Older Nodes do not always find the certificates behind the first, or find them once. */
const shownAll = certificate =>
  (Number.parseInt(process.versions.node, 10) >= 26 ? chainOf(certificate) : [certificate]).map(
    each => each && x509(each),
  )

/** Node 26 names the groups with ML-KEM, and ferronet does so on every Node; earlier Nodes say nothing. */
function keyOf(key) {
  const named = key === null || (key.type !== undefined && key.type !== 'TLSGroup')
  return named || Number.parseInt(process.versions.node, 10) >= 26 ? key : 'a group'
}

const facts = socket => ({
  protocol: socket.getProtocol(),
  cipher: socket.getCipher(),
  key: keyOf(socket.getEphemeralKeyInfo()),
  sigalgs: socket.getSharedSigalgs(),
  authorized: socket.authorized,
  authorizationError: socket.authorizationError,
  peer: socket.getPeerCertificate(),
  chain: chainOf(socket.getPeerCertificate(true)).map(each => each.fingerprint256 ?? each),
  peer509: shownAll(socket.getPeerX509Certificate()),
  own: socket.getCertificate(),
  own509: shownAll(socket.getX509Certificate()),
})

/** All that a peer says, or the error: with TLS 1.3 a client is secure before it hears what is wrong with its certificate. */
function said(socket) {
  return new Promise(resolve => {
    let text = ''
    socket.on('data', chunk => (text += chunk))
    socket.once('end', () => resolve(text))
    socket.once('error', error => resolve(told(error)))
  })
}

/** What becomes of a client and of the server: facts or errors, and what is said. */
async function meet(t, kit, label, ofServer, ofClient) {
  let server
  try {
    server = await kit.listen({ ...none, ...ofServer })
  } catch (error) {
    t.log(label, 'the server throws', error.name, told(error))
    return
  }
  const far = new Promise(resolve => {
    server.once('secureConnection', peer => {
      peer.on('data', chunk => peer.end(`${chunk} and back`))
      resolve(facts(peer))
    })
    server.once('tlsClientError', error => resolve(told(error)))
  })
  try {
    const client = kit.connect(server, { ca: everyCa, ...ofClient })
    const error = await Promise.race([
      first(client, 'secureConnect').then(() => undefined),
      first(client, 'error'),
    ])
    if (error === undefined) {
      t.log(label, 'secure', facts(client), 'and the server', await far)
      client.write('there')
      t.log(label, 'said', await said(client))
    } else {
      t.log(label, 'fails', error.name, told(error))
      // What a client says of a certificate, the server may not hear of.
      if (/SSL/.test(error.code)) t.log(label, 'and the server', await far)
    }
    client.destroy()
  } catch (error) {
    t.log(label, 'the client throws', error.name, told(error))
  }
  server.close()
}

for (const [kind, pair] of Object.entries(all)) {
  if (others.includes(kind)) continue
  secured(`both ends with a key of the kind ${kind}`, { both: true }, async (t, kit) => {
    const asking = { ...shown(pair), ca: pair.ca, requestCert: true, rejectUnauthorized: false }
    await meet(t, kit, 'trusted', asking, shown(pair))
    await meet(t, kit, 'another authority', { ...asking, ca: all['P-384'].ca }, shown(pair))
    await meet(
      t,
      kit,
      'with its authority',
      { ...asking, cert: pair.cert + pair.ca },
      {
        ...shown(pair),
        cert: pair.cert + pair.ca,
      },
    )
    await meet(t, kit, 'not trusted', shown(pair), { ca: [], rejectUnauthorized: false })
    await meet(t, kit, 'rejected', shown(pair), { ca: [] })
  })
}

// Node 24.21 and 26.10 end in the middle of this.
const here = Number.parseInt(process.versions.node, 10) < 24 ? {} : { module: 'ferronet' }

secured('keys on curves that NIST has not named', { engine: 'openssl', ...here }, async (t, kit) => {
  for (const kind of others) {
    const pair = all[kind]
    const options = { ...shown(pair), ...two, ca: pair.ca, ecdhCurve: `${kind}:P-256` }
    const { client, peer } = await kit.meet({ server: { ...options, requestCert: true }, client: options })
    for (const end of [client, peer]) {
      const { bits, pubkey, asn1Curve, nistCurve, ...more } = end.getPeerCertificate(true)
      const { publicKey } = new X509Certificate(pair.cert)
      const spki = publicKey.export({ type: 'spki', format: 'der' })
      equal([asn1Curve, nistCurve, end.authorized], [kind, undefined, true])
      equal(pubkey, spki.subarray(-1 - (2 * bits) / 8))
      equal(more.fingerprint256, new X509Certificate(pair.cert).fingerprint256)
      equal(more.issuerCertificate.asn1Curve, kind)
      t.log(kind, bits, more.subject, more.issuer, more.subjectaltname, more.serialNumber, more.ca)
      t.log('own', end.getCertificate().bits, end.getCertificate().subject)
    }
    client.destroy()
  }
})

// --- what both sides know ---------------------------------------------------------------------------------------------

secured('signatures that a key can make, or cannot', async (t, kit) => {
  const wishes = [
    ...['rsa_pss_pss_sha256', 'rsa_pss_pss_sha512', 'rsa_pss_rsae_sha256', 'RSA-PSS+SHA384', 'RSA+SHA256'],
    ...['ecdsa_secp384r1_sha384', 'ecdsa_secp521r1_sha512', 'ECDSA+SHA256', 'ed25519', 'ed448:ed25519'],
  ]
  for (const kind of ['RSA', 'RSA-PSS', 'RSA-PSS for SHA-512', 'P-384', 'P-521', 'Ed448']) {
    for (const sigalgs of wishes) {
      await meet(t, kit, `${kind}, a client of ${sigalgs}`, { ...shown(all[kind]), ...two }, { sigalgs })
      await meet(t, kit, `${kind}, a server of ${sigalgs}, 1.3`, { ...shown(all[kind]), ...three, sigalgs })
    }
  }
})

secured('signatures of a client', { both: true }, async (t, kit) => {
  const asking = { ...shown(all['P-256']), requestCert: true, ca: everyCa }
  for (const kind of ['RSA', 'RSA-PSS', 'P-384', 'Ed25519']) {
    for (const sigalgs of [
      'rsa_pss_pss_sha256:ECDSA+SHA256',
      'RSA-PSS+SHA256:ECDSA+SHA256',
      'ed25519:ECDSA+SHA256',
    ]) {
      await meet(t, kit, `${kind}, ${sigalgs}`, { ...asking, sigalgs }, shown(all[kind]))
    }
  }
})

secured('groups', async (t, kit) => {
  const pairs = {
    'P-384': ['P-384', 'P-256:P-384'],
    'P-521': ['P-521', undefined],
    X448: ['X448', 'X448:X25519'],
    'X25519 before P-256': ['X25519:P-256', 'P-256:X25519'],
    auto: ['auto', 'P-384'],
    brainpool: ['brainpoolP384r1', 'brainpoolP384r1'],
    secp256k1: ['secp256k1', 'secp256k1:P-256'],
    ffdhe: ['ffdhe2048', 'ffdhe2048'],
    none: ['P-521', 'X448'],
    'Ed25519, which is no group': ['ed25519', 'P-256'],
  }
  for (const [label, [ofServer, ofClient]] of Object.entries(pairs)) {
    for (const version of [two, three]) {
      const options = { ...shown(all['P-256']), ...version, ecdhCurve: ofServer }
      await meet(t, kit, `${label}, ${version.maxVersion}`, options, ofClient && { ecdhCurve: ofClient })
    }
  }
})

secured('finite groups', async (t, kit) => {
  const ciphers = 'DHE-RSA-AES128-GCM-SHA256:DHE-RSA-CHACHA20-POLY1305'
  for (const kind of ['RSA', 'RSA of 3072 bits', 'RSA-PSS']) {
    for (const minDHSize of [1024, 3072]) {
      const options = { ...shown(all[kind]), ...two, ciphers, dhparam: 'auto' }
      await meet(t, kit, `${kind}, ${minDHSize}`, options, { minDHSize })
      await meet(t, kit, `${kind}, ${minDHSize}, ciphers of a client`, options, { minDHSize, ciphers })
    }
  }
})

secured('whose order of ciphers decides', { both: true }, async (t, kit) => {
  const order =
    kit.version === 'TLSv1.2'
      ? ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-ECDSA-AES256-GCM-SHA384']
      : ['TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_256_GCM_SHA384']
  const other = { ciphers: [order[1], order[2], order[0]].join(':') }
  const { SSL_OP_CIPHER_SERVER_PREFERENCE, SSL_OP_PRIORITIZE_CHACHA } = openssl
  for (const honorCipherOrder of [true, false, undefined, null, 0, 'yes']) {
    for (const secureOptions of [undefined, 0, SSL_OP_CIPHER_SERVER_PREFERENCE, SSL_OP_PRIORITIZE_CHACHA]) {
      const options = { ...shown(all['P-384']), ciphers: order.join(':'), honorCipherOrder, secureOptions }
      await meet(t, kit, `${honorCipherOrder}, ${secureOptions}`, options, other)
      await meet(t, kit, `${honorCipherOrder}, ${secureOptions}, of both`, options, {
        ...other,
        honorCipherOrder,
      })
    }
  }
})

secured('secureOptions, at either end', { both: true }, async (t, kit) => {
  for (const name of Object.keys(openssl)
    .filter(name => name.startsWith('SSL_OP_'))
    .sort()) {
    const secureOptions = openssl[name]
    await meet(t, kit, `${name} of a server`, { ...shown(all['P-521']), secureOptions })
    await meet(t, kit, `${name} of a client`, shown(all['P-521']), { secureOptions })
  }
  for (const secureOptions of ['all', 1.5, -1, 2 ** 40, null]) {
    await meet(t, kit, `${secureOptions} of a server`, { ...shown(all['P-521']), secureOptions })
    await meet(t, kit, `${secureOptions} of a client`, shown(all['P-521']), { secureOptions })
  }
})

// --- several keys -----------------------------------------------------------------------------------------------------

const several = ['RSA', 'P-384', 'Ed25519', 'Ed448', 'RSA-PSS']
const together = {
  key: several.map(kind => all[kind].key),
  cert: several.map(kind => all[kind].cert),
}
/** What a client must say to be shown each of them. */
const wishes = {
  RSA: { sigalgs: 'RSA-PSS+SHA256' },
  'RSA, of old': { ...two, sigalgs: 'RSA+SHA256', ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' },
  'P-384': { sigalgs: 'ECDSA+SHA384' },
  Ed25519: { sigalgs: 'ed25519' },
  Ed448: { sigalgs: 'ed448' },
  'RSA-PSS': { sigalgs: 'rsa_pss_pss_sha256' },
  'RSA-PSS with SHA-512': { sigalgs: 'rsa_pss_pss_sha512' },
  'the first that suits': { sigalgs: 'ed448:ECDSA+SHA384:RSA-PSS+SHA256' },
  'none of them': { sigalgs: 'ECDSA+SHA256' },
  anything: {},
}

secured('a server with keys of several kinds', { both: true }, async (t, kit) => {
  for (const [label, options] of Object.entries(wishes)) {
    await meet(t, kit, label, together, options)
    const secureContext = kit.tls.createSecureContext({ ca: everyCa, ...kit.limits, ...options })
    await meet(t, kit, `${label}, by a context`, together, { ...two, ...three, ca: undefined, secureContext })
  }
})

secured('a client with keys of several kinds', { both: true }, async (t, kit) => {
  const asking = { ...shown(all['P-521']), requestCert: true, ca: everyCa }
  for (const sigalgs of ['RSA-PSS+SHA256', 'ECDSA+SHA384', 'ed25519', 'ed448', 'rsa_pss_pss_sha256']) {
    await meet(t, kit, sigalgs, { ...asking, sigalgs: `${sigalgs}:ECDSA+SHA512` }, together)
  }
})

secured('a server whose SNICallback has another key of its kind', { both: true }, async (t, kit) => {
  for (const [kind, other] of [
    ['RSA', 'RSA of 3072 bits'],
    ['RSA-PSS', 'RSA-PSS for SHA-256'],
    ['P-384', 'P-521'],
  ]) {
    const context = kit.tls.createSecureContext(shown(all[other]))
    const SNICallback = (_name, done) => done(null, context)
    for (const sigalgs of ['RSA-PSS+SHA256', 'rsa_pss_pss_sha256', 'rsa_pss_pss_sha512', 'ECDSA+SHA512']) {
      const asked = { servername: 'localhost', sigalgs }
      await meet(t, kit, `${other}, ${sigalgs}`, { ...shown(all[kind]), SNICallback }, asked)
    }
  }
})

// --- locked keys ------------------------------------------------------------------------------------------------------

const locked = (kind, passphrase, type = 'pkcs8') =>
  createPrivateKey(all[kind].key).export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase })
const certs = (...kinds) => kinds.map(kind => all[kind].cert)

secured('locked keys of several kinds', async (t, kit) => {
  const kinds = ['RSA', 'P-384', 'Ed448', 'RSA-PSS']
  const cert = certs(...kinds)
  const different = kinds.map(kind => ({ pem: locked(kind, kind), passphrase: kind }))
  const cases = {
    'one passphrase': { key: kinds.map(kind => locked(kind, 'open')), cert, passphrase: 'open' },
    'a passphrase each': { key: different, cert },
    'a passphrase each, and one for all': { key: different, cert, passphrase: 'other' },
    'one of them has its own': {
      key: [different[0], ...kinds.slice(1).map(kind => locked(kind, 'open'))],
      cert,
      passphrase: 'open',
    },
    'one of them is missing': { key: [different[0], { pem: different[1].pem }], cert: cert.slice(0, 2) },
    'one of them is wrong': {
      key: [different[0], { ...different[1], passphrase: 'x' }],
      cert: cert.slice(0, 2),
    },
    bytes: { key: different.map(({ pem, passphrase }) => ({ pem: Buffer.from(pem), passphrase })), cert },
    'in forms of their own': {
      key: [
        { pem: locked('RSA', 'a', 'pkcs1'), passphrase: 'a' },
        { pem: locked('P-384', 'ö', 'sec1'), passphrase: 'ö' },
      ],
      cert: cert.slice(0, 2),
    },
    'an empty passphrase': { key: locked('RSA', ''), cert: cert[0], passphrase: '' },
  }
  for (const [label, options] of Object.entries(cases)) {
    for (const sigalgs of ['RSA-PSS+SHA256', 'ECDSA+SHA384', 'ed448', 'rsa_pss_pss_sha256']) {
      await meet(t, kit, `${label}, ${sigalgs}`, options, { sigalgs })
      const asking = { ...shown(all['P-521']), requestCert: true, ca: everyCa }
      await meet(
        t,
        kit,
        `${label}, ${sigalgs}, of a client`,
        { ...asking, sigalgs: `${sigalgs}:ECDSA+SHA512` },
        options,
      )
    }
  }
})

secured('PKCS #12 of several kinds', async (t, kit) => {
  const [rsa, ec, ed] = [packed(t, all.RSA, 'a'), packed(t, all['P-384'], 'b'), packed(t, all.Ed25519, 'a')]
  const cases = {
    'with the passphrase of all': { pfx: [rsa, ed], passphrase: 'a' },
    'each with its own': {
      pfx: [
        { buf: rsa, passphrase: 'a' },
        { buf: ec, passphrase: 'b' },
        { buf: ed, passphrase: 'a' },
      ],
    },
    'one with its own': { pfx: [rsa, { buf: ec, passphrase: 'b' }, ed], passphrase: 'a' },
    'beside a key': { pfx: [{ buf: ec, passphrase: 'b' }], ...shown(all.Ed25519) },
    'the second is wrong': { pfx: [rsa, ec], passphrase: 'a' },
    'a text': { pfx: rsa.toString('latin1'), passphrase: 'a' },
    'an empty list': { pfx: [] },
  }
  for (const [label, options] of Object.entries(cases)) {
    for (const sigalgs of ['RSA-PSS+SHA256', 'ECDSA+SHA384', 'ed25519']) {
      await meet(t, kit, `${label}, ${sigalgs}`, options, { sigalgs })
      const asking = { ...shown(all['P-521']), requestCert: true, rejectUnauthorized: false }
      await meet(
        t,
        kit,
        `${label}, ${sigalgs}, of a client`,
        { ...asking, sigalgs: `${sigalgs}:ECDSA+SHA512` },
        { ...options, rejectUnauthorized: false },
      )
    }
  }
})

// --- compressed certificates ------------------------------------------------------------------------------------------

// Node has the option since 24.21 and 26. What is compressed shows in the bytes on the way.
secured('certificateCompression', { both: true }, async (t, kit) => {
  const chain = certs('RSA', 'RSA of 3072 bits', 'RSA-PSS', 'RSA', 'RSA of 3072 bits', 'RSA-PSS').join('')
  const lists = [
    undefined,
    [],
    ['zlib'],
    ['brotli'],
    ['zstd', 'zlib'],
    ['nonsense'],
    'zlib',
    5,
    null,
    ['zlib', 'zlib'],
  ]
  for (const [at, certificateCompression] of lists.entries()) {
    const options = { key: all.RSA.key, cert: chain, certificateCompression }
    await meet(t, kit, `${at} of both`, options, { certificateCompression })
    await meet(t, kit, `${at} of a server`, options)
    await meet(
      t,
      kit,
      `${at} of a client`,
      { ...options, certificateCompression: ['zlib', 'zstd'] },
      { certificateCompression },
    )
    const asking = { ...options, requestCert: true, ca: everyCa }
    await meet(t, kit, `${at} of a client's own`, asking, {
      ...shown(all['RSA of 3072 bits']),
      certificateCompression,
    })
  }
})

// On each Node that has the option the certificates of both ends become shorter by the same.
secured('compressed certificates on their way', async (t, kit) => {
  const cert = certs('RSA', 'RSA', 'RSA', 'RSA', 'RSA', 'RSA').join('')
  const lists = [undefined, ['zlib'], ['brotli'], ['zstd']]
  for (const [ofServer, ofClient] of lists.flatMap(one => lists.map(other => [one, other]))) {
    const asking = { requestCert: true, ca: everyCa, minVersion: 'TLSv1.3' }
    const own = { key: all.RSA.key, cert }
    const server = await kit.listen({ ...asking, ...own, certificateCompression: ofServer })
    const way = await t.listen()
    const counts = { up: 0, down: 0 }
    way.on('connection', front => {
      const back = t.connect(t.to(server))
      front.on('data', chunk => (counts.up += chunk.length)).pipe(back)
      back.on('data', chunk => (counts.down += chunk.length)).pipe(front)
    })
    const options = { ...own, ca: everyCa, certificateCompression: ofClient }
    const { client, peer } = await kit.meet({ over: server, through: way, client: options })
    peer.write('behind the tickets')
    await first(client, 'data')
    peer.end()
    await t.closed(client.resume())
    // Tickets differ by a few bytes, a certificate that is compressed by some thousands.
    const [up, down] = [counts.up < 4500, counts.down < 6500]
    t.log('short', ofServer, ofClient, up, down)
    way.close()
    server.close()
  }
})

// --- another context ---------------------------------------------------------------------------------------------------

const given = kinds => ({ key: kinds.map(kind => all[kind].key), cert: kinds.map(kind => all[kind].cert) })

const [major, minor] = process.versions.node.split('.').map(Number)

// What a Node does since some version ferronet's engine does on each.
const since = (least, leastMinor = 0) =>
  major > least || (major === least && minor >= leastMinor) ? {} : { module: 'ferronet', engine: 'openssl' }

secured('nothing of the first certificate stays behind another context', since(24, 21), async (t, kit) => {
  const name = ({ raw }) => Object.keys(all).find(kind => raw.equals(new X509Certificate(all[kind].cert).raw))
  const algorithms = {
    RSA: 'RSA-PSS+SHA256',
    'P-384': 'ECDSA+SHA384',
    Ed25519: 'ed25519',
  }
  const cases = [
    [['RSA'], ['P-384']],
    [['RSA', 'P-384'], ['Ed25519']],
    [['P-384'], ['RSA']],
    [[], ['RSA']],
  ]
  for (const [own, other] of cases) {
    const context = kit.tls.createSecureContext(given(other))
    const ways = {
      SNICallback: { SNICallback: (_name, done) => done(null, context) },
      addContext: {},
      setKeyCert: {
        ALPNCallback() {
          this.setKeyCert(context)
          return 'a'
        },
      },
    }
    for (const [way, options] of Object.entries(ways)) {
      const server = await kit.listen({ ...none, ...given(own), ...options })
      if (way === 'addContext') server.addContext('localhost', given(other))
      for (const [kind, sigalgs] of Object.entries(algorithms)) {
        const client = kit.connect(server, {
          ca: everyCa,
          sigalgs,
          servername: 'localhost',
          ALPNProtocols: ['a'],
        })
        const shown = await Promise.race([
          first(client, 'secureConnect').then(() => name(client.getPeerCertificate())),
          first(client, 'error').then(told),
        ])
        t.log(way, own, other, kind, shown)
        equal(shown === kind, other.includes(kind))
        client.destroy()
      }
      server.close()
    }
  }
})

for (const [label, options, version] of [
  ['nothing in it', {}, 20],
  ['no certificate', { ca: all.RSA.ca }, 20],
  ['no key', { cert: all['P-384'].cert }, 26],
]) {
  secured(`another context with ${label}`, since(version), async (t, kit) => {
    const context = kit.tls.createSecureContext(options)
    const server = await kit.listen({ ...shown(all.RSA), SNICallback: (_name, done) => done(null, context) })
    const far = new Promise(resolve => {
      server.once('secureConnection', () => resolve('secure'))
      server.once('tlsClientError', error => resolve(told(error)))
    })
    const client = kit.connect(server, { ca: everyCa, servername: 'localhost' })
    const near = Promise.race([
      first(client, 'secureConnect').then(() => 'secure'),
      first(client, 'error').then(told),
    ])
    t.log('saw', await near, await far)
    equal((await near) === 'secure', label !== 'no key')
    client.destroy()
    server.close()
  })
}
