// Sockets used with Node's stream library and what builds on it: pipelines, composition, web streams, abort signals,
// consumers, readline, zlib, files, child processes, and sockets of node:net at the other end.

import { spawn } from 'node:child_process'
import { EventEmitter, on, once } from 'node:events'
import { createReadStream, createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import nodeNet from 'node:net'
import { createInterface } from 'node:readline'
import readlinePromises from 'node:readline/promises'
import {
  addAbortSignal,
  compose,
  Duplex,
  finished,
  PassThrough,
  Readable,
  Transform,
  Writable,
} from 'node:stream'
import consumers from 'node:stream/consumers'
import streams from 'node:stream/promises'
import zlib from 'node:zlib'
import { bytes, Check, sha1, source } from '../fixtures/interop/bytes.mjs'
import { parity } from '../helpers/parity.mjs'

const upper = () =>
  new Transform({
    transform(chunk, _encoding, done) {
      done(null, String(chunk).toUpperCase())
    },
  })

// What a promise came to, as an entry.
const settled = promise =>
  promise.then(
    value => ['fulfilled', value],
    error => ['rejected', error],
  )

parity('pipeline from a socket through gzip and gunzip to another', async t => {
  const server = await t.listen({ allowHalfOpen: true }, peer =>
    streams.pipeline(peer, zlib.createGzip({ level: 1 }), zlib.createGunzip(), peer),
  )
  const client = t.connect(t.to(server, { allowHalfOpen: true }))
  const check = new Check()
  await Promise.all([streams.pipeline(source(3_000_000), client), streams.pipeline(client, check)])
  t.log('right', check.right, check.wrong)
})

parity('pipeline through async generators', async t => {
  const outcomes = []
  const server = await t.listen({ allowHalfOpen: true }, peer => {
    const shouting = streams.pipeline(
      peer,
      async function* (chunks) {
        for await (const chunk of chunks) yield String(chunk).toUpperCase()
        yield '!'
      },
      peer,
    )
    outcomes.push(settled(shouting))
  })
  const client = t.connect(t.to(server, { allowHalfOpen: true }))
  client.end('words')
  t.log('arrived', await t.drained(client))
  t.log(...(await outcomes[0]))
})

parity('pipeline from a socket into a function', async t => {
  const { client, peer } = await t.pair()
  peer.end('abc')
  const result = await streams.pipeline(client, async chunks => {
    let text = ''
    for await (const chunk of chunks) text += chunk
    return text
  })
  t.log('result', result, client.destroyed)
})

parity('pipeline that leaves its socket open', async t => {
  const { client, peer } = await t.pair()
  const arrived = t.drained(peer)
  await streams.pipeline(Readable.from(['one ', 'two ']), client, { end: false })
  t.log('open', client.writable)
  client.end('three')
  t.log('arrived', await arrived)
})

parity('pipeline that is aborted', async t => {
  const { client, peer } = await t.pair()
  const controller = new AbortController()
  const outcome = settled(streams.pipeline(client, peer, { signal: controller.signal }))
  client.write('on its way')
  await t.turns(2)
  controller.abort()
  const [state, error] = await outcome
  t.log(state, error.name, error.code)
  await t.closed(client, peer)
  t.log('destroyed', client.destroyed, peer.destroyed)
})

parity('pipeline whose transform fails', async t => {
  const { client, peer } = await t.pair()
  peer.on('error', () => {})
  const broken = new Transform({
    transform(_chunk, _encoding, done) {
      done(new Error('cannot'))
    },
  })
  const sink = new PassThrough()
  const outcome = settled(streams.pipeline(client, broken, sink))
  peer.write('something')
  t.log(...(await outcome))
  await t.closed(client)
  t.log('destroyed', client.destroyed, sink.destroyed)
})

parity('pipeline from a socket that is reset', async t => {
  const { client, peer } = await t.pair()
  const sink = new PassThrough()
  const outcome = settled(streams.pipeline(client, sink))
  peer.resetAndDestroy()
  t.log(...(await outcome))
  t.log('destroyed', sink.destroyed)
})

parity('finished, for one side and for both', async t => {
  const { client, peer } = await t.pair({ server: { allowHalfOpen: true }, client: { allowHalfOpen: true } })
  client.resume()
  peer.resume()
  const [readable, writable, whole] = [
    streams.finished(client, { writable: false }).then(() => t.log.to('readable')('done')),
    streams.finished(client, { readable: false }).then(() => t.log.to('writable')('done')),
    streams.finished(client).then(() => t.log.to('whole')('done')),
  ]
  peer.end()
  await readable
  t.log('then', client.readableEnded, client.writableFinished)
  client.end()
  await Promise.all([writable, whole])
  t.log('at last', client.readableEnded, client.writableFinished)
})

parity('finished, cleaned up and aborted', async t => {
  const { client } = await t.pair()
  const before = client.eventNames().length
  const cleanup = finished(client, () => t.log('never'))
  cleanup()
  t.log('listeners', client.eventNames().length === before)
  const controller = new AbortController()
  const outcome = settled(streams.finished(client, { signal: controller.signal }))
  controller.abort()
  t.log((await outcome)[0], (await outcome)[1].name, client.destroyed)
})

parity('a socket composed with a transform', async t => {
  const server = await t.listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const client = t.connect(t.to(server, { allowHalfOpen: true }))
  const shouting = compose(client, upper())
  shouting.end('quiet words')
  t.log('arrived', await consumers.text(shouting))
})

parity('Duplex.from a socket and from its two halves', async t => {
  const server = await t.listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const client = t.connect(t.to(server, { allowHalfOpen: true }))
  t.log('itself', Duplex.from(client) === client)
  const mixed = Duplex.from({ readable: client.pipe(upper()), writable: client })
  mixed.end('words')
  t.log('arrived', await consumers.text(mixed))
})

parity('Readable.from into a socket, with backpressure', async t => {
  const { client, peer } = await t.pair()
  const check = peer.pipe(new Check())
  async function* parts() {
    for await (const part of source(2_500_000, 33_333)) yield part
  }
  await streams.pipeline(Readable.from(parts(), { objectMode: false }), client)
  if (!check.writableFinished) await once(check, 'finish')
  t.log('right', check.right, check.wrong)
})

parity('async iteration to the end, left early, and left open', async t => {
  for (const way of ['end', 'break', 'throw', 'return without destroy']) {
    const { client, peer } = await t.pair()
    peer.on('error', () => {})
    if (way === 'end') peer.end('all of it')
    else peer.write('some of it')
    const chunks = way.includes('without') ? client.iterator({ destroyOnReturn: false }) : client
    let text = ''
    try {
      for await (const chunk of chunks) {
        text += chunk
        if (way === 'throw') throw new Error('thrown')
        if (way !== 'end') break
      }
    } catch (error) {
      t.log('caught', error)
    }
    t.log(way, text, client.destroyed, client.readableEnded)
  }
})

parity('async iteration over a socket that fails', async t => {
  const { client, peer } = await t.pair()
  const seen = []
  const outcome = settled(
    (async () => {
      for await (const chunk of client) {
        seen.push(String(chunk))
        client.destroy(new Error('broken'))
      }
    })(),
  )
  peer.write('first')
  t.log(...(await outcome))
  t.log('seen', seen)
})

parity('two readers after each other by the iterator', async t => {
  const { client, peer } = await t.pair()
  client.setEncoding('utf8')
  peer.write('head')
  for await (const chunk of client.iterator({ destroyOnReturn: false })) {
    t.log('head', chunk)
    break
  }
  peer.end('tail')
  let tail = ''
  for await (const chunk of client) tail += chunk
  t.log('tail', tail)
})

parity('the operators of Readable', async t => {
  const { client, peer } = await t.pair()
  peer.end('a b c d')
  const text = client.setEncoding('utf8')
  const words = text.flatMap(chunk => chunk.split(' ')).filter(word => word !== 'b')
  t.log('words', (await words.map(async word => word.toUpperCase()).toArray()).join(''))
})

parity('consumers of a whole socket', async t => {
  const json = JSON.stringify({ some: ['json', 1] })
  for (const name of ['text', 'json', 'buffer', 'arrayBuffer', 'blob']) {
    const { client, peer } = await t.pair()
    peer.write(json.slice(0, 5))
    peer.end(json.slice(5))
    const value = await consumers[name](client)
    const plain = value instanceof ArrayBuffer ? Buffer.from(value) : ((await value.text?.()) ?? value)
    t.log(name, plain)
  }
})

parity('events.once and events.on', async t => {
  const server = await t.listen()
  const accepted = once(server, 'connection')
  const client = t.connect(t.to(server))
  t.log('connect', (await once(client, 'connect')).length)
  const [peer] = await accepted
  peer.on('error', () => {})
  const parts = []
  const controller = new AbortController()
  const reading = (async () => {
    for await (const [chunk] of on(client, 'data', { signal: controller.signal })) {
      parts.push(String(chunk))
      peer.write(`${parts.length}`)
      if (parts.join('').length >= 3) controller.abort()
    }
  })()
  peer.write('0')
  const [state, error] = await settled(reading)
  t.log(state, error.name, parts.join(''))
  const failure = settled(once(client, 'end'))
  client.destroy(new Error('in between'))
  t.log(...(await failure))
})

parity('an abort signal added to a socket', async t => {
  const { client, peer } = await t.pair()
  peer.on('error', () => {})
  const controller = new AbortController()
  t.log('same', addAbortSignal(controller.signal, client) === client)
  t.watch(client, 'client')
  controller.abort(new Error('my reason'))
  await t.closed(client)
})

parity('a socket as a pair of web streams', async t => {
  const server = await t.listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const client = t.connect(t.to(server, { allowHalfOpen: true }))
  await once(client, 'connect')
  const { readable, writable } = Duplex.toWeb(client)
  const writer = writable.getWriter()
  const written = (async () => {
    for (let at = 0; at < 20; at++) {
      await writer.ready
      await writer.write(new Uint8Array(bytes(50_000, at)))
    }
    await writer.close()
  })()
  let length = 0
  for await (const chunk of readable) length += chunk.byteLength
  await written
  t.log('echo', length)
})

parity('a web stream that is cancelled destroys its socket', async t => {
  const { client, peer } = await t.pair()
  peer.on('error', () => {})
  peer.write('some')
  const reader = Readable.toWeb(client).getReader()
  t.log('first', Buffer.from((await reader.read()).value))
  await settled(reader.cancel(new Error('enough')))
  t.log('destroyed', client.destroyed)
})

parity('a web stream of a socket that is reset', async t => {
  const { client, peer } = await t.pair()
  const reader = Readable.toWeb(client).getReader()
  const first = settled(reader.read())
  peer.resetAndDestroy()
  const [state, error] = await first
  t.log(state, error.code)
})

parity('web streams on one side of a socket', async t => {
  const { client, peer } = await t.pair()
  const text = new Response(Readable.toWeb(peer)).text()
  const writer = Writable.toWeb(client).getWriter()
  await writer.write(new TextEncoder().encode('by way of '))
  await writer.write(new TextEncoder().encode('a Response'))
  await writer.close()
  t.log('arrived', await text)
})

parity('compression by web streams between two sockets', async t => {
  const { client, peer } = await t.pair()
  const unpacked = consumers.buffer(
    Readable.fromWeb(Readable.toWeb(peer).pipeThrough(new DecompressionStream('gzip'))),
  )
  const body = bytes(400_000)
  const packed = new Blob([body]).stream().pipeThrough(new CompressionStream('gzip'))
  await streams.pipeline(Readable.fromWeb(packed), client)
  t.log('same', (await unpacked).equals(body))
})

parity('Duplex.fromWeb of the web streams of a socket', async t => {
  const server = await t.listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const client = t.connect(t.to(server, { allowHalfOpen: true }))
  await once(client, 'connect')
  const again = Duplex.fromWeb(Duplex.toWeb(client), { encoding: 'utf8' })
  again.end('there and back again')
  t.log('arrived', await consumers.text(again))
})

parity('lines of a socket, by event and by iteration', async t => {
  const content = ['first', 'second €', '', 'x'.repeat(100_000), 'last without an end']
  const text = Buffer.from(content.join('\r\n'))
  // Cut within the euro sign.
  const cut = text.indexOf('€') + 1
  for (const way of ['event', 'iteration']) {
    const { client, peer } = await t.pair()
    const lines = createInterface({ input: client, crlfDelay: Number.POSITIVE_INFINITY })
    const seen = []
    const read =
      way === 'event'
        ? once(
            lines.on('line', line => seen.push(line)),
            'close',
          )
        : (async () => {
            for await (const line of lines) seen.push(line)
          })()
    peer.write(text.subarray(0, cut))
    await t.turns(2)
    peer.end(text.subarray(cut))
    await read
    t.log(way, seen.length, seen.join('\r\n') === content.join('\r\n'))
  }
})

parity('questions to a socket', async t => {
  const server = await t.listen({}, async peer => {
    const terminal = readlinePromises.createInterface({ input: peer, output: peer })
    const name = await terminal.question('name? ')
    const age = await terminal.question('age? ')
    terminal.close()
    peer.end(`${name} is ${age}`)
  })
  const client = t.connect(t.to(server))
  const arrived = t.drained(client)
  await once(client, 'data')
  client.write('Ada\n')
  await once(client, 'data')
  client.write('36\n')
  t.log('dialogue', await arrived)
})

parity('brotli and deflate in the middle, flushed message by message', async t => {
  for (const [pack, unpack] of [
    [zlib.createBrotliCompress(), zlib.createBrotliDecompress()],
    [zlib.createDeflate(), zlib.createInflate()],
  ]) {
    const { client, peer } = await t.pair()
    pack.pipe(client)
    const messages = peer.pipe(unpack).setEncoding('utf8')
    for (const word of ['one', 'two', 'three']) {
      pack.write(word)
      pack.flush()
      t.log('message', (await once(messages, 'data'))[0])
    }
    pack.end()
    await once(messages, 'end')
  }
})

parity('a compressed stream that is cut off', async t => {
  const { client, peer } = await t.pair()
  const packed = zlib.gzipSync(bytes(100_000))
  const outcome = settled(streams.pipeline(client, zlib.createGunzip(), new Check()))
  peer.end(packed.subarray(0, packed.length - 10))
  const [state, error] = await outcome
  t.log(state, error.code, error.message)
})

parity('a file into a socket, and a socket into a file', async t => {
  const directory = t.directory()
  const body = bytes(2_000_000)
  writeFileSync(`${directory}/from`, body)
  const server = await t.listen({}, peer => streams.pipeline(createReadStream(`${directory}/from`), peer))
  await streams.pipeline(t.connect(t.to(server)), createWriteStream(`${directory}/to`))
  t.log('same', readFileSync(`${directory}/to`).equals(body))
})

parity('a child process between two halves of a socket', { on: 'unix' }, async t => {
  const server = await t.listen({ allowHalfOpen: true }, peer => {
    const child = spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] })
    peer.pipe(child.stdin)
    child.stdout.pipe(peer)
  })
  const client = t.connect(t.to(server, { allowHalfOpen: true }))
  const arrived = t.drained(client)
  client.end(bytes(600_000))
  t.log('arrived', await arrived)
})

parity('sockets of this module and of node:net piped into each other', async t => {
  const target = nodeNet.createServer({ allowHalfOpen: true }, peer => peer.pipe(peer))
  t.own(target)
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  const proxy = await t.listen({ allowHalfOpen: true }, peer => {
    const onward = t.own(nodeNet.connect({ ...t.to(target), allowHalfOpen: true }))
    peer.pipe(onward).pipe(peer)
  })
  const client = t.connect(t.to(proxy, { allowHalfOpen: true }))
  const check = client.pipe(new Check())
  source(4_000_000).pipe(client)
  await once(check, 'finish')
  t.log('right', check.right, check.wrong)
})

parity('one socket piped into two others', async t => {
  const [from, one, two] = [await t.pair(), await t.pair(), await t.pair()]
  const arrived = [t.drained(one.peer), t.drained(two.peer)]
  from.client.pipe(one.client)
  from.client.pipe(two.client)
  from.peer.end(bytes(1_500_000))
  t.log('arrived', ...(await Promise.all(arrived)).map(sha1))
})

parity('a pipe that is undone and done again', async t => {
  const { client, peer } = await t.pair()
  const [first, second] = [new PassThrough(), new PassThrough()]
  client.pipe(first)
  peer.write('one')
  t.log('first', (await once(first, 'data'))[0])
  client.unpipe(first)
  client.pipe(second)
  peer.end('two')
  t.log('second', await consumers.text(second))
})

parity('a listener that rejects, with captureRejections', async t => {
  const before = EventEmitter.captureRejections
  t.cleanup(() => (EventEmitter.captureRejections = before))
  EventEmitter.captureRejections = true
  const { client, peer } = await t.pair()
  t.watch(client, 'client', { except: ['data'] })
  client.on('data', async chunk => {
    throw new Error(`cannot take ${chunk}`)
  })
  peer.on('error', () => {})
  peer.write('this')
  await t.closed(client)
})

parity('a connection listener that rejects, with captureRejections', async t => {
  const before = EventEmitter.captureRejections
  t.cleanup(() => (EventEmitter.captureRejections = before))
  EventEmitter.captureRejections = true
  const server = await t.listen()
  EventEmitter.captureRejections = before
  const peers = []
  server.on('connection', async peer => {
    peers.push(t.watch(peer, 'peer'))
    throw new Error('not welcome')
  })
  const client = t.connect(t.to(server)).resume()
  client.on('error', () => {})
  await t.closed(client)
  await t.closed(...peers)
})
