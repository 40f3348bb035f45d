// An Express and a Fastify application on a ferronet server: what their handlers see of the connections.

import { once } from 'node:events'
import http from 'node:http'
import { Readable } from 'node:stream'
import express from 'express'
import fastify from 'fastify'
import { bytes, Check, sha1, source } from '../fixtures/interop/bytes.mjs'
import { parity } from '../helpers/parity.mjs'

async function body(message) {
  const chunks = []
  for await (const chunk of message) chunks.push(chunk)
  return Buffer.concat(chunks)
}

// The application's http.Server never listens: `listen` accepts for it.
async function behind(t, web) {
  web.keepAliveTimeout = 60_000
  web.emit('listening')
  t.cleanup(() => {
    web.closeAllConnections()
    web.close()
  })
  return t.listen({ noDelay: true }, peer => web.emit('connection', peer))
}

// The same application twice: what it answers is the same too.
const frameworks = {
  Express: async t => {
    const app = express()
    app.disable('x-powered-by')
    app.set('etag', false)
    app.get('/hello/:name', (request, response) => response.json({ hello: request.params.name }))
    app.get('/who', (request, response) => response.json([request.ip, request.socket.remoteFamily]))
    app.post('/json', express.json({ limit: '20mb' }), (request, response) =>
      response.json({ length: request.body.text.length }),
    )
    app.post('/sum', async (request, response) => response.send(sha1(await body(request))))
    app.get('/body/:size', (request, response) => source(Number(request.params.size)).pipe(response))
    app.get('/chunks', async (_request, response) => {
      for (const word of ['one ', 'two ', 'three']) {
        response.write(word)
        await t.turns(2)
      }
      response.end()
    })
    app.get('/fail', () => {
      throw Object.assign(new Error('not today'), { status: 503 })
    })
    app.use((error, _request, response, _next) => response.status(error.status).json(error.message))
    return http.createServer(app)
  },
  Fastify: async t => {
    const app = fastify({ bodyLimit: 20_000_000, forceCloseConnections: true })
    t.cleanup(() => app.close())
    app.get('/hello/:name', async request => ({ hello: request.params.name }))
    app.get('/who', async request => [request.ip, request.socket.remoteFamily])
    app.post('/json', async request => ({ length: request.body.text.length }))
    app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload))
    app.post('/sum', async request => sha1(await body(request.body)))
    app.get('/body/:size', async (request, reply) => reply.send(source(Number(request.params.size))))
    app.get('/chunks', async (_request, reply) =>
      reply.send(
        Readable.from(
          (async function* () {
            for (const word of ['one ', 'two ', 'three']) {
              yield word
              await t.turns(2)
            }
          })(),
        ),
      ),
    )
    app.get('/fail', async () => {
      throw Object.assign(new Error('not today'), { statusCode: 503 })
    })
    app.setErrorHandler((error, _request, reply) =>
      reply.code(error.statusCode).send(JSON.stringify(error.message)),
    )
    await app.ready()
    return app.server
  },
}

function agentOf(t, server, options) {
  class Agent extends http.Agent {
    made = []
    createConnection() {
      const socket = t.connect(t.to(server))
      this.made.push(socket)
      return socket
    }
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...options })
  t.cleanup(() => agent.destroy())
  return agent
}

async function ask(agent, method, path, { headers, content } = {}) {
  const outgoing = http.request({ agent, method, path, headers })
  if (content instanceof Readable) content.pipe(outgoing)
  else outgoing.end(content)
  const [response] = await once(outgoing, 'response')
  return response
}

const octets = { 'content-type': 'application/octet-stream' }

for (const [name, make] of Object.entries(frameworks)) {
  parity(`${name}: requests of all kinds over one connection`, async t => {
    const server = await behind(t, await make(t))
    const agent = agentOf(t, server)
    const see = async (...request) => {
      const response = await ask(agent, ...request)
      t.log(request[1], response.statusCode, response.headers['content-type'], String(await body(response)))
    }
    await see('GET', '/hello/you')
    await see('GET', '/who')
    await see('POST', '/json', {
      headers: { 'content-type': 'application/json' },
      content: JSON.stringify({ text: 'x'.repeat(3_000_000) }),
    })
    await see('POST', '/sum', { headers: octets, content: bytes(2_000_000) })
    await see('POST', '/sum', { headers: octets, content: source(2_000_000, 12_345) })
    await see('GET', '/chunks')
    await see('GET', '/fail')
    await see('HEAD', '/hello/you')
    t.log('connections', agent.made.length)
  })

  parity(`${name}: a chunked answer`, async t => {
    const server = await behind(t, await make(t))
    const response = await ask(agentOf(t, server), 'GET', '/chunks')
    t.log('headers', response.headers['transfer-encoding'], response.headers.connection)
    t.log('answer', await body(response))
  })

  parity(`${name}: pipelined requests`, async t => {
    const server = await behind(t, await make(t))
    const client = t.connect(t.to(server))
    for (let at = 0; at < 20; at++) client.write(`GET /hello/${at} HTTP/1.1\r\nHost: h\r\n\r\n`)
    client.write('GET /hello/last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
    const answers = String(await t.drained(client))
    t.log('answers', answers.match(/\{.*?\}/g).join())
  })

  parity(`${name}: many requests over many connections`, async t => {
    const server = await behind(t, await make(t))
    const agent = agentOf(t, server, { maxSockets: 20 })
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, at) =>
        String(await body(await ask(agent, 'GET', `/hello/${at}`))),
      ),
    )
    t.log('answers', answers.join())
    t.log('connections', agent.made.length)
  })

  parity(`${name}: ten megabytes up, ten down, and a client that leaves in the middle`, async t => {
    const server = await behind(t, await make(t))
    const agent = agentOf(t, server)
    const sum = await ask(agent, 'POST', '/sum', { headers: octets, content: bytes(10_000_000) })
    t.log('up', String(await body(sum)) === sha1(bytes(10_000_000)))
    const check = (await ask(agent, 'GET', '/body/10000000')).pipe(new Check())
    await once(check, 'finish')
    t.log('down', check.right, check.wrong)
    const accepted = once(server, 'connection')
    const other = agentOf(t, server)
    const response = await ask(other, 'GET', '/body/50000000')
    response.on('error', () => {})
    const [peer] = await accepted
    await once(response, 'data')
    response.destroy()
    await t.closed(peer, ...other.made)
    t.log('and after it', String(await body(await ask(agent, 'GET', '/hello/again'))))
  })

  parity(`${name}: an upgrade on the same listener`, async t => {
    const web = await make(t)
    web.on('upgrade', (request, socket, head) => {
      t.log('upgrade', request.url, socket instanceof t.net.Socket, head)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
      socket.write(head)
      socket.pipe(socket)
    })
    const server = await behind(t, web)
    const client = t.connect(t.to(server))
    let seen = ''
    client.on('data', chunk => (seen += chunk))
    client.write('GET /hello/first HTTP/1.1\r\nHost: h\r\n\r\n')
    await t.until(() => seen.endsWith('{"hello":"first"}'))
    seen = ''
    client.write('GET /live HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nearly')
    await t.until(() => seen.endsWith('early'))
    client.write(' late')
    await t.until(() => seen.endsWith('early late'))
    t.log('answer', seen)
  })
}

// An http.Server that leaves listening to a server of the module under test, and looks as if it did it itself.
class Over extends http.Server {
  #below
  constructor(net, handler) {
    super({ keepAliveTimeout: 60_000 }, handler)
    this.#below = net.createServer({ noDelay: true }, peer => this.emit('connection', peer))
    for (const event of ['listening', 'error', 'close']) {
      this.#below.on(event, (...args) => this.emit(event, ...args))
    }
  }
  listen(...args) {
    this.#below.listen(...args)
    return this
  }
  address() {
    return this.#below.address()
  }
  get listening() {
    return this.#below?.listening ?? false
  }
  close(done) {
    this.closeIdleConnections()
    this.#below.close(done)
    return this
  }
}

parity('Fastify: a serverFactory, and app.listen()', async t => {
  const app = fastify({ serverFactory: handler => new Over(t.net, handler) })
  app.get('/', async request => `made by a factory, for ${request.ip}`)
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  t.alias(new URL(address).port, 'port')
  const agent = agentOf(t, app.server)
  for (let at = 0; at < 2; at++) t.log('answer', String(await body(await ask(agent, 'GET', '/'))))
  t.log('connections', agent.made.length)
  await app.close()
  await t.closed(...agent.made)
  t.log('closed', app.server.listening)
})

parity('Express: an application over a server of this module', async t => {
  const app = express()
  app.get('/', (_request, response) => response.send('listening below'))
  const web = new Over(t.net, app)
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const agent = agentOf(t, web)
  t.log('answer', String(await body(await ask(agent, 'GET', '/'))))
  const over = once(web, 'close')
  web.close()
  await over
  await t.closed(...agent.made)
})
