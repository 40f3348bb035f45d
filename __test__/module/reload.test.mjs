// Programs that load ferronet again, as test runners do for each file: they share the thread's running engine.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { parity } from '../helpers/parity.mjs'

const require = createRequire(import.meta.url)
const fixture = fileURLToPath(new URL('../fixtures/reload/again.cjs', import.meta.url))
const here = { module: 'ferronet', on: 'linux' }

// A client of one module at a server of another.
const talk = async (server, client) => {
  const listener = server.createServer(peer => peer.end('hello')).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const socket = client.connect(listener.address().port, '127.0.0.1')
  const chunks = await socket.toArray()
  listener.close()
  await once(listener, 'close')
  return String(Buffer.concat(chunks))
}

const warnings = []
process.on('warning', warning => warnings.push(warning))

const leavesNothing = async (t, load) => {
  assert.equal(await talk(t.net, t.net), 'hello')
  const { held } = require(fixture)
  const before = held()
  const copies = Array.from({ length: 30 }, load)
  assert.deepEqual(held(), before)
  for (const copy of [copies[0], copies.at(-1)]) {
    assert.notEqual(copy.Socket, t.net.Socket)
    assert.equal(await talk(t.net, copy), 'hello')
    assert.equal(await talk(copy, t.net), 'hello')
  }
  assert.equal(await talk(copies[0], copies.at(-1)), 'hello')
  assert.deepEqual(held(), before)
  assert.deepEqual(warnings, [])
  t.log('works')
}

parity('loading ferronet again costs nothing: the module cache has been emptied', here, t =>
  leavesNothing(t, require(fixture).forgotten),
)

parity('loading ferronet again costs nothing: each time in a context of its own', here, t =>
  leavesNothing(t, () => require(fixture).inContext().net),
)

parity('loading ferronet again costs nothing: in a worker', here, async t => {
  const thread = t.worker(async ({ net, data, port }) => {
    const { forgotten, inContext, held } = process.getBuiltinModule('node:module').createRequire(data)(data)
    const server = net.createServer(peer => peer.end('hello')).listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    const greeting = async module => {
      const chunks = await module.connect(server.address().port, '127.0.0.1').toArray()
      return String(Buffer.concat(chunks))
    }
    await greeting(net)
    const before = held()
    const copies = Array.from({ length: 30 }, (_, at) => (at % 2 ? forgotten() : inContext().net))
    const after = held()
    const greetings = [await greeting(copies[0]), await greeting(copies.at(-1))]
    server.close()
    port.postMessage({ before, after, greetings })
  }, fixture)
  const [{ before, after, greetings }] = await once(thread, 'message')
  assert.deepEqual(after, before)
  t.log('greetings', greetings)
})

parity('sockets go on when the context that loaded ferronet first is gone', here, async t => {
  const { inContext } = require(fixture)
  const first = inContext()
  const [near, far] = [inContext().net, inContext().net]
  first.down()
  t.log('arrived', await talk(near, far))
})

parity('a handle is one of every copy that has been loaded', here, async t => {
  const { forgotten } = require(fixture)
  const copy = forgotten()
  const server = t.net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const other = copy.createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  assert.equal(Object.getPrototypeOf(server._handle), Object.getPrototypeOf(other._handle))
  server.close()
  other.close()
})
