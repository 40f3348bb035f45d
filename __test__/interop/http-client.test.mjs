// Requests of Node's http over ferronet's sockets: one socket per request, an Agent that keeps them, and servers that
// misbehave. Where the server matters, it speaks HTTP by hand.

import { once } from 'node:events'
import http from 'node:http'
import { setImmediate as immediate } from 'node:timers/promises'
import { bytes, Check, sha1, source } from '../fixtures/interop/bytes.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'

// A server of node:http that listens by itself, whatever the module under test: the other end is libuv's.
async function webServer(t, options, onRequest) {
  if (typeof options === 'function') [options, onRequest] = [{}, options]
  const web = http.createServer({ keepAliveTimeout: 60_000, ...options }, onRequest)
  t.cleanup(() => {
    web.closeAllConnections()
    web.close()
  })
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  t.alias(web.address().port, 'web')
  return web
}

async function body(message) {
  const chunks = []
  for await (const chunk of message) chunks.push(chunk)
  return Buffer.concat(chunks)
}

// `http.request` over a socket of its own.
function request(t, server, options = {}) {
  return http.request({
    createConnection: ({ timeout }) => t.connect(t.to(server, { timeout })),
    ...options,
  })
}

async function answer(outgoing) {
  const [response] = await once(outgoing, 'response')
  return [response.statusCode, String(await body(response))]
}

// An Agent whose sockets are of the module under test, and the sockets it has made.
function agentOf(t, server, options) {
  class Agent extends http.Agent {
    made = []
    createConnection(options) {
      const socket = t.connect({ ...t.to(server), keepAlive: options.keepAlive })
      this.made.push(socket)
      return socket
    }
  }
  const agent = new Agent({ keepAlive: true, ...options })
  t.cleanup(() => agent.destroy())
  return agent
}

const count = lists => Object.values(lists).reduce((sum, list) => sum + list.length, 0)

parity('a request over a given socket', async t => {
  const web = await webServer(t, async (incoming, response) => {
    t.log('server', incoming.method, incoming.url, incoming.headers.connection, await body(incoming))
    response.end('answer')
  })
  const outgoing = request(t, web, { method: 'POST', path: '/there' })
  outgoing.on('socket', socket => t.log('socket', socket instanceof t.net.Socket, socket.connecting))
  outgoing.end('question')
  const [response] = await once(outgoing, 'response')
  t.log('response', response.statusCode, response.socket instanceof t.net.Socket)
  t.log('body', await body(response))
  if (!outgoing.closed) await once(outgoing, 'close')
})

parity('a request over a socket that is connected already', async t => {
  const web = await webServer(t, (_request, response) => response.end('answer'))
  const socket = t.connect(t.to(web))
  await once(socket, 'connect')
  const outgoing = request(t, web, { createConnection: () => socket })
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parity('a socket that comes by a callback', async t => {
  const web = await webServer(t, (_request, response) => response.end('answer'))
  const outgoing = request(t, web, {
    createConnection: (_options, done) => {
      const socket = t.connect(t.to(web))
      socket.once('connect', () => done(null, socket))
    },
  })
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parity('a socket that cannot be made', async t => {
  const web = await webServer(t, () => {})
  const outgoing = request(t, web, {
    createConnection: (_options, done) => void process.nextTick(done, new Error('no socket today')),
  })
  outgoing.end()
  t.log('error', (await once(outgoing, 'error'))[0])
})

parity('a request to a path', { on: 'unix' }, async t => {
  const web = http.createServer((_request, response) => response.end('answer'))
  const path = t.socketPath()
  t.cleanup(() => web.close())
  await new Promise(resolve => web.listen(path, resolve))
  const outgoing = http.request({ createConnection: () => t.connect({ path }) })
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parity('a request that nobody accepts', async t => {
  const server = await t.listen()
  const target = t.to(server)
  server.close()
  await t.closed(server)
  const outgoing = http.request({ createConnection: () => t.connect(target) })
  outgoing.end('question')
  t.log('error', (await once(outgoing, 'error'))[0])
  if (!outgoing.closed) await once(outgoing, 'close')
})

parity('an Agent uses one socket for request after request', async t => {
  const web = await webServer(t, async (incoming, response) => response.end(sha1(await body(incoming))))
  const agent = agentOf(t, web)
  agent.on('free', socket => t.log('free', socket === agent.made[0]))
  for (const size of [0, 10, 100_000]) {
    const outgoing = http.request({ agent, method: 'POST' })
    outgoing.end(bytes(size))
    t.log('answer', ...(await answer(outgoing)), outgoing.reusedSocket)
    await t.until(() => count(agent.freeSockets) === 1)
    t.log('in use', count(agent.sockets))
  }
  t.log('made', agent.made.length)
  agent.destroy()
  await t.closed(...agent.made)
  await t.until(() => count(agent.freeSockets) === 0)
})

parity('an Agent with two sockets for many requests', async t => {
  const web = await webServer(t, (incoming, response) => response.end(incoming.url))
  const agent = agentOf(t, web, { maxSockets: 2 })
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, at) => {
      const outgoing = http.request({ agent, path: `/${at}` })
      outgoing.end()
      return answer(outgoing)
    }),
  )
  t.log('answers', answers.map(([status, text]) => `${status} ${text}`).join())
  t.log('made', agent.made.length)
})

parity('an Agent without keepAlive closes each socket', async t => {
  const web = await webServer(t, (_incoming, response) => response.end('.'))
  const agent = agentOf(t, web, { keepAlive: false })
  for (let at = 0; at < 3; at++) {
    const outgoing = http.request({ agent })
    outgoing.end()
    t.log('answer', ...(await answer(outgoing)))
  }
  await t.closed(...agent.made)
  t.log('made', agent.made.length)
})

parity('an idle socket of an Agent is closed after its timeout', async t => {
  const web = await webServer(t, (_incoming, response) => response.end('.'))
  const agent = agentOf(t, web, { timeout: 40 })
  const outgoing = http.request({ agent })
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
  await t.closed(agent.made[0])
  t.log('kept', count(agent.freeSockets))
})

parity('an idle socket that the server closes is not used again', async t => {
  const web = await webServer(t, { keepAliveTimeout: 40, keepAliveTimeoutBuffer: 0 }, (incoming, response) =>
    response.end(incoming.url),
  )
  const agent = agentOf(t, web)
  for (const path of ['/1', '/2']) {
    const outgoing = http.request({ agent, path })
    outgoing.end()
    t.log('answer', ...(await answer(outgoing)), outgoing.reusedSocket)
    await t.closed(agent.made.at(-1))
  }
  t.log('made', agent.made.length)
})

parity('an idle socket that gets bytes nobody asked for', async t => {
  const page = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'
  const peers = []
  const server = await t.listen({}, peer => {
    peers.push(peer)
    peer.on('data', () => peer.write(`${page}good`))
  })
  const agent = agentOf(t, server)
  const ask = async () => {
    const outgoing = http.request({ agent })
    outgoing.end()
    t.log('answer', ...(await answer(outgoing)), outgoing.reusedSocket)
  }
  await ask()
  await t.until(() => count(agent.freeSockets) === 1)
  await new Promise(resolve => peers[0].write(`${page}evil`, resolve))
  await t.quiet()
  // Newer Nodes do not use it again.
  t.log('closed', agent.made[0].destroyed)
  for (let at = 0; at < 2; at++) {
    await ask()
    await t.until(() => count(agent.freeSockets) === 1)
  }
  t.log('made', agent.made.length)
})

parity('agent.destroy() in the middle of a request', async t => {
  const web = await webServer(t, () => agent.destroy())
  const agent = agentOf(t, web)
  const outgoing = http.request({ agent })
  outgoing.end()
  t.log('error', (await once(outgoing, 'error'))[0])
  await t.closed(agent.made[0])
})

parity('a request that is destroyed before its socket has connected', async t => {
  const web = await webServer(t, () => t.log('never'))
  const agent = agentOf(t, web)
  const outgoing = http.request({ agent })
  outgoing.end()
  outgoing.destroy()
  t.log('error', (await once(outgoing, 'error'))[0])
  await t.until(() => count(agent.sockets) === 0)
})

parity('a request that is aborted by a signal', async t => {
  const controller = new AbortController()
  const web = await webServer(t, () => controller.abort())
  const outgoing = request(t, web, { signal: controller.signal })
  outgoing.end()
  const [error] = await once(outgoing, 'error')
  t.log('error', error.name, error.code)
  if (!outgoing.closed) await once(outgoing, 'close')
})

parity('a request that times out', async t => {
  const web = await webServer(t, () => {})
  const outgoing = request(t, web, { timeout: 40 })
  outgoing.on('timeout', () => {
    t.log('timeout')
    outgoing.destroy()
  })
  outgoing.end()
  t.log('error', (await once(outgoing, 'error'))[0])
})

parity('setTimeout, setNoDelay and setSocketKeepAlive of a request', async t => {
  const web = await webServer(t, () => {})
  const agent = agentOf(t, web)
  const outgoing = http.request({ agent })
  outgoing.setNoDelay(true)
  outgoing.setSocketKeepAlive(true, 1_000)
  outgoing.setTimeout(40, () => t.log('callback'))
  outgoing.end()
  await once(outgoing, 'timeout')
  t.log('timeout', agent.made[0].timeout)
  outgoing.destroy()
  t.log('error', (await once(outgoing, 'error'))[0].code)
})

parity('100-continue, as a client waits for it', async t => {
  const web = await webServer(t, async (incoming, response) => response.end(await body(incoming)))
  const outgoing = request(t, web, {
    method: 'POST',
    headers: { Expect: '100-continue', 'Content-Length': 4 },
  })
  outgoing.flushHeaders()
  await once(outgoing, 'continue')
  t.log('continue')
  outgoing.end('body')
  t.log('answer', ...(await answer(outgoing)))
})

parity('interim answers, as a client hears of them', async t => {
  const web = await webServer(t, (_incoming, response) => {
    response.writeProcessing()
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    response.end('late')
  })
  const outgoing = request(t, web)
  outgoing.on('information', ({ statusCode, headers }) => t.log('information', statusCode, headers.link))
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parity('an upgrade, with bytes of the new protocol in the same packet', async t => {
  const server = await t.listen({}, peer => {
    peer.once('data', () => {
      peer.write('HTTP/1.1 101 Switching\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nearly')
      peer.pipe(peer)
    })
  })
  const agent = agentOf(t, server)
  const outgoing = http.request({ agent, headers: { Upgrade: 'echo', Connection: 'Upgrade' } })
  outgoing.end()
  const [response, socket, head] = await once(outgoing, 'upgrade')
  t.log('response', response.statusCode, response.headers.upgrade, socket === agent.made[0])
  t.log('head', head)
  t.log('agent', count(agent.sockets), count(agent.freeSockets))
  const arrived = t.drained(socket)
  socket.end('and late')
  t.log('echo', await arrived)
})

parity('an upgraded connection of many megabytes', async t => {
  const web = await webServer(t, {})
  web.on('connection', socket => (socket.allowHalfOpen = true))
  web.on('upgrade', (_request, socket, head) => {
    socket.write('HTTP/1.1 101 Switching\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
    socket.write(head)
    socket.pipe(socket)
  })
  const outgoing = request(t, web, { headers: { Upgrade: 'echo', Connection: 'Upgrade' } })
  outgoing.end()
  const [, socket, head] = await once(outgoing, 'upgrade')
  t.log('head', head)
  socket.allowHalfOpen = true
  const check = socket.pipe(new Check())
  source(8_000_000, 50_000).pipe(socket)
  await once(check, 'finish')
  t.log('echo', check.right, check.wrong)
})

parity('CONNECT to a proxy, and a request through the tunnel', async t => {
  const web = await webServer(t, (incoming, response) => response.end(`page of ${incoming.headers.host}`))
  const proxy = await webServer(t, {})
  proxy.on('connect', (incoming, socket, head) => {
    t.log('tunnel to', incoming.url)
    const onward = t.connect(t.to(web))
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    onward.write(head)
    socket.pipe(onward).pipe(socket)
  })
  const outgoing = request(t, proxy, { method: 'CONNECT', path: 'host.test:80' })
  outgoing.end()
  const [response, socket, head] = await once(outgoing, 'connect')
  t.log('tunnel', response.statusCode, head, socket instanceof t.net.Socket)
  const inner = http.request({ host: 'host.test', createConnection: () => socket })
  inner.end()
  t.log('answer', ...(await answer(inner)))
})

parity('a body of twenty megabytes there, and another back', async t => {
  const size = 20_000_000
  const web = await webServer(t, async (incoming, response) => {
    const check = incoming.pipe(new Check())
    await once(check, 'finish')
    t.log('up', check.right, check.wrong)
    source(size, 50_000).pipe(response)
  })
  const outgoing = request(t, web, { method: 'POST' })
  source(size, 70_000).pipe(outgoing)
  const [response] = await once(outgoing, 'response')
  const check = response.pipe(new Check())
  await once(check, 'finish')
  t.log('down', check.right, check.wrong)
})

parity('an answer that is read slowly arrives whole, and does not pile up', async t => {
  const size = 12_000_000
  const web = await webServer(t, (_incoming, response) => source(size).pipe(response))
  const outgoing = request(t, web)
  outgoing.end()
  const [response] = await once(outgoing, 'response')
  let [length, most] = [0, 0]
  for await (const chunk of response) {
    length += chunk.length
    most = Math.max(most, (response.socket?.bytesRead ?? 0) - length)
    await immediate()
  }
  t.log('length', length)
  t.log('at most 1 MB ahead of the reader', most < 1_000_000 || most)
})

parity('an answer that is left unread for a while', async t => {
  const web = await webServer(t, (_incoming, response) => response.end(bytes(10_000_000)))
  const outgoing = request(t, web)
  outgoing.end()
  const [response] = await once(outgoing, 'response')
  response.pause()
  await t.quiet()
  t.log('little was read', response.socket.bytesRead < 2_000_000)
  t.log('answer', sha1(await body(response)))
})

parity('a request whose server takes its time to read', async t => {
  const web = await webServer(t, async (incoming, response) => {
    incoming.pause()
    await t.quiet()
    incoming.resume()
    response.end(sha1(await body(incoming)))
  })
  const outgoing = request(t, web, { method: 'POST' })
  t.log('room', outgoing.write(bytes(12_000_000)))
  await once(outgoing, 'drain')
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parity('a chunked request with trailers', async t => {
  const web = await webServer(t, async (incoming, response) => {
    t.log('body', await body(incoming))
    t.log('trailers', incoming.trailers)
    response.writeHead(200, { Trailer: 'Back' })
    response.write('.')
    response.addTrailers({ Back: '2' })
    response.end()
  })
  const outgoing = request(t, web, { method: 'POST', headers: { Trailer: 'Sum' } })
  for (let at = 0; at < 50; at++) outgoing.write(`${at} `)
  outgoing.addTrailers({ Sum: '1' })
  outgoing.end()
  const [response] = await once(outgoing, 'response')
  t.log('answer', await body(response))
  t.log('trailers', response.trailers)
})

// What a client makes of a server that writes `text` and then ends, or does what `then` says.
async function misbehaving(t, text, then = peer => peer.end()) {
  const server = await t.listen({}, peer =>
    peer.once('data', () => {
      if (text) peer.write(text)
      then(peer)
    }),
  )
  const outgoing = request(t, server)
  const over = new Promise(resolve => outgoing.on('close', resolve))
  outgoing.on('error', ({ name, code, message }) => t.log('error', name, code, message))
  outgoing.on('response', response => {
    t.log('response', response.statusCode)
    response.on('error', error => t.log('response error', error.code, error.message))
    response.on('aborted', () => t.log('aborted'))
    response.on('end', () => t.log('end'))
    response.resume()
  })
  outgoing.end()
  await over
  t.log('destroyed', outgoing.destroyed)
}

parity('an answer that is no HTTP', t => misbehaving(t, 'SSH-2.0-whatever\r\n'))

parity('a server that ends without an answer', t => misbehaving(t, ''))

parity('a server that resets without an answer', t => misbehaving(t, '', peer => peer.resetAndDestroy()))

parity('an answer that ends too early', t =>
  misbehaving(t, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123'),
)

parity('a chunked answer that ends too early', t =>
  misbehaving(t, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'),
)

parity('an answer as long as the connection', t => misbehaving(t, 'HTTP/1.1 200 OK\r\n\r\nuntil the end'))

parity('an answer whose headers come byte by byte', async t => {
  const server = await t.listen({ noDelay: true }, peer =>
    peer.once('data', async () => {
      for (const letter of 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc') {
        peer.write(letter)
        await t.turns()
      }
    }),
  )
  const outgoing = request(t, server)
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})

parityProcess('idle sockets of an Agent do not keep the process', async t => {
  const server = await t.listen({}, peer => {
    peer.on('data', () => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.'))
    peer.unref()
  })
  server.unref()
  class Agent extends http.Agent {
    createConnection() {
      return t.net.connect(t.to(server))
    }
  }
  const agent = new Agent({ keepAlive: true })
  for (let at = 0; at < 2; at++) {
    const outgoing = http.request({ agent })
    outgoing.end()
    t.log('answer', ...(await answer(outgoing)), outgoing.reusedSocket)
    await t.until(() => count(agent.freeSockets) === 1)
  }
})

parityProcess('a request in progress keeps the process', async t => {
  const server = await t.listen({}, peer => {
    peer.unref()
    peer.once('data', () => setTimeout(() => peer.end('HTTP/1.1 200 OK\r\n\r\nlate'), 50).unref())
  })
  server.unref()
  const outgoing = request(t, server)
  outgoing.end()
  t.log('answer', ...(await answer(outgoing)))
})
