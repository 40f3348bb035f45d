// The recipes of docs/tls.md: HTTPS and HTTP/2 with the TLS of ferronet.

import { deepEqual as equal } from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { certificates } from '../helpers/certificates.mjs'
import { first, secured, trust } from '../helpers/tls.mjs'

const own = { module: 'ferronet' }

const agentOver = tls =>
  class FerronetAgent extends https.Agent {
    #sessions = new Map()

    createConnection(options) {
      const name = this.getName(options)
      // Who goes on with a session is not looked at again: a request with a check of its own begins anew.
      const keeps = options.checkServerIdentity === this.options.checkServerIdentity
      const session = keeps ? this.#sessions.get(name) : undefined
      const socket = tls.connect({ session, ...options, path: undefined, ALPNProtocols: ['http/1.1'] })
      if (keeps) {
        socket.on('session', session => this.#keep(name, session))
        socket.once('close', failed => failed && this.#sessions.delete(name))
      }
      return socket
    }

    #keep(name, session) {
      const sessions = this.#sessions
      const isFull = sessions.size >= this.maxCachedSessions
      if (isFull && !sessions.has(name)) sessions.delete(sessions.keys().next().value)
      if (this.maxCachedSessions > 0) sessions.set(name, session)
    }
  }

/** An http.Server whose connections are those of a server of ferronet/tls. */
async function serverOver(kit, options, handler) {
  const server = http.createServer(handler)
  const listener = await kit.listen(options, socket => server.emit('connection', socket))
  return listener
}

function get(options) {
  return new Promise((resolve, reject) => {
    const request = https.get(options, async response => {
      const { socket } = response
      const resumed = socket.isSessionReused()
      const closed = first(socket, 'close')
      const chunks = []
      for await (const chunk of response) chunks.push(chunk)
      resolve({
        socket,
        body: Buffer.concat(chunks).toString(),
        reused: request.reusedSocket,
        resumed,
        closed,
      })
    })
    request.on('error', reject)
  })
}

secured('an https.Agent, and an http.Server behind a server of ferronet/tls', own, async (t, kit) => {
  const listener = await serverOver(kit, {}, (request, response) => {
    const { encrypted, remoteAddress } = request.socket
    response.end(JSON.stringify({ url: request.url, encrypted, remoteAddress }))
  })
  const Agent = agentOver(kit.tls)
  const agent = new Agent({ keepAlive: true, ...trust })
  t.cleanup(() => agent.destroy())
  const { port } = listener.address()
  for (const path of ['/one', '/two']) {
    const { socket, body, reused } = await get({ host: '127.0.0.1', port, path, agent })
    equal(JSON.parse(body), { url: path, encrypted: true, remoteAddress: '127.0.0.1' })
    equal(reused, path === '/two')
    equal(socket instanceof kit.tls.TLSSocket, true)
    equal([socket.authorized, socket.tls.engine], [true, kit.engine])
  }
})

/** Requests of one agent, one after the other: whether their connections were resumed. */
function asking(kit, listener, options) {
  const agent = new (agentOver(kit.tls))(options)
  const { port } = listener.address()
  return async more => {
    const { resumed, closed } = await get({ host: '127.0.0.1', port, agent, ...more })
    await closed
    return resumed
  }
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
  secured(`the second connection of an https.Agent is resumed, ${maxVersion}`, own, async (_t, kit) => {
    const listener = await serverOver(kit, { maxVersion }, (_request, response) => response.end('x'))
    const ask = asking(kit, listener, trust)
    equal([await ask(), await ask(), await ask()], [false, true, true])
    // A check of the server that is the request's own takes place.
    let checks = 0
    const checkServerIdentity = () => void checks++
    equal([await ask({ checkServerIdentity }), checks], [false, 1])
    // Another name is another server.
    equal([await ask({ family: 4 }), await ask({ family: 4 })], [false, true])
  })
}

secured('an https.Agent keeps as many sessions as it may', own, async (_t, kit) => {
  const listener = await serverOver(kit, {}, (_request, response) => response.end('x'))
  const none = asking(kit, listener, { ...trust, maxCachedSessions: 0 })
  equal([await none(), await none()], [false, false])
  const one = asking(kit, listener, { ...trust, maxCachedSessions: 1 })
  const other = { family: 4 }
  equal([await one(), await one(), await one(other), await one(other)], [false, true, false, true])
  equal(await one(), false)
})

secured('an https.Agent rejects a server that it does not trust', own, async (_t, kit) => {
  const all = certificates()
  const listener = await serverOver(kit, all['self-signed'], (_request, response) => response.end())
  const Agent = agentOver(kit.tls)
  const agent = new Agent()
  const { port } = listener.address()
  const error = await get({ host: '127.0.0.1', port, agent }).catch(error => error)
  equal(error.code, 'DEPTH_ZERO_SELF_SIGNED_CERT')
})

secured('a body of some megabytes, both ways', own, async (_t, kit) => {
  const body = Buffer.alloc(5_000_000, 'ferronet')
  const listener = await serverOver(kit, {}, (request, response) => request.pipe(response))
  const Agent = agentOver(kit.tls)
  const agent = new Agent(trust)
  const { port } = listener.address()
  const back = await new Promise((resolve, reject) => {
    const request = https.request({ host: '127.0.0.1', port, agent, method: 'POST' }, async response => {
      const chunks = []
      for await (const chunk of response) chunks.push(chunk)
      resolve(Buffer.concat(chunks))
    })
    request.on('error', reject).end(body)
  })
  equal(back.equals(body), true)
})

secured('HTTP/2 by ALPN, with HTTP/1.1 beside it', own, async (t, kit) => {
  const handler = (request, response) => response.end(`${request.httpVersion} ${request.url}`)
  const plain = http.createServer(handler)
  const second = http2.createServer(handler)
  const listener = await kit.listen({ ALPNProtocols: ['h2', 'http/1.1'] }, socket => {
    const server = socket.alpnProtocol === 'h2' ? second : plain
    server.emit('connection', socket)
  })
  const { port } = listener.address()
  // A client of Node's, and one over ferronet/tls.
  for (const createConnection of [undefined, () => kit.connect(listener, { ALPNProtocols: ['h2'] })]) {
    const session = http2.connect(`https://127.0.0.1:${port}`, { ...trust, createConnection })
    t.cleanup(() => session.destroy())
    const stream = session.request({ ':path': '/second' }).setEncoding('utf8')
    let said = ''
    stream.on('data', data => (said += data))
    await first(stream, 'end')
    equal(said, '2.0 /second')
    const closed = first(session, 'close')
    session.close()
    await closed
  }
  const { body } = await get({ host: '127.0.0.1', port, path: '/first', ...trust, agent: new https.Agent() })
  equal(body, '1.1 /first')
})

secured('the server of a recipe closes when its connections have', own, async (_t, kit) => {
  const listener = await serverOver(kit, {}, (_request, response) => response.end('x'))
  const { port } = listener.address()
  const agent = new https.Agent({ ...trust })
  await get({ host: '127.0.0.1', port, agent })
  listener.close()
  await first(listener, 'close')
})

// What a session of HTTP/2 tells of its connection, and when it says that it has one.
secured('HTTP/2 over TLS knows the session below', { both: true }, async (t, kit) => {
  const site = http2.createServer((request, response) => {
    const { socket } = request
    t.log(
      'server',
      request.stream.session.encrypted,
      socket.encrypted,
      socket.alpnProtocol,
      socket.servername,
    )
    t.log('client is', socket.authorized, socket.getPeerCertificate().subject, socket.getProtocol())
    response.end('answer')
  })
  const { key, cert, ca } = certificates().good
  const asks = { key, cert, ca, requestCert: true, ALPNProtocols: ['h2'] }
  const listener = await kit.listen(asks, socket => site.emit('connection', socket))
  const socket = kit.connect(listener, { ca, key, cert, servername: 'localhost', ALPNProtocols: ['h2'] })
  const session = http2.connect('https://localhost', { createConnection: () => socket })
  t.cleanup(() => session.destroy())
  t.log('at first', session.connecting, session.encrypted, session.alpnProtocol)
  socket.once('connect', () => t.log('connected', session.connecting))
  socket.once('secureConnect', () => t.log('secure'))
  session.once('connect', () => {
    t.log('connect', session.connecting, session.encrypted, session.alpnProtocol, session.originSet.length)
    t.log('server is', session.socket.authorized, session.socket.getPeerCertificate().subject)
  })
  t.log('answer', String(await t.drained(session.request({ ':path': '/' }))))
  const closed = first(session, 'close')
  session.close()
  await closed
})

secured('HTTP/2 over TLS with a server that is not trusted emits no connect', async (t, kit) => {
  const listener = await kit.listen({ ...certificates()['self-signed'], ALPNProtocols: ['h2'] })
  const socket = kit.connect(listener, { ALPNProtocols: ['h2'] }).on('error', () => {})
  const session = http2.connect('https://localhost', { createConnection: () => socket })
  session.on('connect', () => t.log('connect')).on('error', error => t.log('error', error.code))
  await first(session, 'close')
  t.log('closed', session.connecting, session.encrypted)
})
