// What can be wrong with options, peers, sessions and answers: the errors are those of node:tls, and each is told by the
// socket that it belongs to.

import { deepEqual as equal } from 'node:assert/strict'
import { createPrivateKey, constants as openssl } from 'node:crypto'
import nodeNet from 'node:net'
import { certificates } from '../helpers/certificates.mjs'
import { first, outcome, secured, told, trust } from '../helpers/tls.mjs'

const all = certificates()
const own = { module: 'ferronet' }
const major = Number.parseInt(process.versions.node, 10)

// --- options ----------------------------------------------------------------------------------------------------------

const values = {
  'a number': 5,
  'a text': 'nonsense',
  true: true,
  'an object': {},
  'a list': [],
  null: null,
  undefined,
  'a function': () => {},
  bytes: Buffer.from('nonsense'),
}
const shared = [
  ...[
    'ALPNProtocols',
    'ALPNCallback',
    'SNICallback',
    'allowHalfOpen',
    'ca',
    'cert',
    'ciphers',
    'crl',
    'dhparam',
  ],
  ...['ecdhCurve', 'enableTrace', 'highWaterMark', 'honorCipherOrder', 'key', 'maxVersion', 'minVersion'],
  ...[
    'passphrase',
    'pfx',
    'pskCallback',
    'rejectUnauthorized',
    'requestCert',
    'secureContext',
    'secureOptions',
  ],
  ...['secureProtocol', 'sessionIdContext', 'sessionTimeout', 'sigalgs', 'ticketKeys'],
]
const ofClients = [
  ...[
    'checkServerIdentity',
    'lookup',
    'minDHSize',
    'onread',
    'requestOCSP',
    'servername',
    'session',
    'signal',
  ],
  ...['timeout', 'keepAlive', 'noDelay'],
]
const ofServers = ['handshakeTimeout', 'pskIdentityHint', 'pauseOnConnect']

// As Node 26 says it.
if (major >= 26) {
  for (const option of [...shared, ...ofClients]) {
    secured(`an option of a client that is of the wrong kind: ${option}`, async (t, { tls }) => {
      for (const [label, value] of Object.entries(values)) {
        try {
          // A socket that is made before its options are refused never gets an address.
          const nowhere = { port: 1, host: 'made.up', lookup() {} }
          t.own(tls.connect({ ...nowhere, [option]: value })).on('error', () => {})
          t.log(label, 'accepted')
        } catch (error) {
          t.log(label, error.name, told(error))
        }
      }
    })
  }
  // Node looks at an ALPNCallback when there is a connection.
  const others = shared.filter(option => option !== 'ALPNCallback')
  for (const option of [...others, ...ofServers]) {
    secured(`an option of a server that is of the wrong kind: ${option}`, async (t, { tls }) => {
      for (const [label, value] of Object.entries(values)) {
        try {
          tls.createServer({ [option]: value })
          t.log(label, 'accepted')
        } catch (error) {
          t.log(label, error.name, told(error))
        }
      }
    })
  }
}

// Locked with 'open', and always the same key: what another passphrase makes of it is noise, and one time in 256 noise that
// ends like a key.
const locked = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjj71j+UErhrAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEKrzaz+Pmv8zl+jWcK9emboEgZBM
SeaJ+kz0Mk/CIqHDzFMckFOOg89rCLFjFPrQvidzm7+XQodRpUbe8sglSWq08VoA
awLZ5+XtRJzibyGKwNsdped1QSDdQvuS4YlsZpYNZHXwkRWeNKmZCsRTgAIOCGC0
afyf7GyU9ES+xJtnKYRUFMD88HacYzJYPw0UChWNPyH1MX6ajz4LWt1/rzzMaoA=
-----END ENCRYPTED PRIVATE KEY-----
`
const privateKey = createPrivateKey({ key: locked, passphrase: 'open' })
const pem = { type: 'pkcs8', format: 'pem' }

secured('keys that cannot be read', async (t, { tls }) => {
  const wrong = {
    'no passphrase': { key: locked },
    'another passphrase': { key: locked, passphrase: 'shut' },
    'another passphrase for one of several': { key: [{ pem: locked, passphrase: 'shut' }] },
    'a key that does not belong to the certificate': { key: privateKey.export(pem), cert: all.good.cert },
    'a certificate in the place of the key': { key: all.good.cert, cert: all.good.cert },
    'no pfx': { pfx: Buffer.from('nonsense') },
    'a passphrase that is none': { key: locked, passphrase: 5 },
  }
  for (const [label, options] of Object.entries(wrong)) {
    for (const make of [
      () => t.own(tls.connect({ port: 1, host: 'made.up', lookup() {}, ...options })).on('error', () => {}),
      () => tls.createServer(options),
    ]) {
      try {
        make()
        t.log(label, 'accepted')
      } catch (error) {
        t.log(label, error.name, told(error))
      }
    }
  }
})

secured('a name to ask for that is too long, or an address', async (t, kit) => {
  const server = await kit.listen()
  const checkServerIdentity = () => undefined
  for (const servername of ['x'.repeat(300), '127.0.0.1']) {
    try {
      const { peer } = await kit.meet({ over: server, client: { servername, checkServerIdentity } })
      t.log('server', peer.servername)
    } catch (error) {
      t.log('refused', error.name, told(error))
    }
  }
})

secured('a handshakeTimeout that is none, or too much for a timer', async (t, kit) => {
  for (const handshakeTimeout of [0, 2 ** 31, 2 ** 53]) {
    const { client } = await kit.meet({ server: { handshakeTimeout } })
    t.log('secure', client.authorized)
  }
})

// --- peers ------------------------------------------------------------------------------------------------------------

/**
 * Passes on what a client and a server say, until `count` bytes have come from one of them; then both connections end, or
 * are reset.
 */
async function cutter(t, server, from, count, resets) {
  const listener = t.own(
    nodeNet.createServer(near => {
      const far = t.own(nodeNet.connect(t.to(server)))
      t.own(near)
      let left = count
      const end = () => {
        for (const socket of [near, far]) {
          if (resets) socket.write('', () => socket.resetAndDestroy())
          else socket.end(() => socket.destroy())
        }
      }
      for (const [source, target, counts] of [
        [near, far, from === 'client'],
        [far, near, from === 'server'],
      ]) {
        source.on('error', () => {})
        source.on('data', chunk => {
          const part = counts ? chunk.subarray(0, left) : chunk
          if (counts) left -= part.length
          if (part.length > 0) target.write(part)
          if (counts && left === 0) end()
        })
        source.on('end', () => target.end())
      }
    }),
  )
  await new Promise(resolve => listener.listen({ host: '127.0.0.1', port: 0 }, resolve))
  return listener
}

// In and around the headers of records and messages, and in the middle of them.
const places = [1, 2, 4, 5, 6, 9, 10, 11, 44, 100, 127, 128, 200]
const undef = '<undefined>'
const reset = { code: 'ECONNRESET', message: 'read ECONNRESET', library: undef, reason: undef }
/** Before libuv 1.52, a reset behind bytes is an end. */
const resets = { libuv: '1.52', expected: { main: places.map(count => [`${count}`, reset, [reset]]) } }

for (const [how, from] of [
  ['ends', 'client'],
  ['ends', 'server'],
  ['is reset', 'client'],
  ['is reset', 'server'],
]) {
  const title = `the connection ${how} behind a number of bytes of the ${from}`
  const options = { both: true, ...(how === 'is reset' && resets) }
  secured(title, options, async (t, kit) => {
    const server = await kit.listen()
    const failed = []
    server.on('tlsClientError', error => failed.push(told(error)))
    server.on('secureConnection', () => failed.push('secure'))
    for (const count of places) {
      const client = kit.connect(await cutter(t, server, from, count, how === 'is reset'))
      client.resume()
      const near = await outcome(client)
      await t.closed(client)
      await t.until(() => failed.length > 0)
      t.log(`${count}`, near, failed.splice(0))
    }
  })
}

secured('keys that are not shared (PSK)', async (t, kit) => {
  const ciphers = 'PSK-AES128-GCM-SHA256'
  const psk = Buffer.alloc(16, 1)
  const limits = { maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' }
  const server = await kit.listen({
    ...limits,
    key: undefined,
    cert: undefined,
    ciphers,
    pskCallback: () => psk,
  })
  const checkServerIdentity = () => undefined
  for (const mine of [psk, Buffer.alloc(16, 2), undefined]) {
    const failed = mine === psk ? undefined : first(server, 'tlsClientError')
    const pskCallback = () => (mine === undefined ? null : { psk: mine, identity: 'me' })
    const client = kit.connect(server, {
      ...limits,
      ciphers,
      pskCallback,
      checkServerIdentity,
      ca: undefined,
    })
    const { code, reason } = await outcome(client)
    t.log('client', code, reason)
    if (failed) t.log('server', told(await failed).code)
    client.destroy()
    await t.closed(client)
  }
})

// --- the check of a server ----------------------------------------------------------------------------------------------

secured('a checkServerIdentity that throws', { both: true }, async (t, kit) => {
  t.catchUncaught()
  let arrived = ''
  const server = await kit.listen({}, socket => {
    t.log('secure')
    socket.on('data', data => (arrived += data))
    socket.end('for nobody')
  })
  const client = kit.connect(server, {
    checkServerIdentity() {
      throw new Error('of the program')
    },
  })
  const seen = []
  for (const event of ['secureConnect', 'session', 'data', 'end']) client.on(event, () => seen.push(event))
  client.write('a password')
  const error = await first(client, 'error')
  await t.closed(client)
  t.log('client', told(error), client.authorized, seen.at(-1))
  // Node sends it, and delivers what comes.
  if (t.moduleName !== 'node:net') equal([arrived, seen], ['', ['end']])
})

const byUs = { engine: 'openssl', both: true }

secured('a checkServerIdentity that destroys the socket', byUs, async (t, kit) => {
  const server = await kit.listen({}, socket => socket.end('for nobody'))
  for (const verdict of [undefined, new Error('not this one')]) {
    const client = kit.connect(server, {
      checkServerIdentity() {
        t.log('asked')
        client.destroy()
        return verdict
      },
    })
    const seen = []
    for (const event of ['secureConnect', 'data', 'end', 'error', 'close'])
      client.on(event, () => seen.push(event))
    await t.closed(client)
    t.log('seen', seen, client.authorized)
  }
})

// --- sessions ---------------------------------------------------------------------------------------------------------

// Node's does it since 22.23.
const bound = { ...own, ...byUs }

secured('a session is not good for a server of another name', bound, async (t, kit) => {
  const server = await kit.listen({ key: all.good.key, cert: all.good.cert })
  const client = { ca: all.good.ca }
  const session = await kit.earned(server, client)
  for (const [servername, wanted] of [
    ['localhost', true],
    ['other.name', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ]) {
    const again = kit.connect(server, { ...client, session, servername })
    const { authorized, code } = await outcome(again)
    equal([servername, authorized ?? code], [servername, wanted])
    if (authorized) equal(again.isSessionReused(), true)
    again.destroy()
    await t.closed(again)
  }
  // Without a check of the server it makes no difference, but neither is another's session gone on with.
  const unchecked = { ...client, session, servername: 'other.name', rejectUnauthorized: false }
  const { client: last } = await kit.meet({ over: server, client: unchecked })
  equal([last.isSessionReused(), last.authorized], [false, false])
})

secured('a session of nobody knows whom', bound, async (_t, kit) => {
  const server = await kit.listen()
  const session = await kit.earned(server)
  // The form that Node's and ours have: 22 bytes, a length, a name, and the session.
  const raw = session.subarray(24 + session.readUInt16BE(22))
  for (const [rejectUnauthorized, reused] of [
    [true, false],
    [false, true],
  ]) {
    const { client } = await kit.meet({ over: server, client: { session: raw, rejectUnauthorized } })
    equal(
      [rejectUnauthorized, client.isSessionReused(), client.authorized],
      [rejectUnauthorized, reused, true],
    )
  }
})

if (major >= 22) {
  secured('a session of node:tls, and one for it', bound, async (t, kit) => {
    const { default: nodeTls } = await import('node:tls')
    const server = await kit.listen()
    const theirs = async session => {
      const client = t.own(nodeTls.connect(t.to(server, { ...trust, ...kit.limits, session })))
      const given = first(client, 'session')
      server.once('secureConnection', peer => peer.write('bytes'))
      await first(client.resume(), 'secureConnect')
      equal([client.isSessionReused(), client.authorized], [session !== undefined, true])
      return session ?? (await given)
    }
    await theirs(await kit.earned(server))
    const session = await theirs()
    const { client } = await kit.meet({ over: server, client: { session } })
    equal([client.isSessionReused(), client.authorized], [true, true])
  })
}

secured('a session that is nonsense', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const mark = '\0nodejs:tls:session:1\0'
  for (const session of [
    Buffer.from('nonsense'),
    Buffer.alloc(0),
    Buffer.from(mark),
    Buffer.from(`${mark}\0`),
    Buffer.from(`${mark}\xff\xffx`, 'latin1'),
    Buffer.from(`${mark}\0\x09localhost`),
    Buffer.from(`${mark}\0\x09localhostnonsense`),
  ]) {
    const { client } = await kit.meet({ over: server, client: { session } })
    t.log('secure', client.authorized, client.isSessionReused())
    client.destroy()
  }
})

// Node's says so since 24.21.
for (const rejectUnauthorized of [false, true]) {
  const title = `a client without a certificate is nobody, also when its session goes on, ${rejectUnauthorized}`
  secured(title, { ...own, both: true }, async (_t, kit) => {
    const { key, cert, ca } = all.good
    const ticketKeys = Buffer.alloc(48, 9)
    const first = await kit.listen({
      key,
      cert,
      ca,
      ticketKeys,
      requestCert: !rejectUnauthorized,
      rejectUnauthorized: false,
    })
    const second = await kit.listen({ key, cert, ca, ticketKeys, requestCert: true, rejectUnauthorized })
    const session = await kit.earned(first, { ca })
    const far = new Promise(resolve => {
      second.once('secureConnection', peer => resolve([peer.authorized, peer.authorizationError]))
      second.once('tlsClientError', () => resolve(['refused']))
    })
    const client = kit.connect(second, { ca, session }).on('error', () => {})
    client.resume()
    equal(await far, rejectUnauthorized ? ['refused'] : [false, 'UNABLE_TO_GET_ISSUER_CERT'])
  })
}

// --- names ------------------------------------------------------------------------------------------------------------

// Node's knows no case since 22.
if (major >= 22) {
  secured('addContext: names have no case', { both: true }, async (t, kit) => {
    const server = await kit.listen()
    server.addContext('LocalHost', all.good)
    for (const servername of ['localhost', 'LOCALHOST', 'other']) {
      const { client } = await kit.meet({ over: server, client: { servername, rejectUnauthorized: false } })
      t.log(servername, client.getPeerCertificate().subjectaltname)
      client.destroy()
    }
  })
}

secured('ALPNCallback and protocols that are no text', { both: true }, async (t, kit) => {
  const server = await kit.listen({
    ALPNCallback({ protocols }) {
      t.log('offered', protocols)
      return protocols[1]
    },
  })
  const ALPNProtocols = Buffer.from([2, 0x61, 0xe9, 2, 0xff, 0x62])
  const { client, peer } = await kit.meet({ over: server, client: { ALPNProtocols } })
  t.log('chosen', client.alpnProtocol, peer.alpnProtocol)
})

// --- answers ----------------------------------------------------------------------------------------------------------

const withoutTickets = { maxVersion: 'TLSv1.2', secureOptions: openssl.SSL_OP_NO_TICKET }

secured('newSession whose callback is called twice', async (t, kit) => {
  const server = await kit.listen(withoutTickets)
  server.on('newSession', (_id, _session, done) => {
    done()
    done()
    setImmediate(done)
  })
  const { client } = await kit.meet({ over: server })
  await t.quiet()
  t.log('open', client.destroyed)
})

secured('only resumeSession is listened for', { both: true }, async (t, kit) => {
  const server = await kit.listen({ secureOptions: openssl.SSL_OP_NO_TICKET })
  server.on('resumeSession', (_id, done) => done(null, null))
  const { client } = await kit.meet({ over: server })
  t.log('secure', client.authorized)
})

// Before, Node leaves the client waiting, and takes no listener that throws.
if (major >= 24) {
  secured('resumeSession throws', async (t, kit) => {
    t.catchUncaught()
    const server = await kit.listen(withoutTickets)
    server.on('newSession', (_id, _session, done) => done())
    const { client } = await kit.meet({ over: server })
    const session = client.getSession()
    server.on('resumeSession', () => {
      throw new Error('of the program')
    })
    const failed = first(server, 'tlsClientError')
    const again = kit.connect(server, { session }).on('error', () => {})
    t.log('failed', told(await failed))
    await t.closed(again)
  })

  secured('newSession throws, and the server is told of errors', async (t, kit) => {
    t.catchUncaught()
    const server = await kit.listen(withoutTickets)
    server.on('newSession', () => {
      throw new Error('of the program')
    })
    server.on('error', error => t.log('error', error.message))
    const { client } = await kit.meet({ over: server })
    t.log('secure', client.authorized)
  })

  const responses = {
    ...values,
    'other bytes': new Uint16Array([1, 2]),
    'a view': new DataView(new ArrayBuffer(3)),
  }
  secured('an OCSP response of the wrong kind', { both: true }, async (t, kit) => {
    for (const [label, response] of Object.entries(responses)) {
      const server = await kit.listen({ key: all.good.key, cert: all.good.cert, ca: all.good.ca })
      server.on('OCSPRequest', (_certificate, _issuer, done) => done(null, response))
      const failed = first(server, 'tlsClientError').then(error => ['failed', error.name, told(error)])
      const client = kit.connect(server, { ca: all.good.ca, requestOCSP: true }).on('error', () => {})
      const got = first(client, 'OCSPResponse').then(bytes => ['got', bytes])
      t.log(label, ...(await Promise.race([failed, got])))
      client.destroy()
      await t.closed(client)
    }
  })

  secured('an OCSP response of the wrong kind, later', async (t, kit) => {
    const thrown = new Promise(resolve => {
      t.catchUncaught(resolve)
    })
    const server = await kit.listen()
    server.on('OCSPRequest', (_certificate, _issuer, done) => setImmediate(done, null, 5))
    kit.connect(server, { requestOCSP: true }).on('error', () => {})
    await thrown
  })
}

// --- OpenSSL's queue of errors ------------------------------------------------------------------------------------------

/** What Node's crypto says to nonsense: with what is in OpenSSL's queue, if anything is. */
function nonsense() {
  try {
    createPrivateKey('nonsense')
  } catch ({ code, message, opensslErrorStack = [] }) {
    return { code, message, opensslErrorStack }
  }
}

secured(
  'what goes wrong in one socket is no error of another, or of crypto',
  { both: true },
  async (t, kit) => {
    const { key, cert, ca } = all.good
    const server = await kit.listen({ key, cert, ca, requestCert: true, rejectUnauthorized: false })
    const before = nonsense()
    const fine = await kit.meet({ over: server, client: { ca } })
    fine.client.resume()
    const look = async what => {
      const now = nonsense()
      if (t.moduleName !== 'node:net') equal([what, now], [what, before])
      fine.peer.write('x')
      t.log(what, String(await first(fine.client, 'data')))
    }
    await look('to begin with')
    const failing = {
      'a session that is nonsense': { session: Buffer.from('nonsense') },
      'a certificate that is not believed': { ca: undefined },
      'a name that is too long': { servername: 'x'.repeat(300) },
      'no version in common': { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' },
      "a client's certificate that is not believed": {
        key: all['self-signed'].key,
        cert: all['self-signed'].cert,
      },
    }
    for (const [what, options] of Object.entries(failing)) {
      const client = kit.connect(server, { ca, ...options }).on('error', () => {})
      await outcome(client)
      await look(what)
      client.destroy()
      await t.closed(client)
      await look(`${what}, closed`)
    }
    fine.client.setMaxSendFragment(5)
    await look('a fragment that is too small')
    for (const bytes of ['GET / HTTP/1.0\r\n\r\n', '\x16\x03\x01\x00\x05nonsense', '\x17\x03\x03\x00\x01x']) {
      const raw = t.own(nodeNet.connect(t.to(server))).on('error', () => {})
      const failed = first(server, 'tlsClientError')
      raw.end(bytes, 'latin1')
      await failed
      await look('bytes that are no TLS')
    }
    fine.client.destroy()
    fine.peer.destroy()
  },
)
