// The methods of sockets with unusual arguments and at unusual moments, and the internals that subclasses may override.
// write, destroy, timeout and options have test files of their own.

import { parity } from '../helpers/parity.mjs'

for (const [label, args] of Object.entries({
  'no arguments': [],
  'data, null, callback': ['x', null, 'callback'],
  'data, undefined, callback': ['x', undefined, 'callback'],
  'data, callback, more': ['x', 'callback', 'utf8'],
  'data, a callback that is none': ['x', 'utf8', {}],
  'data, null': ['x', null],
  'bytes, encoding, callback': [Buffer.from('x'), 'hex', 'callback'],
  'data, an encoding in capitals': ['é', 'LATIN1', 'callback'],
  'data, an encoding that is no string': ['x', 5, 'callback'],
  'data, an empty encoding': ['x', '', 'callback'],
  'odd hexadecimal': ['abc', 'hex', 'callback'],
  'hexadecimal that is none': ['xyz', 'hex', 'callback'],
  'a boxed string': [new String('x')],
  'a bigint': [1n],
  'a symbol': [Symbol('x')],
  'an ArrayBuffer': [new ArrayBuffer(3)],
  'a view of shared memory': [new Uint8Array(new SharedArrayBuffer(3)), undefined, 'callback'],
})) {
  for (const method of ['write', 'end']) {
    parity(`${method}: ${label}`, async ({ pair, attempt, log, closed, watch, until }) => {
      const { client, peer } = await pair()
      let text = ''
      peer.on('data', chunk => (text += chunk.toString('hex')))
      watch(client, 'client', { into: 'main', except: ['prefinish', 'end'] }).resume()
      const given = args.map(each => (each === 'callback' ? (...error) => log('callback', ...error) : each))
      attempt(method, () => {
        const result = client[method](...given)
        return result === client ? 'the socket' : result
      })
      log('after', client.writable, client.bytesWritten, client.writableLength)
      if (!client.destroyed) client.end()
      await closed(client)
      await until(() => peer.destroyed || peer.readableEnded)
      log('arrived', text)
    })
  }
}

parity('end: forms and what they return', async ({ pair, log, closed, drained }) => {
  for (const args of [
    [],
    [() => {}],
    ['x', () => {}],
    ['x', 'latin1', () => {}],
    [undefined],
    [null],
    [Buffer.from('x')],
  ]) {
    const { client, peer } = await pair()
    const arrived = drained(peer)
    log(
      'end',
      args.length,
      client.end(...args) === client,
      client.writableEnded,
      client.writable,
      client.readyState,
    )
    log('arrived', await arrived)
    client.resume()
    await closed(client)
  }
})

for (const [label, value] of Object.entries({
  undefined,
  null: null,
  'an empty string': '',
  'a string': 'why not',
  false: false,
  true: true,
  1: 1,
  'an object': { message: 'plain' },
})) {
  parity(`destroy: ${label} as error`, async ({ pair, watch, log, attempt, closed }) => {
    const { client, peer } = await pair()
    watch(client, 'client', { into: 'main' })
    watch(peer, 'peer').resume()
    attempt('destroy', () => client.destroy(value) === client)
    log('after', client.destroyed, client.errored)
    await closed(client, peer)
  })
}

parity('destroy: its callback is for streams, not for programs', async ({ pair, watch, log, closed }) => {
  const { client, peer } = await pair()
  watch(client, 'client', { into: 'main' })
  peer.resume()
  client.destroy(null, (...args) => log('callback', args))
  await closed(client)
})

parity('destroySoon: returns nothing at every stage', async ({ net, own, listen, to, log, seen, closed }) => {
  const server = await listen({}, peer => peer.resume().end())
  const fresh = own(new net.Socket())
  log('fresh', fresh.destroySoon(), fresh.destroyed, fresh.writableEnded)
  const connecting = own(new net.Socket())
  connecting.connect(to(server)).resume()
  log('connecting', connecting.destroySoon(), connecting.destroyed, connecting.writableEnded)
  await closed(connecting)
  log('closed', connecting.destroySoon(), connecting.destroyed)
  const connected = own(new net.Socket())
  connected.connect(to(server)).resume()
  await seen(connected, 'connect')
  log('connected', connected.destroySoon(), connected.destroyed, connected.writableEnded)
  await closed(connected)
})

parity(
  'destroySoon: with writes that wait, all of them leave first',
  async ({ pair, watch, log, drained, closed }) => {
    const { client, peer } = await pair({ server: { pauseOnConnect: true } })
    watch(client, 'client')
    client.write(Buffer.alloc(8_000_000, 'x'))
    client.destroySoon()
    log('at once', client.destroyed, client.writableLength > 0)
    const arrived = drained(peer)
    peer.resume()
    log('arrived', (await arrived).length)
    await closed(client)
  },
)

parity('resetAndDestroy: returns the socket at every stage', { on: 'linux' }, async t => {
  const { net, own, listen, to, log, closed, pair } = t
  const server = await listen({}, peer => peer.on('error', () => {}).resume())
  const fresh = own(new net.Socket()).on('error', error => log('fresh error', error.code))
  log('fresh', fresh.resetAndDestroy() === fresh, fresh.destroyed, fresh.resetAndClosing)
  const connecting = own(new net.Socket())
  connecting.connect(to(server))
  log('connecting', connecting.resetAndDestroy() === connecting, connecting.destroyed, connecting.connecting)
  await closed(connecting)
  log('closed', connecting.destroyed, connecting.resetAndClosing)
  const { client } = await pair()
  log('connected', client.resetAndDestroy() === client, client.destroyed, client.resetAndClosing)
  await closed(client)
})

parity('resetAndDestroy: after finish', { on: 'linux' }, async ({ pair, watch, log, closed, seen }) => {
  const { client, peer } = await pair({ server: { allowHalfOpen: true } })
  watch(client, 'client')
  watch(peer, 'peer').resume()
  client.end()
  await seen(client, 'finish')
  await seen(peer, 'end')
  client.resetAndDestroy()
  log('at once', client.destroyed, client.readyState)
  await closed(client)
  peer.destroy()
  await closed(peer)
})

// --- setTimeout --------------------------------------------------------------------------------------------------

parity(
  'setTimeout: while a large write makes progress the timer only looks',
  async ({ pair, log, until }) => {
    const { client } = await pair({ server: { pauseOnConnect: true } })
    const looks = []
    const { _onTimeout } = client
    client.on('timeout', () => looks.push('timeout'))
    client._onTimeout = function () {
      looks.push('look')
      Reflect.apply(_onTimeout, this, [])
    }
    client.write(Buffer.alloc(8_000_000))
    log('waiting', client.writableLength)
    client.setTimeout(40)
    await until(() => looks.includes('timeout'))
    // The first look, and then as many as the queue moved.
    log('looked first', looks[0], looks.indexOf('timeout') > 1)
  },
)

parity('setTimeout: what resets the timer asks _unrefTimer', async ({ pair, log, seen, until }) => {
  const { client, peer } = await pair()
  client.setTimeout(10_000)
  let asked = 0
  const { _unrefTimer } = client
  client._unrefTimer = function () {
    asked++
    Reflect.apply(_unrefTimer, this, [])
  }
  const note = label => {
    log(label, asked > 0)
    asked = 0
  }
  await new Promise(resolve => client.write('x', resolve))
  note('write')
  await new Promise(resolve => client.write(Buffer.alloc(100), resolve))
  note('bytes')
  client.cork()
  client.write('a')
  client.write('b')
  note('corked')
  client.uncork()
  note('uncorked')
  let reads = 0
  client.on('data', () => reads++)
  peer.write('y')
  await until(() => reads > 0)
  note('read')
  client.pause()
  client.resume()
  client.setNoDelay().setKeepAlive(true)
  note('pause, resume, options')
  peer.end()
  await seen(client, 'end')
  note('end')
})

parity('setTimeout: a connection attempt and its success reset the timer', async t => {
  const { net, own, listen, to, log, seen } = t
  const server = await listen()
  const client = own(new net.Socket())
  client.setTimeout(10_000)
  let asked = 0
  const { _unrefTimer } = client
  client._unrefTimer = function () {
    asked++
    Reflect.apply(_unrefTimer, this, [])
  }
  client.connect(to(server))
  log('connecting', asked > 0)
  asked = 0
  await seen(client, 'connect')
  log('connected', asked > 0)
})

parity('setTimeout: each call adds its callback, and only 0 with the same one takes it away', async t => {
  const { pair, log } = t
  const { client } = await pair()
  const [one, two] = [() => {}, () => {}]
  for (const [ms, callback] of [
    [1000, one],
    [2000, two],
    [0, one],
    [0, undefined],
    [3000, one],
    [0, two],
  ]) {
    client.setTimeout(ms, callback)
    log('listeners', ms, client.listenerCount('timeout'), client.timeout)
  }
})

// --- options -----------------------------------------------------------------------------------------------------

// What is asked of the handles of TCP sockets, whoever they belong to, until the scenario is over. How the system is
// asked then is the engine's own affair.
async function asked(t, ...names) {
  const { client } = await t.pair()
  const prototype = Object.getPrototypeOf(client._handle)
  const calls = []
  for (const name of names) {
    const original = prototype[name]
    prototype[name] = function (...args) {
      calls.push([name, ...args.slice(0, 2)])
      return Reflect.apply(original, this, args)
    }
    t.cleanup(() => (prototype[name] = original))
  }
  return () => calls.splice(0)
}

parity('setNoDelay: asked of the system after connect, and then only what changes', async t => {
  const { net, own, listen, to, log, seen } = t
  const calls = await asked(t, 'setNoDelay')
  const server = await listen()
  const client = own(new net.Socket()).setNoDelay()
  log('before', calls())
  client.connect(to(server))
  client.setNoDelay()
  log('connecting', calls())
  await seen(client, 'connect')
  log('connected', calls())
  for (const value of [true, undefined, false, false, 0, 1, 'yes', null]) {
    client.setNoDelay(value)
    log('set', value, calls())
  }
})

parity('setKeepAlive: asked of the system after connect, and then only what changes', async t => {
  const { net, own, listen, to, log, seen } = t
  const calls = await asked(t, 'setKeepAlive')
  const server = await listen()
  const client = own(new net.Socket()).setKeepAlive(true, 5000)
  log('before', calls())
  client.connect(to(server))
  log('connecting', calls())
  await seen(client, 'connect')
  log('connected', calls())
  for (const args of [
    [true, 5000],
    [true, 5999],
    [true, 6000],
    [true],
    [false],
    [false],
    [false, 3000],
    [true, 3000],
    [true, '4000'],
  ]) {
    client.setKeepAlive(...args)
    log('set', args, calls())
  }
})

parity('noDelay, keepAlive: the options are asked of the system for both ends', async t => {
  const { net, own, listen, to, log, seen } = t
  const calls = await asked(t, 'setNoDelay', 'setKeepAlive')
  const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 2500 }
  const server = await listen(options)
  const accepted = new Promise(resolve => server.once('connection', resolve))
  const client = own(net.connect(to(server)))
  await Promise.all([accepted, seen(client, 'connect')])
  log('the server', calls())
  const other = own(net.connect(to(await listen(), options)))
  await seen(other, 'connect')
  log('the client', calls())
  const neither = own(
    net.connect(to(await listen({ keepAliveInitialDelay: 5000 }), { keepAliveInitialDelay: 5000 })),
  )
  await seen(neither, 'connect')
  log('nobody', calls())
})

// The kernel's word for it: /proc shows a timer of kind 02 on a socket whose keep-alive is on.
async function keepsAlive(socket) {
  const { readFileSync } = await import('node:fs')
  const ends = [socket.localPort, socket.remotePort].map(port =>
    port.toString(16).toUpperCase().padStart(4, '0'),
  )
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  const row = rows
    .map(line => line.trim().split(/\s+/))
    .find(([, ...both]) => ends.every((end, at) => both[at]?.endsWith(`:${end}`)))
  return row?.[5].startsWith('02')
}

parity(
  'setKeepAlive: one object in place of four arguments',
  {
    on: 'linux',
    since: ['24.19', '26.4'],
    expected: {
      main: [
        ...[
          [{ enable: true }, true],
          [{ enable: false }, false],
          [{ enable: true, initialDelay: 60_000 }, true],
        ],
        ...[
          [{}, false],
          [{ enable: 1, initialDelay: 60_000, interval: 5000, count: 3 }, true],
          [{ initialDelay: 5000 }, false],
        ],
      ].map(([options, on]) => ['object', options, true, on]),
    },
  },
  async ({ pair, log }) => {
    const { client } = await pair()
    for (const options of [
      ...[{ enable: true }, { enable: false }, { enable: true, initialDelay: 60_000 }],
      ...[{}, { enable: 1, initialDelay: 60_000, interval: 5000, count: 3 }, { initialDelay: 5000 }],
    ]) {
      log('object', options, client.setKeepAlive(options) === client, await keepsAlive(client))
    }
  },
)

parity('setKeepAlive: values of the wrong kind are no errors', async ({ pair, attempt, net, own }) => {
  const { client } = await pair()
  for (const socket of [client, own(new net.Socket())]) {
    for (const args of [
      [true, 'x'],
      [true, -1],
      [true, Number.NaN],
      [true, {}],
      ['yes', null],
      [null],
      [0, 0, 0, 0],
      [true, 1, 'x', 'y'],
    ]) {
      attempt('setKeepAlive', () => socket.setKeepAlive(...args) === socket)
    }
  }
})

parity('setNoDelay, setKeepAlive: on a socket that has closed', async ({ pair, attempt, closed }) => {
  const { client, peer } = await pair()
  client.destroy()
  peer.resume()
  for (const method of ['setNoDelay', 'setKeepAlive', 'ref', 'unref']) {
    attempt(method, () => client[method](true) === client)
  }
  await closed(client)
  for (const method of ['setNoDelay', 'setKeepAlive', 'ref', 'unref']) {
    attempt(`${method} after close`, () => client[method](true) === client)
  }
})

parity(
  'ref, unref: before connect they wait for it, each in its turn',
  async ({ net, own, listen, to, log, seen }) => {
    const server = await listen()
    const client = own(new net.Socket())
    client.unref()
    client.ref()
    client.unref()
    log('waiting', client.listenerCount('connect'))
    client.connect(to(server))
    log('connecting', client._handle.hasRef())
    await seen(client, 'connect')
    log('connected', client.listenerCount('connect'), client._handle.hasRef())
    log('ref', client.ref()._handle.hasRef(), client.unref()._handle.hasRef())
  },
)

parity('address(): one object for as long as the connection lasts', async ({ pair, log }) => {
  const { client } = await pair()
  const address = client.address()
  log('keys', Object.keys(address), address === client.address(), address.family)
  client.destroy()
  log('destroyed', client.address())
})

// --- streams -----------------------------------------------------------------------------------------------------

parity('pause, resume, pipe, unpipe: their events', async ({ pair, log, until, turns, seen }) => {
  const { PassThrough } = await import('node:stream')
  const { client, peer } = await pair()
  for (const event of ['pause', 'resume', 'pipe', 'unpipe', 'readable'])
    client.on(event, source => log(event, source?.constructor.name))
  client.removeAllListeners('readable')
  log('pause', client.pause() === client, client.isPaused(), client.readableFlowing)
  log('again', client.pause() === client)
  log('resume', client.resume() === client, client.isPaused(), client.readableFlowing)
  await turns()
  const source = new PassThrough()
  peer.resume()
  log('pipe', source.pipe(client) === client)
  source.write('x')
  await until(() => peer.bytesRead === 1)
  log('unpipe', source.unpipe(client) === source)
  source.pipe(client)
  source.end('y')
  await seen(peer, 'end')
  log('arrived', peer.bytesRead)
})

parity('readable, read: what is there in one piece', async ({ pair, log, seen }) => {
  const { client, peer } = await pair()
  const over = seen(client, 'end')
  client.on('readable', () => {
    for (;;) {
      const chunk = client.read()
      if (chunk === null) break
      log('data', chunk)
    }
  })
  peer.write('one ')
  peer.end('two')
  await over
  log('after', client.read(), client.readableLength)
})

parity('cork, uncork: counted, and nothing leaves before the last uncork', async ({ pair, log, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  for (const step of ['cork', 'cork', 'write', 'uncork', 'uncork', 'uncork']) {
    log(
      step,
      step === 'write' ? client.write('x') : client[step](),
      client.writableCorked,
      client.writableLength,
    )
  }
  client.end()
  log('arrived', await arrived)
})

parity('setEncoding: returns the socket and can be changed', async ({ pair, log, until }) => {
  const { client, peer } = await pair()
  const texts = []
  client.on('data', text => texts.push(text))
  log('set', client.setEncoding('hex') === client, client.readableEncoding)
  peer.write('é')
  await until(() => texts.length === 1)
  log('set', client.setEncoding('latin1') === client, client.readableEncoding)
  peer.write('é')
  await until(() => texts.length === 2)
  log('texts', texts)
})

parity('[Symbol.asyncIterator], [Symbol.asyncDispose]: inherited, not own', ({ net, own, log }) => {
  const socket = own(new net.Socket())
  for (const symbol of [Symbol.asyncIterator, Symbol.asyncDispose]) {
    log(String(symbol), typeof socket[symbol], Object.hasOwn(net.Socket.prototype, symbol))
  }
  for (const name of ['iterator', 'map', 'filter', 'forEach', 'toArray', 'compose', 'take'])
    log(name, typeof socket[name])
})

// --- internals ---------------------------------------------------------------------------------------------------

parity('_getsockname, _getpeername: what address() and the ends are made of', async ({ pair, log }) => {
  const { client } = await pair()
  client._getsockname = () => ({ address: 'here', port: 1, family: 'IPv9' })
  client._getpeername = () => ({ address: 'there', port: 2, family: 'IPv9' })
  log('local', client.address(), client.localAddress, client.localPort, client.localFamily)
  log('remote', client.remoteAddress, client.remotePort, client.remoteFamily)
})

parity('_read, _writeGeneric, _final, _reset: called through the object', { on: 'linux' }, async t => {
  const { net, own, listen, to, log, closed } = t
  const server = await listen({}, peer => peer.on('error', () => {}).resume())
  const calls = []
  class Observed extends net.Socket {}
  for (const name of ['_read', '_write', '_writev', '_writeGeneric', '_final', '_reset', '_destroy']) {
    Observed.prototype[name] = function (...args) {
      if (calls.at(-1) !== name) calls.push(name)
      return Reflect.apply(net.Socket.prototype[name], this, args)
    }
  }
  for (const last of ['end', 'resetAndDestroy']) {
    const client = own(new Observed())
    client.connect(to(server)).resume()
    client.write('one')
    client.write('two')
    await new Promise(resolve => client.once('ready', resolve))
    await new Promise(resolve => client.write('three', resolve))
    client[last]()
    if (last === 'end') client.once('finish', () => client.destroy())
    await closed(client)
    log(
      last,
      calls.filter(name => name !== '_read'),
      calls.includes('_read'),
    )
    calls.length = 0
  }
})

parity('_onTimeout: may be called, and emits timeout', async ({ pair, log }) => {
  const { client } = await pair()
  client.on('timeout', () => log('timeout'))
  log('called', client._onTimeout(), client._unrefTimer())
})
