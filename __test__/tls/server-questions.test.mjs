// What a session of a server asks the listeners of the server: for sessions to go on with, to keep sessions, for an OCSP
// response. Beside a server of node:tls; the client is node:tls's in both cases.

import { createRequire } from 'node:module'
import tls from 'node:tls'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { certificates } from '../helpers/certificates.mjs'
import { parity } from '../helpers/parity.mjs'

const { chooseEngine } = createRequire(import.meta.url)('../../dist/lib/tls/engine.js')
const { wanted } = createRequire(import.meta.url)('../../dist/lib/tls/options.js')
const { prepare, start } = createRequire(import.meta.url)('../../dist/lib/tls/start.js')

const SSL_OP_NO_TICKET = 1 << 14
const { good } = certificates()

/** A server with these options and listeners, and clients of it. */
async function serve(t, options, handlers) {
  const server = tls.createServer(options)
  for (const [event, handler] of Object.entries(handlers)) server.on(event, handler)
  server.on('secureConnection', socket => {
    t.log('server secure', socket.tls?.isSessionReused() ?? socket.isSessionReused())
    socket.write('hello')
    socket.resume()
  })
  server.on('tlsClientError', error => t.log('client error', error.name, error.code, error.message))
  const listener = await t.listen({}, socket => {
    if (t.moduleName === 'node:net') server.emit('connection', socket)
    else accept(server, socket, options)
  })
  return async more => {
    const client = t.own(tls.connect({ ...t.to(listener), servername: 'localhost', ...trust, ...more }))
    client.on('OCSPResponse', response => t.log('response', response === null ? null : String(response)))
    let session
    client.on('session', given => {
      session = given
    })
    client.once('secureConnect', () => t.log('client secure', client.isSessionReused()))
    client.once('error', ({ code }) => t.log('error', code))
    // Sessions come before it.
    client.on('data', () => client.end())
    await new Promise(resolve => client.once('close', resolve))
    return session
  }
}

function accept(server, socket, options) {
  const role = {
    secure: () => server.emit('secureConnection', socket),
    rejected: error => error,
  }
  const all = wanted({ ...options, isServer: true }, socket, role)
  const ask = { resume: 'resumeSession', store: 'newSession', status: 'OCSPRequest' }
  for (const [question, event] of Object.entries(ask))
    if (server.listenerCount(event) > 0)
      all.questions[question] = (...args) => void server.emit(event, ...args)
  socket.on('error', error => server.emit('tlsClientError', error, socket))
  const engine = chooseEngine(all)
  prepare(socket)
  start(socket, engine, all)
  if (socket.tls.engine !== 'openssl') throw new Error(`TLS by ${socket.tls.engine}`)
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
  for (const tickets of [true, false]) {
    const title = `sessions are kept and gone on with, ${maxVersion}, ${tickets ? 'with' : 'without'} tickets`
    parity(title, async t => {
      const kept = new Map()
      const options = { ...identity, maxVersion, secureOptions: tickets ? 0 : SSL_OP_NO_TICKET }
      const connect = await serve(t, options, {
        newSession(id, session, done) {
          t.log('keep', id.length)
          kept.set(id.toString('hex'), session)
          setTimeout(done, 1)
        },
        resumeSession(id, done) {
          const found = kept.get(id.toString('hex')) ?? null
          t.log('asked', id.length, found !== null)
          setTimeout(done, 1, null, found)
        },
      })
      const session = await connect({})
      await connect({ session })
      kept.clear()
      await connect({ session })
    })
  }

  parity(`a session in another view, ${maxVersion}`, async t => {
    const kept = new Map()
    const options = { ...identity, maxVersion, secureOptions: SSL_OP_NO_TICKET }
    const connect = await serve(t, options, {
      newSession(id, session, done) {
        kept.set(id.toString('hex'), session)
        done()
      },
      resumeSession(id, done) {
        const session = kept.get(id.toString('hex'))
        done(null, session && new DataView(session.buffer, session.byteOffset, session.byteLength))
      },
    })
    await connect({ session: await connect({}) })
  })

  parity(`a server that cannot find a session, ${maxVersion}`, async t => {
    const options = { ...identity, maxVersion, secureOptions: SSL_OP_NO_TICKET }
    let fails = false
    const connect = await serve(t, options, {
      resumeSession: (_id, done) => (fails ? done(new Error('out of order')) : done(null, null)),
    })
    const session = await connect({})
    fails = true
    await connect({ session })
  })

  parity(`a session that is nonsense, ${maxVersion}`, async t => {
    const options = { ...identity, maxVersion, secureOptions: SSL_OP_NO_TICKET }
    const connect = await serve(t, options, {
      newSession: (_id, _session, done) => done(),
      resumeSession: (_id, done) => done(null, Buffer.from('nonsense')),
    })
    const session = await connect({})
    await connect({ session })
  })

  parity(`an OCSP response, ${maxVersion}`, async t => {
    const answers = [Buffer.from('all right'), null]
    const connect = await serve(
      t,
      { key: good.key, cert: good.cert, ca: good.ca, maxVersion },
      {
        OCSPRequest(certificate, issuer, done) {
          t.log('asked', certificate.equals(der(good.cert)), Boolean(issuer))
          setTimeout(done, 1, null, answers.shift())
        },
      },
    )
    await connect({ ...trust, ca: good.ca, requestOCSP: true })
    await connect({ ...trust, ca: good.ca, requestOCSP: true })
    await connect({ ...trust, ca: good.ca })
  })

  parity(`an OCSP response for the certificate that SNICallback has found, ${maxVersion}`, async t => {
    const SNICallback = (_name, done) => setImmediate(done, null, tls.createSecureContext(good))
    const connect = await serve(
      t,
      { ...identity, maxVersion, SNICallback },
      {
        OCSPRequest(certificate, _issuer, done) {
          t.log('asked', certificate.equals(der(good.cert)))
          done(null, Buffer.from('all right'))
        },
      },
    )
    await connect({ ...trust, ca: good.ca, requestOCSP: true })
  })

  parity(`an OCSP response that cannot be had, ${maxVersion}`, async t => {
    const connect = await serve(
      t,
      { ...identity, maxVersion },
      { OCSPRequest: (_certificate, _issuer, done) => done(new Error('out of order')) },
    )
    await connect({ requestOCSP: true })
  })
}

function der(pem) {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
}
