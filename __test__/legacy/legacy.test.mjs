// What `ferronet/legacy` does for programs of 2010 and Node no longer does. node:net has no counterpart, so the
// scenarios state what to expect: with `assert`, or as an expected trace where order matters.

import assert from 'node:assert/strict'
import dns from 'node:dns'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import tls from 'node:tls'
import { inherits } from 'node:util'
import { parity, parityProcess } from '../helpers/parity.mjs'

const module = 'ferronet/legacy'
const require = createRequire(import.meta.url)

function legacy(title, options, scenario) {
  if (typeof options === 'function') [options, scenario] = [{}, options]
  parity(title, { ...options, module }, scenario)
}

// The next `length` bytes or characters that a stream gives.
function received(stream, length) {
  return new Promise(resolve => {
    const chunks = []
    let missing = length
    stream.on('data', function take(chunk) {
      chunks.push(chunk)
      missing -= chunk.length
      if (missing > 0) return
      stream.off('data', take)
      resolve(typeof chunk === 'string' ? chunks.join('') : Buffer.concat(chunks))
    })
  })
}

// A connection made and closed since: what was on its way before has been seen by now.
async function quiet({ pair, closed, turns }) {
  const { client, peer } = await pair()
  client.end()
  peer.end()
  await closed(client, peer)
  await turns(2)
}

// --- the module ---------------------------------------------------------------------------------------------------

legacy('the legacy entry stands where net stood: all that ferronet exports, and its own classes', async t => {
  const { net } = t
  const modern = (await import('ferronet')).default
  for (const name of Object.keys(modern)) assert.notEqual(net[name], undefined, name)
  assert.equal(require(module), net)
  assert.equal((await import(module)).Stream, net.Stream)
  assert.equal(net.Stream, net.Socket)
  assert.equal(net.createConnection, net.connect)
  assert.notEqual(net.Stream, modern.Stream)
  assert.ok(net.Stream.prototype instanceof modern.Socket)
  assert.ok(net.Server.prototype instanceof modern.Server)
  assert.deepEqual([net.isIP('::1'), net.isIPv4('1.2.3.4'), net.isIPv6('x')], [6, true, false])
})

legacy('a legacy Stream is made with new, without it, and by heirs of ES5 and of classes', async t => {
  const { net, own, listen } = t
  const server = await listen({}, peer => peer.end('hi'))
  function Old() {
    net.Stream.call(this)
    this.old = true
  }
  inherits(Old, net.Stream)
  class Loud extends net.Stream {
    write(data, ...rest) {
      return super.write(String(data).toUpperCase(), ...rest)
    }
  }
  const streams = [new net.Stream(), net.Stream(), net.Socket(), new Old(), new Loud()]
  for (const stream of streams) {
    assert.ok(stream instanceof net.Stream)
    own(stream).connect(server.address().port)
    assert.equal(String(await received(stream, 2)), 'hi')
  }
  const heard = new Promise(resolve => server.once('connection', resolve))
  const loud = own(new Loud().connect(server.address().port))
  const peer = await heard
  loud.write('quiet')
  assert.equal(String(await received(peer, 5)), 'QUIET')
})

// --- readyState ---------------------------------------------------------------------------------------------------

legacy('readyState of a legacy client is closed, opening, open, readOnly and closed', async t => {
  const { net, own, listen, closed } = t
  const server = await listen({}, peer => peer.on('end', () => peer.end()))
  const stream = own(new net.Stream())
  assert.equal(stream.readyState, 'closed')
  stream.connect(server.address().port)
  assert.equal(stream.readyState, 'opening')
  await once(stream, 'connect')
  assert.equal(stream.readyState, 'open')
  stream.end()
  assert.equal(stream.readyState, 'readOnly')
  let atEnd
  stream.on('end', () => (atEnd = stream.readyState))
  await closed(stream)
  assert.equal(atEnd, 'closed')
  assert.equal(stream.readyState, 'closed')
})

legacy('readyState of a legacy stream is writeOnly from the end of its peer to its own', async t => {
  const { pair, closed } = t
  const { client, peer } = await pair()
  assert.equal(peer.readyState, 'open')
  client.end()
  await once(peer, 'end')
  assert.equal(peer.readyState, 'writeOnly')
  peer.write('still here')
  assert.equal(String(await received(client, 10)), 'still here')
  assert.equal(peer.readyState, 'writeOnly')
  peer.end()
  assert.equal(peer.readyState, 'closed')
  await closed(client, peer)
})

legacy('readyState of a legacy stream is closed right after destroy, and after a failure', async t => {
  const { net, own, pair, listen, closed } = t
  const { client, peer } = await pair()
  client.destroy()
  assert.equal(client.readyState, 'closed')
  await once(peer, 'end')
  assert.equal(peer.readyState, 'writeOnly')
  peer.destroy()
  await closed(peer)
  const gone = await listen()
  const { port } = gone.address()
  gone.close()
  await closed(gone)
  const refused = own(net.createConnection(port))
  const [error] = await once(refused, 'error')
  assert.deepEqual([error.code, error.address, error.port], ['ECONNREFUSED', '127.0.0.1', port])
  assert.equal(refused.readyState, 'closed')
})

// --- connect ------------------------------------------------------------------------------------------------------

legacy('without a host legacy streams connect to 127.0.0.1, and look nothing up', async t => {
  const { net, own, listen, attempt } = t
  const server = await listen()
  const { port } = server.address()
  const ways = [
    net.createConnection(port),
    net.createConnection(String(port)),
    net.createConnection({ port }),
    new net.Stream().connect(port),
    new net.Stream().connect(port, () => {}),
    new net.Stream().connect({ port, host: undefined }),
  ]
  // All at once: the system may tell of a later one first.
  const connected = ways.map(stream => {
    own(stream).on('lookup', () => assert.fail('a lookup'))
    return once(stream, 'connect')
  })
  await Promise.all(connected)
  for (const stream of ways) assert.equal(stream.remoteAddress, '127.0.0.1')
  attempt('nothing given', () => net.createConnection())
})

legacy('a host that is given is the host of a legacy stream', async t => {
  const { net, own, listen } = t
  const server = await listen()
  const { port } = server.address()
  const asked = []
  const lookup = (host, options, callback) => {
    asked.push(host)
    if (options.all) callback(null, [{ address: '127.0.0.1', family: 4 }])
    else callback(null, '127.0.0.1', 4)
  }
  const stream = own(net.createConnection({ port, host: 'a.name', lookup }))
  await once(stream, 'connect')
  assert.deepEqual(asked, ['a.name'])
})

legacy('a legacy stream connects to a path', { on: 'unix' }, async t => {
  const { net, own, listen, socketPath } = t
  const path = socketPath()
  await listen({ path }, peer => peer.end('by path'))
  assert.equal(String(await received(own(net.createConnection(path)), 7)), 'by path')
  assert.equal(String(await received(own(new net.Stream()).connect(path), 7)), 'by path')
})

legacy('a closed legacy stream is used again for another host, and begins anew', async t => {
  const { net, own, listen, closed, until } = t
  const listeners = [await listen({}, peer => peer.end('€€')), await listen({}, peer => peer.write('second'))]
  const stream = own(new net.Stream())
  stream.setEncoding('utf8')
  stream.connect(listeners[0].address().port)
  await once(stream, 'connect')
  stream.pause()
  await until(() => stream.readableLength > 0)
  stream.destroy()
  await closed(stream)
  assert.equal(stream.readyState, 'closed')

  // What was not read is gone with its connection, and so is the pause.
  stream.connect(listeners[1].address().port)
  assert.equal(stream.readyState, 'opening')
  assert.equal(await received(stream, 6), 'second')
  assert.deepEqual([stream.readyState, stream.bytesRead], ['open', 6])
})

legacy('half a character of the former connection does not spoil the next', async t => {
  const { net, own, listen, until, closed } = t
  const euro = Buffer.from('€')
  const parts = [euro.subarray(0, 2), euro]
  const server = await listen({}, peer => peer.write(parts.shift()))
  const stream = own(new net.Stream())
  stream.setEncoding('utf8')
  stream.connect(server.address().port)
  await until(() => stream.bytesRead === 2)
  stream.destroy()
  await closed(stream)
  stream.connect(server.address().port)
  assert.equal(await received(stream, 1), '€')
})

legacy('a closed stream of a server that connects out is none of the server any more', async t => {
  const { pair, listen, connect, to, closed, until } = t
  const { server, peer } = await pair()
  connect(to(server))
  await until(() => server.connections === 2)
  peer.destroy()
  await closed(peer)
  assert.deepEqual([server.connections, peer.server], [1, server])
  const other = await listen({}, accepted => accepted.end('hi'))
  peer.connect(other.address().port)
  assert.equal(String(await received(peer, 2)), 'hi')
  assert.equal(peer.server, null)
  peer.destroy()
  await closed(peer)
  assert.equal(server.connections, 1)
})

// --- reading ------------------------------------------------------------------------------------------------------

legacy('setEncoding(null) gives Buffers again, as does setEncoding()', async t => {
  const { client, peer } = await t.pair()
  const back = [null, undefined, 'nothing']
  for (const argument of back) {
    assert.equal(client.setEncoding('utf8'), client)
    peer.write('text')
    assert.equal(await received(client, 4), 'text')
    if (argument === 'nothing') client.setEncoding()
    else assert.equal(client.setEncoding(argument), client)
    assert.equal(client.readableEncoding, null)
    peer.write('bytes')
    assert.deepEqual(await received(client, 5), Buffer.from('bytes'))
  }
  client.setEncoding(null)
  peer.write('more')
  assert.deepEqual(await received(client, 4), Buffer.from('more'))
})

legacy('setEncoding takes ascii, utf8, base64 and all others, and throws at what is none', async t => {
  const { client, peer } = await t.pair()
  const bytes = Buffer.from('€uro', 'utf8')
  const encodings = ['ascii', 'utf8', 'base64', 'UTF-8', 'hex', 'latin1', 'binary', 'utf16le', 'base64url']
  for (const encoding of encodings) {
    client.setEncoding(encoding)
    peer.write(bytes)
    const wanted = bytes.toString(encoding)
    assert.equal(await received(client, wanted.length), wanted, encoding)
  }
  assert.throws(() => client.setEncoding('uft8'), { code: 'ERR_UNKNOWN_ENCODING', name: 'TypeError' })
  assert.equal(client.readableEncoding, 'base64url', 'it has stayed what it was')
})

legacy('no byte is lost when the encoding changes in the middle of a character', async t => {
  const { client, peer, server } = await t.pair()
  const euro = Buffer.from('€')
  for (const [encoding, wanted] of [
    [null, euro],
    ['hex', euro.toString('hex')],
  ]) {
    const before = client.bytesRead
    client.setEncoding('utf8')
    peer.write(euro.subarray(0, 2))
    await t.until(() => client.bytesRead === before + 2)
    client.setEncoding(encoding)
    const got = received(client, wanted.length)
    peer.write(euro.subarray(2))
    assert.deepEqual(await got, wanted)
  }
  // At the end of the stream there is nothing more that could push it.
  const last = t.connect(t.to(server))
  const [sender] = await once(server, 'connection')
  last.setEncoding('utf8')
  sender.write(euro.subarray(0, 1))
  await t.until(() => last.bytesRead === 1)
  last.setEncoding(null)
  sender.end()
  assert.deepEqual(await t.drained(last), euro.subarray(0, 1))
})

legacy('what waits in a paused stream is decoded as setEncoding says last', async t => {
  const { client, peer } = await t.pair()
  client.setEncoding('utf8')
  client.pause()
  peer.write('naïve €')
  await t.until(() => client.bytesRead === 10)
  client.setEncoding('base64')
  client.setEncoding(null)
  client.setEncoding('hex')
  client.setEncoding(null)
  client.resume()
  assert.deepEqual(await received(client, 10), Buffer.from('naïve €'))
})

legacy('a legacy stream comes to its end and close although nobody listens for data', async t => {
  const { pair, closed } = t
  const { client, peer } = await pair()
  client.write('nobody reads this')
  client.end()
  peer.on('end', () => peer.end('nor this'))
  await closed(client, peer)
  assert.deepEqual([client.bytesRead, peer.bytesRead], [8, 17])
})

legacy('what comes before somebody listens is lost, after a pause it is kept', async t => {
  const { listen, connect, to, until } = t
  const peers = []
  const server = await listen({}, peer => peers.push(peer))
  const client = connect(to(server))
  await until(() => peers.length === 1)
  client.write('lost')
  await until(() => peers[0].bytesRead === 4)
  const got = received(peers[0], 4)
  client.write('kept')
  assert.equal(String(await got), 'kept')

  peers[0].pause()
  client.write('later')
  await until(() => peers[0].readableLength === 5)
  await t.turns(3)
  peers[0].resume()
  assert.equal(String(await received(peers[0], 5)), 'later')
})

legacy('pause in the connection listener, and pauseOnConnect, keep everything', async t => {
  for (const [options, listener] of [
    [{}, peer => peer.pause()],
    [{ pauseOnConnect: true }, () => {}],
  ]) {
    const server = await t.listen(options, listener)
    const accepted = once(server, 'connection')
    const client = t.connect(t.to(server))
    client.write('patience')
    client.end()
    const [peer] = await accepted
    await quiet(t)
    assert.equal(peer.isPaused(), true)
    peer.resume()
    assert.equal(String(await t.drained(peer)), 'patience')
  }
})

legacy('legacy streams can be piped and iterated', async t => {
  const server = await t.listen({}, peer => peer.pipe(peer))
  const client = t.connect(t.to(server))
  client.end('there and back')
  const chunks = []
  for await (const chunk of client) chunks.push(chunk)
  assert.equal(String(Buffer.concat(chunks)), 'there and back')
})

// --- writing ------------------------------------------------------------------------------------------------------

legacy('strings are written as utf8 unless ascii is asked for', async t => {
  const { net, listen, own } = t
  const server = await listen({}, peer => {
    const chunks = []
    peer.on('data', chunk => chunks.push(chunk))
    peer.on('end', () => peer.end(Buffer.concat(chunks).toString('hex')))
  })
  const { port } = server.address()
  const sent = async (stream, ...words) => {
    own(stream)
    for (const word of words.slice(0, -1)) stream.write(...[word].flat())
    stream.end(...[words.at(-1)].flat())
    return Buffer.from(String(await t.drained(stream)), 'hex')
  }
  const [utf8, ascii] = [Buffer.from('é€é€'), Buffer.from([0xe9, 0xac, 0xe9, 0xac])]

  assert.equal(net.getDefaultEncoding(), 'utf8')
  assert.deepEqual(await sent(net.createConnection(port), 'é€', 'é€'), utf8)
  const optional = net.createConnection({ port, defaultEncoding: 'ascii' })
  assert.deepEqual(await sent(optional, 'é€', 'é€'), ascii)
  const chosen = net.createConnection(port)
  chosen.setDefaultEncoding('ascii')
  assert.deepEqual(
    await sent(chosen, 'é€', ['é€', 'utf8']),
    Buffer.concat([ascii, utf8].map((b, i) => (i ? b.subarray(5) : b.subarray(2)))),
  )

  net.setDefaultEncoding('ascii')
  t.cleanup(() => net.setDefaultEncoding('utf8'))
  assert.equal(net.getDefaultEncoding(), 'ascii')
  assert.deepEqual(await sent(new net.Stream().connect(port), 'é€', 'é€'), ascii)
  assert.deepEqual(await sent(net.createConnection(port), ['é€', 'utf8'], ['é€', 'utf8']), utf8)
  assert.deepEqual(await sent(net.createConnection({ port, defaultEncoding: 'utf8' }), 'é€', 'é€'), utf8)
  assert.throws(() => net.setDefaultEncoding('uft8'), { code: 'ERR_UNKNOWN_ENCODING', name: 'TypeError' })
  assert.throws(() => net.setDefaultEncoding(), { code: 'ERR_UNKNOWN_ENCODING', name: 'TypeError' })
  assert.equal(net.getDefaultEncoding(), 'ascii')
})

legacy('the default encoding holds for the streams of servers too', async t => {
  t.net.setDefaultEncoding('ascii')
  t.cleanup(() => t.net.setDefaultEncoding('utf8'))
  const { client, peer } = await t.pair()
  peer.end('ÿ')
  assert.deepEqual(await t.drained(client), Buffer.of(0xff))
})

legacy('write returns false when it has to queue, bufferSize counts it, and drain follows', async t => {
  const { client, peer } = await t.pair()
  peer.pause()
  assert.equal(client.bufferSize, 0)
  while (client.write(Buffer.alloc(1 << 20)));
  assert.ok(client.bufferSize > 0)
  peer.resume()
  await once(client, 'drain')
  assert.equal(client.bufferSize, 0)
})

legacy('bufferSize of a legacy stream is a number at every stage', async t => {
  const { net, own, listen, closed } = t
  const server = await listen()
  const stream = own(new net.Stream())
  assert.equal(stream.bufferSize, 0)
  stream.connect(server.address().port)
  stream.write('queued')
  assert.equal(stream.bufferSize, 6)
  await once(stream, 'connect')
  stream.destroy()
  assert.equal(stream.bufferSize, 0)
  await closed(stream)
  assert.equal(stream.bufferSize, 0)
})

// --- half-open ----------------------------------------------------------------------------------------------------

legacy('legacy streams stay half-open until end, on both sides', async t => {
  const { server, client, peer } = await t.pair()
  assert.deepEqual([server.allowHalfOpen, client.allowHalfOpen, peer.allowHalfOpen], [true, true, true])
  peer.end('first')
  assert.equal(String(await t.drained(client)), 'first')
  await quiet(t)
  assert.deepEqual([client.readyState, client.writable, client.destroyed], ['writeOnly', true, false])
  const last = t.drained(peer)
  const both = t.closed(client, peer)
  client.end('last', 'utf8')
  assert.equal(String(await last), 'last')
  await both
})

legacy('allowHalfOpen false is heeded where a program says it', async t => {
  const { server, client, peer } = await t.pair({
    server: { allowHalfOpen: false },
    client: { allowHalfOpen: false },
  })
  assert.deepEqual([server.allowHalfOpen, client.allowHalfOpen, peer.allowHalfOpen], [false, false, false])
  peer.end()
  await t.closed(client, peer)
})

// --- events -------------------------------------------------------------------------------------------------------

legacy(
  'the events of a legacy conversation, in their order',
  {
    expected: {
      main: [
        ['server connection', '<Stream>'],
        'peer listener',
        ['peer connect'],
        ['peer data', 'Buffer "question"'],
        ['peer end'],
        ['peer close', false],
      ].map(entry => (entry.length === 1 ? entry[0] : entry)),
      client: ['connect', 'ready', ['data', 'Buffer "hello, answer"'], 'end', ['close', false]],
    },
  },
  async t => {
    const { net, own, watch, log, closed } = t
    let accepted
    const server = watch(net.createServer(), 'server', { into: 'main', except: ['listening', 'close'] })
    server.on('connection', stream => {
      accepted = watch(stream, 'peer', { into: 'main', except: ['prefinish', 'finish'] })
      stream.on('connect', () => stream.write('hello, '))
      stream.on('end', () => stream.end('answer'))
      log('peer listener')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = own(new net.Stream())
    watch(client, 'client', { except: ['prefinish', 'finish', 'connectionAttempt'] })
    client.connect(server.address().port, () => client.end('question'))
    await closed(client)
    await closed(accepted)
  },
)

legacy('a stream of a server that was destroyed at once emits no connect', async t => {
  let connects = 0
  const server = await t.listen({}, peer => peer.on('connect', () => connects++).destroy())
  const client = t.connect(t.to(server))
  await t.closed(client.on('end', () => client.end()))
  assert.equal(connects, 0)
})

legacy('a reset is an error, and close says so', async t => {
  const { client, peer } = await t.pair()
  const error = once(peer, 'error').catch(reason => reason)
  const closed = once(peer, 'close').catch(reason => reason)
  client.resetAndDestroy()
  await Promise.all([error, closed])
  assert.deepEqual([peer.errored?.code, peer.readyState], ['ECONNRESET', 'closed'])
})

legacy('timeout only tells; the options chain', async t => {
  const { client, peer } = await t.pair()
  assert.equal(client.setTimeout(20).setNoDelay().setNoDelay(false).setKeepAlive(true, 1000), client)
  await once(client, 'timeout')
  assert.equal(client.readyState, 'open')
  assert.equal(client.setTimeout(0), client)
  client.write('alive')
  assert.equal(String(await received(peer, 5)), 'alive')
  assert.equal(client.pause(), client)
  assert.equal(client.resume(), client)
})

// --- servers ------------------------------------------------------------------------------------------------------

legacy('a legacy Server is made with new, without it, and by createServer', async t => {
  const { net, own } = t
  const listener = () => {}
  const servers = [
    new net.Server(),
    net.Server(listener),
    new net.Server({}, listener),
    net.createServer(listener),
    net.createServer(null, listener),
    net.createServer({ allowHalfOpen: undefined }),
  ]
  for (const server of servers) {
    own(server)
    assert.ok(server instanceof net.Server)
    assert.deepEqual([server.allowHalfOpen, server.connections, server.listening], [true, 0, false])
  }
  assert.deepEqual(servers[2].listeners('connection'), [listener])
  assert.throws(() => net.createServer('8000'), { code: 'ERR_INVALID_ARG_TYPE' })
})

legacy('connections counts what is open, maxConnections limits it', async t => {
  const { net, listen, connect, to, closed, until } = t
  const server = await listen({}, peer => {
    assert.ok(peer instanceof net.Stream)
    peer.on('end', () => peer.end())
  })
  assert.equal(server.connections, 0)
  const clients = [connect(to(server)), connect(to(server))]
  await until(() => server.connections === 2)
  server.maxConnections = 2
  const dropped = connect(to(server))
  await once(dropped, 'end')
  dropped.end()
  assert.equal(server.connections, 2)
  const [left] = clients
  left.destroy()
  await closed(left)
  await until(() => server.connections === 1)
})

legacy('a server that listens is re-opened by listen, and its connections stay', async t => {
  const { net, own, connect, to, closed, turns } = t
  const events = []
  const server = own(net.createServer(own))
  for (const event of ['listening', 'close']) server.on(event, () => events.push(event))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const former = server.address().port
  const client = connect(to(server))
  const [peer] = await once(server, 'connection')

  let called = 0
  server.listen({ port: 0, host: '127.0.0.1' }, () => called++)
  assert.equal(server.listening, true)
  await once(server, 'listening')
  assert.equal(called, 1)
  const { port } = server.address()
  assert.notEqual(port, former)
  const late = connect(former).on('error', () => {})
  await closed(late)
  assert.equal(late.errored.code, 'ECONNREFUSED')

  const second = connect(to(server))
  await once(server, 'connection')
  peer.write('still connected')
  assert.equal(String(await received(client, 15)), 'still connected')
  await turns(2)
  assert.deepEqual([server.connections, second.remotePort], [2, port])
  assert.deepEqual(events, ['listening', 'listening'])
})

legacy('listen re-opens at the same port, and at once', async t => {
  const { net, own, connect, closed } = t
  const server = own(net.createServer(peer => peer.end('served')))
  // Without a host there is nothing to look up: it listens when listen() returns.
  server.listen(0)
  const { port } = server.address()
  server.listen(port)
  server.listen(port)
  assert.equal(server.address().port, port)
  await once(server, 'listening')
  const client = connect(port)
  assert.equal(String(await received(client, 6)), 'served')
  client.end()
  server.close()
  await closed(server)
  assert.equal(server.listening, false)
  server.listen(port)
  await once(server, 'listening')
  assert.equal(server.address().port, port)
})

legacy(
  'listen goes from a path to another and on to a port, and leaves no path behind',
  { on: 'unix' },
  async t => {
    const { net, own, socketPath, connect } = t
    const [first, second] = [socketPath('1.sock'), socketPath('2.sock')]
    const server = own(net.createServer(peer => peer.end('served')))
    server.listen(first)
    await once(server, 'listening')
    server.listen(second)
    assert.deepEqual([existsSync(first), existsSync(second), server.address()], [false, true, second])
    await once(server, 'listening')
    assert.equal(String(await received(connect(second), 6)), 'served')
    server.listen(second)
    await once(server, 'listening')
    assert.equal(String(await received(connect(second), 6)), 'served')
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    assert.equal(existsSync(second), false)
    assert.equal(String(await received(connect(server.address().port), 6)), 'served')
  },
)

legacy('wrong arguments and unknown hosts leave the old listener, a taken port does not', async t => {
  const { net, own, listen, connect } = t
  const taken = await listen()
  const server = own(net.createServer(peer => peer.end('served')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const serves = async () => {
    assert.equal(server.address().port, port)
    assert.equal(String(await received(connect(port), 6)), 'served')
  }
  assert.throws(() => server.listen(65536), { code: 'ERR_SOCKET_BAD_PORT' })
  assert.throws(() => server.listen({}), { code: 'ERR_INVALID_ARG_VALUE' })
  await serves()

  const { lookup } = dns
  t.cleanup(() => (dns.lookup = lookup))
  dns.lookup = (_host, _options, callback) => process.nextTick(callback, new Error('nobody knows it'))
  server.listen(0, 'some.host')
  assert.equal(server.listening, true)
  await assert.rejects(once(server, 'listening'), { message: 'nobody knows it' })
  dns.lookup = lookup
  await serves()

  server.listen(taken.address().port, '127.0.0.1')
  await assert.rejects(once(server, 'listening'), { code: 'EADDRINUSE' })
  assert.equal(server.listening, false)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  await serves()
})

legacy('close, and a newer listen, overtake a listen that still looks its host up', async t => {
  const { net, own, closed } = t
  const server = own(net.createServer())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.listen(0, 'localhost')
  server.close()
  await closed(server)
  assert.equal(server.listening, false)

  const addresses = []
  server.on('listening', () => addresses.push(server.address().address))
  server.listen(0, 'localhost')
  server.listen(0)
  const { port } = server.address()
  server.listen(0, 'localhost')
  server.listen(0, '127.0.0.1')
  server.listen(0)
  const chosen = server.address().port
  assert.notEqual(chosen, port)
  await quiet(t)
  assert.equal(server.address().port, chosen)
  assert.ok(addresses.every(address => address === server.address().address))
})

// --- modules of Node on top of it -------------------------------------------------------------------------------

legacy('a legacy conversation goes on in TLSSockets of node:tls', async t => {
  // A shared key needs no certificate.
  const key = { psk: Buffer.alloc(16, 'k'), identity: 'client' }
  const cipher = { ciphers: 'PSK', maxVersion: 'TLSv1.2' }
  const server = await t.listen({}, stream => {
    stream.once('data', () => {
      stream.write('go\n')
      const secure = new tls.TLSSocket(stream, { isServer: true, ...cipher, pskCallback: () => key.psk })
      secure.on('data', data => secure.end(`secret: ${data}`))
    })
  })
  const stream = t.connect(t.to(server))
  const closed = t.closed(stream)
  stream.write('STARTTLS\n')
  assert.equal(String(await received(stream, 3)), 'go\n')
  const secure = tls.connect({ socket: stream, ...cipher, pskCallback: () => key, checkServerIdentity() {} })
  await once(secure, 'secureConnect')
  secure.write('hello')
  assert.equal(String(await t.drained(secure)), 'secret: hello')
  secure.end()
  await closed
})

legacy('http works on legacy streams, at both ends', async t => {
  const web = http.createServer((request, response) => response.end(`you asked for ${request.url}`))
  const server = await t.listen({}, stream => web.emit('connection', stream))
  const request = http.get({ path: '/2010', createConnection: () => t.connect(t.to(server)) })
  const [response] = await once(request, 'response')
  assert.equal(String(await t.drained(response)), 'you asked for /2010')
})

// --- a whole program ----------------------------------------------------------------------------------------------

parityProcess(
  'a program of 2010 runs, and ends when its connections have',
  {
    module,
    expected: {
      main: [
        'client opening',
        'client open',
        'welcome\n',
        'echo me',
        'server writeOnly',
        'farewell\n',
        'client closed',
        ['client had error', false],
        ['process exit', 0],
      ],
      end: { code: 0, signal: null, stdout: '', stderr: [] },
    },
  },
  ({ log }) => {
    const net = require('ferronet/legacy')
    const server = net.createServer(function (stream) {
      stream.setEncoding('utf8')
      stream.addListener('connect', function () {
        stream.write('welcome\n')
      })
      stream.addListener('data', function (data) {
        stream.write(data)
      })
      stream.addListener('end', function () {
        log(`server ${stream.readyState}`)
        stream.end('farewell\n')
        server.close()
      })
    })
    server.listen(0, 'localhost', function () {
      const client = net.createConnection(server.address().port, 'localhost')
      const heard = ['welcome\n', 'echo me', 'farewell\n']
      let text = ''
      log(`client ${client.readyState}`)
      client.setEncoding('ascii')
      client.addListener('connect', function () {
        log(`client ${client.readyState}`)
      })
      client.addListener('data', function (data) {
        text += data
        while (heard.length && text.startsWith(heard[0])) {
          text = text.slice(heard[0].length)
          log(heard.shift())
          if (heard.length === 2) client.write('echo me')
          if (heard.length === 1) client.end()
        }
      })
      client.addListener('end', function () {
        log(`client ${client.readyState}`)
      })
      client.addListener('close', function (hadError) {
        log('client had error', hadError)
      })
    })
  },
)
