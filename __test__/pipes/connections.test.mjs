// Connections over what a path names: named pipes on Windows, Unix-domain sockets elsewhere. The same scenarios, so that
// a program that uses one finds the other.

import { parity } from '../helpers/parity.mjs'
import { chunks, Sum, send } from '../helpers/streams.mjs'

parity('an echo', async ({ pair, socketPath, watch, closed }) => {
  const { client, peer } = await pair({ path: socketPath() })
  watch(client, 'client')
  watch(peer, 'peer')
  peer.on('data', chunk => peer.write(`${chunk} back`))
  client.on('data', () => client.end())
  client.write('there and')
  await closed(client, peer)
})

parity('what was written in many small pieces arrives in order', async t => {
  const { pair, socketPath, drained, log } = t
  const { client, peer } = await pair({ path: socketPath() })
  const arrived = drained(peer)
  for (let piece = 0; piece < 2000; piece++) client.write(`${piece},`)
  client.end('end')
  log('arrived', await arrived)
})

parity('writes of one turn and of the next arrive in order', async t => {
  const { pair, socketPath, drained, log, turns } = t
  const { client, peer } = await pair({ path: socketPath() })
  const arrived = drained(peer)
  for (let turn = 0; turn < 20; turn++) {
    client.write(`${turn} `)
    client.write(Buffer.alloc(turn * 3000, 'x'))
    await turns()
  }
  client.end()
  log('arrived', await arrived)
})

parity('the first write of an accepted connection leaves at once', async t => {
  const { listen, connect, to, socketPath, watch, closed } = t
  const server = await listen({ path: socketPath() }, peer => peer.resume().end('hello'))
  const client = watch(connect(to(server)), 'client').resume()
  await closed(client)
})

parity('several clients at once', async ({ listen, connect, to, socketPath, drained, log }) => {
  const server = await listen({ path: socketPath(), allowHalfOpen: true }, peer => {
    peer.on('data', chunk => peer.write(`[${chunk}]`)).on('end', () => peer.end())
  })
  const clients = Array.from({ length: 12 }, () => connect(to(server)))
  const answers = clients.map(drained)
  for (const [number, client] of clients.entries()) client.end(`client ${number}`)
  log('answers', await Promise.all(answers))
})

parity('one client after the other', async ({ listen, connect, to, socketPath, drained, closed, log }) => {
  let count = 0
  const server = await listen({ path: socketPath() }, peer => peer.resume().end(`number ${++count}`))
  for (let round = 0; round < 10; round++) {
    const client = connect(to(server))
    const answer = drained(client)
    await closed(client)
    log('answer', await answer)
  }
})

parity('large transfers both ways at once keep every byte', async t => {
  const { pair, socketPath, log, seen } = t
  const { client, peer } = await pair({
    path: socketPath(),
    server: { allowHalfOpen: true },
    client: { allowHalfOpen: true },
  })
  const sums = [new Sum(), new Sum()]
  const ends = [client, peer].map((socket, at) => {
    socket.on('data', chunk => sums[at].add(chunk))
    return seen(socket, 'end')
  })
  // Neither ends before both have everything: the end of one side of a pipe soon is the end of both.
  const wanted = [2, 1].map(seed => Sum.of(chunks(300, seed)))
  send(client, chunks(300, 1), { end: false })
  send(peer, chunks(300, 2), { end: false })
  await t.until(() => sums.every((sum, at) => sum.bytes === wanted[at].bytes))
  client.end()
  peer.end()
  await Promise.all(ends)
  log('client got', String(sums[0]), String(sums[0]) === String(wanted[0]))
  log('peer got', String(sums[1]), String(sums[1]) === String(wanted[1]))
})

parity('one write of several megabytes', async ({ pair, socketPath, drained, log }) => {
  const { client, peer } = await pair({ path: socketPath() })
  const arrived = drained(peer)
  client.end(Buffer.alloc(5_000_000, 'abcdefg'))
  log('arrived', await arrived)
})

// Node 20 on Windows reads all that the peer has offered at once, although the program has paused.
parity(
  'a peer that does not read holds the writer up',
  {
    since: '22',
    expected: {
      main: [
        ['room', false],
        ['held up', false, true, true],
        ['done', true, 0, 4000000],
      ],
    },
  },
  async t => {
    const { pair, socketPath, log, quiet, seen, until } = t
    const { client, peer } = await pair({ path: socketPath() })
    peer.pause()
    const size = 4_000_000
    let written = false
    log(
      'room',
      client.write(Buffer.alloc(size, 'x'), () => (written = true)),
    )
    await quiet()
    log('held up', written, client.writableNeedDrain, client.writableLength > 0)
    let arrived = 0
    peer.on('data', chunk => (arrived += chunk.length)).resume()
    await seen(client, 'drain')
    await until(() => arrived === size)
    log('done', written, client.writableLength, client.bytesWritten)
  },
)

parity(
  'writes behind one that is held up come in order',
  {
    since: '22',
    expected: {
      main: [
        ['waiting', 0],
        ['arrived', '<Buffer of 600002, 5e068988de1e>'],
        ['order', ['first', 'second', 'third', 'end']],
      ],
    },
  },
  async t => {
    const { pair, socketPath, log, drained } = t
    const { client, peer } = await pair({ path: socketPath() })
    peer.pause()
    const order = []
    client.write(Buffer.alloc(500_000, 'a'), () => order.push('first'))
    client.write('b', () => order.push('second'))
    client.write(Buffer.alloc(100_000, 'c'), () => order.push('third'))
    client.end('d', () => order.push('end'))
    await t.quiet()
    log('waiting', order.length)
    const arrived = drained(peer)
    peer.resume()
    log('arrived', await arrived)
    log('order', order)
  },
)

parity('a socket that is paused reads on where it was', async t => {
  const { pair, socketPath, log, quiet, until, drained } = t
  const { client, peer } = await pair({ path: socketPath() })
  peer.once('data', () => peer.pause())
  client.write('first')
  await until(() => peer.bytesRead === 5)
  client.write('second')
  await quiet()
  log('paused', peer.isPaused())
  const rest = drained(peer)
  peer.resume()
  client.end('third')
  log('rest', await rest)
})

parity('onread gets the bytes in its own buffer', async t => {
  const { net, listen, to, own, socketPath, log, closed } = t
  const server = await listen({ path: socketPath() }, peer => peer.resume().end(Buffer.alloc(100_000, 'z')))
  const buffer = Buffer.alloc(1000)
  let total = 0
  let sound = true
  const callback = (length, chunk) => {
    total += length
    sound &&= chunk === buffer && buffer.subarray(0, length).every(byte => byte === 0x7a)
    return true
  }
  const client = own(net.connect({ ...to(server), onread: { buffer, callback } }))
  await closed(client)
  log('read', total, sound, client.bytesRead)
})

parity('text in an encoding, and cork', async ({ pair, socketPath, drained, log }) => {
  const { client, peer } = await pair({ path: socketPath() })
  peer.setEncoding('utf8')
  const arrived = drained(peer)
  client.cork()
  client.write('grüße', 'utf8')
  client.write('c3a4', 'hex')
  client.write('w7Y=', 'base64')
  client.uncork()
  client.end()
  log('arrived', await arrived)
})

parity('its addresses are unknown, its server is not', async ({ pair, socketPath, log }) => {
  const { server, client, peer } = await pair({ path: socketPath() })
  log('client', client.address(), client.remoteAddress, client.localPort, client.remoteFamily)
  log('peer', peer.address(), peer.remoteAddress, peer.localPort, peer.remoteFamily)
  log('server', server.address())
})

parity('the options of TCP do nothing', async ({ pair, socketPath, log, drained }) => {
  const { client, peer } = await pair({ path: socketPath() })
  log('returned', client.setNoDelay() === client, client.setKeepAlive(true, 1000) === client)
  const arrived = drained(peer)
  client.end('all the same')
  log('arrived', await arrived)
})

parity('resetAndDestroy is for TCP only', async ({ pair, socketPath, attempt, watch, closed, log }) => {
  const { client } = await pair({ path: socketPath() })
  watch(client, 'client')
  attempt('reset', () => void client.resetAndDestroy())
  log('still open', client.readyState)
  client.destroy()
  await closed(client)
})
