// The program looks in the middle of a relay: what is on its way comes first and in order, and everything that can be
// seen is as if there had been no relay. Each look twice: when nothing is on its way, and when a reader that does not read
// has left bytes behind in the middle.

import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { mock } from 'node:test'
import { source } from '../fixtures/interop/bytes.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'
import { proxy, record, relaying, relays, warmUp, where } from '../helpers/relay.mjs'

const seen = (t, name) => chunk => t.log.to(name)('data', chunk)

/** Everything that a stream gets from here on, and a wait for so many bytes of it. */
function collected(t, stream) {
  let bytes = Buffer.alloc(0)
  stream.on('data', chunk => (bytes = Buffer.concat([bytes, Buffer.from(chunk)])))
  const until = async length => {
    await t.until(() => bytes.length >= length)
    return String(bytes)
  }
  return { until }
}

// --- nothing is on its way

const PROPERTIES = [
  ...['bytesRead', 'bytesWritten', 'readyState', 'pending', 'connecting', 'destroyed', 'bufferSize'],
  ...['readable', 'readableFlowing', 'readableLength', 'readableEnded'],
  ...['writable', 'writableLength', 'writableNeedDrain', 'writableEnded'],
]

/** Looks while the relay waits for bytes; sends more; and ends. */
const looks = {
  "'readable' and read()": async ({ a, client, peer }, t) => {
    const all = collected(t, peer)
    a.on('readable', () => {
      for (let chunk = a.read(); chunk !== null; chunk = a.read()) seen(t, 'a')(chunk)
    })
    t.log('saw', a.readableFlowing)
    client.write('one ')
    t.log('peer', await all.until(4))
  },
  'read() that finds nothing': async ({ a, client, peer }, t) => {
    t.log('saw', a.read(), a.read(10), a.readableLength, a.readableFlowing)
    client.write('one ')
    t.log('peer', String((await once(peer, 'data'))[0]))
  },
  'unshift()': async ({ a, client, peer }, t) => {
    const all = collected(t, peer)
    a.unshift(Buffer.from('back '))
    client.write('one ')
    t.log('peer', await all.until(9))
  },
  "once('readable')": async ({ a, client, peer }, t) => {
    const all = collected(t, peer)
    client.write('one ')
    await once(a, 'readable')
    t.log('saw', String(a.read()))
    client.write('two ')
    t.log('peer', await all.until(8))
  },
  'an async iterator that stops': async ({ a, client }, t) => {
    client.write('one ')
    for await (const chunk of a.iterator({ destroyOnReturn: false })) {
      t.log('iterated', String(chunk))
      break
    }
  },
  'a helper of Readable': async ({ a, client, peer }, t) => {
    client.write('one ')
    const first = await a.take(1).map(String).toArray()
    t.log('saw', first, a.destroyed)
    peer.destroy()
    client.destroy()
    return { isOver: true }
  },
  'a second source': async ({ b, client, peer }, t) => {
    const other = await t.pair()
    const all = collected(t, peer)
    other.peer.pipe(b, { end: false })
    other.client.write('other ')
    await all.until(6)
    client.write('one ')
    await all.until(10)
    other.client.write('more ')
    t.log('peer', await all.until(15))
  },
  'a second source that is no socket': async ({ b, client, peer }, t) => {
    const all = collected(t, peer)
    Readable.from(['other ']).pipe(b, { end: false })
    await all.until(6)
    client.write('one ')
    t.log('peer', await all.until(10))
  },
  'a second pipe to the same destination': async ({ a, b, client, peer }, t) => {
    const all = collected(t, peer)
    a.pipe(b)
    client.write('one ')
    t.log('peer', await all.until(8))
    a.unpipe(b)
    a.unpipe(b)
    a.pipe(b)
  },
  'its destination piped on': async ({ b, client, peer }, t) => {
    const other = new PassThrough()
    b.pipe(other)
    peer.write('back ')
    t.log('other', String((await once(other, 'data'))[0]))
    client.write('one ')
    t.log('peer', String((await once(peer, 'data'))[0]))
  },
  'an idle time-out': async ({ a, b, client, peer }, t) => {
    for (const socket of [a, b]) t.log('saw', socket.setTimeout(60_000) === socket, socket.timeout)
    client.write('one ')
    t.log('peer', String((await once(peer, 'data'))[0]))
    for (const socket of [a, b]) t.log('saw', socket.setTimeout(0) === socket, socket.timeout)
  },
  'all its properties': async ({ a, b, client, peer }, t) => {
    for (let round = 0; round < 3; round++) {
      client.write('one ')
      await once(peer, 'data')
      for (const socket of [a, b]) {
        t.log('saw', ...PROPERTIES.map(name => socket[name]))
        t.log(
          'saw',
          socket.listenerCount('data'),
          socket.listenerCount('drain'),
          socket.eventNames().map(String),
        )
        t.log(
          'saw',
          socket.remoteFamily,
          socket.address().family,
          Object.keys(socket._readableState.pipes).length,
        )
      }
    }
  },
  'options of the socket': async ({ a, b, client, peer }, t) => {
    for (const socket of [a, b]) {
      t.log(
        'saw',
        socket.setNoDelay(true) === socket,
        socket.setKeepAlive(true, 1000) === socket,
        socket.ref() === socket,
      )
    }
    client.write('one ')
    t.log('peer', String((await once(peer, 'data'))[0]))
  },
  'a write with a callback': async ({ b, client, peer }, t) => {
    const all = collected(t, peer)
    await new Promise(resolve => b.write('mine ', resolve))
    client.write('one ')
    t.log('peer', await all.until(9))
  },
  'a listener of the event that tells of listeners': async ({ a, client, peer }, t) => {
    a.on('newListener', name => t.log('new', name))
    a.on('data', seen(t, 'a'))
    client.write('one ')
    t.log('peer', String((await once(peer, 'data'))[0]))
  },
  'an emit of the program': async ({ a, client, peer }, t) => {
    const all = collected(t, peer)
    client.write('one ')
    await all.until(4)
    a.emit('data', Buffer.from('made up '))
    client.write('two ')
    t.log('peer', await all.until(16))
  },
  'a push of the program': async ({ a, client, peer }, t) => {
    const all = collected(t, peer)
    a.push(Buffer.from('pushed '))
    await all.until(7)
    client.write('one ')
    t.log('peer', await all.until(11))
  },
  'mock.method()': async ({ a, b, client, peer }, t) => {
    const [write, emit] = [mock.method(b, 'write'), mock.method(a, 'emit')]
    client.write('one ')
    t.log('peer', String((await once(peer, 'data'))[0]))
    t.log('saw', write.mock.callCount(), String(write.mock.calls[0].arguments[0]))
    t.log(
      'saw',
      emit.mock.calls.some(call => call.arguments[0] === 'data'),
    )
    write.mock.restore()
    emit.mock.restore()
  },
}

for (const [what, look] of Object.entries(looks)) {
  parity(`a look while nothing is on its way: ${what}`, async t => {
    const sockets = await relaying(t, { recorded: true })
    const { client, a, b, peer } = sockets
    if ((await look(sockets, t))?.isOver) return
    const arrived = t.drained(peer)
    client.end('the rest')
    t.log('rest', String(await arrived), a.bytesRead, b.bytesWritten)
  })
}

// What ends a socket needs properties, also without relays: so the process does.
for (const how of ['preventExtensions', 'seal']) {
  parityProcess(`a look after Object.${how}() in the middle`, async t => {
    const { client, a, b, peer } = await relaying(t)
    Object[how](a)
    Object[how](b)
    a.on('data', seen(t, 'a'))
    client.write('one ')
    t.log('peer', String((await once(peer, 'data'))[0]))
    b.write('mine ')
    t.log('peer', String((await once(peer, 'data'))[0]))
    a.pause()
    client.write('two ')
    await t.until(() => a.readableLength === 4)
    process.exit(0)
  })
}

// --- the program has wrapped a method before, and calls that

const wrapped = {
  'cork()': [
    ({ b }) => [b, 'cork'],
    async ({ b, client }, t) => {
      b.cork()
      client.write('one ')
      await t.until(() => b.writableLength === 4)
      b.uncork()
    },
  ],
  'setEncoding()': [
    ({ a }) => [a, 'setEncoding'],
    async ({ a, client, peer }, t) => {
      a.setEncoding('hex')
      client.write('one ')
      t.log('peer', String((await once(peer, 'data'))[0]))
    },
  ],
  "on() for 'readable'": [
    ({ a }) => [a, 'on'],
    async ({ a, client, peer }, t) => {
      a.on('readable', () => {
        for (let chunk = a.read(); chunk !== null; chunk = a.read()) seen(t, 'a')(chunk)
      })
      client.write('one ')
      await once(peer, 'data')
    },
  ],
  "on() for 'drain'": [
    ({ b }) => [b, 'on'],
    async ({ b, client, peer }, t) => {
      const drained = new Promise(resolve => b.on('drain', resolve))
      peer.pause()
      while (!b.writableNeedDrain && client.writableLength < 50_000_000) {
        client.write(Buffer.alloc(65_536))
        await t.turns(2)
      }
      t.log('full', b.writableNeedDrain)
      peer.resume()
      await drained
    },
  ],
  'unpipe()': [
    ({ a }) => [a, 'unpipe'],
    async ({ a, b, client, peer }, t) => {
      a.unpipe(b)
      client.write('one ')
      await t.until(() => a.readableLength === 4)
      a.pipe(b)
      await once(peer, 'data')
    },
  ],
  'end()': [
    ({ b }) => [b, 'end'],
    async ({ a, b, client, peer }, t) => {
      a.on('error', () => {})
      const arrived = t.drained(peer)
      b.end('last')
      t.log('peer', String(await arrived), a.destroyed)
      client.destroy()
      return { isOver: true }
    },
  ],
  'unshift()': [
    ({ a }) => [a, 'unshift'],
    async ({ a, peer }, t) => {
      a.unshift(Buffer.from('back '))
      t.log('peer', String((await once(peer, 'data'))[0]))
    },
  ],
}

const passOn = (object, name) => {
  const method = object[name]
  object[name] = function (...args) {
    return Reflect.apply(method, this, args)
  }
}
for (const [what, [which, look]] of Object.entries(wrapped)) {
  parity(`a look through a method that was replaced before: ${what}`, async t => {
    const sockets = await proxy(t)
    const { client, a, b, peer } = sockets
    passOn(...which(sockets))
    a.pipe(b)
    await warmUp(client, peer, 40)
    if ((await look(sockets, t))?.isOver) return
    const arrived = t.drained(peer)
    client.end('the rest')
    t.log('rest', String((await arrived).subarray(-8)))
  })
}

parity("a look through the prototype's own method, as HTTP servers leave it on a socket", async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  for (const socket of [a, b])
    for (const name of ['on', 'addListener']) socket[name] = t.net.Socket.prototype[name]
  a.pipe(b)
  await warmUp(client, peer)
  count.ran()
  a.on('readable', () => {
    for (let chunk = a.read(); chunk !== null; chunk = a.read()) seen(t, 'a')(chunk)
  })
  client.write('one ')
  t.log('peer', String((await once(peer, 'data'))[0]))
})

parity('a tunnel through an HTTP server', async t => {
  const count = relays(t)
  const echo = await t.listen({ allowHalfOpen: true }, peer => peer.on('data', chunk => peer.write(chunk)))
  const http = createServer()
  const sockets = []
  http.on('connect', (_, socket, head) => {
    const upstream = t.connect(t.to(echo), () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.write(head)
      upstream.pipe(socket)
      socket.pipe(upstream)
    })
    upstream.on('error', () => {})
    sockets.push(socket, upstream)
  })
  const front = await t.listen({ allowHalfOpen: true }, socket => http.emit('connection', socket))
  const { port } = front.address()
  const asked = request({ port, host: '127.0.0.1', method: 'CONNECT', path: 'echo:1', agent: false }).end()
  const [, client] = await once(asked, 'connect')
  t.own(client)
  await warmUp(client, client, 8)
  count.ran(2)
  const [socket] = sockets
  try {
    socket.setEncoding('utf8')
  } catch (error) {
    t.log('encoding', error.code)
  }
  socket.on('data', seen(t, 'server'))
  client.write('one ')
  t.log('client', String((await once(client, 'data'))[0]))
})

// --- bytes are on their way

const MARK = Buffer.from('<this is not from the source>')

/**
 * A relay in the middle of much more than fits on the way, to a peer that does not read. `rest` reads on and returns what
 * has arrived: all of it, when the source has ended.
 */
async function jammed(t, total, kinds) {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t, { kinds })
  record(t, a, 'a')
  record(t, b, 'b')
  for (const socket of [client, a, b, peer]) socket.on('error', () => {})
  a.pipe(b)
  peer.pause()
  const feed = source(total)
  feed.pipe(client)
  let [before, still] = [-1, 0]
  while (still < 8) {
    await new Promise(resolve => setTimeout(resolve, 5))
    still = a.bytesRead === before && before > 0 ? still + 1 : 0
    before = a.bytesRead
  }
  count.ran()
  if (before >= total) throw new Error('all of it fits on the way')
  return { client, a, b, peer, feed, rest: () => t.drained(peer.resume()) }
}

/** What `source` sends. */
const wholes = new Map()
async function whole(total) {
  if (!wholes.has(total)) wholes.set(total, Buffer.concat(await source(total).toArray()))
  return wholes.get(total)
}

/** Whether these bytes are all of the source's, with the mark somewhere in between. */
function marked(arrived, wanted) {
  const at = arrived.indexOf(MARK)
  return (
    at >= 0 && Buffer.concat([arrived.subarray(0, at), arrived.subarray(at + MARK.length)]).equals(wanted)
  )
}

const isTail = (whole, chunks) => {
  const part = Buffer.concat(chunks)
  return part.length > 0 && whole.subarray(whole.length - part.length).equals(part)
}

// Each returns what is to be said of the bytes that have arrived, unless they are simply to be the source's.
const jams = {
  "a 'data' listener": async ({ a }) => {
    const chunks = []
    a.on('data', chunk => chunks.push(chunk))
    return (arrived, wanted) => [arrived.equals(wanted), isTail(wanted, chunks)]
  },
  "a 'data' listener in front": async ({ a }) => {
    const chunks = []
    a.prependListener('data', chunk => chunks.push(chunk))
    return (arrived, wanted) => [arrived.equals(wanted), isTail(wanted, chunks)]
  },
  "once('data')": async ({ a }) => {
    let calls = 0
    a.once('data', () => calls++)
    return (arrived, wanted) => [arrived.equals(wanted), calls]
  },
  "'readable' and read()": async ({ a }) => {
    const chunks = []
    a.on('readable', () => {
      for (let chunk = a.read(); chunk !== null; chunk = a.read()) chunks.push(chunk)
    })
    return (arrived, wanted) => [arrived.equals(wanted), isTail(wanted, chunks)]
  },
  'a second destination': async ({ a }) => {
    const second = new PassThrough()
    a.pipe(second)
    const all = second.toArray()
    return async (arrived, wanted) => [arrived.equals(wanted), isTail(wanted, await all)]
  },
  'pause() and resume()': async ({ a }, t) => {
    a.pause()
    t.log('saw', a.isPaused())
    await t.turns(2)
    a.resume()
  },
  'unpipe() and pipe()': async ({ a, b }, t) => {
    a.unpipe(b)
    t.log('saw', a.isPaused(), a.listenerCount('data'))
    await t.turns(2)
    a.pipe(b)
  },
  'unpipe() and another destination': async ({ a, b }, t) => {
    a.unpipe(b)
    const other = new PassThrough()
    const all = other.toArray()
    other.on('end', () => b.end())
    a.pipe(other)
    await t.turns(2)
    return async (arrived, wanted) => [Buffer.concat([arrived, ...(await all)]).equals(wanted)]
  },
  'a write': async ({ b }) => {
    b.write(MARK)
    return (arrived, wanted) => [marked(arrived, wanted)]
  },
  'a write with a callback': async ({ b }, t) => {
    b.write(MARK, error => t.log.to('callback')('written', error ?? null))
    return (arrived, wanted) => [marked(arrived, wanted)]
  },
  'unshift()': async ({ a }) => {
    a.unshift(MARK)
    return (arrived, wanted) => [marked(arrived, wanted)]
  },
  'a second source': async ({ b }) => {
    Readable.from([MARK]).pipe(b, { end: false })
    return (arrived, wanted) => [marked(arrived, wanted)]
  },
  'end()': async ({ b }) => {
    b.end(MARK)
    return (arrived, wanted) => {
      const length = arrived.length - MARK.length
      return [
        arrived.subarray(length).equals(MARK),
        wanted.subarray(0, length).equals(arrived.subarray(0, length)),
        b.bytesWritten === arrived.length,
      ]
    }
  },
  'cork() and uncork()': async ({ b }, t) => {
    b.cork()
    await t.turns(2)
    b.uncork()
  },
  'an encoding': async ({ a }) => {
    a.setEncoding('hex')
    return (arrived, wanted) => {
      const before = 2 * wanted.length - arrived.length
      const after = Buffer.from(String(arrived.subarray(before)), 'hex')
      return [
        before > 0 && before < wanted.length,
        wanted.subarray(0, before).equals(arrived.subarray(0, before)),
        wanted.subarray(before).equals(after),
      ]
    }
  },
  'a wrapped write()': async ({ b }) => {
    const chunks = []
    const { write } = b
    b.write = function (...args) {
      chunks.push(args[0])
      return Reflect.apply(write, this, args)
    }
    return (arrived, wanted) => [arrived.equals(wanted), isTail(wanted, chunks)]
  },
  'read() until there is nothing': async ({ a }) => {
    // What is read here goes to the destination as well: `read()` emits it.
    while (a.read() !== null);
    a.resume()
  },
  'an idle time-out and the counters': async ({ client, a, b }, t) => {
    for (const socket of [a, b]) socket.setTimeout(60_000)
    for (let round = 0; round < 3; round++) {
      t.log('saw', a.bytesRead > 0, a.bytesRead <= client.bytesWritten, b.bytesWritten <= a.bytesRead)
      await t.turns(1)
    }
  },
  'unref() and ref()': async ({ a, b }) => {
    for (const socket of [a, b]) socket.unref().ref()
  },
}

for (const [what, look] of Object.entries(jams)) {
  for (const kinds of what === "a 'data' listener" || what === 'a write' ? ['tcp', 'unix'] : ['unix']) {
    parity(`a look while bytes wait: ${what}, ${kinds}`, where(kinds), async t => {
      const total = kinds === 'tcp' ? 30_000_000 : 3_000_000
      const sockets = await jammed(t, total, [kinds, kinds])
      const { client, a, b, feed, rest } = sockets
      const verdict = (await look(sockets, t)) ?? ((arrived, wanted) => [arrived.equals(wanted)])
      const arrived = await rest()
      // Nobody reads what is left of an `end()`.
      feed.unpipe(client)
      t.log('saw', ...(await verdict(arrived, await whole(total))))
      if (what !== 'end()') t.log('counters', a.bytesRead, b.bytesWritten === arrived.length)
    })
  }
}

const destructions = {
  'the source is destroyed': ({ a }) => a.destroy(),
  'the source is destroyed with an error': ({ a }) => a.destroy(new Error('enough')),
  'the source is reset': ({ a }) => a.resetAndDestroy(),
  'the source is destroyed soon': ({ a }) => a.destroySoon(),
}
for (const [what, destroy] of Object.entries(destructions)) {
  parity(`what has been read is not lost when ${what}`, async t => {
    const sockets = await jammed(t, 30_000_000, ['tcp', 'tcp'])
    const { a, b, rest } = sockets
    const closed = once(a, 'close').catch(() => once(a, 'close'))
    destroy(sockets)
    await closed
    t.log('saw', a.destroyed, b.destroyed, b.writable, b.writableEnded)
    b.end(MARK)
    const arrived = await rest()
    const wanted = await whole(30_000_000)
    const length = arrived.length - MARK.length
    t.log('saw', arrived.subarray(length).equals(MARK), b.bytesWritten === arrived.length)
    t.log('saw', length > 0, wanted.subarray(0, length).equals(arrived.subarray(0, length)))
  })
}

for (const [what, destroy] of Object.entries({
  destroyed: ({ b }) => b.destroy(),
  'destroyed with an error': ({ b }) => b.destroy(new Error('enough')),
  reset: ({ b }) => b.resetAndDestroy(),
})) {
  parity(`a source goes on without a destination that is ${what}`, async t => {
    const sockets = await jammed(t, 30_000_000, ['tcp', 'tcp'])
    const { a, b } = sockets
    const closed = new Promise(resolve => b.on('close', resolve))
    destroy(sockets)
    await closed
    t.log('saw', a.destroyed, a.readable, a.listenerCount('data'), b.destroyed)
    const before = a.bytesRead - a.readableLength
    const chunks = []
    a.on('data', chunk => chunks.push(chunk))
    a.resume()
    await once(a, 'end')
    const after = Buffer.concat(chunks)
    const wanted = await whole(30_000_000)
    t.log('saw', a.bytesRead, isTail(wanted, chunks), before + after.length === wanted.length)
  })
}

for (const which of ['a', 'b']) {
  parity(
    `detach() of ${which === 'a' ? 'the source' : 'the destination'}`,
    { module: 'ferronet', on: 'unix' },
    async t => {
      const sockets = await jammed(t, 30_000_000, ['tcp', 'tcp'])
      const { a, b, rest } = sockets
      if (which === 'b') a.unpipe(b)
      const ticket = t.net.detach(sockets[which])
      const again = t.own(t.net.attach(ticket))
      const [from, to] = which === 'a' ? [again, b] : [a, again]
      from.pipe(to)
      const arrived = await rest()
      if (!arrived.equals(await whole(30_000_000))) throw new Error(`${arrived.length} bytes, or wrong ones`)
    },
  )
}

parity('an idle time-out in the middle tells once that nothing moves', async t => {
  const { a, b, client, peer } = await jammed(t, 30_000_000, ['tcp', 'tcp'])
  const idle = 200
  const counts = [0, 0]
  for (const [at, socket] of [a, b].entries()) {
    socket.setTimeout(idle)
    socket.on('timeout', () => counts[at]++)
  }
  await t.until(() => counts[0] > 0 && counts[1] > 0)
  // Nothing moves from here on, so there is no second one, however late this comes.
  await new Promise(resolve => setTimeout(resolve, 4 * idle))
  t.log('told', ...counts)
  for (const socket of [client, a, b, peer]) socket.destroy()
})
