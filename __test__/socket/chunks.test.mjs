// Chunks: each has its own memory, the bytes arrive complete and in order, and they are counted when they are
// delivered.

import { createHash } from 'node:crypto'
import { native } from '../helpers/native.mjs'
import { parity } from '../helpers/parity.mjs'
import { Peer } from '../helpers/peer.mjs'

const sizes = [1, 10, 63, 64, 65, 500, 1024, 4096, 4097, 16_384, 30_000, 65_536, 300_000]
// Node 26 leaves a read that nearly fills its 64 KiB where it is.
const own = ({ byteOffset, buffer, length }) =>
  byteOffset === 0 && (buffer.byteLength === length || (length > 32_768 && buffer.byteLength === 65_536))
const sha = bytes => createHash('sha256').update(bytes).digest('hex').slice(0, 16)

// Like node:net's, but that ferronet's own option changes nothing of what a program receives.
const ways = [
  ['', {}],
  [', sharedChunks', { sharedChunks: true }],
]

for (const family of ['TCP', 'Unix']) {
  const place = t => (family === 'TCP' ? {} : { path: t.socketPath() })
  const target = server => (family === 'TCP' ? server.address().port : server.address())

  parity(`${family}: a chunk begins its ArrayBuffer, which ends with it`, async t => {
    const peer = await Peer.start(t.cleanup)
    const server = await t.listen(place(t))
    const accepted = new Promise(resolve => server.once('connection', resolve))
    peer.do('connect', target(server))
    const socket = await accepted
    const chunks = []
    let expected = 0
    socket.on('data', chunk => chunks.push(chunk))
    for (const size of sizes) {
      peer.do('start', 0, size)
      expected += size
      await t.until(() => socket.bytesRead === expected)
    }
    t.log('Buffers', chunks.every(Buffer.isBuffer))
    t.log(
      'of memory that is not theirs',
      chunks.filter(chunk => !own(chunk)).map(({ length }) => length),
    )
    t.log('all of them different', new Set(chunks.map(({ buffer }) => buffer)).size === chunks.length)
    t.log('a view of the whole buffer', new DataView(chunks[2].buffer).getUint8(0) === chunks[2][0])
  })

  for (const [name, options] of ways) {
    parity(`${family}: bytesRead is exact in each 'data'${name}`, async t => {
      const peer = await Peer.start(t.cleanup)
      const server = await t.listen({ ...place(t), ...options })
      const accepted = new Promise(resolve => server.once('connection', resolve))
      peer.do('connect', target(server))
      const socket = await accepted
      let sum = 0
      const wrong = []
      socket.on('data', chunk => {
        sum += chunk.length
        if (socket.bytesRead !== sum) wrong.push([sum, socket.bytesRead])
      })
      for (const size of [100, 300_000, 700_000, 5]) {
        const before = sum
        peer.do('start', 0, size)
        await t.until(() => sum === before + size)
      }
      t.log('counted otherwise', wrong)
      t.log('in the end', socket.bytesRead)
    })

    parity(`${family}: bytes come whole and in order to readers of all kinds${name}`, async t => {
      const CONNECTIONS = 6
      const content = at =>
        Buffer.from(Array.from({ length: 200_000 + at * 4001 }, (_, i) => (i * 7 + at) & 255))
      const server = await t.listen({ ...place(t), ...options })
      const kept = []
      server.on('connection', peer => {
        const chunks = []
        peer.on('data', chunk => {
          chunks.push(chunk)
          if (chunks.length % 3 === 0) {
            peer.pause()
            setImmediate(() => peer.resume())
          }
        })
        peer.on('end', () => {
          const bytes = Buffer.concat(chunks)
          kept.push([bytes[0], bytes.length, sha(bytes)])
          if (options.sharedChunks) return
          t.log.to('memory')(
            'that is not theirs',
            chunks.filter(chunk => !own(chunk)),
          )
        })
      })
      const clients = []
      for (let at = 0; at < CONNECTIONS; at++) {
        const client = t.connect(t.to(server))
        clients.push(client)
        const bytes = content(at)
        for (let from = 0; from < bytes.length; from += 777 * (at + 1))
          client.write(bytes.subarray(from, from + 777 * (at + 1)))
        client.end()
      }
      await t.closed(...clients)
      await t.until(() => kept.length === CONNECTIONS)
      t.log('arrived', kept.sort())
      t.log(
        'as it was sent',
        kept.every(([first, , hash]) => hash === sha(content(first))),
      )
    })
  }
}

parity('chunks that are kept stay as they are when others arrive', async t => {
  const server = await t.listen()
  const kept = []
  server.on('connection', peer => peer.on('data', chunk => kept.push([chunk, sha(chunk)])))
  const clients = await Promise.all(
    [1, 2, 3].map(async () => {
      const client = t.connect(t.to(server))
      await t.seen(client, 'connect')
      return client
    }),
  )
  for (let round = 0; round < 50; round++) {
    for (const client of clients) client.write(Buffer.alloc(64 * (round + 1), round))
    await t.turns(1)
  }
  for (const client of clients) client.end()
  await t.closed(...clients)
  t.log(
    'unchanged',
    kept.every(([chunk, hash]) => sha(chunk) === hash),
  )
})

parity('a posted chunk brings its own bytes and no more, transferred or not', async t => {
  const server = await t.listen()
  const { port1, port2 } = new MessageChannel()
  t.cleanup(() => port1.close())
  const arrived = []
  port2.on('message', chunk => arrived.push([chunk.byteLength, chunk.byteOffset, chunk.buffer.byteLength]))
  server.on('connection', peer =>
    peer.on('data', chunk => {
      if (chunk.length < 3) port1.postMessage(chunk)
      else port1.postMessage(chunk, [chunk.buffer])
      t.log('left here', chunk.length)
    }),
  )
  const client = t.connect(t.to(server))
  await t.seen(client, 'connect')
  for (const size of [1, 5000]) {
    const before = arrived.length
    client.write(Buffer.alloc(size, 1))
    await t.until(() => arrived.length > before)
  }
  port2.close()
  t.log('arrived', arrived)
})

parity('a WHATWG byte stream may take the chunks of many sockets', async t => {
  const server = await t.listen()
  const lengths = []
  server.on('connection', peer => {
    const stream = new ReadableStream({
      type: 'bytes',
      start(controller) {
        peer.on('data', chunk => controller.enqueue(chunk))
        peer.on('end', () => controller.close())
      },
    })
    const read = async () => {
      let bytes = 0
      for await (const chunk of stream) bytes += chunk.byteLength
      lengths.push(bytes)
    }
    read()
  })
  const clients = [1, 2, 3, 4].map(at => {
    const client = t.connect(t.to(server))
    client.end(Buffer.alloc(at * 1000, at))
    return client
  })
  await t.closed(...clients)
  await t.until(() => lengths.length === clients.length)
  t.log('read', lengths.sort())
})

// --- bytes behind a mark: a short read does not mean that nothing waits

if (process.platform === 'linux') {
  const readers = {
    data: (_t, chunks) => ({ accept: socket => socket.on('data', chunk => chunks.push(chunk)) }),
    sharedChunks: (_t, chunks) => ({
      options: { sharedChunks: true },
      accept: socket => socket.on('data', chunk => chunks.push(chunk)),
    }),
  }

  for (const [name, reader] of Object.entries(readers)) {
    parity(`TCP: what stands behind urgent data is read at once, ${name}`, async t => {
      const { sendUrgent } = native()
      const chunks = []
      const { options, accept } = reader(t, chunks)
      const server = await t.listen(options ?? {})
      const accepted = new Promise(resolve => server.once('connection', resolve))
      const client = await nodeClient(t, server.address().port)
      const socket = await accepted
      accept(socket)
      await t.turns(2)
      await urgent(client, sendUrgent)
      await t.until(() => Buffer.concat(chunks).includes('behind'))
      t.log('received', Buffer.concat(chunks).toString())
      // And again, on the same connection.
      await urgent(client, sendUrgent)
      await t.until(() => Buffer.concat(chunks).toString().endsWith('behindbefore behind'))
      t.log('received', Buffer.concat(chunks).toString())
    })

    parity(`Unix: what stands behind a message with descriptors is read at once, ${name}`, async t => {
      const { sendDescriptor } = native()
      const chunks = []
      const { options, accept } = reader(t, chunks)
      const server = await t.listen({ path: t.socketPath(), ...options })
      const accepted = new Promise(resolve => server.once('connection', resolve))
      const client = await nodeClient(t, server.address())
      const socket = await accepted
      accept(socket)
      await t.turns(2)
      for (const round of [1, 2]) {
        sendDescriptor(client._handle.fd, Buffer.from(`first ${round} `))
        sendDescriptor(client._handle.fd, Buffer.from(`second ${round} `))
        client.write(`behind ${round} `)
        await t.until(() => Buffer.concat(chunks).includes(`behind ${round}`))
      }
      t.log('received', Buffer.concat(chunks).toString())
    })
  }

  for (const family of ['TCP', 'Unix']) {
    parity(`${family}: what stands behind a mark is read at once, onread`, async t => {
      const { sendUrgent, sendDescriptor } = native()
      const peers = []
      const server = nodeServer(t, family, peers)
      const where = await server
      let text = ''
      const client = t.own(
        t.net.connect({
          ...where,
          onread: {
            buffer: Buffer.alloc(1024),
            callback: (nread, buffer) => {
              text += buffer.toString('latin1', 0, nread)
            },
          },
        }),
      )
      await t.seen(client, 'connect')
      await t.until(() => peers.length === 1)
      await t.turns(2)
      const [peer] = peers
      if (family === 'TCP') await urgent(peer, sendUrgent)
      else {
        sendDescriptor(peer._handle.fd, Buffer.from('before '))
        peer.write('behind')
      }
      await t.until(() => text.includes('behind'))
      t.log('received', text)
    })
  }
}

async function urgent(socket, sendUrgent) {
  await new Promise(resolve => socket.write('before ', resolve))
  sendUrgent(socket._handle.fd, Buffer.from('!'))
  await new Promise(resolve => socket.write('behind', resolve))
}

// Node's own at the other end, whose descriptor is at hand.
async function nodeClient(t, to) {
  const { default: net } = await import('node:net')
  const client = t.own(net.connect(to))
  client.on('error', () => {})
  await new Promise(resolve => client.once('connect', resolve))
  return client
}

async function nodeServer(t, family, peers) {
  const { default: net } = await import('node:net')
  const server = t.own(net.createServer(peer => peers.push(t.own(peer).on('error', () => {}))))
  const path = t.socketPath()
  await new Promise(resolve =>
    server.listen(family === 'TCP' ? { port: 0, host: '127.0.0.1' } : { path }, resolve),
  )
  return family === 'TCP' ? { port: server.address().port, host: '127.0.0.1' } : { path }
}
