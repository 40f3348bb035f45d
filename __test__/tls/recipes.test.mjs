// The recipes of docs/tls.md: HTTPS and HTTP/2 with the TLS of ferronet.

import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { certificates } from '../helpers/certificates.mjs'
import { first, secured, trust } from '../helpers/tls.mjs'

const own = { module: 'ferronet' }

function equal(seen, wanted) {
  if (JSON.stringify(seen) !== JSON.stringify(wanted))
    throw new Error(`${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`)
}

const agentOver = tls =>
  class FerronetAgent extends https.Agent {
    createConnection(options) {
      return tls.connect({ ...options, path: undefined, ALPNProtocols: ['http/1.1'] })
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
      const chunks = []
      for await (const chunk of response) chunks.push(chunk)
      resolve({ socket, body: Buffer.concat(chunks).toString(), reused: request.reusedSocket })
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
