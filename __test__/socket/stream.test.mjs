// Sockets as streams: pipes and pipelines, async iteration, cork, large transfers, order and content.

import { parity } from '../helpers/parity.mjs'

// Bytes that differ at every place, so that a lost, doubled or moved chunk shows.
function pattern(size, seed = 1) {
  const bytes = Buffer.alloc(size)
  let state = seed
  for (let at = 0; at + 4 <= size; at += 4) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes.writeUInt32LE(state, at)
  }
  return bytes
}

parity('an echo by pipe returns everything', async ({ listen, connect, to, drained, log }) => {
  const server = await listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const client = connect(to(server))
  const arrived = drained(client)
  client.write('one ')
  client.write(Buffer.from('two '))
  client.end('three')
  log('arrived', await arrived)
})

parity('several megabytes both ways at once keep every byte', async ({ pair, drained, log }) => {
  const { client, peer } = await pair()
  const [there, back] = [drained(peer), drained(client)]
  client.end(pattern(6_000_000, 1))
  peer.end(pattern(5_000_000, 2))
  log('there', await there)
  log('back', await back)
  log('counters', client.bytesWritten, client.bytesRead, peer.bytesWritten, peer.bytesRead)
})

parity('a large echo with backpressure keeps every byte', async ({ listen, connect, to, drained, log }) => {
  const { Readable } = await import('node:stream')
  const server = await listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const client = connect(to(server))
  const arrived = drained(client)
  const source = pattern(8_000_000)
  const chunks = []
  for (let at = 0; at < source.length; at += 77_777) chunks.push(source.subarray(at, at + 77_777))
  Readable.from(chunks).pipe(client)
  log('arrived', await arrived)
})

parity('Readable.from strings into a socket', async ({ pair, drained, log }) => {
  const { Readable } = await import('node:stream')
  const { client, peer } = await pair()
  const arrived = drained(peer)
  Readable.from(['ä', '€', '😀', '.']).pipe(client)
  log('arrived', await arrived)
})

parity('pipeline from a source through a socket', async ({ pair, drained, log, closed }) => {
  const { Readable } = await import('node:stream')
  const { pipeline } = await import('node:stream/promises')
  const { client, peer } = await pair()
  peer.resume()
  const arrived = drained(peer)
  client.resume()
  await pipeline(Readable.from([Buffer.from('through '), Buffer.from('a pipeline')]), client)
  log('pipeline done', client.writableFinished)
  log('arrived', await arrived)
  await closed(client)
})

parity('pipeline through transforms between two sockets', async ({ listen, connect, to, drained, log }) => {
  const { Transform, pipeline } = await import('node:stream')
  const shout = new Transform({
    transform(chunk, _encoding, callback) {
      callback(null, String(chunk).toUpperCase())
    },
  })
  const server = await listen({ allowHalfOpen: true }, peer =>
    pipeline(peer, shout, peer, error => log('pipeline', error ?? 'no error')),
  )
  const client = connect(to(server))
  const arrived = drained(client)
  client.end('quiet words')
  log('arrived', await arrived)
})

parity('pipeline reports a socket that closes too early', async ({ pair, log }) => {
  const { PassThrough, pipeline } = await import('node:stream')
  const { client } = await pair()
  const source = new PassThrough()
  const outcome = new Promise(resolve => pipeline(source, client, resolve))
  source.write('never ends')
  client.destroy()
  log('error', await outcome)
  log('source', source.destroyed)
})

parity('pipeline destroys a socket whose source fails', async ({ pair, log, watch, closed }) => {
  const { PassThrough, pipeline } = await import('node:stream')
  const { client } = await pair()
  watch(client, 'client', { except: ['data'] })
  const source = new PassThrough()
  const outcome = new Promise(resolve => pipeline(source, client, resolve))
  source.destroy(new Error('source failed'))
  log('error', await outcome)
  await closed(client)
})

parity('finished reports a good end', async ({ pair, log }) => {
  const { finished } = await import('node:stream')
  const { client, peer } = await pair()
  peer.resume().end()
  const outcome = new Promise(resolve => finished(client, resolve))
  client.resume()
  log('finished', await outcome)
})

parity('finished reports a premature close', async ({ pair, log }) => {
  const { finished } = await import('node:stream')
  const { client } = await pair()
  const outcome = new Promise(resolve => finished(client, resolve))
  client.destroy()
  log('finished', await outcome)
})

parity('finished reports the error of a connection', async ({ connect, log }) => {
  const { finished } = await import('node:stream')
  const client = connect(1, '127.0.0.1')
  log('finished', await new Promise(resolve => finished(client, resolve)))
})

parity('finished on a closed socket reports at once', async ({ pair, log, closed }) => {
  const { finished } = await import('node:stream')
  const { client, peer } = await pair()
  peer.resume().end()
  await closed(client.resume())
  log('finished', await new Promise(resolve => finished(client, resolve)))
})

parity('async iteration reads to the end', async ({ pair, log, closed }) => {
  const { client, peer } = await pair()
  peer.resume().end('iterated')
  const over = closed(client)
  let text = ''
  for await (const chunk of client) text += chunk
  log('text', text, client.readableEnded)
  await over
})

parity('async iteration left early destroys the socket', async ({ pair, log, closed, watch }) => {
  const { client, peer } = await pair()
  watch(client, 'client', { except: ['data'] })
  peer.write('first')
  for await (const chunk of client) {
    log('chunk', chunk)
    break
  }
  log('after', client.destroyed)
  await closed(client)
})

parity('async iteration throws the error of the socket', async ({ pair, log }) => {
  const { client, peer } = await pair()
  peer.write('first')
  try {
    for await (const chunk of client) {
      log('chunk', chunk)
      client.destroy(new Error('in the loop'))
    }
  } catch (error) {
    log('threw', error)
  }
})

parity('async iteration over a connection that was reset throws', { on: 'linux' }, async ({ pair, log }) => {
  const { client, peer } = await pair()
  setImmediate(() => peer.resetAndDestroy())
  try {
    for await (const chunk of client) log('chunk', chunk)
  } catch (error) {
    log('threw', error)
  }
})

parity('cork holds writes back until uncork, in order', async ({ pair, log, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  client.cork()
  for (const text of ['one ', 'two ', 'three '])
    log(
      'write',
      client.write(text, () => log('written', text)),
      client.writableLength,
    )
  client.write(Buffer.from('four '))
  client.write('fünf ', 'latin1')
  client.write('6', 'utf16le')
  log('corked', client.writableCorked, client.writableLength)
  client.uncork()
  log('uncorked', client.writableCorked, client.writableLength)
  client.end()
  log('arrived', await arrived)
})

parity('nested corks need as many uncorks', async ({ pair, log, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  client.cork()
  client.cork()
  client.write('a')
  client.uncork()
  log('still', client.writableCorked, client.writableLength)
  client.uncork()
  log('free', client.writableCorked, client.writableLength)
  client.end()
  log('arrived', await arrived)
})

parity('end uncorks', async ({ pair, log, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  client.cork()
  client.write('corked ')
  client.end('and ended')
  log('after', client.writableCorked)
  log('arrived', await arrived)
})

parity('a subclass sees corked writes in _writev', async ({ net, own, listen, to, log, seen, drained }) => {
  class Seen extends net.Socket {
    _writev(chunks, callback) {
      log(
        '_writev',
        chunks.map(({ chunk, encoding }) => [chunk, encoding]),
      )
      super._writev(chunks, callback)
    }
  }
  let arrived
  const server = await listen({}, peer => (arrived = drained(peer)))
  const client = own(new Seen())
  client.connect(to(server))
  await seen(client, 'connect')
  client.cork()
  client.write('text')
  client.write(Buffer.from('bytes'))
  client.uncork()
  client.end()
  await seen(client, 'finish')
  log('arrived', await arrived)
})

parity(
  'many small writes on several sockets keep order and content',
  async ({ listen, connect, to, drained, log }) => {
    const server = await listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
    const clients = Array.from({ length: 8 }, () => connect(to(server)))
    const arrived = clients.map(client => drained(client))
    for (let round = 0; round < 500; round++) {
      for (const [at, client] of clients.entries()) client.write(`${at}:${round};`)
      if (round % 100 === 99) await new Promise(resolve => setImmediate(resolve))
    }
    for (const client of clients) client.end()
    for (const [at, bytes] of (await Promise.all(arrived)).entries()) log('socket', at, bytes)
  },
)

parity('small and large writes of strings and buffers keep their order', async ({ pair, drained, log }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  for (let round = 0; round < 40; round++) {
    client.write(`${round}`)
    client.write(Buffer.alloc(round * 1000, round))
    client.write('é'.repeat(round * 100), round % 2 ? 'utf8' : 'latin1')
    client.write('ab'.repeat(round), 'hex')
  }
  client.end()
  log('arrived', await arrived)
})

parity(
  'a buffer changed after its callback does not change what was sent',
  async ({ pair, drained, log }) => {
    const { client, peer } = await pair()
    const arrived = drained(peer)
    const buffer = Buffer.alloc(100_000)
    for (let round = 1; round <= 20; round++) {
      buffer.fill(round)
      await new Promise(resolve => client.write(buffer, resolve))
    }
    client.end()
    log('arrived', await arrived)
  },
)

parity('request and answer, one at a time, many times', async ({ listen, connect, to, log, closed }) => {
  const server = await listen({}, peer => {
    peer.on('data', data => peer.write(`<${data}>`))
  })
  const client = connect(to(server)).setEncoding('utf8')
  const answers = []
  client.on('data', data => {
    answers.push(data)
    if (answers.length < 300) client.write(String(answers.length))
    else client.end()
  })
  client.write('0')
  await closed(client)
  log(
    'answers',
    answers.length,
    answers.every((answer, at) => answer === `<${at}>`),
  )
})

parity(
  'a proxy of pipes passes large transfers both ways',
  async ({ listen, connect, to, net, own, drained, log }) => {
    const origin = await listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
    const proxy = await listen({ allowHalfOpen: true }, peer => {
      const upstream = own(net.connect(to(origin, { allowHalfOpen: true })))
      peer.pipe(upstream).pipe(peer)
    })
    const client = connect(to(proxy))
    const arrived = drained(client)
    client.end(pattern(4_000_000))
    log('arrived', await arrived)
  },
)

parity('unpipe stops the flow and pipe starts it again', async ({ pair, log, until, seen }) => {
  const { PassThrough } = await import('node:stream')
  const { client, peer } = await pair()
  const sink = new PassThrough()
  let text = ''
  sink.setEncoding('utf8').on('data', data => (text += data))
  client.pipe(sink)
  peer.write('one ')
  await until(() => text === 'one ')
  client.unpipe(sink)
  log('unpiped', client.readableFlowing)
  peer.write('two ')
  await until(() => client.bytesRead === 8)
  log('held', text)
  client.pipe(sink)
  peer.end('three')
  await seen(sink, 'end')
  log('text', text)
})

parity('pipe without end leaves the socket open', async ({ pair, log, turns, drained }) => {
  const { PassThrough } = await import('node:stream')
  const { client, peer } = await pair()
  const arrived = drained(peer)
  const source = new PassThrough()
  source.pipe(client, { end: false })
  source.end('piped ')
  await turns(3)
  log('open', client.writable)
  client.end('and ended')
  log('arrived', await arrived)
})

parity('a file is piped into a socket', async ({ pair, log, drained, directory }) => {
  const { createReadStream, writeFileSync } = await import('node:fs')
  const path = `${directory()}/file`
  writeFileSync(path, pattern(3_000_000))
  const { client, peer } = await pair()
  const arrived = drained(peer)
  createReadStream(path).pipe(client)
  log('arrived', await arrived)
})

parity('gzip through a socket and back', async ({ pair, log }) => {
  const { createGzip, createGunzip } = await import('node:zlib')
  const { pipeline } = await import('node:stream/promises')
  const { client, peer } = await pair()
  const chunks = []
  const source = createGzip()
  const sent = pipeline(source, client)
  source.end(Buffer.alloc(2_000_000, 'compressible '))
  await pipeline(peer, createGunzip(), async parts => {
    for await (const part of parts) chunks.push(part)
  })
  await sent
  log('arrived', Buffer.concat(chunks))
})

parity('the helpers of Readable work on a socket', async ({ pair, log }) => {
  const { client, peer } = await pair()
  peer.resume().end('a,b,c')
  client.setEncoding('utf8')
  const parts = await client.flatMap(text => text.split(',')).toArray()
  log('parts', parts.join(''))
})

parity('a socket as web streams', async ({ pair, log }) => {
  const { Duplex } = await import('node:stream')
  const { client, peer } = await pair({ server: { allowHalfOpen: true } })
  peer.pipe(peer)
  const { readable, writable } = Duplex.toWeb(client)
  const writer = writable.getWriter()
  await writer.write(Buffer.from('web'))
  const closing = writer.close()
  let text = ''
  for await (const chunk of readable) text += Buffer.from(chunk)
  await closing
  log('text', text)
})

parity('readline reads lines from a socket', async ({ pair, log }) => {
  const { createInterface } = await import('node:readline')
  const { client, peer } = await pair()
  peer.resume().end('first\nsecond\r\nthird')
  for await (const line of createInterface({ input: client })) log('line', line)
})
