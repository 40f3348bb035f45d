// Node's http2 over ferronet on both ends, unencrypted and with TLS: streams, flow control, large bodies, and how
// streams, sessions and connections end.

import { once } from 'node:events'
import http2 from 'node:http2'
import tls from 'node:tls'
import { bytes, Check, sha1, source } from '../fixtures/interop/bytes.mjs'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'

// The two ways of a session: how a server is made for it, and how a client's socket is.
const ways = {
  h2c: {
    server: options => http2.createServer(options),
    socket: raw => raw,
    url: 'http://localhost',
  },
  h2: {
    server: options => http2.createSecureServer({ ...identity, ...options }),
    socket: raw => tls.connect({ ...trust, ALPNProtocols: ['h2'], socket: raw }),
    url: 'https://localhost',
  },
}

// A server of node:http2 that listens nowhere, and a session of a client with it.
async function session(t, way, { server: serverOptions = {}, client: clientOptions = {}, onStream } = {}) {
  const web = ways[way].server(serverOptions)
  // An unanswered error of either end fails the test, but for those that a test provokes.
  if (onStream) web.on('stream', onStream)
  const sessions = []
  web.on('session', each => sessions.push(each.on('error', () => {})))
  const server = await t.listen({}, peer => web.emit('connection', peer))
  const raw = t.connect(t.to(server))
  const client = http2.connect(ways[way].url, {
    ...clientOptions,
    createConnection: () => ways[way].socket(raw),
  })
  t.cleanup(() => {
    client.destroy()
    for (const each of sessions) each.destroy()
  })
  return { web, server, raw, client, sessions }
}

const gone = emitter =>
  emitter.destroyed ? undefined : new Promise(resolve => emitter.once('close', resolve))

// Not by iteration: a stream whose answer is complete counts as closed, unread or not, and cannot be iterated any more.
async function body(stream) {
  const chunks = []
  stream.on('data', chunk => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks)
}

// The same scenario in the clear and within TLS.
function both(title, scenario) {
  for (const way of Object.keys(ways)) parity(`${way}: ${title}`, t => scenario(t, way))
}

both('a request and its answer', async (t, way) => {
  const { client } = await session(t, way, {
    onStream: async (stream, headers) => {
      t.log('server', headers[':method'], headers[':path'], headers.x)
      stream.respond({ ':status': 200, y: 'there' })
      stream.end(`you said ${await body(stream)}`)
    },
  })
  const stream = client.request({ ':method': 'POST', ':path': '/a', x: 'here' })
  stream.end('something')
  const [[headers], content] = await Promise.all([once(stream, 'response'), body(stream)])
  t.log('client', headers[':status'], headers.y)
  t.log('answer', content)
  t.log('protocol', client.alpnProtocol, client.encrypted)
})

both('the compatibility interface', async (t, way) => {
  const { web, client } = await session(t, way)
  web.on('request', async (request, response) => {
    t.log('request', request.method, request.url, request.httpVersion)
    response.setHeader('x-mine', 'yes')
    response.write(await body(request))
    response.addTrailers({ sum: '1' })
    response.end('!')
  })
  const stream = client.request({ ':method': 'PUT', ':path': '/b' })
  const trailers = once(stream, 'trailers')
  stream.end('words')
  const [[headers], content] = await Promise.all([once(stream, 'response'), body(stream)])
  t.log('client', headers[':status'], headers['x-mine'])
  t.log('answer', content)
  t.log('trailers', (await trailers)[0].sum)
})

both('a hundred streams at once', async (t, way) => {
  const { client } = await session(t, way, {
    onStream: async (stream, headers) => {
      const content = await body(stream)
      stream.respond({ ':status': 200 })
      stream.end(`${headers[':path']} ${content.length} ${sha1(content)}`)
    },
  })
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, at) => {
      const stream = client.request({ ':method': 'POST', ':path': `/${at}` })
      stream.end(bytes(at * 300, at))
      return body(stream)
    }),
  )
  t.log('answers', answers.join())
})

both('large bodies there and back', async (t, way) => {
  const size = 6_000_000
  const { client } = await session(t, way, {
    onStream: async stream => {
      const check = stream.pipe(new Check())
      await once(check, 'finish')
      t.log('up', check.right, check.wrong)
      stream.respond({ ':status': 200 })
      source(size, 50_000).pipe(stream)
    },
  })
  const stream = client.request({ ':method': 'POST' })
  source(size, 70_000).pipe(stream)
  const check = stream.pipe(new Check())
  await once(check, 'finish')
  t.log('down', check.right, check.wrong)
})

both('several large answers share the connection', async (t, way) => {
  const { client } = await session(t, way, {
    onStream: (stream, headers) => {
      stream.respond({ ':status': 200 })
      source(1_500_000, 10_000 + Number(headers[':path'].slice(1))).pipe(stream)
    },
  })
  const right = await Promise.all(
    [1, 2, 3, 4, 5].map(async at => {
      const check = client.request({ ':path': `/${at}` }).pipe(new Check())
      await once(check, 'finish')
      return check.right
    }),
  )
  t.log('right', right)
})

both('a reader that pauses holds its own stream up, and no other', async (t, way) => {
  const sent = {}
  const { client } = await session(t, way, {
    onStream: (stream, headers) => {
      const name = headers[':path']
      sent[name] = 0
      stream.respond({ ':status': 200 })
      const body = source(1_000_000, 20_000)
      body.on('data', chunk => (sent[name] += chunk.length))
      body.pipe(stream)
    },
  })
  const slow = client.request({ ':path': '/slow' })
  await once(slow, 'response')
  slow.pause()
  const check = client.request({ ':path': '/fast' }).pipe(new Check())
  await once(check, 'finish')
  t.log('fast', check.right, 'slow has waited', sent['/slow'] < 1_000_000)
  const late = slow.pipe(new Check())
  await once(late, 'finish')
  t.log('slow', late.right)
})

both('larger windows', async (t, way) => {
  const { client } = await session(t, way, {
    server: { settings: { initialWindowSize: 1_000_000 } },
    client: { settings: { initialWindowSize: 1_000_000 } },
    onStream: stream => {
      stream.respond({ ':status': 200 })
      source(3_000_000).pipe(stream)
    },
  })
  const check = client.request().pipe(new Check())
  await once(check, 'finish')
  t.log('right', check.right)
})

both('settings and ping', async (t, way) => {
  const { client } = await session(t, way, { server: { settings: { maxConcurrentStreams: 7 } } })
  const [settings] = await once(client, 'remoteSettings')
  t.log('settings', settings.maxConcurrentStreams)
  const answer = await new Promise(resolve =>
    client.ping(Buffer.from('12345678'), (error, duration, payload) =>
      resolve([error, duration >= 0, payload]),
    ),
  )
  t.log('ping', ...answer)
})

both('more streams than the server allows wait for their turn', async (t, way) => {
  const { client } = await session(t, way, {
    server: { settings: { maxConcurrentStreams: 2 } },
    onStream: async (stream, headers) => {
      await t.turns(2)
      stream.respond({ ':status': 200 })
      stream.end(headers[':path'])
    },
  })
  await once(client, 'remoteSettings')
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, at) => body(client.request({ ':path': `/${at}` }))),
  )
  t.log('answers', answers.join())
})

both('a pushed stream', async (t, way) => {
  const { client } = await session(t, way, {
    onStream: stream => {
      stream.pushStream({ ':path': '/pushed' }, (error, push) => {
        t.log('push', error)
        push.respond({ ':status': 200 })
        push.end('pushed')
        stream.respond({ ':status': 200 })
        stream.end('asked for')
      })
    },
  })
  const pushed = new Promise(resolve =>
    client.on('stream', (push, headers) => resolve(Promise.all([headers[':path'], body(push)]))),
  )
  t.log('answer', await body(client.request()))
  t.log('pushed', ...(await pushed))
})

both('a file as an answer', async (t, way) => {
  const { writeFileSync } = await import('node:fs')
  const file = `${t.directory()}/body`
  writeFileSync(file, bytes(700_000))
  const { client } = await session(t, way, { onStream: stream => stream.respondWithFile(file) })
  const content = await body(client.request())
  t.log('answer', content.length, content.equals(bytes(700_000)))
})

both('a stream that the client cancels', async (t, way) => {
  const closed = {}
  closed.promise = new Promise(resolve => (closed.resolve = resolve))
  const { client } = await session(t, way, {
    onStream: stream => {
      stream.on('error', () => {})
      stream.on('close', () => closed.resolve(stream.rstCode))
      stream.respond({ ':status': 200 })
      source(50_000_000)
        .on('error', () => {})
        .pipe(stream)
    },
  })
  const stream = client.request()
  await once(stream, 'data')
  stream.close(http2.constants.NGHTTP2_CANCEL)
  t.log('server', await closed.promise)
  t.log(
    'next',
    (
      await once(
        client.request().on('error', () => {}),
        'response',
      )
    )[0][':status'],
  )
})

both('a stream that the server refuses', async (t, way) => {
  const { client } = await session(t, way, {
    onStream: stream => {
      stream.on('error', () => {})
      stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)
    },
  })
  const stream = client.request()
  const [error] = await once(stream, 'error')
  t.log('error', error.code, error.message, stream.rstCode)
})

both('a session that the client closes lets its streams finish', async (t, way) => {
  const { client, raw, sessions } = await session(t, way, {
    onStream: async stream => {
      client.close()
      await t.turns(3)
      stream.respond({ ':status': 200 })
      stream.end('late')
    },
  })
  t.log('answer', await body(client.request()))
  await Promise.all([gone(client), t.closed(raw)])
  await t.until(() => sessions[0].destroyed)
  t.log('closed', client.closed, raw.destroyed)
})

both('a session that the server closes lets its streams finish', async (t, way) => {
  const { client, sessions, raw } = await session(t, way, {
    onStream: async stream => {
      sessions[0].close()
      await t.turns(3)
      stream.respond({ ':status': 200 })
      stream.end('late')
    },
  })
  client.once('goaway', code => t.log('goaway', code))
  t.log('answer', await body(client.request()))
  await Promise.all([gone(client), t.closed(raw)])
  t.log('destroyed', client.destroyed)
})

both('goaway with a code', async (t, way) => {
  const { client, sessions } = await session(t, way, {
    onStream: stream => {
      stream.on('error', () => {})
      sessions[0].goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from('calm'))
    },
  })
  const stream = client.request()
  const errors = Promise.all([once(client, 'goaway'), once(client, 'error'), once(stream, 'error')])
  const [[code, , data], [error]] = await errors
  t.log('goaway', code, data)
  t.log('error', error.code)
})

both('a session that the server destroys', async (t, way) => {
  const { client, raw, sessions } = await session(t, way, {
    onStream: stream => {
      stream.on('error', () => {})
      sessions[0].destroy(http2.constants.NGHTTP2_INTERNAL_ERROR)
    },
  })
  // Whether the reason arrives before the end is a matter of chance.
  client.on('error', () => {})
  const stream = client.request().on('error', () => {})
  await Promise.all([gone(stream), gone(client), t.closed(raw)])
  t.log('destroyed', client.destroyed, stream.destroyed)
})

both('a connection cut below the session', async (t, way) => {
  const { client, raw, sessions } = await session(t, way, {
    onStream: stream => {
      stream.on('error', () => {})
      raw.destroy()
    },
  })
  client.on('error', () => {})
  const stream = client.request().on('error', () => {})
  await gone(stream)
  await gone(client)
  await t.until(() => sessions[0].destroyed)
  t.log('destroyed', client.destroyed, stream.destroyed)
})

both('a connection reset below the session', async (t, way) => {
  const peers = []
  const { client, raw, sessions, server } = await session(t, way, {
    onStream: stream => {
      stream.on('error', () => {})
      peers[0].resetAndDestroy()
    },
  })
  server.prependListener('connection', peer => peers.push(peer))
  // The reset behind bytes that nobody has read yet would be an end to libuv.
  await Promise.all([once(client, 'remoteSettings'), once(client, 'localSettings')])
  const stream = client.request()
  const errors = [once(stream, 'error'), once(client, 'error')]
  for (const [error] of await Promise.all(errors)) t.log('error', error.code)
  await Promise.all([gone(client), t.closed(raw)])
  await t.until(() => sessions[0].destroyed)
})

both('a connection that is refused', async (t, way) => {
  const server = await t.listen()
  const target = t.to(server)
  server.close()
  await t.closed(server)
  const client = http2.connect(ways[way].url, {
    createConnection: () => ways[way].socket(t.connect(target)),
  })
  t.cleanup(() => client.destroy())
  t.log('error', (await once(client, 'error'))[0].code)
})

both('the idle timeout of a session', async (t, way) => {
  const { client } = await session(t, way, { onStream: () => {} })
  client.request().on('error', () => {})
  client.setTimeout(40)
  await once(client, 'timeout')
  t.log('destroyed', client.destroyed)
})

both('the socket of a session', async (t, way) => {
  const { client } = await session(t, way, {
    onStream: stream => {
      t.log('server', stream.session.socket.destroyed, typeof stream.session.socket.setTimeout)
      stream.respond({ ':status': 200 })
      stream.end()
    },
  })
  await body(client.request())
  client.socket.setTimeout(0)
  t.log('connecting', client.connecting, client.destroyed)
  try {
    client.socket.write('no')
  } catch (error) {
    t.log('write', error.code)
  }
})

parity('a server that speaks both HTTP/1.1 and HTTP/2 within TLS', async t => {
  const { default: https } = await import('node:https')
  const web = http2.createSecureServer({ ...identity, allowHTTP1: true }, (request, response) => {
    t.log('request', request.httpVersion, request.url)
    response.end('.')
  })
  const server = await t.listen({}, peer => web.emit('connection', peer))
  const old = https.request({ ...trust, agent: false, path: '/old', socket: t.connect(t.to(server)) })
  old.end()
  await body((await once(old, 'response'))[0])
  const client = http2.connect('https://localhost', {
    createConnection: () => ways.h2.socket(t.connect(t.to(server))),
  })
  t.cleanup(() => client.destroy())
  await body(client.request({ ':path': '/new' }))
})

parity('CONNECT through HTTP/2 to a socket', async t => {
  const target = await t.listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const { client } = await session(t, 'h2c', {
    onStream: stream => {
      const onward = t.connect(t.to(target, { allowHalfOpen: true }))
      stream.respond({ ':status': 200 })
      stream.pipe(onward).pipe(stream)
    },
  })
  const stream = client.request({ ':method': 'CONNECT', ':authority': 'target:1' })
  stream.end(bytes(1_000_000))
  t.log('echo', (await body(stream)).equals(bytes(1_000_000)))
})

parity('HTTP/2 after a dialogue of another protocol', async t => {
  let change
  const changed = new Promise(resolve => (change = resolve))
  const web = http2.createServer((_request, response) => response.end('after all'))
  const server = await t.listen({}, async peer => {
    const [question] = await once(peer, 'data')
    t.log('question', question)
    peer.pause()
    peer.write('go ahead')
    await changed
    web.emit('connection', peer)
  })
  const raw = t.connect(t.to(server))
  raw.write('may I?')
  const [words] = await once(raw, 'data')
  t.log('words', words)
  const client = http2.connect('http://localhost', { createConnection: () => raw })
  t.cleanup(() => client.destroy())
  change()
  t.log('answer', await body(client.request()))
})

parityProcess('a process ends after its HTTP/2 session has', async t => {
  const { client, server } = await session(t, 'h2c', {
    onStream: stream => {
      stream.respond({ ':status': 200 })
      stream.end('bye')
    },
  })
  t.log('answer', await body(client.request()))
  client.close()
  server.close()
})
