// Secure contexts: shared with node:tls, collected while sessions live on, kept for later clients, and what thousands of
// connections leave behind.

import nodeNet from 'node:net'
import nodeTls from 'node:tls'
import { gc, growth } from '../fixtures/robustness/memory.mjs'
import { certificates } from '../helpers/certificates.mjs'
import { first, outcome, secured } from '../helpers/tls.mjs'

const all = certificates()
const { key, cert, ca } = all.good
const own = { module: 'ferronet' }
const byUs = { ...own, engine: 'openssl' }
const onLinux = { ...own, on: 'linux' }

function equal(seen, wanted) {
  if (seen !== wanted) throw new Error(`${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`)
}

// --- shared with node:tls ---------------------------------------------------------------------------------------------

for (const maker of ['ferronet/tls', 'node:tls']) {
  secured(`a context of ${maker} for both modules at once`, { ...own, both: true }, async (t, kit) => {
    const make = maker === 'node:tls' ? nodeTls.createSecureContext : kit.tls.createSecureContext
    const ofServer = make({ ...all.wildcard, ...kit.limits })
    const ofClient = make({ ca, key, cert, ...kit.limits })
    const options = { key, cert, ca, requestCert: true, ...kit.limits }
    const SNICallback = (name, done) => done(null, name === 'a.localhost' ? ofServer : undefined)
    const servers = [kit.tls, nodeTls].map(tls => {
      const server = t.own(tls.createServer({ ...options, SNICallback }, peer => peer.end('hello')))
      server.addContext('b.localhost', ofServer)
      return server
    })
    for (const server of servers)
      await new Promise(resolve => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
    const sessions = new Map()
    for (let round = 0; round < 3; round++) {
      const visits = servers.flatMap(server =>
        [kit.tls, nodeTls].flatMap(tls =>
          ['localhost', 'a.localhost'].map(async servername => {
            const visitor = `${servers.indexOf(server)} ${tls === nodeTls} ${servername}`
            const client = t.own(
              tls.connect({
                ...t.to(server),
                ...{ secureContext: ofClient, servername, session: sessions.get(visitor) },
                checkServerIdentity: () => undefined,
              }),
            )
            client.on('session', session => sessions.set(visitor, session))
            const text = String(await t.drained(client))
            if (tls === kit.tls && maker === 'ferronet/tls') equal(client.tls.engine, kit.engine)
            await t.closed(client)
            equal(text, 'hello')
            equal(client.authorized, true)
          }),
        ),
      )
      await Promise.all(visits)
    }
    equal(sessions.size, 8)
  })
}

// --- collected --------------------------------------------------------------------------------------------------------

const collect = async t => {
  for (let i = 0; i < 3; i++) {
    gc()
    await t.turns(3)
  }
}

secured('contexts are collected, and their sessions go on', { ...own, both: true }, async (t, kit) => {
  let [client, peer] = [undefined, undefined]
  let session
  const contexts = await (async () => {
    const secureContext = kit.tls.createSecureContext({ ca, sessionTimeout: 1234, ...kit.limits })
    const server = kit.tls.createServer({ key, cert, ca, ...kit.limits, sessionTimeout: 1234 })
    const another = kit.tls.createSecureContext({ ...all.wildcard, sessionTimeout: 1234 })
    server.addContext('a.localhost', another)
    await new Promise(resolve => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
    const accepted = first(server, 'secureConnection')
    const options = { secureContext, servername: 'a.localhost', checkServerIdentity: () => undefined }
    client = t.own(kit.tls.connect({ ...t.to(server), ...options }))
    client.on('session', given => {
      session = given
    })
    peer = t.own(await accepted)
    if (client.secureConnecting) await first(client, 'secureConnect')
    server.close()
    return [secureContext, another, server].map(each => new WeakRef(each))
  })()
  await collect(t)
  // Tickets are made with keys that belong to the context.
  for (let i = 0; i < 8; i++) {
    const question = first(peer, 'data')
    client.write(`question ${i}`)
    equal(String(await question), `question ${i}`)
    const answer = first(client, 'data')
    peer.write(`answer ${i}`)
    equal(String(await answer), `answer ${i}`)
    await collect(t)
  }
  equal(client.getPeerCertificate().subjectaltname, 'DNS:*.localhost')
  session ??= client.getSession()
  equal(session.length > 100, true)
  if (kit.version === 'TLSv1.2') {
    peer.resume()
    client.resume()
    await new Promise((resolve, reject) =>
      client.renegotiate({}, error => (error ? reject(error) : resolve())),
    )
  }
  client.end()
  await t.closed(client.resume(), peer.resume())
  equal(contexts.length, 3)
})

secured('a context that nobody has any more is freed', { ...own, on: 'linux' }, async (t, kit) => {
  const server = await kit.listen({ key, cert }, peer => peer.resume().end())
  const make = async () => {
    const secureContext = kit.tls.createSecureContext({ ca })
    const client = kit.tls.connect({ ...t.to(server), secureContext, servername: 'localhost' })
    await new Promise(resolve => client.resume().once('close', resolve))
    return new WeakRef(secureContext)
  }
  const contexts = []
  for (let i = 0; i < 5; i++) contexts.push(await make())
  // The last ones may be on the stack, or wait for something of Node's.
  const left = () => contexts.filter(each => each.deref() !== undefined).length
  for (let i = 0; i < 50 && left() > 2; i++) await collect(t)
  if (left() > 2) throw new Error(`${left()} of 5 are left`)
})

// --- kept for later clients -------------------------------------------------------------------------------------------

/** `made(options)`: how many contexts a client with these options has needed. */
async function counting(t, kit, ofServer = {}) {
  const { tls } = kit
  const { createSecureContext } = tls
  const server = await kit.listen({ key, cert, ...ofServer }, peer => peer.resume().end())
  let count = 0
  t.cleanup(() => {
    tls.createSecureContext = createSecureContext
  })
  tls.createSecureContext = options => {
    count++
    return createSecureContext(options)
  }
  return async options => {
    const before = count
    const client = kit.connect(server, { ca: undefined, ...options })
    const end = await outcome(client)
    if (!end.authorized) throw new Error(JSON.stringify(end))
    client.resume().end()
    await t.closed(client)
    return count - before
  }
}

secured('clients with equal options have one context', byUs, async (t, kit) => {
  const made = await counting(t, kit, { ca, requestCert: true, rejectUnauthorized: false })
  const variants = {
    'a text': () => ({ ca }),
    bytes: () => ({ ca: Buffer.from(ca) }),
    'a list': () => ({ ca: [Buffer.from(ca), ca] }),
    'other keys': () => ({ ca, key, cert }),
    'a key with a passphrase': () => ({ ca, cert, key: [{ pem: key, passphrase: 'none' }] }),
    ciphers: () => ({ ca, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' }),
  }
  for (const [label, options] of Object.entries(variants)) {
    equal(`${label}: ${await made(options())}`, `${label}: 1`)
    for (const more of [
      {},
      { servername: 'localhost' },
      { ALPNProtocols: ['a'] },
      { rejectUnauthorized: true },
    ])
      equal(`${label}: ${await made({ ...options(), ...more })}`, `${label}: 0`)
  }
  // A server's is another one, and made but once.
  equal(await made({ ca }), 0)
})

secured('options that a program changes in place make another context', byUs, async (t, kit) => {
  const made = await counting(t, kit)
  const bytes = Buffer.from(`${ca}\n# 1`)
  const list = [bytes]
  equal(await made({ ca: list }), 1)
  bytes[bytes.length - 1]++
  equal(await made({ ca: list }), 1)
  list.push(Buffer.from(all['not trusted'].ca))
  equal(await made({ ca: list }), 1)
  equal(await made({ ca: list }), 0)
})

secured('the last 32 contexts are kept', byUs, async (t, kit) => {
  const made = await counting(t, kit)
  const numbered = number => ({ ca, sessionTimeout: 1000 + number })
  for (let i = 0; i < 32; i++) equal(await made(numbered(i)), 1)
  for (let i = 0; i < 32; i++) equal(await made(numbered(i)), 0)
  // The one that has not been used for longest gives way.
  equal(await made(numbered(0)), 0)
  equal(await made(numbered(32)), 1)
  equal(await made(numbered(0)), 0)
  equal(await made(numbered(1)), 1)
  equal(await made(numbered(3)), 0)
})

for (const [name, value] of [
  ['DEFAULT_MAX_VERSION', 'TLSv1.2'],
  ['DEFAULT_MIN_VERSION', 'TLSv1.3'],
  ['DEFAULT_CIPHERS', 'ECDHE-ECDSA-AES256-GCM-SHA384:TLS_CHACHA20_POLY1305_SHA256'],
  ['DEFAULT_ECDH_CURVE', 'P-384'],
]) {
  secured(`another ${name} makes another context`, byUs, async (t, kit) => {
    const { tls } = kit
    const made = await counting(t, kit)
    const before = tls[name]
    t.cleanup(() => {
      tls[name] = before
    })
    equal(await made({ ca }), 1)
    tls[name] = value
    equal(nodeTls[name], value)
    equal(await made({ ca }), 1)
    equal(await made({ ca }), 0)
    tls[name] = before
    equal(await made({ ca }), 0)
  })
}

// Node 22.19 and 24.5.
if (nodeTls.setDefaultCACertificates) {
  secured('other default authorities make another context', byUs, async (t, kit) => {
    const { tls } = kit
    const made = await counting(t, kit)
    const before = tls.getCACertificates('default')
    t.cleanup(() => tls.setDefaultCACertificates(before))
    tls.setDefaultCACertificates([ca])
    equal(await made({}), 1)
    equal(await made({}), 0)
    tls.setDefaultCACertificates([ca, all['not trusted'].ca])
    equal(await made({}), 1)
    // With its own authorities a client does not care.
    equal(await made({ ca }), 1)
    tls.setDefaultCACertificates([all['not trusted'].ca])
    equal(await made({ ca }), 0)
    const error = await made({}).catch(error => error)
    if (!/UNABLE_TO_VERIFY_LEAF_SIGNATURE/.test(error.message)) throw error
  })
}

// --- what is left behind ----------------------------------------------------------------------------------------------

for (const [engine, count] of [
  ['openssl', 300],
  ['node', 100],
]) {
  const title = `${count} connections at a time, resumed, refused, cut off and with contexts of their own, leave nothing`
  secured(title, { ...onLinux, engine }, async (t, kit) => {
    // Not by `kit`, which keeps each socket until the end.
    const server = t.own(kit.tls.createServer({ key, cert }))
    server.on('secureConnection', peer => {
      peer.on('error', () => {})
      peer.resume().end('bye')
    })
    server.on('tlsClientError', (_error, socket) => socket.destroy())
    await new Promise(resolve => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
    let session
    let numbers = 0
    const visit = async kind => {
      const client = kit.tls.connect({
        ...{ ...t.to(server), servername: 'localhost', ca, session: kind === 'again' ? session : undefined },
        ...(kind === 'refused' ? { ca: all['not trusted'].ca } : {}),
        ...(kind === 'new' ? { sessionTimeout: 300 + (numbers++ % 1000) } : {}),
      })
      client.on('error', () => {}).resume()
      client.on('session', given => {
        session = given
      })
      if (kind === 'cut off') client.once('connect', () => client.destroy())
      await new Promise(resolve => client.once('close', resolve))
    }
    const kinds = ['again', 'again', 'again', 'refused', 'cut off', 'again', 'again', 'again', 'new', 'again']
    const work = async () => {
      for (let i = 0; i < count; i += 10) await Promise.all(kinds.map(visit))
      await t.until(() => t.net.activeHandles().length === 1)
    }
    const left = await growth(work, { tries: 8, heap: 128 << 10 })
    if (left !== undefined) throw new Error(JSON.stringify(left))
  })
}

// --- workers ----------------------------------------------------------------------------------------------------------

const startClients = async ({ data }) => {
  process.env.FERRONET_TLS = data.engine
  const { default: tls } = await import(data.module)
  for (let i = 0; i < 20; i++) tls.connect(data.port, '127.0.0.1').on('error', () => {})
}

secured('a worker ends in the middle of handshakes as a client', onLinux, async (t, kit) => {
  const data = { engine: kit.engine, module: import.meta.resolve('ferronet/tls') }
  const work = async () => {
    // It never says anything.
    const silent = nodeNet.createServer()
    await new Promise(resolve => silent.listen({ host: '127.0.0.1', port: 0 }, resolve))
    const sockets = []
    const all = new Promise(resolve => {
      silent.on('connection', socket => {
        sockets.push(socket.on('error', () => {}))
        socket.once('data', () => {
          if (sockets.filter(({ bytesRead }) => bytesRead > 0).length === 20) resolve()
        })
      })
    })
    const worker = t.worker(startClients, { ...data, port: silent.address().port })
    await all
    await worker.terminate()
    // The kernel tells that they have gone.
    await Promise.all(
      sockets.map(socket => {
        socket.resume()
        return socket.destroyed || new Promise(resolve => socket.once('close', resolve))
      }),
    )
    await new Promise(resolve => silent.close(resolve))
  }
  const left = await growth(work, { tries: 4, heap: 1 << 20, rss: 16 << 20 })
  if (left !== undefined) throw new Error(JSON.stringify(left))
  const { client } = await kit.meet({ server: { key, cert }, client: { ca } })
  equal(client.authorized, true)
})

const startServer = async ({ data, port }) => {
  process.env.FERRONET_TLS = data.engine
  const { default: tls } = await import(data.module)
  let asked = 0
  const SNICallback = () => {
    if (++asked === 20) port.postMessage('asked')
  }
  const server = tls.createServer({ key: data.key, cert: data.cert, SNICallback })
  server.listen({ host: '127.0.0.1', port: 0 }, () => port.postMessage(server.address().port))
}

secured('a worker ends in the middle of handshakes as a server', onLinux, async (t, kit) => {
  const data = { engine: kit.engine, module: import.meta.resolve('ferronet/tls'), key, cert }
  const work = async () => {
    const worker = t.worker(startServer, data)
    const port = await first(worker, 'message')
    const asked = first(worker, 'message')
    const ends = Array.from({ length: 20 }, () => {
      const client = kit.tls.connect({ host: '127.0.0.1', port, ca, servername: 'localhost' })
      return outcome(client.resume())
    })
    await asked
    await worker.terminate()
    for (const { code } of await Promise.all(ends)) equal(code, 'ECONNRESET')
  }
  const left = await growth(work, { tries: 4, heap: 1 << 20, rss: 16 << 20 })
  if (left !== undefined) throw new Error(JSON.stringify(left))
  const { client } = await kit.meet({ server: { key, cert }, client: { ca } })
  equal(client.authorized, true)
})
