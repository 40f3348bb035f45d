// Node's https over ferronet on both ends: requests, an Agent that keeps sessions, tunnels, and failures.

import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import tls from 'node:tls'
import { bytes, Check, sha1, source } from '../fixtures/interop/bytes.mjs'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { parity } from '../helpers/parity.mjs'

async function secureSite(t, options, onRequest) {
  if (typeof options === 'function') [options, onRequest] = [{}, options]
  const site = https.createServer({ ...identity, keepAliveTimeout: 60_000, ...options }, onRequest)
  site.emit('listening')
  t.cleanup(() => {
    site.closeAllConnections()
    site.close()
  })
  const server = await t.listen({}, peer => site.emit('connection', peer))
  return { site, server }
}

async function body(message) {
  const chunks = []
  for await (const chunk of message) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function request(t, server, options = {}) {
  return https.request({
    createConnection: () => t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) })),
    ...options,
  })
}

async function answer(outgoing) {
  const [response] = await once(outgoing, 'response')
  return [response.statusCode, String(await body(response))]
}

// https.Agent hands its options on to tls.connect: `socket` is one of them.
function agentOf(t, server, options) {
  class Agent extends https.Agent {
    made = []
    createConnection(given, done) {
      const socket = t.connect(t.to(server))
      this.made.push(socket)
      return super.createConnection({ ...given, socket }, done)
    }
  }
  const agent = new Agent({ keepAlive: true, ...trust, ...options })
  t.cleanup(() => agent.destroy())
  return agent
}

const count = lists => Object.values(lists).reduce((sum, list) => sum + list.length, 0)

parity('a request and its answer', async t => {
  const { server } = await secureSite(t, async (incoming, response) => {
    t.log('server', incoming.method, incoming.url, incoming.socket.encrypted, incoming.socket.servername)
    response.end(`you said ${await body(incoming)}`)
  })
  const outgoing = request(t, server, { method: 'POST', path: '/there' })
  outgoing.end('something')
  const [response] = await once(outgoing, 'response')
  t.log('client', response.statusCode, response.socket.authorized, response.socket.encrypted)
  t.log('answer', await body(response))
})

parity('https.request with a socket option', async t => {
  const { server } = await secureSite(t, (_incoming, response) => response.end('answer'))
  const outgoing = https.request({ ...trust, agent: false, socket: t.connect(t.to(server)) })
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parity('an Agent keeps one session for request after request', async t => {
  const { server } = await secureSite(t, async (incoming, response) =>
    response.end(sha1(await body(incoming))),
  )
  const agent = agentOf(t, server)
  for (const size of [0, 10, 400_000]) {
    const outgoing = https.request({ agent, method: 'POST' })
    outgoing.end(bytes(size))
    t.log('answer', ...(await answer(outgoing)), outgoing.reusedSocket)
    await t.until(() => count(agent.freeSockets) === 1)
  }
  t.log('made', agent.made.length)
  agent.destroy()
  await t.closed(...agent.made)
})

parity('many requests over four sessions', async t => {
  const { server } = await secureSite(t, (incoming, response) => response.end(incoming.url))
  const agent = agentOf(t, server, { maxSockets: 4 })
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, at) => {
      const outgoing = https.request({ agent, path: `/${at}` })
      outgoing.end()
      return answer(outgoing)
    }),
  )
  t.log('answers', answers.map(([status, text]) => `${status} ${text}`).join())
  t.log('made', agent.made.length)
})

parity('a body of eight megabytes there, and another back', async t => {
  const size = 8_000_000
  const { server } = await secureSite(t, async (incoming, response) => {
    const check = incoming.pipe(new Check())
    await once(check, 'finish')
    t.log('up', check.right, check.wrong)
    source(size, 50_000).pipe(response)
  })
  const outgoing = request(t, server, { method: 'POST' })
  source(size, 70_000).pipe(outgoing)
  const [response] = await once(outgoing, 'response')
  const check = response.pipe(new Check())
  await once(check, 'finish')
  t.log('down', check.right, check.wrong)
})

parity('an upload that the handler reads slowly', async t => {
  const { server } = await secureSite(t, async (incoming, response) => {
    let length = 0
    for await (const chunk of incoming) {
      length += chunk.length
      await t.turns()
    }
    response.end(String(length))
  })
  const outgoing = request(t, server, { method: 'POST' })
  source(5_000_000).pipe(outgoing)
  t.log('answer', ...(await answer(outgoing)))
})

parity('chunked both ways, and Expect: 100-continue', async t => {
  const { server } = await secureSite(t, async (incoming, response) => {
    for await (const chunk of incoming) response.write(String(chunk).toUpperCase())
    response.end('.')
  })
  const outgoing = request(t, server, {
    method: 'POST',
    headers: { Expect: '100-continue', 'Transfer-Encoding': 'chunked' },
  })
  outgoing.flushHeaders()
  await once(outgoing, 'continue')
  outgoing.write('one ')
  outgoing.write('two')
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parity('an upgrade within a session', async t => {
  const { site, server } = await secureSite(t, {})
  site.on('upgrade', (_incoming, socket, head) => {
    t.log('head at the server', head)
    socket.write('HTTP/1.1 101 Switching\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nwelcome')
    socket.pipe(socket)
  })
  const outgoing = request(t, server, { headers: { Upgrade: 'echo', Connection: 'Upgrade' } })
  outgoing.end()
  const [response, socket, head] = await once(outgoing, 'upgrade')
  t.log('upgrade', response.statusCode, socket.encrypted)
  const parts = [head]
  socket.on('data', chunk => parts.push(chunk))
  socket.write('echo')
  await t.until(() => Buffer.concat(parts).length === 11)
  t.log('echo', Buffer.concat(parts))
})

parity('https through a tunnel of a proxy', async t => {
  const { server } = await secureSite(t, (incoming, response) =>
    response.end(`page of ${incoming.headers.host}`),
  )
  const proxy = http.createServer()
  proxy.on('connect', (incoming, socket, head) => {
    t.log('tunnel to', incoming.url)
    const onward = t.connect(t.to(server))
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    onward.write(head)
    socket.pipe(onward).pipe(socket)
  })
  const entry = await t.listen({}, peer => proxy.emit('connection', peer))
  const tunnel = http.request({
    method: 'CONNECT',
    path: 'localhost:443',
    createConnection: () => t.connect(t.to(entry)),
  })
  tunnel.end()
  const [, socket] = await once(tunnel, 'connect')
  const outgoing = https.request({ ...trust, host: 'localhost', agent: false, socket })
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parity('a certificate that nobody vouches for', async t => {
  const { site, server } = await secureSite(t, () => t.log('never'))
  site.on('tlsClientError', () => {})
  const socket = t.connect(t.to(server))
  const outgoing = https.request({ agent: false, servername: 'localhost', socket })
  outgoing.end()
  t.log('error', (await once(outgoing, 'error'))[0].code)
  await t.closed(socket)
})

parity('plain HTTP sent to an https server', async t => {
  const { site, server } = await secureSite(t, () => t.log('never'))
  const complaint = once(site, 'clientError')
  const client = t.connect(t.to(server)).resume()
  const gone = t.closed(client)
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  const [error, session] = await complaint
  t.log('error', error.code)
  session.destroy()
  await gone
})

parity('a malformed request within a session', async t => {
  const { server } = await secureSite(t, (_incoming, response) => response.end('fine'))
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  let seen = ''
  client.on('data', chunk => (seen += chunk))
  await t.until(() => seen.endsWith('fine'))
  client.write('this is no HTTP\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('a request that is destroyed in mid-handshake', async t => {
  const { site, server } = await secureSite(t, () => t.log('never'))
  site.on('tlsClientError', () => {})
  const raw = t.connect(t.to(server))
  const outgoing = https.request({ ...trust, agent: false, socket: raw })
  outgoing.end()
  await once(server, 'connection')
  outgoing.destroy()
  t.log('error', (await once(outgoing, 'error'))[0].code)
  await t.closed(raw)
})

parity('a handler that destroys the session in the middle of its answer', async t => {
  const { server } = await secureSite(t, (incoming, response) => {
    response.writeHead(200, { 'Content-Length': 1_000 })
    response.write('not all of it', () => incoming.socket.destroy())
  })
  const outgoing = request(t, server)
  outgoing.end()
  const [response] = await once(outgoing, 'response')
  const over = new Promise(resolve => response.on('close', resolve))
  response.on('error', error => t.log('error', error.code))
  response.resume()
  await over
  t.log('complete', response.complete)
})

parity('closeIdleConnections and keepAliveTimeout within sessions', async t => {
  const { site, server } = await secureSite(
    t,
    { keepAliveTimeout: 40, keepAliveTimeoutBuffer: 0 },
    (_incoming, response) => response.end('.'),
  )
  const agent = agentOf(t, server)
  for (const close of [() => {}, () => site.closeIdleConnections()]) {
    const outgoing = https.request({ agent })
    outgoing.end()
    t.log('answer', ...(await answer(outgoing)), outgoing.reusedSocket)
    close()
    await t.closed(agent.made.at(-1))
  }
})

parity('sessions made by hand, for a handler that needs the address', async t => {
  // The recipe of docs/api.md.
  const site = http.createServer((request, response) => response.end(request.socket.remoteAddress))
  const server = await t.listen({}, socket => {
    const session = t.own(new tls.TLSSocket(socket, { isServer: true, ...identity }))
    Object.defineProperty(session, 'remoteAddress', { get: () => socket.remoteAddress })
    session.on('secure', () => site.emit('connection', session))
    session.on('error', () => session.destroy())
  })
  const outgoing = request(t, server)
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})
