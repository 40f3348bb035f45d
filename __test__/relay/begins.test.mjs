// When a relay may begin: not while anybody could tell, and otherwise it does. What arrives is the same.

import { EventEmitter, once } from 'node:events'
import { createRequire } from 'node:module'
import nodeNet from 'node:net'
import { Duplex, PassThrough, pipeline, Readable } from 'node:stream'
import tls from 'node:tls'
import { Worker } from 'node:worker_threads'
import { identity } from '../fixtures/interop/certificate.mjs'
import { parity } from '../helpers/parity.mjs'
import { proxy, relays, warmUp, where } from '../helpers/relay.mjs'

// More than a relay waits for after a try that could not succeed.
const CHUNKS = 40

/** Sends chunks one by one, each when the last has arrived, and records what did. */
async function carry(t, from, to, count = CHUNKS) {
  let text = ''
  for (let at = 0; at < count; at++) {
    from.write(`${at} `)
    for (let wanted = text.length + `${at} `.length; text.length < wanted; )
      text += (await once(to, 'data'))[0]
  }
  t.log('arrived', text)
}

/**
 * A parity test in which no relay may begin. `set` does what keeps it back. It may return `sockets` that take the place
 * of others, `isPiped` if it has piped them itself, and what is to be done when they are `piped` and `after` all.
 */
function never(title, options, set) {
  if (typeof options === 'function') [options, set] = [{}, options]
  parity(`no relay begins with ${title}`, options, async t => {
    const count = relays(t)
    const usual = await proxy(t)
    const doing = (await set(usual, t)) ?? {}
    const { client, a, b, peer } = { ...usual, ...doing.sockets }
    if (!doing.isPiped) a.pipe(b)
    await doing.piped?.()
    await carry(t, client, peer)
    count.none()
    await doing.after?.()
    t.log('saw', a.bytesRead, b.bytesWritten)
  })
}

const seen = (t, name) => chunk => t.log.to(name)('data', chunk)

// --- somebody listens

never("a 'data' listener from before", ({ a }, t) => void a.on('data', seen(t, 'a')))
never("a 'data' listener from later", ({ a }, t) => ({ piped: () => a.on('data', seen(t, 'a')) }))
never("a 'data' listener in front", ({ a }, t) => ({ piped: () => a.prependListener('data', seen(t, 'a')) }))
never("a 'data' listener instead of pipe's", ({ a, b }, t) => {
  a.on('data', chunk => {
    t.log.to('a')('data', chunk)
    b.write(chunk)
  })
  return { isPiped: true }
})
for (const when of ['before', 'later']) {
  never(`a 'readable' listener from ${when}`, ({ a }, t) => {
    const listen = () =>
      a.on('readable', () => {
        for (let chunk = a.read(); chunk !== null; chunk = a.read()) t.log.to('a')('data', chunk)
      })
    if (when === 'later') return { piped: listen }
    listen()
  })
}
for (const event of ['pause', 'resume'])
  never(`a listener of '${event}'`, ({ a }) => void a.on(event, () => {}))
never("a listener of 'drain'", ({ b }) => void b.on('drain', () => {}))
never('an async iterator', ({ a }, t) => {
  const iterator = a[Symbol.asyncIterator]()
  let text = ''
  const reading = (async () => {
    for await (const chunk of { [Symbol.asyncIterator]: () => iterator }) {
      text += chunk
      if (text.endsWith(`${CHUNKS - 1} `)) break
    }
  })().catch(error => t.log('iterator', error.code))
  return {
    after: async () => {
      await reading
      t.log('iterated', text)
    },
  }
})

// --- somebody else gets the bytes, or makes them others

never('an encoding of the source', ({ a }) => void a.setEncoding('utf8'))
never('a second destination', ({ a }, t) => {
  const second = new PassThrough()
  second.on('data', seen(t, 'second'))
  return { piped: () => a.pipe(second) }
})
never('a second destination that is a socket', async ({ a }, t) => {
  const other = await t.pair()
  other.peer.on('data', seen(t, 'second'))
  return {
    piped: () => a.pipe(other.client),
    after: () => t.until(() => other.peer.bytesRead === a.bytesRead),
  }
})
never('a transform between', ({ a, b }) => {
  a.pipe(new PassThrough()).pipe(b)
  return { isPiped: true }
})
never('a pipeline through a transform', ({ a, b }, t) => {
  pipeline(a, new PassThrough(), b, error => t.log('over', error?.code))
  return {
    isPiped: true,
    after: async () => {
      a.destroy()
      await t.until(() => b.destroyed)
    },
  }
})
never('onread', async ({ b }, t) => {
  const server = await t.listen({ allowHalfOpen: true })
  const accepted = once(server, 'connection')
  const callback = (length, buffer) => void b.write(Buffer.from(buffer.subarray(0, length)))
  const a = t.connect(t.to(server, { onread: { buffer: Buffer.alloc(1000), callback } }))
  const [client] = await accepted
  return { sockets: { client, a } }
})

// --- methods that are not ours

/** Replaces a method by one that calls it, for as long as the scenario runs. */
function wrap(t, object, name) {
  const own = Object.getOwnPropertyDescriptor(object, name)
  const method = object[name]
  object[name] = function (...args) {
    return Reflect.apply(method, this, args)
  }
  t.cleanup(() => (own ? Object.defineProperty(object, name, own) : Reflect.deleteProperty(object, name)))
}

for (const name of ['emit', 'push', 'read', '_read', 'pause', 'resume']) {
  never(`${name}() of the source replaced`, ({ a }, t) => wrap(t, a, name))
}
for (const name of ['emit', 'write', '_write', '_writev', '_writeGeneric']) {
  never(`${name}() of the destination replaced`, ({ b }, t) => wrap(t, b, name))
}
for (const [of, name, object] of [
  ['Socket', 'resume', t => t.net.Socket.prototype],
  ['Socket', '_writeGeneric', t => t.net.Socket.prototype],
  ['Duplex', 'write', () => Duplex.prototype],
  ['Readable', 'push', () => Readable.prototype],
  ['EventEmitter', 'emit', () => EventEmitter.prototype],
]) {
  never(`${name}() of ${of}'s prototype replaced`, (_, t) => wrap(t, object(t), name))
}
never('a class that has a push() of its own', async (_, t) => {
  class Loud extends t.net.Socket {
    push(...args) {
      t.log.to('a')('data', args[0])
      return super.push(...args)
    }
  }
  const server = await t.listen({ allowHalfOpen: true })
  const accepted = once(server, 'connection')
  const a = t.own(new Loud()).connect(t.to(server))
  const [client] = await accepted
  return { sockets: { client, a } }
})

// --- what is no socket of ours, or not in the clear

/** Both ends of a connection of Node's own. */
async function nodesPair(t) {
  const server = t.own(nodeNet.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1'))
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const near = t.own(nodeNet.connect(server.address().port, '127.0.0.1'))
  const [far] = await accepted
  return [near, t.own(far)]
}

never('a destination of node:net', async (_, t) => {
  const [b, peer] = await nodesPair(t)
  return { sockets: { b, peer } }
})
never('a source of node:net', async (_, t) => {
  const [client, a] = await nodesPair(t)
  return { sockets: { client, a } }
})
never('a source that is no socket', ({ b }) => {
  const client = new PassThrough()
  client.pipe(b)
  return { isPiped: true, sockets: { client } }
})
never('a destination that is no socket', ({ a }) => {
  const peer = new PassThrough()
  a.pipe(peer)
  return { isPiped: true, sockets: { peer } }
})
for (const [which, from, to] of [
  ['source', 'client', 'a'],
  ['destination', 'b', 'peer'],
]) {
  never(`TLS of the ${which}, by startTLS()`, { module: 'ferronet' }, async sockets => {
    const secure = once(sockets[from], 'secure')
    sockets[to].startTLS({ isServer: true, ...identity })
    sockets[from].startTLS({ rejectUnauthorized: false })
    await secure
  })
  never(`TLS of the ${which}, by node:tls`, async (sockets, t) => {
    const [client, server] = [
      tls.connect({ socket: sockets[from], rejectUnauthorized: false }),
      new tls.TLSSocket(sockets[to], { isServer: true, ...identity }),
    ]
    for (const socket of [client, server]) t.own(socket).on('error', () => {})
    await once(client, 'secureConnect')
    return { sockets: { [from]: client, [to]: server } }
  })
}

// --- bytes that wait

parity('a destination that is corked keeps what comes until it is uncorked', async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  b.cork()
  a.pipe(b)
  let sent = ''
  for (let at = 0; at < CHUNKS; at++) {
    client.write(`${at} `)
    sent += `${at} `
    await t.until(() => b.writableLength === sent.length)
  }
  t.log('waits', b.writableLength, peer.bytesRead)
  count.none()
  const arrived = once(peer, 'data')
  b.uncork()
  t.log('saw', String((await arrived)[0]) === sent)
  await carry(t, client, peer)
  count.ran()
})

parity('a destination with writes that wait gets them first', async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  peer.pause()
  const before = Buffer.alloc(20_000_000, 'before ')
  b.write(before)
  a.pipe(b)
  client.write('one ')
  await t.until(() => a.readableLength === 4)
  client.write('two ')
  await t.until(() => a.readableLength === 8)
  t.log('waits', a.isPaused(), a.bytesRead, b.writableNeedDrain)
  count.none()
  const chunks = []
  let length = 0
  peer.on('data', chunk => {
    chunks.push(chunk)
    length += chunk.length
  })
  peer.resume()
  await t.until(() => length === before.length + 8)
  const arrived = Buffer.concat(chunks)
  t.log('saw', arrived.subarray(0, before.length).equals(before), String(arrived.subarray(before.length)))
  await carry(t, client, peer)
  count.ran()
})

for (const [what, put] of Object.entries({
  'has read already': async ({ client, a }, t) => {
    client.write('early ')
    a.pause()
    await t.until(() => a.readableLength === 6)
    a.resume()
  },
  'was given back': async ({ a }) => a.unshift(Buffer.from('early ')),
  'has read already, and was given back': async ({ client, a }, t) => {
    client.write('second ')
    a.pause()
    await t.until(() => a.readableLength === 7)
    a.unshift(Buffer.from('first '))
    a.resume()
  },
})) {
  parity(`what a source ${what} goes first`, async t => {
    const count = relays(t)
    const { client, a, b, peer } = await proxy(t)
    await put({ client, a }, t)
    let text = ''
    peer.on('data', chunk => (text += chunk))
    a.pipe(b)
    await t.until(() => text.endsWith(' '))
    await carry(t, client, peer)
    t.log('saw', text)
    count.ran()
  })
}

// --- turned off

// In a worker, whose environment is its own.
for (const value of ['0', '1']) {
  parity(`with FERRONET_RELAY=${value} in the environment`, { module: 'ferronet' }, async t => {
    const before = process.env.FERRONET_RELAY
    process.env.FERRONET_RELAY = value
    const path = createRequire(import.meta.url).resolve('../../dist/lib/relay.js')
    const worker = t.worker(async ({ net, data, port }) => {
      const { once } = await import('node:events')
      const { createRequire } = await import('node:module')
      const { begun } = createRequire(data)(data)
      const pair = async () => {
        const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
        await once(server, 'listening')
        const client = net.connect({ port: server.address().port, host: '127.0.0.1', allowHalfOpen: true })
        const [[peer]] = await Promise.all([once(server, 'connection'), once(client, 'connect')])
        server.close()
        return [client, peer]
      }
      const carried = async ([client, a], [b, peer], join) => {
        join(a, b)
        let text = ''
        for (let at = 0; at < 40; at++) {
          client.write(`${at} `)
          for (let wanted = text.length + `${at} `.length; text.length < wanted; )
            text += (await once(peer, 'data'))[0]
        }
        for (const socket of [client, peer]) socket.end().resume()
        b.end()
        return text
      }
      const piped = await carried(await pair(), await pair(), (a, b) => a.pipe(b))
      let joined
      const related = await carried(await pair(), await pair(), (a, b) => (joined = net.relay(a, b)))
      port.postMessage([begun.count, piped === related && piped.startsWith('0 1 2 '), await joined])
    }, path)
    if (before === undefined) delete process.env.FERRONET_RELAY
    else process.env.FERRONET_RELAY = before
    const [[begun, right, joined]] = await once(worker, 'message')
    t.log('saw', begun > 0, right, joined)
    if (begun > 0 !== (value === '1') || !right || joined.aToB !== 110)
      throw new Error(`${begun} ${joined.aToB}`)
  })
}

parity(
  'a wrong FERRONET_RELAY is an error that says what is right',
  { module: 'ferronet', on: 'libuv' },
  async t => {
    const path = createRequire(import.meta.url).resolve('../../dist/lib/relay.js')
    for (const wrong of ['off', 'false', '2']) {
      const env = { ...process.env, FERRONET_RELAY: wrong }
      const worker = new Worker(`require(${JSON.stringify(path)})`, { eval: true, env })
      t.cleanup(() => worker.terminate())
      const [{ name, message }] = await once(worker, 'error')
      t.log('told', name, message)
      if (message !== `FERRONET_RELAY must be '0' or '1', not '${wrong}'`) throw new Error(message)
    }
  },
)

// --- and where one does begin

/** A parity test in which a relay begins. `join` pipes the sockets, after it has done what does not matter. */
function does(title, options, join) {
  if (typeof options === 'function') [options, join] = [{}, options]
  const { kinds = ['tcp', 'tcp'], least = 1, ...rest } = options
  parity(`a relay begins ${title}`, { ...rest, ...where(...kinds) }, async t => {
    const count = relays(t)
    const usual = await proxy(t, { kinds })
    const sockets = { ...usual, ...(await join(usual, t)) }
    await carry(t, sockets.client, sockets.peer)
    if (least > 1) await carry(t, sockets.peer, sockets.client)
    count.ran(least)
    t.log('saw', sockets.a.bytesRead, sockets.b.bytesWritten)
  })
}

for (const kinds of [
  ['tcp', 'tcp'],
  ['tcp', 'unix'],
  ['unix', 'tcp'],
  ['unix', 'unix'],
]) {
  const names = kinds.join(' to ')
  does(`with a pipe: ${names}`, { kinds }, ({ a, b }) => void a.pipe(b))
  does(`with pipes both ways: ${names}`, { kinds, least: 2 }, ({ a, b }) => void a.pipe(b).pipe(a))
  does(`with a pipeline: ${names}`, { kinds }, ({ a, b }) => void pipeline(a, b, () => {}))
  does(`with pipelines both ways: ${names}`, { kinds, least: 2 }, ({ a, b }) => {
    pipeline(a, b, () => {})
    pipeline(b, a, () => {})
  })
}
for (const kind of ['tcp', 'unix']) {
  does(`with an echo: ${kind}`, { kinds: [kind, 'tcp'] }, ({ client, a }) => {
    a.pipe(a)
    return { peer: client, b: a }
  })
}
does('when the destination is not connected yet', async ({ a }, t) => {
  const server = await t.listen({ allowHalfOpen: true })
  const accepted = once(server, 'connection')
  const b = t.connect(t.to(server))
  a.pipe(b)
  return { b, peer: (await accepted)[0] }
})
does('with { end: false }', ({ a, b }) => void a.pipe(b, { end: false }))
does('with listeners of other events', ({ a, b }) => {
  for (const socket of [a, b]) {
    for (const event of ['end', 'finish', 'close', 'error', 'timeout', 'connect', 'pipe', 'unpipe', 'mine']) {
      socket.on(event, () => {})
    }
  }
  b.on('data', () => {}).on('pause', () => {})
  a.on('drain', () => {})
  a.pipe(b)
})
does('with idle timers and other settings', ({ a, b }) => {
  for (const socket of [a, b]) socket.setTimeout(60_000).setNoDelay(true).setKeepAlive(true)
  b.setDefaultEncoding('latin1')
  a.note = 'a property of the program'
  a.pipe(b)
})
does('with a class that only adds methods', async ({ a }, t) => {
  class Named extends t.net.Socket {
    name() {
      return 'b'
    }
  }
  const server = await t.listen({ allowHalfOpen: true })
  const accepted = once(server, 'connection')
  const b = t.own(new Named()).connect(t.to(server))
  const [peer] = await accepted
  a.pipe(b)
  t.log('name', b.name(), b instanceof Named)
  return { b, peer }
})
does("when a 'data' listener has gone", async ({ client, a, b, peer }, t) => {
  const listener = seen(t, 'a')
  a.on('data', listener)
  a.pipe(b)
  await warmUp(client, peer)
  a.off('data', listener)
})
does("behind once('data')", ({ a, b }, t) => {
  a.once('data', chunk => t.log('first', chunk))
  a.pipe(b)
})
does('when a method is there again', async ({ client, a, b, peer }) => {
  const { write } = b
  b.write = (...args) => Reflect.apply(write, b, args)
  a.pipe(b)
  await warmUp(client, peer)
  Reflect.deleteProperty(b, 'write')
})
does('when the destination is another', async ({ client, a, b }, t) => {
  const other = await t.pair()
  a.pipe(other.client)
  client.write('.')
  await once(other.peer, 'data')
  a.unpipe(other.client)
  a.pipe(b)
})
does('again when the program has looked', async ({ client, a, b, peer }) => {
  a.pipe(b)
  await warmUp(client, peer)
  const listener = () => {}
  a.on('data', listener)
  a.off('data', listener)
})

parity('a relay begins again behind a second destination that has gone', async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  const second = new PassThrough()
  second.resume()
  a.pipe(b)
  a.pipe(second)
  await carry(t, client, peer)
  count.none()
  a.unpipe(second)
  await carry(t, client, peer)
  count.ran()
})

parity("a handle's counters are right while a relay runs", async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  a.pipe(b)
  await carry(t, client, peer)
  count.ran()
  t.log('counted', a._handle.bytesRead === a.bytesRead, b._handle.bytesWritten === b.bytesWritten)
  t.log('counted', a._handle.bytesRead, b._handle.bytesWritten)
})
