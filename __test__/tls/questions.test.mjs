// What a session asks a program in the middle of its handshake through options of `startTLS()`: SNICallback,
// ALPNCallback, requestOCSP, and lines for a keylog. Both ends of a scenario are of the same kind.

import tls from 'node:tls'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { certificates } from '../helpers/certificates.mjs'
import { told, upgrades } from '../helpers/upgrade.mjs'

const { good, wildcard } = certificates()
const client = { ...trust, servername: 'localhost', ALPNProtocols: ['b', 'a'] }

/** Both ends at once: what each has come to. */
async function both(t, upgrade, near, far) {
  const { client: one, peer: other } = await t.pair()
  const outcomes = await Promise.allSettled([upgrade(one, near), upgrade(other, { isServer: true, ...far })])
  for (const [at, { value, reason }] of outcomes.entries()) {
    const side = at === 0 ? 'client' : 'server'
    if (reason !== undefined) t.log(side, reason.name, told(reason))
    else {
      const { authorized, authorizationError, alpnProtocol, tls: session } = value
      const { subjectaltname: names } = session.getPeerCertificate()
      t.log(side, { authorized, authorizationError, alpnProtocol, names, servername: session.servername })
    }
  }
  return outcomes.map(({ value }) => value)
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
  const versions = { ...client, maxVersion }

  upgrades(`a server that finds the context for a name, ${maxVersion}`, async (t, upgrade) => {
    for (const later of [false, true]) {
      const SNICallback = (name, done) => {
        t.log('asked for', name)
        const context = tls.createSecureContext(wildcard)
        if (later) setTimeout(done, 1, null, context)
        else done(null, context)
      }
      const checkServerIdentity = () => undefined
      const near = { ...versions, ca: good.ca, servername: 'a.localhost', checkServerIdentity }
      const [one, other] = await both(t, upgrade, near, { ...identity, ALPNProtocols: ['a'], SNICallback })
      const arrived = t.drained(one)
      other.end('as usual')
      other.resume()
      t.log('arrived', String(await arrived))
      one.end()
      await t.closed(one, other)
    }
  })

  upgrades(`a server whose context asks for other clients, ${maxVersion}`, async (t, upgrade) => {
    const context = tls.createSecureContext(good)
    const near = { ...versions, ca: good.ca, key: good.key, cert: good.cert }
    const SNICallback = (_name, done) => done(null, context)
    const far = { ...identity, requestCert: true, rejectUnauthorized: false }
    await both(t, upgrade, near, { ...far, SNICallback })
    // Without a context for the name the client's certificate is not trusted.
    const keeps = (_name, done) => done(null, null)
    await both(t, upgrade, { ...near, ...trust }, { ...far, SNICallback: keeps })
  })

  const wrong = {
    'fails at once': (_name, done) => done(new Error('nobody knows that name')),
    'fails later': (_name, done) => setImmediate(done, new Error('nobody knows that name')),
    throws: () => {
      throw new Error('out of order')
    },
    'gives what is no context': (_name, done) => done(null, { context: {} }),
    'gives a text': (_name, done) => done(null, 'not a context'),
    'gives a function': (_name, done) => done(null, () => {}),
  }
  for (const [what, SNICallback] of Object.entries(wrong)) {
    upgrades(`an SNICallback that ${what}, ${maxVersion}`, async (t, upgrade) => {
      await both(t, upgrade, versions, { ...identity, SNICallback })
    })
  }

  upgrades(`a client without a name is not asked about, ${maxVersion}`, async (t, upgrade) => {
    const SNICallback = () => t.log('asked')
    const checkServerIdentity = () => undefined
    const near = { ...versions, servername: '', checkServerIdentity }
    await both(t, upgrade, near, { ...identity, SNICallback })
  })

  const choices = {
    chooses: ({ protocols }) => protocols.at(-1),
    refuses: () => undefined,
    'chooses what was not offered': () => 'c',
    throws: () => {
      throw new Error('out of order')
    },
  }
  for (const [what, choose] of Object.entries(choices)) {
    upgrades(`an ALPNCallback that ${what}, ${maxVersion}`, async (t, upgrade) => {
      const ALPNCallback = offer => {
        t.log('asked', offer)
        return choose(offer)
      }
      await both(t, upgrade, versions, { ...identity, ALPNCallback })
    })
  }

  upgrades(`an ALPNCallback and an SNICallback, ${maxVersion}`, async (t, upgrade) => {
    const ALPNCallback = ({ servername }) => (servername === 'localhost' ? 'a' : 'b')
    const SNICallback = (_name, done) => setImmediate(done, null, tls.createSecureContext(identity))
    await both(t, upgrade, versions, { ...identity, ALPNCallback, SNICallback })
  })

  upgrades(`a client that asks for an OCSP response, ${maxVersion}`, async (t, upgrade) => {
    const { client: one, peer: other } = await t.pair()
    const far = upgrade(other, { isServer: true, ...identity })
    if (t.moduleName === 'ferronet') one.on('OCSPResponse', response => t.log('response', response))
    const near = await upgrade(one, { ...versions, requestOCSP: true })
    await far
    // Node's is told in the handshake too, to a socket that the helper has not given out yet.
    if (t.moduleName !== 'ferronet') t.log('response', null)
    t.log('secure', near.authorized)
  })
}

upgrades('two ways to choose a protocol', { module: 'ferronet' }, async t => {
  const { client: one } = await t.pair()
  const options = { isServer: true, ...identity, ALPNCallback: () => 'a' }
  try {
    one.startTLS({ ...options, ALPNProtocols: ['a'] })
  } catch ({ code }) {
    if (code === 'ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS') return
  }
  throw new Error('not refused')
})

const own = { module: 'ferronet', engine: 'openssl' }

upgrades('a question that is never answered', own, async (t, upgrade) => {
  const { client: one, peer: other } = await t.pair()
  const far = upgrade(other, { isServer: true, ...identity, SNICallback: () => {}, handshakeTimeout: 50 })
  const [, { reason }] = await Promise.allSettled([upgrade(one, client), far])
  if (reason?.code !== 'ERR_TLS_HANDSHAKE_TIMEOUT') throw new Error(`no error of that kind: ${reason}`)
})

upgrades('an answer that comes when the socket is gone', own, async (t, upgrade) => {
  const { client: one, peer: other } = await t.pair()
  const late = []
  const SNICallback = (_name, done) => {
    other.destroy()
    late.push(done)
  }
  const far = upgrade(other, { isServer: true, ...identity, SNICallback })
  const outcomes = await Promise.allSettled([upgrade(one, client), far])
  if (outcomes.some(({ status }) => status === 'fulfilled')) throw new Error('secure')
  for (const done of late) {
    done(null, tls.createSecureContext(identity))
    done(new Error('again'))
  }
})

upgrades('an answer that comes twice', own, async (t, upgrade) => {
  const { client: one, peer: other } = await t.pair()
  const SNICallback = (_name, done) => {
    done(null)
    done(null)
  }
  const far = upgrade(other, { isServer: true, ...identity, SNICallback })
  const [, { reason }] = await Promise.allSettled([upgrade(one, client), far])
  if (reason?.code !== 'ERR_MULTIPLE_CALLBACK') throw new Error(`no error of that kind: ${reason}`)
})

upgrades('the client leaves in the middle of a question', own, async (t, upgrade) => {
  const { client: one, peer: other } = await t.pair()
  const SNICallback = () => one.destroy()
  const far = upgrade(other, { isServer: true, ...identity, SNICallback })
  const [, { reason }] = await Promise.allSettled([upgrade(one, client), far])
  if (reason?.code !== 'ECONNRESET') throw new Error(`no end: ${reason}`)
})

upgrades('a listener for a keylog that comes late', own, async (t, upgrade) => {
  const { client: one, peer: other } = await t.pair()
  const lines = []
  const SNICallback = (_name, done) => {
    one.on('keylog', line => lines.push(String(line)))
    setImmediate(done)
  }
  const far = upgrade(other, { isServer: true, ...identity, SNICallback })
  await Promise.all([upgrade(one, client), far])
  if (!lines.every(line => /^\w+ [0-9a-f]+ [0-9a-f]+\n$/.test(line)) || lines.length < 4)
    throw new Error(`lines: ${lines}`)
})
