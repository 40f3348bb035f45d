// `setSecure()` and its kin: TLS on a stream as the documents of 2010 have it. Each scenario runs once for each engine:
// OpenSSL of the process, and node:tls.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import tls from 'node:tls'
import { certificates } from '../helpers/certificates.mjs'
import { parity } from '../helpers/parity.mjs'
import { runtime } from '../helpers/runtime.mjs'

const { good, 'self-signed': stranger, 'wrong host': elsewhere } = certificates()
const identity = { key: good.key, cert: good.cert }
const { ca } = good

function secure(title, scenario) {
  // Other runtimes have no OpenSSL that could be used.
  for (const engine of runtime ? ['node'] : ['openssl', 'node']) {
    parity(`${title}, ${engine}`, { module: 'ferronet/legacy' }, async t => {
      process.env.FERRONET_TLS = engine
      t.cleanup(() => delete process.env.FERRONET_TLS)
      await scenario(t, engine)
    })
  }
}

/** Both ends of a connection on which both have called `setSecure()` and heard `'secure'`. */
async function securePair(t, { server = identity, client = { ca } } = {}) {
  const { client: near, peer: far } = await t.pair()
  const done = [once(near, 'secure'), once(far, 'secure')]
  far.setSecure(t.net.createCredentials(server))
  near.setSecure(t.net.createCredentials(client))
  await Promise.all(done)
  return { near, far }
}

/** The text that a stream gives until it has as much as is wanted. */
function received(stream, wanted) {
  return new Promise(resolve => {
    let text = ''
    stream.on('data', function take(chunk) {
      text += chunk
      if (text.length < wanted.length) return
      stream.off('data', take)
      resolve(text)
    })
  })
}

async function talk(near, far) {
  const [up, down] = [received(far, 'a question'), received(near, 'an answer')]
  near.write('a question')
  assert.equal(await up, 'a question')
  far.write('an answer')
  assert.equal(await down, 'an answer')
}

secure('a conversation of 2010 turns secure where it stands', async (t, engine) => {
  const { net, own, closed, listen } = t
  const credentials = net.createCredentials(identity)
  const heard = []
  const server = await listen({}, stream => {
    stream.setEncoding('ascii')
    stream.on('connect', () => stream.write('hello\n'))
    stream.once('data', command => {
      heard.push(command)
      stream.write('go on\n')
      stream.setSecure(credentials)
      stream.on('secure', () => stream.on('data', data => stream.write(`secret: ${data}`)))
    })
    stream.on('end', () => stream.end('goodbye'))
  })
  const stream = own(net.createConnection(server.address().port))
  stream.setEncoding('utf8')
  let text = ''
  stream.on('data', data => {
    text += data
    if (text === 'hello\n') stream.write('STARTTLS\n')
    if (text === 'hello\ngo on\n') stream.setSecure(net.createCredentials({ ca }))
    if (text.endsWith('ears')) stream.end()
  })
  stream.on('secure', () => {
    heard.push(stream.verifyPeer(), stream.getPeerCertificate().subject.CN, stream.tls.engine)
    stream.write('for four ears')
  })
  await closed(stream)
  assert.equal(text, 'hello\ngo on\nsecret: for four earsgoodbye')
  assert.deepEqual(heard, ['STARTTLS\n', true, 'localhost', engine])
})

secure('a stream may turn secure at once, on both ends', async t => {
  const { near, far } = await securePair(t)
  assert.deepEqual([near.verifyPeer(), far.verifyPeer()], [true, false])
  await talk(near, far)
  assert.deepEqual(Object.keys(far.getPeerCertificate()), [], 'the client was not asked for its certificate')
  assert.equal(near.encrypted, true)
})

secure('a certificate tells whose it is, from whom, since when and until when', async t => {
  const { near } = await securePair(t)
  const certificate = near.getPeerCertificate()
  assert.deepEqual({ ...certificate.subject }, { CN: 'localhost' })
  assert.deepEqual({ ...certificate.issuer }, { CN: 'root' })
  // In 2010 the names were text.
  assert.equal(String(certificate.subject), '/CN=localhost')
  assert.equal(`${certificate.issuer}`, '/CN=root')
  assert.ok(Date.parse(certificate.valid_from) < Date.now())
  assert.ok(Date.parse(certificate.valid_to) > Date.now())
  const { subject, issuer, valid_from, valid_to } = JSON.parse(JSON.stringify(certificate))
  assert.deepEqual(
    [subject.CN, issuer.CN, valid_from, valid_to],
    ['localhost', 'root', certificate.valid_from, certificate.valid_to],
  )
})

secure('a server whose credentials have a CA asks for a certificate, and rejects nobody', async t => {
  for (const [client, verified, subject] of [
    [{ ...identity, ca }, true, '/CN=localhost'],
    [{ key: stranger.key, cert: stranger.cert, ca }, false, '/CN=localhost'],
    [{ ca }, false, 'undefined'],
  ]) {
    for (const authorities of [ca, [ca], [stranger.cert, ca]]) {
      // The stranger's certificate is trusted as soon as it is an authority.
      const expected = verified || (client.cert === stranger.cert && authorities.length === 2)
      const { near, far } = await securePair(t, { server: { ...identity, ca: authorities }, client })
      assert.deepEqual([near.verifyPeer(), far.verifyPeer()], [true, expected])
      assert.equal(String(far.getPeerCertificate().subject), subject)
      await talk(near, far)
      near.destroy()
    }
  }
})

secure('an empty list of authorities asks for nothing', async t => {
  const client = { ...identity, ca }
  const { near, far } = await securePair(t, { server: { ...identity, ca: [] }, client })
  assert.deepEqual([far.verifyPeer(), Object.keys(far.getPeerCertificate())], [false, []])
  await talk(near, far)
})

secure('a client rejects nobody either: verifyPeer is about who has signed', async t => {
  for (const [server, trusted, verified] of [
    [stranger, { ca }, false],
    [good, {}, false],
    // For another host, which a program of 2010 sees in the certificate.
    [elsewhere, { ca }, true],
  ]) {
    const { near, far } = await securePair(t, {
      server: { key: server.key, cert: server.cert },
      client: trusted,
    })
    assert.equal(near.verifyPeer(), verified)
    await talk(near, far)
    near.destroy()
  }
})

secure('the host that a client connects to is asked for by its name', async t => {
  const { net, own, listen } = t
  const credentials = net.createCredentials(identity)
  const server = await listen({ host: undefined }, stream => stream.setSecure(credentials))
  for (const [host, name] of [
    ['localhost', 'localhost'],
    [undefined, false],
  ]) {
    const accepted = once(server, 'connection')
    const stream = own(net.createConnection(server.address().port, host))
    const [peer] = await accepted
    const done = [once(stream, 'secure'), once(peer, 'secure')]
    stream.setSecure(net.createCredentials({ ca }))
    await Promise.all(done)
    assert.equal(peer.tls.servername, name)
  }
})

secure('a client may call setSecure while it connects', async t => {
  const { net, own, listen } = t
  const credentials = net.createCredentials(identity)
  const server = await listen({}, stream => {
    stream.setSecure(credentials)
    stream.end('hello')
  })
  const stream = own(net.createConnection(server.address().port))
  assert.equal(stream.setSecure(net.createCredentials({ ca })), stream)
  assert.equal(String(await t.drained(stream)), 'hello')
  assert.equal(stream.verifyPeer(), true)
  assert.equal(stream.readyState, 'writeOnly')
})

secure('a secure stream stays half-open until end', async t => {
  const { near, far } = await securePair(t)
  far.end('first')
  assert.equal(String(await t.drained(near)), 'first')
  assert.equal(near.readyState, 'writeOnly')
  const both = t.closed(near, far)
  const last = t.drained(far)
  near.end('last')
  assert.equal(String(await last), 'last')
  await both
})

secure('it is known of no peer before secure', async t => {
  const { client, peer } = await t.pair()
  const asked = stream => [stream.verifyPeer(), { ...stream.getPeerCertificate() }]
  assert.deepEqual(asked(new t.net.Stream()), [false, {}])
  assert.deepEqual(asked(client), [false, {}])
  client.setSecure()
  assert.equal(client.verifyPeer(), false)
  peer.destroy()
  const [error] = await once(client, 'error')
  assert.equal(error.code, 'ECONNRESET')
  assert.equal(client.verifyPeer(), false)
})

secure('a server without a certificate cannot turn secure', async t => {
  const { client, peer } = await t.pair()
  const errors = Promise.all([once(client, 'error'), once(peer, 'error')])
  peer.setSecure()
  client.setSecure()
  const [[near], [far]] = await errors
  assert.match(far.code, /^ERR_SSL_NO_(SHARED_CIPHER|SUITABLE_SIGNATURE_ALGORITHM)$/)
  assert.match(near.code, /^ERR_SSL_.*ALERT_HANDSHAKE_FAILURE$/)
})

secure('a stream that was secure connects again, plain, and may turn secure again', async t => {
  const { net, listen, closed } = t
  const credentials = net.createCredentials(identity)
  const { near, far } = await securePair(t)
  near.destroy()
  await closed(near)
  far.destroy()
  const plainServer = await listen({}, stream => stream.write('plain'))
  near.connect(plainServer.address().port)
  assert.equal(await received(near, 'plain'), 'plain')
  assert.deepEqual(
    [near.encrypted, near.verifyPeer(), { ...near.getPeerCertificate() }],
    [undefined, false, {}],
  )
  near.destroy()
  await closed(near)

  const server = await listen({}, stream => {
    stream.setSecure(credentials)
    stream.write('secret')
  })
  near.connect(server.address().port)
  near.setSecure(net.createCredentials({ ca }))
  assert.equal(await received(near, 'secret'), 'secret')
  assert.equal(near.verifyPeer(), true)
})

secure('the closed stream of a server is a client once it connects out', async t => {
  const { net, listen, closed } = t
  const credentials = net.createCredentials({ ...identity, ca })
  const { peer } = await t.pair()
  peer.destroy()
  await closed(peer)
  const server = await listen({}, stream => {
    stream.setSecure(credentials)
    stream.write('secret')
  })
  peer.connect(server.address().port)
  peer.setSecure(credentials)
  assert.equal(await received(peer, 'secret'), 'secret')
  assert.equal(peer.verifyPeer(), true)
})

secure('Node talks to secure streams, as client and as server', async t => {
  const { net, own, listen, connect, drained } = t
  const credentials = net.createCredentials({ ...identity, ca })
  const server = await listen({}, stream => {
    stream.setSecure(credentials)
    stream.on('secure', () => stream.end(`verified: ${stream.verifyPeer()}`))
  })
  const { port } = server.address()
  const client = own(tls.connect({ port, ca, servername: 'localhost', ...identity }))
  assert.equal(String(await drained(client)), 'verified: true')
  client.end()

  const other = own(tls.createServer({ ...identity, ca, requestCert: true }, peer => peer.end('from Node')))
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  const stream = connect(other.address().port)
  stream.setSecure(credentials)
  assert.equal(String(await drained(stream)), 'from Node')
  assert.equal(stream.verifyPeer(), true)
  stream.end()
})

secure('wrong credentials throw at once', async t => {
  const { net } = t
  assert.throws(() => net.createCredentials({ key: 'no key', cert: good.cert }), /PEM|DECODER|unsupported/i)
  assert.throws(() => net.createCredentials({ ...identity, key: stranger.key }), /key values mismatch/)
  const { client, peer } = await t.pair()
  for (const wrong of [{}, identity, 'credentials', tls.createSecureContext(identity)]) {
    assert.throws(() => client.setSecure(wrong), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /"credentials" argument must be what createCredentials\(\) returns/,
    })
  }
  assert.throws(() => new net.Stream().setSecure(), { code: 'ERR_TLS_CANNOT_START' })
  peer.setSecure(net.createCredentials(identity))
  client.setSecure(net.createCredentials({ ca }))
  assert.throws(() => client.setSecure(), { code: 'ERR_TLS_CANNOT_START' })
  await Promise.all([once(client, 'secure'), once(peer, 'secure')])
  await talk(client, peer)
})
