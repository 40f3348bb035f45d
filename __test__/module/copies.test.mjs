// Several installed copies of ferronet in one process, as package managers leave them: each has its own engine, and
// they do not touch each other's sockets.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, mkdirSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { parity } from '../helpers/parity.mjs'

const require = createRequire(import.meta.url)
const here = { module: 'ferronet', on: 'unix' }

// What npm would install, twice.
const copies = t => {
  const home = dirname(dirname(require.resolve('ferronet')))
  return ['one', 'two'].map(name => {
    const to = join(t.directory(), name)
    mkdirSync(to)
    for (const part of ['package.json', 'dist', 'native']) {
      cpSync(join(home, part), join(to, part), { recursive: true })
    }
    return require(join(to, 'dist', 'index.js'))
  })
}

const connected = async (t, { createServer, connect }) => {
  const server = t.own(createServer().listen(0, '127.0.0.1'))
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const client = connect(server.address().port, '127.0.0.1')
  t.own(client)
  const [[peer]] = await Promise.all([accepted, once(client, 'connect')])
  t.own(peer)
  return { client, peer }
}

parity('a ticket is good for the copy that made it, and for no other', here, async t => {
  const [one, two] = copies(t)
  const ends = { one: await connected(t, one), two: await connected(t, two) }
  const tickets = { one: one.detach(ends.one.client), two: two.detach(ends.two.client) }
  assert.notEqual(tickets.one.id, tickets.two.id)
  const wrong = { code: 'ERR_SOCKET_HANDLE_ADOPTED' }
  assert.throws(() => two.attach(tickets.one), wrong)
  assert.throws(() => one.attach(tickets.two), wrong)
  // Nothing was taken by that.
  for (const [name, net] of Object.entries({ one, two })) {
    const client = t.own(net.attach(tickets[name]))
    ends[name].peer.end('still here')
    t.log(name, await t.drained(client))
    assert.throws(() => net.attach(tickets[name]), wrong)
  }
})

parity("what takes a socket says that it is another copy's, or Node's", here, async t => {
  const [one, two] = copies(t)
  const says = whose => ({
    code: 'ERR_INVALID_ARG_TYPE',
    message: new RegExp(`an instance of \\S+ Socket.* Received an instance of ${whose} Socket$`),
  })
  const other = new two.Socket()
  assert.throws(() => one.detach(other), says("another copy's"))
  await assert.rejects(one.relay(other, other), says("another copy's"))
  await assert.rejects(one.promises.startTLS(other), says("another copy's"))
  assert.throws(() => one.detach(new Socket()), says("Node's"))
  // In Bun and Deno these say first that they need Node.
  if (process.versions.bun === undefined && process.versions.deno === undefined) {
    assert.throws(() => one.toNodeSocket(other), says("another copy's"))
    assert.throws(() => one.fromNodeSocket(new one.Socket()), says("ferronet's"))
  }
})

parity('tickets are plain numbers that are neither negative nor in a row', here, async t => {
  const ids = []
  for (let at = 0; at < 8; at++) {
    const { client } = await connected(t, t.net)
    const ticket = t.net.detach(client)
    assert.ok(Number.isSafeInteger(ticket.id) && ticket.id >= 0)
    const guesses = [ticket.id + 1, ticket.id - 1, ticket.id + 2 ** 32, -ticket.id, ticket.id | 0]
    for (const id of guesses) {
      if (id === ticket.id) continue
      assert.throws(() => t.net.attach({ ...ticket, id }), { code: /^ERR_/ })
    }
    ids.push(ticket.id)
    t.own(t.net.attach(structuredClone(ticket)))
  }
  assert.equal(new Set(ids).size, ids.length)
})

parity('each copy has an engine of its own, and it works', { ...here, on: 'linux' }, async t => {
  const descriptors = () => readdirSync('/proc/self/fd').length
  const before = descriptors()
  const [one, two] = copies(t)
  assert.equal(descriptors(), before + 6)
  const server = one.createServer(peer => peer.end('across')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.log('arrived', await t.drained(t.own(two.connect(server.address().port, '127.0.0.1'))))
  server.close()
  await once(server, 'close')
  assert.throws(() => two.detach(one.createServer()), { code: 'ERR_INVALID_ARG_TYPE' })
})
