// Node's http.Server behind ferronet's: what it reads from a connection, what it writes, when it gives up on one. The
// clients speak HTTP by hand, so that every byte of an answer is compared.

import { once } from 'node:events'
import http from 'node:http'
import { bytes, Check, sha1, source } from '../fixtures/interop/bytes.mjs'
import { parity } from '../helpers/parity.mjs'

// An http.Server that listens nowhere: `listen` accepts for it.
async function behind(t, options = {}, onRequest) {
  if (typeof options === 'function') [options, onRequest] = [{}, options]
  const { listen, ...httpOptions } = options
  const web = http.createServer({ keepAliveTimeout: 60_000, ...httpOptions })
  // The Date of an answer differs between runs.
  web.on('request', (_request, response) => (response.sendDate = false))
  if (onRequest) web.on('request', onRequest)
  // Here a server begins to keep account of its connections, for time limits and for closing them.
  web.emit('listening')
  t.cleanup(() => {
    web.closeAllConnections()
    web.close()
  })
  const server = await t.listen(listen, peer => web.emit('connection', peer))
  return { web, server }
}

async function body(message) {
  const chunks = []
  for await (const chunk of message) chunks.push(chunk)
  return Buffer.concat(chunks)
}

// Reads until the text has arrived; what came up to there.
function until(socket, text) {
  return new Promise(resolve => {
    let seen = ''
    socket.on('data', function data(chunk) {
      seen += chunk.toString('latin1')
      if (!seen.includes(text)) return
      socket.removeListener('data', data)
      resolve(seen)
    })
  })
}

parity('a request and its answer', async t => {
  const { server } = await behind(t, async (request, response) => {
    t.log('request', request.method, request.url, request.httpVersion, request.headers.host)
    t.log('body', await body(request))
    response.setHeader('X-Mine', 'yes')
    response.end('fine')
  })
  const client = t.connect(t.to(server))
  client.write('POST /a?b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwords')
  t.log('answer', await t.drained(client))
})

parity('who is at the other end, as a request handler asks', async t => {
  const { server } = await behind(t, ({ socket }, response) => {
    t.log('local', socket.localAddress, socket.localFamily, socket.localPort === server.address().port)
    t.log('remote', socket.remoteAddress, socket.remoteFamily, socket.remotePort === client.localPort)
    t.log('kind', socket instanceof t.net.Socket, socket.encrypted, socket.server instanceof http.Server)
    t.log('state', socket.readyState, socket.connecting, socket.destroyed, response.socket === socket)
    t.log('bytes', socket.bytesRead, socket.bytesWritten)
    response.end()
  })
  const client = t.connect(t.to(server))
  await once(client, 'connect')
  client.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  await t.drained(client)
})

parity('one connection, request after request', async t => {
  const sockets = new Set()
  const { server } = await behind(t, (request, response) => {
    sockets.add(request.socket)
    response.end(request.url)
  })
  const client = t.connect(t.to(server))
  for (const path of ['/1', '/2', '/3']) {
    client.write(`GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`)
    t.log('answer', await until(client, `\r\n\r\n${path}`))
  }
  client.write('GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  t.log('answer', await t.drained(client))
  t.log('sockets', sockets.size)
})

parity('pipelined requests are answered in their order', async t => {
  const waiting = []
  const { server } = await behind(t, (request, response) => {
    waiting.push(response)
    t.log('request', request.url)
    if (waiting.length === 4) for (const [at, each] of waiting.reverse().entries()) each.end(`answer ${at}`)
  })
  const client = t.connect(t.to(server))
  const request = path => `GET ${path} HTTP/1.1\r\nHost: h\r\n`
  client.write(['/1', '/2', '/3'].map(path => `${request(path)}\r\n`).join(''))
  client.write(`${request('/4')}Connection: close\r\n\r\n`)
  t.log('answers', await t.drained(client))
})

parity('a flood of pipelined requests, whose answers the client does not read', async t => {
  const { server } = await behind(t, (request, response) => {
    response.end(`${request.url} ${'x'.repeat(4_000)}\n`)
  })
  const client = t.connect(t.to(server))
  client.pause()
  await once(client, 'connect')
  for (let at = 0; at < 3_000; at++) client.write(`GET /${at} HTTP/1.1\r\nHost: h\r\n\r\n`)
  client.write('GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  await t.quiet()
  const arrived = t.drained(client)
  client.resume()
  t.log('answers', (await arrived).toString().match(/\/\w+ x+\n/g).length)
})

parity('a request that comes byte by byte', async t => {
  const { server } = await behind(t, async (request, response) => {
    t.log('headers', request.rawHeaders)
    response.end(await body(request))
  })
  const client = t.connect(t.to(server, { noDelay: true }))
  const arrived = t.drained(client)
  const text = 'PUT /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc'
  for (const letter of text) {
    client.write(letter)
    await t.turns()
  }
  t.log('answer', await arrived)
})

parity('chunked both ways, with trailers', async t => {
  const { server } = await behind(t, async (request, response) => {
    t.log('body', await body(request))
    t.log('trailers', request.trailers)
    response.setHeader('Trailer', 'Sum')
    response.write('one')
    await t.turns(2)
    response.write('two')
    response.addTrailers({ Sum: '2' })
    response.end()
  })
  const client = t.connect(t.to(server))
  const arrived = t.drained(client)
  client.write('POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n')
  for (const part of ['5\r\nhello\r\n', '6;ext=1\r\n world\r\n', '0\r\nSum: 1\r\n\r\n']) {
    client.write(part)
    await t.turns(2)
  }
  t.log('answer', await arrived)
})

parity('answers without a body', async t => {
  const { server } = await behind(t, (request, response) => {
    response.statusCode = Number(request.url.slice(1))
    response.end(request.method === 'HEAD' ? 'unseen' : undefined)
  })
  const client = t.connect(t.to(server))
  const arrived = t.drained(client)
  client.write('HEAD /200 HTTP/1.1\r\nHost: h\r\n\r\nGET /204 HTTP/1.1\r\nHost: h\r\n\r\n')
  client.write('GET /304 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  t.log('answers', await arrived)
})

parity('HTTP/1.0 clients', async t => {
  const { server } = await behind(t, (request, response) => {
    response.write(`${request.httpVersion} `)
    response.end('old')
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.0\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('a client that half-closes after its request is answered', async t => {
  const { server } = await behind(t, (_request, response) => response.end('still'))
  const client = t.connect(t.to(server, { allowHalfOpen: true }))
  client.end('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('a server that listens at a path', { on: 'unix' }, async t => {
  const { server } = await behind(t, { listen: { path: t.socketPath() } }, (request, response) => {
    t.log('remote', request.socket.remoteAddress, request.socket.remotePort)
    response.end('from a path')
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('a client of node:http on a listener of this module', async t => {
  const { server } = await behind(t, async (request, response) => response.end(sha1(await body(request))))
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.cleanup(() => agent.destroy())
  for (const size of [0, 1, 70_000, 1_000_000]) {
    const request = http.request({ ...t.to(server), agent, method: 'POST' })
    request.end(bytes(size))
    const [response] = await once(request, 'response')
    t.log('answer', size, response.statusCode, String(await body(response)), request.reusedSocket)
  }
})

parity('an upload and a download of twenty megabytes', async t => {
  const size = 20_000_000
  const { server } = await behind(t, async (request, response) => {
    const check = request.pipe(new Check())
    await once(check, 'finish')
    t.log('up', check.right)
    source(size, 50_000).pipe(response)
  })
  const client = http.request({ ...t.to(server), method: 'POST', headers: { connection: 'close' } })
  source(size, 70_000).pipe(client)
  const [response] = await once(client, 'response')
  const check = response.pipe(new Check())
  await once(check, 'finish')
  t.log('down', check.right)
})

parity('an upload that the handler reads slowly arrives whole, and does not pile up', async t => {
  const size = 12_000_000
  const { server } = await behind(t, async (request, response) => {
    let [length, most] = [0, 0]
    for await (const chunk of request) {
      length += chunk.length
      most = Math.max(most, request.socket.bytesRead - length)
      await t.turns()
    }
    t.log('at most 1 MB ahead of the handler', most < 1_000_000 || most)
    response.end(String(length))
  })
  const client = http.request({ ...t.to(server), method: 'POST', headers: { connection: 'close' } })
  source(size).pipe(client)
  const [response] = await once(client, 'response')
  t.log('answer', String(await body(response)))
})

parity('a handler that pauses its request before reading it', async t => {
  const { server } = await behind(t, async (request, response) => {
    request.pause()
    await t.quiet()
    t.log('little was read', request.socket.bytesRead < 1_000_000)
    request.resume()
    response.end(sha1(await body(request)))
  })
  const client = http.request({ ...t.to(server), method: 'POST', headers: { connection: 'close' } })
  client.end(bytes(12_000_000))
  const [response] = await once(client, 'response')
  t.log('answer', String(await body(response)))
})

parity('an answer larger than the connection takes asks to wait', async t => {
  const { server } = await behind(t, async (_request, response) => {
    let drains = 0
    for (let at = 0; at < 120; at++) {
      if (response.write(bytes(100_000, at + 1))) continue
      await once(response, 'drain')
      drains++
    }
    t.log('had to wait', drains > 10)
    response.end()
  })
  const client = http.get({ ...t.to(server), headers: { connection: 'close' } })
  const [response] = await once(client, 'response')
  response.pause()
  await t.quiet()
  t.log('answer', sha1(await body(response)))
})

parity('thousands of small writes in an answer', async t => {
  const { server } = await behind(t, async (_request, response) => {
    for (let at = 0; at < 4_000; at++) {
      response.write(`${at},`)
      if (at % 1_000 === 0) await t.turns()
    }
    response.end()
  })
  const client = http.get({ ...t.to(server), headers: { connection: 'close' } })
  const [response] = await once(client, 'response')
  t.log('answer', await body(response))
})

parity('a stream of events, each sent as it happens', async t => {
  let ended
  const { server } = await behind(t, (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.flushHeaders()
    t.cleanup(() => response.end())
    ended = once(response, 'close')
    response.on('close', () => t.log.to('server')('close', response.writableFinished))
    events.on('event', name => response.write(`data: ${name}\n\n`))
  })
  const events = new (await import('node:events')).EventEmitter()
  const request = http.get(t.to(server))
  const [response] = await once(request, 'response')
  t.log('headers', response.headers['content-type'])
  for (const name of ['first', 'second']) {
    events.emit('event', name)
    t.log('arrived', String((await once(response, 'data'))[0]))
  }
  request.destroy()
  await Promise.all([once(request, 'close'), ended])
})

parity('Expect: 100-continue is answered by itself', async t => {
  const { server } = await behind(t, async (request, response) => response.end(await body(request)))
  const client = t.connect(t.to(server))
  client.write(
    'POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
  )
  t.log('interim', await until(client, 'Continue\r\n\r\n'))
  client.write('body')
  t.log('answer', await t.drained(client))
})

parity('Expect: 100-continue is answered by checkContinue', async t => {
  const { web, server } = await behind(t)
  web.on('checkContinue', async (request, response) => {
    response.sendDate = false
    t.log('expected', request.headers.expect)
    if (request.url === '/no') {
      response.writeHead(417)
      response.end()
      return
    }
    response.writeContinue()
    response.end(await body(request))
  })
  const head = path =>
    `POST ${path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n`
  const refused = t.connect(t.to(server))
  refused.write(head('/no'))
  t.log('refused', await t.drained(refused))
  const client = t.connect(t.to(server))
  client.write(head('/yes'))
  t.log('interim', await until(client, 'Continue\r\n\r\n'))
  client.write('body')
  t.log('answer', await t.drained(client))
})

parity('an unknown expectation', async t => {
  const { web, server } = await behind(t)
  const head = 'GET / HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\nConnection: close\r\n\r\n'
  web.once('checkExpectation', (request, response) => {
    response.sendDate = false
    response.end(`no ${request.headers.expect}`)
  })
  const client = t.connect(t.to(server))
  client.write(head)
  t.log('answer', await t.drained(client))
})

parity('early hints and other interim answers', async t => {
  const { server } = await behind(t, (_request, response) => {
    response.writeProcessing()
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    response.end('late')
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('an upgrade, with bytes of the new protocol in the same packet', async t => {
  const { web, server } = await behind(t, { listen: { allowHalfOpen: true } })
  web.on('upgrade', (request, socket, head) => {
    t.log('upgrade', request.headers.upgrade, socket instanceof t.net.Socket)
    t.log('head', head)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
    socket.write(head)
    socket.pipe(socket)
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst ')
  t.log('answer', await until(client, 'first '))
  client.end('second')
  t.log('echo', await t.drained(client))
})

parity('an upgraded connection of many megabytes', async t => {
  const { web, server } = await behind(t, { listen: { allowHalfOpen: true } })
  const request = 'GET / HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n'
  const content = bytes(6_000_000)
  web.on('upgrade', (_request, socket, head) => {
    socket.unshift(head)
    socket.pipe(socket)
  })
  const client = t.connect(t.to(server))
  const arrived = t.drained(client)
  client.write(Buffer.concat([Buffer.from(request), content.subarray(0, 1_000_000)]))
  client.end(content.subarray(1_000_000))
  t.log('the same', (await arrived).equals(content))
})

parity('an upgraded connection that was idle before, and is closed by the server', async t => {
  const { web, server } = await behind(t, (_request, response) => response.end('page'))
  web.on('upgrade', (_request, socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbye')
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  t.log('page', await until(client, 'page'))
  client.write('GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('an upgrade that nobody listens for', async t => {
  const { server } = await behind(t, (_request, response) => response.end('plain'))
  const client = t.connect(t.to(server))
  const arrived = t.drained(client)
  client.write('GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: Upgrade, close\r\n\r\n')
  t.log('answer', await arrived)
})

parity('CONNECT through a proxy, with bytes that came early', async t => {
  const target = await t.listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const { web, server } = await behind(t, { listen: { allowHalfOpen: true } })
  web.on('connect', (request, socket, head) => {
    t.log('connect', request.url, head)
    const onward = t.connect(t.to(target, { allowHalfOpen: true }))
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    onward.write(head)
    socket.pipe(onward).pipe(socket)
  })
  const client = t.connect(t.to(server))
  client.write('CONNECT target:1 HTTP/1.1\r\nHost: target:1\r\n\r\nearly ')
  t.log('answer', await until(client, 'early '))
  client.end('late')
  t.log('echo', await t.drained(client))
})

parity('a malformed request is answered with 400', async t => {
  const { server } = await behind(t, () => t.log('never'))
  const client = t.connect(t.to(server))
  client.write('this is no HTTP\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('a malformed request as clientError sees it', async t => {
  const { web, server } = await behind(t, (_request, response) => response.end('fine'))
  const text = 'GET / HTTP/1.1\r\nHost: h\r\nContent-Length: a\r\n\r\n'
  web.on('clientError', (error, socket) => {
    t.log('error', error.code, error.bytesParsed > 0, String(error.rawPacket) === text)
    t.log('socket', socket instanceof t.net.Socket, socket.writable, socket.remoteAddress)
    socket.end('HTTP/1.1 400 My Own Words\r\n\r\n')
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  await until(client, 'fine')
  client.write(text)
  t.log('answer', await t.drained(client))
})

parity('headers that are too long are answered with 431', async t => {
  const { server } = await behind(t, { maxHeaderSize: 1_000 }, () => t.log('never'))
  const client = t.connect(t.to(server))
  client.write(`GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(2_000)}\r\n\r\n`)
  t.log('answer', await t.drained(client))
})

parity('a client that leaves in the middle of its upload', async t => {
  const { server } = await behind(t, request => {
    request.on('error', error => t.log('error', error.code, error.message))
    request.on('close', () => t.log('close', request.complete))
    request.once('data', () => client.destroy())
    closed = once(request, 'close').catch(() => {})
  })
  let closed
  const client = t.connect(t.to(server))
  client.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome of it')
  await once(client, 'close')
  await closed
})

parity('a client that leaves in the middle of its download', async t => {
  let ended
  const { server } = await behind(t, (_request, response) => {
    ended = once(response, 'close')
    const more = () => {
      while (!response.destroyed && response.write(bytes(50_000)));
    }
    response.on('drain', more)
    more()
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  await once(client, 'data')
  client.resetAndDestroy()
  await ended
  t.log('response closed')
})

parity('a handler that destroys the connection in the middle of its answer', async t => {
  const { server } = await behind(t, (request, response) => {
    response.writeHead(200, { 'Content-Length': 1_000 })
    response.write('not all of it', () => request.socket.destroy())
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('closeIdleConnections leaves a request in progress alone', async t => {
  const answers = []
  const { web, server } = await behind(t, (request, response) => {
    if (request.url === '/wait') answers.push(response)
    else response.end('done')
  })
  const [idle, busy] = [t.connect(t.to(server)), t.connect(t.to(server))]
  idle.write('GET /now HTTP/1.1\r\nHost: h\r\n\r\n')
  await until(idle, 'done')
  busy.write('GET /wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  await t.until(() => answers.length === 1)
  web.closeIdleConnections()
  await once(idle.resume(), 'close')
  t.log('busy', busy.destroyed)
  answers[0].end('late')
  t.log('answer', await t.drained(busy))
})

parity('closeAllConnections closes a request in progress too', async t => {
  const requests = []
  const { web, server } = await behind(t, request => {
    requests.push(request.on('error', error => t.log.to('request')('error', error.code)))
    if (requests.length === 2) web.closeAllConnections()
  })
  const clients = [t.connect(t.to(server)), t.connect(t.to(server))]
  for (const client of clients) client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  await Promise.all(clients.map(client => once(client.resume(), 'close')))
  await t.until(() => requests.every(request => request.closed))
  const connections = await new Promise(resolve => server.getConnections((_, count) => resolve(count)))
  t.log('left', connections)
})

parity('an idle connection is closed after keepAliveTimeout', async t => {
  const options = { keepAliveTimeout: 40, keepAliveTimeoutBuffer: 0 }
  const { server } = await behind(t, options, (_request, response) => response.end('.'))
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  await t.drained(client)
  t.log('closed by the server')
})

parity('headers that do not come in headersTimeout', async t => {
  const { web, server } = await behind(t, { headersTimeout: 40, connectionsCheckingInterval: 20 }, () =>
    t.log('never'),
  )
  web.on('clientError', (error, socket) => {
    t.log('error', error.code)
    socket.end('HTTP/1.1 408 Too Late\r\n\r\n')
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: ')
  t.log('answer', await t.drained(client))
})

parity('a body that does not come in requestTimeout is answered with 408', async t => {
  const options = { headersTimeout: 60, requestTimeout: 60, connectionsCheckingInterval: 20 }
  let aborted
  const { server } = await behind(t, options, request => {
    t.log('request', request.url)
    aborted = new Promise(resolve => request.resume().on('error', resolve))
  })
  const client = t.connect(t.to(server))
  client.write('POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123')
  t.log('answer', await t.drained(client))
  t.log('error', (await aborted).code)
})

parity('the idle timeout of a server', async t => {
  const { web, server } = await behind(t, () => {})
  web.setTimeout(40, socket => {
    t.log('timeout', socket instanceof t.net.Socket)
    socket.end('HTTP/1.1 503 Slow\r\n\r\n')
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('the idle timeout of a response', async t => {
  const { server } = await behind(t, (_request, response) => {
    response.setTimeout(40, () => response.end('after the timeout'))
  })
  const client = t.connect(t.to(server))
  client.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  t.log('answer', await t.drained(client))
})

parity('no more than maxRequestsPerSocket requests', async t => {
  const { web, server } = await behind(t, (request, response) => response.end(request.url))
  web.maxRequestsPerSocket = 2
  const client = t.connect(t.to(server))
  client.write('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n')
  t.log('first', await until(client, '\r\n\r\n/1'))
  client.write('GET /2 HTTP/1.1\r\nHost: h\r\n\r\n')
  t.log('second', await until(client, '\r\n\r\n/2'))
  client.write('GET /3 HTTP/1.1\r\nHost: h\r\n\r\n')
  t.log('third', (await until(client, '\r\n\r\n')).replace(/Date: .*\r\n/, ''))
})

parity('listeners that are added to the connection of a request', async t => {
  // http listens in ways of its own as long as nobody else wants the bytes.
  const { web, server } = await behind(t, (request, response) => {
    let seen = 0
    request.socket.on('data', chunk => (seen += chunk.length))
    request.resume().on('end', () => {
      t.log('seen', seen)
      response.end('.')
    })
  })
  const client = t.connect(t.to(server))
  client.write('POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\n')
  await once(web, 'request')
  client.write('body')
  await t.drained(client)
})

parity('an answer without a server: ServerResponse on a socket', async t => {
  const server = await t.listen({}, peer => {
    const request = new http.IncomingMessage(peer)
    request.method = 'GET'
    const response = new http.ServerResponse(request)
    response.sendDate = false
    response.shouldKeepAlive = false
    response.assignSocket(peer)
    response.on('finish', () => {
      response.detachSocket(peer)
      peer.end()
    })
    response.end('by hand')
  })
  t.log('answer', await t.drained(t.connect(t.to(server))))
})
