// Sockets that are piped to sockets: what can be seen is the same whether their bytes pass through JavaScript or not.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Check, source } from '../fixtures/interop/bytes.mjs'
import { gc } from '../fixtures/robustness/memory.mjs'
import { parity } from '../helpers/parity.mjs'
import { proxy, record, relaying, relays, warmUp, where } from '../helpers/relay.mjs'

const counters = socket => [socket.bytesRead, socket.bytesWritten]

for (const kinds of [
  ['tcp', 'tcp'],
  ['tcp', 'unix'],
  ['unix', 'tcp'],
  ['unix', 'unix'],
]) {
  parity(`a proxy carries both directions and both ends: ${kinds.join(', ')}`, where(...kinds), async t => {
    const { client, a, b, peer } = await relaying(t, { kinds, both: true, recorded: true })
    const [there, back] = [new Check(), new Check()]
    await Promise.all([
      pipeline(source(9_000_000), client),
      pipeline(peer, there),
      pipeline(source(7_000_000), peer),
      pipeline(client, back),
    ])
    if (!a.closed) await once(a, 'close')
    if (!b.closed) await once(b, 'close')
    // A stream is `closed` a tick before it says so.
    await t.turns()
    t.log('there', there.right, there.wrong, 'back', back.right, back.wrong)
    t.log('a', ...counters(a), 'b', ...counters(b))
  })
}

for (const kind of ['tcp', 'unix']) {
  parity(`an echo by pipe: ${kind}`, where(kind), async t => {
    const count = relays(t)
    const path = kind === 'unix' ? { path: t.socketPath() } : {}
    const { client, peer } = await t.pair({ server: { allowHalfOpen: true }, ...path })
    record(t, peer, 'echo')
    peer.pipe(peer)
    await warmUp(client, client)
    count.ran()
    const check = new Check()
    await Promise.all([pipeline(source(8_000_000), client, { end: true }), pipeline(client, check)]).catch(
      () => {},
    )
    t.log('saw', check.right, check.wrong, ...counters(peer))
  })
}

parity('pipeline between two sockets', async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  const piped = pipeline(a, b)
  await warmUp(client, peer)
  count.ran()
  const check = new Check()
  await Promise.all([pipeline(source(6_000_000), client), pipeline(peer, check)])
  peer.end()
  client.resume()
  await piped
  t.log('saw', check.right, check.wrong, ...counters(a), ...counters(b))
})

parity('a pipeline whose destination is reset fails with its error', async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  const piped = pipeline(a, b).then(
    () => 'done',
    error => error.code,
  )
  await warmUp(client, peer)
  count.ran()
  client.on('error', () => {})
  peer.resetAndDestroy()
  t.log('saw', await piped, a.destroyed, b.destroyed)
})

parity('counters tell of every byte that has arrived', async t => {
  const { client, a, b, peer } = await relaying(t)
  t.log('saw', ...counters(a), ...counters(b))
  for (let round = 1; round <= 5; round++) {
    client.write(Buffer.alloc(round * 1000))
    await t.until(() => peer.bytesRead === b.bytesWritten && a.bytesRead === client.bytesWritten)
    await t.until(() => peer.bytesRead === client.bytesWritten)
    t.log('saw', ...counters(a), ...counters(b))
  }
  const closed = Promise.all([once(a, 'close'), once(b, 'close')])
  a.destroy()
  b.destroy()
  await closed
  t.log('saw', ...counters(a), ...counters(b))
})

for (const who of ['client', 'peer']) {
  parity(`the ${who} resets its connection`, async t => {
    const { client, a, b, peer } = await relaying(t, { both: true, recorded: true })
    const [near, far] = who === 'client' ? [a, b] : [b, a]
    const closed = once(near, 'close')
    const gone = who === 'client' ? client : peer
    gone.resetAndDestroy()
    await closed.catch(() => {})
    t.log('saw', near.destroyed, far.destroyed, far.isPaused())
    await t.turns(2)
  })
}

parity('a source that is reset behind many bytes has not ended', async t => {
  const { client, a, peer } = await relaying(t, { recorded: true })
  peer.resume()
  const bytes = 1_000_000
  const before = peer.bytesRead
  client.write(Buffer.alloc(bytes))
  await t.until(() => peer.bytesRead === before + bytes)
  const closed = once(a, 'close')
  client.resetAndDestroy()
  await closed.catch(() => {})
  t.log('saw', a.errored?.code, peer.readableEnded)
  await t.turns(2)
})

// The order of the events of both sockets. What the source gets later belongs to whoever reads it then.
for (const both of [false, true]) {
  for (const size of [1, 2_000_000]) {
    const title = `a reset behind ${size} B of input is an error of a write${both ? ', in both directions' : ''}`
    parity(title, async t => {
      const { client, a, b, peer } = await relaying(t, { both })
      for (const socket of [client, peer]) socket.on('error', () => {}).resume()
      for (const [name, socket] of Object.entries({ a, b })) {
        for (const event of ['end', 'finish', 'unpipe', 'close'])
          socket.on(event, () => t.log(`${name} ${event}`))
        socket.on('error', ({ syscall, code }) => t.log(`${name} error`, syscall, code))
      }
      const closed = new Promise(resolve => b.on('close', resolve))
      client.write(Buffer.alloc(size, '1'))
      peer.resetAndDestroy()
      await closed
      t.log('saw', a.destroyed, a.isPaused(), b.writableLength)
      const check = new Check()
      // What came behind the failure is not what this is about.
      a.resume()
      await t.until(() => a.bytesRead === size + 4)
      a.pause()
      a.pipe(check)
      source(100_000).pipe(client)
      await once(a, 'end')
      t.log('saw', check.wrong, check.right, a.bytesRead)
    })
  }
}

parity('the client resets its connection while the peer reads nothing', async t => {
  const { client, a, b, peer } = await relaying(t)
  const check = new Check()
  peer.pause().removeAllListeners('data')
  const feed = source(Number.POSITIVE_INFINITY)
  feed.pipe(client.on('error', () => {}))
  // Where the bytes wait differs; that they wait does not.
  let [before, still] = [-1, 0]
  await t.until(() => {
    still = a.bytesRead === before && before > 1_000_000 ? still + 1 : 0
    before = a.bytesRead
    return still > 50
  })
  const seen = new Promise(resolve => {
    a.on('end', () => resolve('end'))
    a.on('error', ({ syscall, code }) => resolve(`${syscall} ${code}`))
  })
  feed.unpipe(client)
  client.resetAndDestroy()
  peer.pipe(check)
  // Of a reset with bytes in front of it the kernel may have kept no more than that it is over.
  const what = await seen
  t.log('saw', ['end', 'read ECONNRESET'].includes(what))
  if (what !== 'end') b.end()
  await once(check, 'finish')
  t.log('saw', check.wrong, check.right === a.bytesRead - 4, b.bytesWritten === a.bytesRead, b.destroyed)
})

parity('writes fail when the destination is gone and does not read', async t => {
  const { client, a, b, peer } = await relaying(t)
  const failed = new Promise(resolve => b.on('close', resolve))
  client.on('error', () => {})
  a.on('error', () => {})
  b.on('error', error => t.log('saw', error.syscall === 'write' || error.syscall === 'read', error.errno < 0))
  peer.resetAndDestroy()
  const timer = setInterval(() => client.write('x'), 5)
  t.cleanup(() => clearInterval(timer))
  await failed
  clearInterval(timer)
  t.log('saw', a.destroyed, b.destroyed)
})

parity('a slow reader stops the sender', async t => {
  const { client, a, peer } = await relaying(t)
  peer.pause()
  const check = new Check()
  const sent = pipeline(source(60_000_000), client)
  // All buffers on the way are full when nothing has moved for a while.
  let [before, still] = [-1, 0]
  while (still < 20) {
    await new Promise(resolve => setTimeout(resolve, 10))
    still = a.bytesRead === before ? still + 1 : 0
    before = a.bytesRead
  }
  t.log('stopped', before < 60_000_000, client.writableNeedDrain)
  await Promise.all([sent, pipeline(peer, check)])
  t.log('saw', check.right, check.wrong)
})

/** Writes to `from` until nothing has moved at `a` for a while: all buffers on the way are full. */
async function jam(from, a) {
  const chunk = Buffer.alloc(64 * 1024)
  let [before, still] = [-1, 0]
  while (still < 20) {
    while (!from.writableNeedDrain) from.write(chunk)
    await new Promise(resolve => setTimeout(resolve, 10))
    still = a.bytesRead === before ? still + 1 : 0
    before = a.bytesRead
  }
}

/** Writes to `from` until all buffers on the way are full, and resolves with how many bytes that took. */
async function fill(t, from) {
  const chunk = Buffer.alloc(64 * 1024)
  let written = 0
  for (let still = 0; still < 20; still++) {
    while (!from.writableNeedDrain) {
      from.write(chunk)
      written += chunk.length
      still = 0
    }
    await t.turns(2)
  }
  return written
}

parity('one direction begins while the other waits for a slow reader', async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  b.pipe(a)
  await warmUp(peer, client)
  count.ran()
  client.pause()
  const back = await fill(t, peer)
  a.pipe(b)
  await warmUp(client, peer)
  count.ran(2)
  peer.end()
  const arrived = t.drained(client)
  client.resume()
  t.log('saw', (await arrived).length === back)
})

parity('a relay begins while its source has writes waiting', async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  client.pause()
  const back = await fill(t, a)
  a.end('over')
  a.pipe(b)
  await warmUp(client, peer)
  count.ran()
  const arrived = t.drained(client)
  client.resume()
  t.log('saw', (await arrived).length === back + 4)
})

parity('after a try that has failed the next one is put off', { module: 'ferronet' }, async t => {
  const { client, a, b, peer } = await proxy(t)
  let tries = 0
  a._handle.startRelay = () => {
    tries++
    return false
  }
  a.pipe(b)
  await warmUp(client, peer, 40)
  assert.equal(tries, 3)
})

parity('a destination that was full when it was un-piped can be collected', async t => {
  const { client, peer: a } = await t.pair()
  const target = await t.listen({ pauseOnConnect: true })
  const ref = await (async () => {
    // Not `t.connect`, which would remember it.
    const b = t.net.connect(t.to(target))
    await once(b, 'connect')
    a.pipe(b)
    client.write('.')
    await t.until(() => b.bytesWritten === 1)
    b.write(Buffer.alloc(20_000_000))
    client.write('.')
    await t.until(() => a.isPaused())
    t.log('saw', a.bytesRead, b.writableNeedDrain)
    a.unpipe(b)
    b.destroy()
    await once(b, 'close')
    return new WeakRef(b)
  })()
  await t.until(() => {
    gc()
    return ref.deref() === undefined
  })
})

parity('half-open: each direction ends by itself', async t => {
  const { client, a, b, peer } = await relaying(t, { both: true, recorded: true })
  client.end('last')
  t.log('saw', String(await t.drained(peer)))
  t.log('saw', a.readableEnded, a.writableEnded, b.readableEnded, b.writableEnded)
  peer.write('still ')
  t.log('saw', String((await once(client, 'data'))[0]))
  const answer = t.drained(client)
  peer.end('here')
  t.log('saw', String(await answer))
})

parity('without allowHalfOpen the end of one side ends both', async t => {
  const { client, a, b, peer } = await relaying(t, { allowHalfOpen: false, both: true, recorded: true })
  const closed = Promise.all([once(a, 'close'), once(b, 'close')])
  client.end('last')
  peer.resume()
  client.resume()
  await closed
})

parity('traffic holds off the idle time-out, and silence does not', async t => {
  const { client, a, b, peer } = await relaying(t)
  peer.resume()
  // A machine that stops for a while makes a time-out rightful: only one that comes too early counts. The last byte that
  // has arrived was not carried before it was written.
  const idle = 400
  let [early, written] = [0, performance.now()]
  const fired = new Set()
  for (const socket of [a, b]) {
    socket.setTimeout(idle)
    socket.on('timeout', () => {
      fired.add(socket)
      // Timers count whole milliseconds of a clock that is read once for each turn.
      if (performance.now() - written < idle - 50) early++
    })
  }
  for (let round = 0; round < 12; round++) {
    const [now, before] = [performance.now(), peer.bytesRead]
    client.write('x')
    await t.until(() => peer.bytesRead > before)
    written = now
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  t.log('while there was traffic', early)
  for (const socket of [a, b]) socket.setTimeout(idle)
  fired.clear()
  await t.until(() => fired.size === 2)
  // The next byte starts them again.
  fired.clear()
  client.write('x')
  await t.until(() => fired.size === 2)
  t.log('then', fired.size, early)
})

parity('an idle time-out that began late lasts its whole time again', { module: 'ferronet' }, async t => {
  const { client, a, peer } = await relaying(t)
  a.setTimeout(60_000)
  const [symbol] = Object.getOwnPropertySymbols(a).filter(
    ({ description }) => description === 'ferronet.timeout',
  )
  const timer = () => a[symbol]
  // As if the time were over, and the last byte had passed by only then.
  Object.defineProperty(a._handle, 'relayIdle', { value: 20_000 })
  timer()._onTimeout(a)
  assert.equal(timer()._idleTimeout, 40_000)
  a.on('data', () => {})
  client.write('.')
  await once(peer, 'data')
  assert.equal(timer()._idleTimeout, 60_000)
})

/** Everything that `from` gets from here on, and what becomes of it at `peer`. */
async function looked(t, look, after = () => {}) {
  const { client, a, b, peer } = await relaying(t)
  const arrived = t.drained(peer)
  await look({ client, a, b, peer })
  client.end('the rest')
  t.log('saw', String(await arrived))
  await after({ client, a, b, peer })
}

const looks = {
  'a data listener': async ({ a, client }, t) => {
    a.on('data', chunk => t.log('data', chunk))
    client.write('one ')
    await once(a, 'data')
  },
  'a data listener in front': async ({ a, client }, t) => {
    a.prependListener('data', chunk => t.log('data', chunk))
    client.write('one ')
    await once(a, 'data')
  },
  'once for data': async ({ a, client }, t) => {
    client.write('one ')
    t.log('data', String((await once(a, 'data'))[0]))
  },
  'a second destination': async ({ a, client }, t) => {
    const second = new PassThrough()
    a.pipe(second)
    client.write('one ')
    t.log('second', String((await once(second, 'data'))[0]))
  },
  'an encoding': async ({ a, client }, t) => {
    a.setEncoding('latin1')
    client.write('one ')
    t.log('data', (await once(a, 'data'))[0])
  },
  'pause and resume': async ({ a, client, peer }, t) => {
    a.pause()
    t.log('saw', a.isPaused(), a.readableFlowing)
    client.write('one ')
    await t.until(() => a.readableLength === 4)
    t.log('saw', a.bytesRead)
    a.resume()
    await once(peer, 'data')
  },
  'another writer': async ({ b, peer }, t) => {
    t.log('saw', b.write('mine '), b.bytesWritten)
    await once(peer, 'data')
  },
  'cork and uncork': async ({ b, client, peer }, t) => {
    b.cork()
    client.write('one ')
    await t.until(() => b.writableLength === 4)
    t.log('waits', b.writableLength)
    b.uncork()
    await once(peer, 'data')
  },
  'a wrapped write': async ({ b, client, peer }, t) => {
    const { write } = b
    b.write = function (...args) {
      t.log('write', args[0])
      return Reflect.apply(write, this, args)
    }
    t.log('saw', Object.hasOwn(b, 'write'))
    client.write('one ')
    await once(peer, 'data')
  },
  'a wrapped emit': async ({ a, client, peer }, t) => {
    const { emit } = a
    a.emit = function (event, ...args) {
      if (event === 'data') t.log('emit', event)
      return Reflect.apply(emit, this, [event, ...args])
    }
    client.write('one ')
    await once(peer, 'data')
  },
  'unpipe and pipe': async ({ a, b, client, peer }, t) => {
    a.unpipe(b)
    t.log('saw', a.isPaused(), a.listenerCount('data'))
    client.write('one ')
    await t.until(() => a.readableLength === 4)
    a.pipe(b)
    await once(peer, 'data')
  },
  'unpipe and another destination': async ({ a, b, client }, t) => {
    a.unpipe(b)
    const other = new PassThrough()
    a.pipe(other)
    client.write('one ')
    t.log('other', String((await once(other, 'data'))[0]))
    a.unpipe(other)
    a.pipe(b)
  },
  'removed listeners': async ({ a, b, client }, t) => {
    a.removeAllListeners('data')
    a.on('data', chunk => t.log('data', chunk))
    client.write('one ')
    await once(a, 'data')
    a.removeAllListeners('data')
    a.unpipe(b)
    a.pipe(b)
  },
  'the handle taken away and put back': async ({ a, client, peer }, t) => {
    const handle = a._handle
    a._handle = null
    t.log('saw', a.pending)
    a.on('data', chunk => t.log('data', chunk))
    client.write('one ')
    await once(peer, 'data')
    a._handle = handle
    t.log('saw', a.pending, a.bytesRead)
  },
  'own properties': async ({ a, b }, t) => {
    t.log(
      'saw',
      Object.hasOwn(a, 'on'),
      Object.hasOwn(b, 'write'),
      a instanceof t.net.Socket,
      a.constructor === t.net.Socket,
    )
    t.log('saw', a.listenerCount('data'), a.readableFlowing, a.isPaused(), a.listenerCount('newListener'))
  },
}

for (const [what, look] of Object.entries(looks)) {
  parity(`the program looks in the middle: ${what}`, t => looked(t, sockets => look(sockets, t)))
}

parity('the program ends the destination in the middle', async t => {
  const { a, b, peer } = await relaying(t)
  a.on('error', () => {})
  const arrived = t.drained(peer)
  b.end('over')
  t.log('saw', String(await arrived), a.destroyed, b.writableEnded)
})

for (const how of ['end', 'destroySoon', "the end of the peer's side"]) {
  parity(`nothing is lost when a full destination ends: ${how}`, async t => {
    const { client, a, b, peer } = await relaying(t)
    a.on('error', () => {})
    peer.pause()
    client.on('error', () => {})
    await jam(client, a)
    b.on('error', error => t.log('error', error.code))
    b.on('finish', () => t.log('finish'))
    if (how === 'end') b.end('tail')
    else if (how === 'destroySoon') b.destroySoon()
    else {
      b.allowHalfOpen = false
      peer.end()
      await t.until(() => b.writableEnded)
    }
    const drained = t.drained(peer)
    peer.resume()
    const arrived = await drained
    t.log('all of it', arrived.length + 4 === b.bytesWritten, String(arrived.subarray(-4)) === 'tail')
  })
}

parity('an idle time-out that comes after a relay has ended counts from its last byte', async t => {
  const { client, a, b, peer } = await relaying(t)
  const idle = 300
  for (const socket of [a, b]) socket.setTimeout(idle)
  await new Promise(resolve => setTimeout(resolve, idle - 100))
  const before = peer.bytesRead
  const written = performance.now()
  peer.resume()
  client.write('x')
  await t.until(() => peer.bytesRead > before)
  a.on('data', () => {})
  const early = await Promise.all(
    [a, b].map(socket => once(socket, 'timeout').then(() => performance.now() - written < idle - 50)),
  )
  t.log('early', early)
})

parity('what the destination has not taken goes out before what the program writes', async t => {
  const { client, a, b, peer } = await relaying(t)
  peer.pause()
  const total = 30_000_000
  pipeline(source(total), client).catch(() => {})
  let [before, still] = [-1, 0]
  while (still < 10) {
    await new Promise(resolve => setTimeout(resolve, 10))
    still = a.bytesRead === before ? still + 1 : 0
    before = a.bytesRead
  }
  a.unpipe(b)
  b.end('behind it')
  const drained = t.drained(peer)
  peer.resume()
  const arrived = await drained
  const sent = arrived.length - 'behind it'.length
  // Nothing is lost in between: what a has not sent is in its buffer or behind it.
  const check = new Check()
  check.write(arrived.subarray(0, sent))
  t.log(
    'saw',
    String(arrived.subarray(sent)),
    check.right === sent,
    check.wrong,
    b.bytesWritten - 4 === arrived.length,
  )
})

parity('a process ends when only relays without a reference are left', async t => {
  const { client, a, peer } = await relaying(t)
  a.unref()
  client.write('one')
  t.log('saw', String((await once(peer, 'data'))[0]))
  a.ref()
  client.write('two')
  t.log('saw', String((await once(peer, 'data'))[0]))
})

parity('small messages have their turn beside bulk', async t => {
  const [bulk, small] = [await relaying(t, { both: true }), await relaying(t, { both: true })]
  const check = new Check()
  let over = false
  const done = Promise.all([pipeline(source(80_000_000), bulk.client), pipeline(bulk.peer, check)]).then(
    () => (over = true),
  )
  let answers = 0
  small.peer.on('data', chunk => small.peer.write(chunk))
  while (!over) {
    small.client.write('x')
    await once(small.client, 'data')
    answers++
  }
  await done
  t.log('saw', answers > 2)
})
