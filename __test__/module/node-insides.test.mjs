// What ferronet knows of Node's insides, file by file of lib/node/: here it shows when a new Node has changed them.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import { createRequire } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Duplex, PassThrough } from 'node:stream'
import tls from 'node:tls'
import test from 'ava'
import ferronet from 'ferronet'

const require = createRequire(import.meta.url)
const dist = dirname(require.resolve('ferronet'))
const insides = file => require(join(dist, 'lib/node', file))
const [major, minor] = process.versions.node.split('.').map(Number)

/** A test that asserts, and needs no count of its assertions from ava. */
const holds = (title, body) =>
  test(title, async t => {
    await body(t)
    t.pass()
  })

async function listening(t, server) {
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

holds("net: the loader gives Node's own net", () => {
  assert.equal(insides('net.js').nodeNet, process.getBuiltinModule('node:net'))
})

holds("foreign: handles of Node's sockets and servers are told by their class and descriptor", async t => {
  const { isNative } = insides('foreign.js')
  const server = await listening(t, net.createServer())
  const client = net.connect(server.address())
  t.teardown(() => client.destroy())
  await once(client, 'connect')
  assert.ok(isNative(server._handle))
  assert.ok(isNative(client._handle))
  assert.ok(!isNative({ fd: 3, close() {} }))
  assert.ok(!isNative(client))
})

if (process.platform !== 'win32') {
  holds("sockets: handles and paths of Node's servers, and a server on a handle", async t => {
    const { handleOfNodes, nodeServerOf, pathOfNodes } = insides('sockets.js')
    const server = await listening(t, net.createServer())
    assert.equal(pathOfNodes(server), undefined)
    assert.equal(handleOfNodes(server), server._handle)
    assert.equal(handleOfNodes(net.createServer()), null)
    const path = join(mkdtempSync(join(tmpdir(), 'ferronet-')), 'socket')
    t.teardown(() => rmSync(dirname(path), { recursive: true }))
    const atPath = net.createServer()
    t.teardown(() => atPath.close())
    await new Promise(done => atPath.listen(path, done))
    assert.equal(pathOfNodes(atPath), path)
    const copy = nodeServerOf(handleOfNodes(server))
    assert.deepEqual(copy.address(), server.address())
  })
}

holds('stream-state: a Duplex has these members', () => {
  const stream = new Duplex({ read() {}, write() {} })
  stream.on('data', () => {})
  const { _readableState: readable, _writableState: writable } = stream
  const types = (object, names) =>
    Object.fromEntries(names.split(' ').map(name => [name, typeof object[name]]))
  const all = (type, names) => Object.fromEntries(names.split(' ').map(name => [name, type]))
  const flags = 'sync ended readableListening dataEmitted endEmitted closeEmitted destroyed'
  assert.deepEqual(types(readable, flags), all('boolean', flags))
  assert.equal(readable.flowing, true)
  assert.equal(readable.length, 0)
  for (const name of ['decoder', 'encoding', 'awaitDrainWriters', 'errored'])
    assert.equal(readable[name], null)
  const { buffer, bufferIndex } = readable
  if (Array.isArray(buffer)) assert.equal(bufferIndex, 0)
  else assert.deepEqual([major, typeof buffer.clear], [20, 'function'])
  assert.deepEqual(types(writable, 'ending destroyed sync'), all('boolean', 'ending destroyed sync'))
  assert.deepEqual(
    types(writable, 'length corked highWaterMark'),
    all('number', 'length corked highWaterMark'),
  )
  assert.deepEqual([writable.errored, writable.defaultEncoding], [null, 'utf8'])
  assert.equal(typeof stream._events.data, 'function')
  stream.on('data', () => {})
  assert.equal(stream._events.data.length, 2)
})

holds('stream-state: what is written and waits is in getBuffer()', () => {
  const stream = new Duplex({ read() {}, write() {}, decodeStrings: false })
  stream.cork()
  stream.write('a', 'latin1')
  stream.write(Buffer.from('b'))
  const waiting = stream._writableState.getBuffer().map(({ chunk, encoding }) => [String(chunk), encoding])
  assert.deepEqual(waiting, [
    ['a', 'latin1'],
    ['b', 'buffer'],
  ])
})

holds('stream-state: _undestroy() makes a destroyed stream usable again', async () => {
  const stream = new PassThrough()
  stream.destroy()
  await once(stream, 'close')
  stream._undestroy()
  assert.equal(stream.destroyed, false)
  stream.end('again')
  assert.equal(String((await stream.toArray())[0]), 'again')
})

for (const [encoding, whole, split] of [
  ['utf8', Buffer.from('a€'), 3],
  ['utf16le', Buffer.from('a😀', 'utf16le'), 5],
  ['base64', Buffer.from('abcd'), 4],
]) {
  holds(`stream-state: the decoder keeps the part of a character, ${encoding}`, () => {
    const { partOfCharacter } = insides('stream-state.js')
    const stream = new PassThrough().setEncoding(encoding)
    stream.write(whole.subarray(0, split))
    const decoded = Buffer.from(stream.read(), encoding)
    const part = partOfCharacter(stream._readableState.decoder)
    assert.ok(part.length > 0)
    assert.deepEqual(Buffer.concat([decoded, part]), whole.subarray(0, split))
  })
}

const plain = () => new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
for (const [name, read] of [
  ['tls', stream => tls.connect({ socket: stream })],
  ['http2', stream => http2.connect('http://localhost', { createConnection: () => stream })],
]) {
  holds(`session: ${name} reads a stream with the listener that we look for`, t => {
    const { carriesSession } = insides('session.js')
    const stream = plain()
    assert.equal(carriesSession(stream), false)
    stream.on('data', function ondata() {})
    assert.equal(carriesSession(stream), false)
    const session = read(stream).on('error', () => {})
    t.teardown(() => session.destroy())
    assert.equal(carriesSession(stream), true)
  })
}

holds('http-agent: newer Agents guard the handles of their idle sockets', async t => {
  const { isPooled } = insides('http-agent.js')
  const server = await listening(
    t,
    http.createServer((_incoming, response) => response.end('.')),
  )
  const agent = new http.Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  agent.createConnection = options => ferronet.connect(options)
  const { port } = server.address()
  const request = http.get({ agent, port, host: '127.0.0.1' })
  const [response] = await once(request, 'response')
  const { socket } = request
  assert.equal(isPooled(socket._handle), false)
  response.resume()
  await once(agent, 'free')
  // A listener of 'free' runs before the Agent has put the socket away.
  await new Promise(setImmediate)
  const since = { 22: 23, 24: 21, 26: 10 }[major] ?? (major > 26 ? 0 : Infinity)
  assert.equal(Object.values(agent.freeSockets).flat()[0], socket)
  // Earlier ones may have it as well: these are the versions it was seen in.
  if (minor >= since) assert.equal(isPooled(socket._handle), true)
  if (major === 20) assert.equal(isPooled(socket._handle), false)
})

holds("cluster: a handle of Node's knows its owner by a symbol that we find", async t => {
  const symbol = insides('owner-symbol.js').ownerSymbol()
  assert.equal(symbol?.description, 'owner_symbol')
  const server = await listening(t, net.createServer())
  assert.equal(server._handle[symbol], server)
})

holds("instances: the classes that stand for Node's are Node's", () => {
  const { kindOfOurs, isInstance } = insides('instances.js')
  const [socket, server] = [new ferronet.Socket(), ferronet.createServer()]
  assert.deepEqual([kindOfOurs(socket), kindOfOurs(server)], ['Socket', 'Server'])
  assert.equal(kindOfOurs(new net.Socket()), null)
  assert.ok(isInstance(net.Socket, new net.Socket()) && !isInstance(net.Socket, socket))
})

// lib/tls/node-server.ts: an object that inherits from a server of Node's is taken for the server of one connection.
holds('tls: a server is asked for its context, and tells its events, by these names', async t => {
  const { identity, trust } = await import('../fixtures/interop/certificate.mjs')
  const { NodeServer } = require(join(dist, 'lib/tls/node-server.js'))
  const bare = new NodeServer({})
  assert.ok(bare.server._sharedCreds instanceof tls.SecureContext)
  const [near, far] = [new net.Socket(), await listening(t, net.createServer())]
  near.connect(far.address())
  const [accepted] = await once(far, 'connection')
  const events = []
  const asked = new Set()
  const secure = new Promise(resolve => {
    const hearer = {
      emit(event, ...args) {
        events.push(event)
        if (event === 'secureConnection') resolve(args[0])
        return false
      },
      listenerCount(event) {
        asked.add(event)
        return 0
      },
    }
    const secureContext = tls.createSecureContext(identity)
    // Its own context has no certificate: with that the handshake would fail.
    bare.accept(accepted, hearer, { requestCert: false, rejectUnauthorized: true, secureContext })
  })
  const client = tls.connect({ socket: near, ...trust })
  await once(client, 'secureConnect')
  const peer = await secure
  assert.deepEqual(events, ['secureConnection'])
  for (const event of ['resumeSession', 'newSession', 'keylog']) assert.ok(asked.has(event), event)
  client.destroy()
  peer.destroy()
})
