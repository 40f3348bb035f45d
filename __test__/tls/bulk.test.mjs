// Much data in TLS: what arrives is what was sent, memory does not grow, and nobody is asked to read who has stopped.

import { createHash, randomBytes } from 'node:crypto'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { upgrades } from '../helpers/upgrade.mjs'

const own = { module: 'ferronet' }
const MB = 1024 * 1024

function equal(seen, wanted) {
  if (seen !== wanted) throw new Error(`${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`)
}

async function pair(t, upgrade, options = {}) {
  const { client, peer } = await t.pair({ client: options, server: options })
  await Promise.all([upgrade(client, trust), upgrade(peer, { isServer: true, ...identity })])
  return { client, peer }
}

/** Writes chunks of all sizes and heeds back-pressure; resolves with the hash of what was written. */
async function send(socket, bytes, seed) {
  const hash = createHash('sha256')
  const block = Buffer.alloc(256 * 1024, seed)
  let left = bytes
  let size = 1
  while (left > 0) {
    size = (size * 7 + 13) % block.length
    const chunk = block.subarray(0, Math.min(left, Math.max(size, 1)))
    block.writeUInt32LE(left >>> 0, 0)
    hash.update(chunk)
    // The socket keeps a chunk until it has sent it.
    const more = socket.write(Buffer.from(chunk))
    left -= chunk.length
    if (!more) await new Promise(resolve => socket.once('drain', resolve))
  }
  socket.end()
  return hash.digest('hex')
}

// Not by `for await`, which destroys a socket when the peer has ended.
function receive(socket) {
  const hash = createHash('sha256')
  let bytes = 0
  socket.on('data', chunk => {
    hash.update(chunk)
    bytes += chunk.length
  })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('end', () => resolve({ bytes, hash: hash.digest('hex') }))
  })
}

for (const sharedChunks of [false, true]) {
  const title = `100 MB each way${sharedChunks ? ', sharedChunks' : ''}`
  upgrades(title, { ...own, engine: 'openssl' }, async (t, upgrade) => {
    const { client, peer } = await pair(t, upgrade, { allowHalfOpen: true, sharedChunks })
    globalThis.gc?.()
    const before = process.memoryUsage().rss
    const [up, down, atServer, atClient] = await Promise.all([
      ...[send(client, 100 * MB, 'u'), send(peer, 100 * MB, 'd')],
      ...[receive(peer), receive(client)],
    ])
    equal(atServer.bytes, 100 * MB)
    equal(atServer.hash, up)
    equal(atClient.hash, down)
    equal(client.bytesWritten, 100 * MB)
    equal(client.bytesRead, 100 * MB)
    const grown = process.memoryUsage().rss - before
    if (grown > 150 * MB) throw new Error(`memory has grown by ${grown}`)
  })
}

upgrades('some MB each way', own, async (t, upgrade) => {
  const { client, peer } = await pair(t, upgrade, { allowHalfOpen: true })
  const [up, down, atServer, atClient] = await Promise.all([
    ...[send(client, 5 * MB, 'u'), send(peer, 5 * MB, 'd')],
    ...[receive(peer), receive(client)],
  ])
  equal(atServer.hash, up)
  equal(atClient.hash, down)
})

upgrades('a writer waits for a reader that does not read', own, async (t, upgrade) => {
  const { client, peer } = await pair(t, upgrade)
  peer.pause()
  const block = randomBytes(64 * 1024)
  let written = 0
  let called = 0
  while (client.write(block, () => called++)) written++
  written++
  // The kernel takes what it has room for, and then nothing.
  let waits = 0
  for (let seen = -1; waits < 20; waits = seen === called ? waits + 1 : 0) {
    seen = called
    await t.quiet()
    while (client.writableLength === 0) {
      client.write(block, () => called++)
      written++
    }
  }
  if (called >= written) throw new Error('nothing waits')
  if (client.writableLength === 0 || !client.writableNeedDrain) throw new Error('no back-pressure')
  const drained = new Promise(resolve => client.once('drain', resolve))
  const arrived = receive(peer)
  peer.resume()
  await drained
  client.end()
  client.resume()
  equal((await arrived).bytes, written * block.length)
  equal(called, written)
})

upgrades('a reader that stops keeps its place', own, async (t, upgrade) => {
  const { client, peer } = await pair(t, upgrade)
  const sent = randomBytes(2 * MB)
  client.end(sent)
  client.resume()
  const chunks = []
  for await (const chunk of peer) {
    chunks.push(chunk)
    peer.pause()
    await t.turns(1)
    peer.resume()
  }
  equal(Buffer.concat(chunks).equals(sent), true)
})

upgrades('into a buffer of the program (onread)', own, async (t, upgrade) => {
  const chunks = []
  const buffer = Buffer.alloc(10_000)
  const listener = await t.listen()
  const accepted = new Promise(resolve => listener.once('connection', resolve))
  const client = t.connect({
    ...t.to(listener),
    onread: {
      buffer,
      callback(length, memory) {
        chunks.push(Buffer.from(memory.subarray(0, length)))
        return true
      },
    },
  })
  const ended = new Promise(resolve => client.once('end', resolve))
  const peer = await accepted
  await Promise.all([upgrade(client, trust), upgrade(peer, { isServer: true, ...identity })])
  const sent = randomBytes(MB)
  peer.end(sent)
  await ended
  equal(Buffer.concat(chunks).equals(sent), true)
})

upgrades('small writes of a tick are one record', own, async (t, upgrade, engine) => {
  const { client, peer } = await pair(t, upgrade)
  for (let i = 0; i < 100; i++) client.write(`${i},`)
  client.end()
  const chunks = []
  for await (const chunk of peer) chunks.push(chunk)
  equal(String(Buffer.concat(chunks)), Array.from({ length: 100 }, (_, i) => `${i},`).join(''))
  if (engine === 'openssl' && chunks.length > 3) throw new Error(`${chunks.length} chunks`)
})

upgrades('records are no larger than asked for', own, async (t, upgrade) => {
  const { client, peer } = await pair(t, upgrade)
  equal(client.tls.setMaxSendFragment(1024), true)
  equal(client.tls.setMaxSendFragment(1), false)
  client.end(Buffer.alloc(100_000, 'x'))
  client.resume()
  equal((await receive(peer)).bytes, 100_000)
})
