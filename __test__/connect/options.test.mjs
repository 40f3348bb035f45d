// connect(): its overloads and options with unusual values, the lookup, the choice of addresses, and Node's flags for
// it. connect.test.mjs and autoselect.test.mjs have the usual ones.

import { parity, parityProcess } from '../helpers/parity.mjs'

// A listener that answers `answer` to whatever it is asked, in a later tick.
const answering =
  (...answer) =>
  (_host, _options, callback) =>
    process.nextTick(callback, ...answer)
const listOf = (...addresses) =>
  addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
const outcome = client =>
  new Promise(resolve => client.once('connect', () => resolve('connect')).once('error', resolve))

// A port that nobody has, below those which the system gives away by itself: nobody takes it meanwhile either.
async function sparePort({ net }) {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const probe = net.createServer()
    const error = await new Promise(resolve =>
      probe.once('error', resolve).listen(port, '127.0.0.1', resolve),
    )
    if (error) continue
    await new Promise(resolve => probe.close(resolve))
    return port
  }
}

// --- overloads ---------------------------------------------------------------------------------------------------

// Nobody listens on port 1: what the arguments were taken for shows in the attempt.
const understood = {
  'a string of digits': () => ['1', '127.0.0.1'],
  'a hexadecimal string': () => ['0x1', '127.0.0.1'],
  'a string with blanks': () => [' 1 ', '127.0.0.1'],
  'a fraction': () => [1.5, '127.0.0.1'],
  'a string that is a fraction': () => ['1.5', '127.0.0.1'],
  'a bigint': () => [1n, '127.0.0.1'],
  true: () => [true, '127.0.0.1'],
  'a function': () => [() => {}],
  'a symbol': () => [Symbol('1')],
  null: () => [null],
  'null and a callback': () => [null, () => {}],
  undefined: () => [undefined],
  'an empty string': () => [''],
  'a blank string': () => [' '],
  'an array': () => [[1, '127.0.0.1']],
  'a date': () => [new Date(0)],
  'a port, a host that is an empty string': () => [1, ''],
  'a boxed port': () => [new Number(1), '127.0.0.1'],
  'options and a host': () => [{ port: 1, host: '127.0.0.1' }, 'localhost'],
  'options in which all is a string': () => [{ port: '1', host: '127.0.0.1', family: '4', timeout: '5' }],
  'port and path': () => [{ port: 1, host: '127.0.0.1', path: '' }],
  'path null and a port': () => [{ port: 1, host: '127.0.0.1', path: null }],
  'path undefined alone': () => [{ path: undefined }],
  'path null alone': () => [{ path: null }],
  "path ''": () => [{ path: '' }],
  'port undefined and a host': () => [{ port: undefined, host: '127.0.0.1' }],
  'port 0': () => [{ port: 0, host: '127.0.0.1' }],
  "port '0'": () => [{ port: '0', host: '127.0.0.1' }],
  'port -0': () => [{ port: -0, host: '127.0.0.1' }],
  'port []': () => [{ port: [], host: '127.0.0.1' }],
  'port 1n': () => [{ port: 1n, host: '127.0.0.1' }],
  "port '1e0'": () => [{ port: '1e0', host: '127.0.0.1' }],
  'a host with brackets': () => [{ port: 1, host: '[::1]', lookup: answering(new Error('asked')) }],
  'a host with a zone': () => [{ port: 1, host: '127.0.0.1%lo', lookup: answering(new Error('asked')) }],
  'localAddress null': () => [{ port: 1, host: '127.0.0.1', localAddress: null }],
  "localAddress ''": () => [{ port: 1, host: '127.0.0.1', localAddress: '' }],
  'localAddress 1': () => [{ port: 1, host: '127.0.0.1', localAddress: 1 }],
  'localAddress of the other family': () => [{ port: 1, host: '127.0.0.1', localAddress: '::1' }],
  'localPort null': () => [{ port: 1, host: '127.0.0.1', localPort: null }],
  'localPort 0': () => [{ port: 1, host: '127.0.0.1', localPort: 0 }],
  "localPort ''": () => [{ port: 1, host: '127.0.0.1', localPort: '' }],
  'localPort true': () => [{ port: 1, host: '127.0.0.1', localPort: true }],
  'family null': () => [{ port: 1, host: 'made.up', family: null, lookup: answering(new Error('asked')) }],
  "family '4'": () => [{ port: 1, host: 'made.up', family: '4', lookup: answering(new Error('asked')) }],
  "family 'ipv4'": () => [
    { port: 1, host: 'made.up', family: 'ipv4', lookup: answering(new Error('asked')) },
  ],
  'lookup null': () => [{ port: 1, host: '127.0.0.1', lookup: null }],
  'lookup 1 for an address': () => [{ port: 1, host: '127.0.0.1', lookup: 1 }],
  'autoSelectFamily null': () => [{ port: 1, host: '127.0.0.1', autoSelectFamily: null }],
  "autoSelectFamily 'true'": () => [{ port: 1, host: '127.0.0.1', autoSelectFamily: 'true' }],
  'attempt timeout null': () => [{ port: 1, host: '127.0.0.1', autoSelectFamilyAttemptTimeout: null }],
  'attempt timeout 1': () => [{ port: 1, host: '127.0.0.1', autoSelectFamilyAttemptTimeout: 1 }],
  'attempt timeout -1': () => [{ port: 1, host: '127.0.0.1', autoSelectFamilyAttemptTimeout: -1 }],
  'attempt timeout 1.5': () => [{ port: 1, host: '127.0.0.1', autoSelectFamilyAttemptTimeout: 1.5 }],
  'attempt timeout 2 ** 31': () => [{ port: 1, host: '127.0.0.1', autoSelectFamilyAttemptTimeout: 2 ** 31 }],
}
for (const [label, make] of Object.entries(understood)) {
  parity(`connect: ${label}`, { on: 'linux' }, async ({ net, own, watch, attempt, log, turns, closed }) => {
    const client = watch(own(new net.Socket()), 'client', { into: 'main' })
    const connects = attempt('connect', () => client.connect(...make()) === client)
    log('after', client.connecting, client.pending, client.listenerCount('connect'))
    if (connects) await closed(client)
    else await turns(2)
  })
}

parity(
  'connect: the options of a callback alone are those of no arguments',
  async ({ net, attempt, own }) => {
    for (const args of [[], [() => {}], [undefined], [{}], [null, undefined]]) {
      attempt('net.connect', () => own(net.connect(...args)))
    }
  },
)

parity('connect: the callback is the last argument, and a listener for one connect', async t => {
  const { net, own, listen, to, log, seen } = t
  const server = await listen()
  const client = own(new net.Socket())
  client.connect(to(server), 'ignored', () => log('callback'))
  log('listeners', client.listenerCount('connect'))
  await seen(client, 'connect')
  log('listeners', client.listenerCount('connect'))
})

parity('connect: a callback stays registered when the arguments throw', ({ net, own, attempt, log }) => {
  const client = own(new net.Socket())
  attempt('connect', () => client.connect(65_536, () => {}))
  log('after', client.listenerCount('connect'), client.connecting, client.destroyed, client._handle !== null)
})

parity(
  'connect: of a path, an object with toString is no string',
  { on: 'unix' },
  ({ net, own, attempt }) => {
    for (const path of [{ toString: () => '/tmp/x' }, Buffer.from('/tmp/x'), ['/tmp/x'], 0, false]) {
      attempt(String(typeof path), () => own(new net.Socket()).connect({ path }))
    }
  },
)

parity('connect: a path together with port and host wins', { on: 'unix' }, async t => {
  const { net, own, listen, log, closed, socketPath } = t
  const path = socketPath()
  await listen({ path }, peer => peer.end('by path'))
  const client = own(new net.Socket()).setEncoding('utf8')
  client.on('data', text => log('data', text))
  client.connect({ path, port: 1, host: '127.0.0.1' })
  await closed(client)
})

parity(
  'net.connect: hands one object to Socket and to connect',
  async ({ net, own, listen, to, log, closed }) => {
    const server = await listen({}, peer => peer.end())
    const seen = []
    const options = new Proxy(to(server, { highWaterMark: 9, timeout: 10_000, allowHalfOpen: false }), {
      get(target, name) {
        if (typeof name === 'string') seen.push(name)
        return target[name]
      },
    })
    const client = own(net.connect(options)).resume()
    log('socket', client.readableHighWaterMark, client.timeout, client.allowHalfOpen)
    for (const name of ['port', 'host', 'path', 'timeout', 'highWaterMark'])
      log('read', name, seen.includes(name))
    await closed(client)
  },
)

parity('net.connect: constructor options given to socket.connect have no effect', async t => {
  const { net, own, listen, to, log, seen } = t
  const server = await listen()
  const client = own(new net.Socket())
  client.connect(
    to(server, {
      allowHalfOpen: true,
      highWaterMark: 9,
      objectMode: true,
      signal: AbortSignal.abort(),
      timeout: 5,
    }),
  )
  await seen(client, 'connect')
  log('socket', client.allowHalfOpen, client.readableHighWaterMark !== 9, client.timeout)
})

// --- host and path -----------------------------------------------------------------------------------------------

const invalidHost = {
  name: 'TypeError',
  constructor: 'TypeError',
  code: 'ERR_INVALID_ARG_VALUE',
  message: "The property 'options.host' must be a string without null bytes. Received 'local\\x00host'",
}
parity(
  'host: a NUL byte in it throws at once',
  { since: '22', expected: { main: [['connect', 'threw', invalidHost]] } },
  ({ net, own, attempt }) =>
    attempt('connect', () => own(new net.Socket()).connect({ port: 1, host: 'local\0host' })),
)

parity('host: null, undefined and an empty string are localhost', async ({ net, own, log, closed }) => {
  for (const host of [null, undefined, '', 0, false]) {
    const client = own(new net.Socket()).on('error', () => {})
    client.connect({ port: 1, host, lookup: answering(new Error('asked')) })
    log('host', client._host)
    await closed(client)
  }
})

const refusedPath = path => ({
  main: [
    ['client connectionAttempt', path, '<undefined>', '<undefined>'],
    ['returned', false, true],
    [
      'client error',
      {
        name: 'Error',
        constructor: 'Error',
        message: `connect EINVAL ${path} - Local (undefined:undefined)`,
        errno: -22,
        code: 'EINVAL',
        syscall: 'connect',
        address: path,
      },
    ],
    ['client close', true],
  ],
})
for (const [label, path, since] of [
  ['longer than the system takes', `/tmp/${'x'.repeat(105)}`, '24'],
  ['with a NUL byte in it', '/tmp/ferronet\0missing', '22'],
]) {
  parity(
    `path: one ${label} is EINVAL, told in a later tick`,
    { on: 'linux', since, expected: refusedPath(path) },
    async t => {
      const { net, own, watch, log, closed } = t
      const client = watch(own(new net.Socket()), 'client', { into: 'main' })
      client.connect(path)
      log('returned', client.connecting, client.destroyed)
      await closed(client)
    },
  )
}

// --- lookup ------------------------------------------------------------------------------------------------------

parity('lookup: without one dns.lookup is asked, whoever has replaced it', async t => {
  const { net, own, listen, log, seen, cleanup } = t
  const server = await listen()
  const { default: dns } = await import('node:dns')
  const { lookup } = dns
  cleanup(() => (dns.lookup = lookup))
  dns.lookup = (host, options, callback) => {
    log('dns.lookup', host, { ...options })
    process.nextTick(callback, null, listOf('127.0.0.1'))
  }
  const client = own(new net.Socket())
  client.connect(server.address().port, 'made.up')
  await seen(client, 'connect')
})

parity('lookup: called without a this, with three arguments, in the call of connect', async t => {
  const { net, own, log, closed } = t
  const client = own(new net.Socket()).on('error', () => {})
  client.connect({
    port: 1,
    host: 'made.up',
    lookup: function (...args) {
      log('lookup', this === undefined, this === client, args.length)
      process.nextTick(args[2], new Error('asked'))
    },
  })
  log('returned', client.connecting)
  await closed(client)
})

parity('lookup: hints of zero become ADDRCONFIG unless a family is asked for', { on: 'unix' }, async t => {
  const { net, own, log, closed } = t
  for (const more of [
    {},
    { hints: 0 },
    { family: 4 },
    { family: 6 },
    { family: 'IPv6' },
    { family: 0 },
    { hints: 8 },
    { family: 4, hints: 8 },
  ]) {
    const client = own(new net.Socket()).on('error', () => {})
    const lookup = (_host, options, callback) => {
      log('lookup', more, { ...options })
      process.nextTick(callback, new Error('asked'))
    }
    client.connect({ port: 1, host: 'made.up', lookup, ...more })
    await closed(client)
  }
})

for (const [label, answer] of Object.entries({
  'a list of rubbish': [
    null,
    [
      { address: 'x', family: 4 },
      { address: 'y', family: 6 },
    ],
  ],
  'addresses of the other family': [
    null,
    [
      { address: '127.0.0.1', family: 6 },
      { address: '::1', family: 4 },
    ],
  ],
  'an error and a list': [new Error('asked'), listOf('127.0.0.1')],
})) {
  parity(`lookup: ${label} as answer to several`, { on: 'linux' }, async ({ net, own, watch, closed }) => {
    const client = watch(own(new net.Socket()), 'client', { into: 'main' })
    client.connect({ port: 1, host: 'made.up', lookup: answering(...answer) })
    await closed(client)
  })
}

for (const [label, answer] of Object.entries({
  'no address': [null],
  'null as address': [null, null, 4],
  'a family of another type': [null, '127.0.0.1', '4'],
  'an IPv6 address as IPv4': [null, '::1', 4],
  'an IPv4 address as IPv6': [null, '127.0.0.1', 6],
  'an error and an address': [new Error('asked'), '127.0.0.1', 4],
  'an error of the wrong type': ['just a string'],
})) {
  parity(`lookup: ${label} as answer to one`, { on: 'linux' }, async ({ net, own, watch, closed }) => {
    const client = watch(own(new net.Socket()), 'client', { into: 'main' })
    client.connect({ port: 1, host: 'made.up', family: 4, lookup: answering(...answer) })
    await closed(client)
  })
}

parity('lookup: an answer after the socket has connected elsewhere is not heard', async t => {
  const { net, own, listen, to, watch, log, closed, quiet } = t
  const server = await listen({}, peer => peer.end())
  const answers = []
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  client.connect({ port: 1, host: 'made.up', lookup: (_host, _options, callback) => answers.push(callback) })
  client.destroy()
  await closed(client)
  log('closed')
  client.connect(to(server)).resume()
  await new Promise(resolve => client.once('close', resolve))
  answers[0](null, listOf('127.0.0.1'))
  await quiet()
})

parity(
  'lookup: it refreshes the idle timer, as does the attempt',
  async ({ net, own, listen, log, seen }) => {
    const server = await listen()
    const client = own(new net.Socket()).setTimeout(10_000)
    let asked = 0
    const { _unrefTimer } = client
    client._unrefTimer = function () {
      asked++
      Reflect.apply(_unrefTimer, this, [])
    }
    client.connect({
      port: server.address().port,
      host: 'made.up',
      lookup: (_host, _options, callback) => {
        log('asked', asked > 0)
        asked = 0
        process.nextTick(callback, null, listOf('127.0.0.1'))
      },
    })
    client.once('connectionAttempt', () => log('attempt', asked > 0))
    await seen(client, 'connect')
  },
)

// --- several addresses -------------------------------------------------------------------------------------------

parity('autoSelectFamily: off for a family, a local address, an IP literal and when told so', async t => {
  const { net, own, log, closed } = t
  for (const more of [
    {},
    { autoSelectFamily: true },
    { autoSelectFamily: undefined },
    { autoSelectFamily: false },
    { family: 4 },
    { family: 6, autoSelectFamily: true },
    { family: 0 },
    { localAddress: '127.0.0.1' },
    { localPort: 0 },
  ]) {
    const client = own(new net.Socket()).on('error', () => {})
    const lookup = (_host, options, callback) => {
      log('lookup', more, options.all)
      process.nextTick(callback, new Error('asked'))
    }
    client.connect({ port: 1, host: 'made.up', lookup, ...more })
    await closed(client)
  }
})

parity(
  'several addresses: lookup events of the answer come in the order of the answer',
  { on: 'linux' },
  async t => {
    const { net, own, watch, closed } = t
    const client = watch(own(new net.Socket()), 'client', {
      into: 'main',
      except: ['error', 'connectionAttemptFailed'],
    })
    const lookup = answering(null, listOf('127.0.0.2', '::ffff:127.0.0.1', '127.0.0.1'))
    client.connect({ port: 1, host: 'made.up', lookup, autoSelectFamilyAttemptTimeout: 8_000 })
    await closed(client)
  },
)

parity('several addresses: a local port of its own is bound for each attempt', { on: 'linux' }, async t => {
  const { net, own, listen, log, seen, closed } = t
  const localPort = await sparePort(t)
  const server = await listen({}, peer => peer.end())
  const client = own(new net.Socket()).resume()
  client.on('connectionAttemptFailed', (address, _port, _family, error) => log('failed', address, error.code))
  const lookup = answering(null, listOf('127.0.0.2', '127.0.0.1'))
  client.connect({
    port: server.address().port,
    host: 'made.up',
    lookup,
    localPort,
    autoSelectFamilyAttemptTimeout: 8_000,
  })
  await seen(client, 'connect')
  log('connected', client.remoteAddress, client.localPort === localPort)
  await closed(client)
})

parity(
  'several addresses: refused together, the error has the first code and one error each',
  { on: 'linux' },
  async t => {
    const { net, own, log, closed } = t
    const client = own(new net.Socket())
    client.on('error', error => {
      log('error', error.constructor.name, error.code, error.message, error.errors.length)
      for (const each of error.errors)
        log('each', each.constructor.name, each.code, each.syscall, each.address, each.port, each.message)
    })
    client.connect({
      port: 1,
      host: 'made.up',
      lookup: answering(null, listOf('127.0.0.1', '::1', '127.0.0.2')),
      autoSelectFamilyAttemptTimeout: 8_000,
    })
    await closed(client)
  },
)

parity('several addresses: reconnecting tries them all again', { on: 'linux' }, async t => {
  const { net, own, log } = t
  const client = own(new net.Socket()).on('error', () => {})
  for (const round of [1, 2]) {
    client.connect({
      port: 1,
      host: 'made.up',
      lookup: answering(null, listOf('127.0.0.1', '127.0.0.2')),
      autoSelectFamilyAttemptTimeout: 8_000,
    })
    await new Promise(resolve => client.once('close', resolve))
    log(
      'round',
      round,
      client.autoSelectFamilyAttemptedAddresses.map(each => each.replace(/:\d+$/, '')),
    )
  }
})

// --- connecting again --------------------------------------------------------------------------------------------

parity('connect: again after every kind of end', { on: 'linux' }, async t => {
  const { net, own, listen, to, log } = t
  const server = await listen({}, peer =>
    peer
      .on('error', () => {})
      .resume()
      .end('hi'),
  )
  const client = own(new net.Socket()).on('error', error => log('error', error.code ?? error.message))
  const text = []
  client.on('data', data => text.push(String(data)))
  const ends = {
    'by itself': () => {},
    destroy: () => client.destroy(),
    'destroy with an error': () => client.destroy(new Error('mine')),
    destroySoon: () => client.destroySoon(),
    reset: () => client.resetAndDestroy(),
    end: () => client.end('x'),
  }
  for (const [label, end] of Object.entries(ends)) {
    client.connect(to(server))
    log(
      'connecting',
      label,
      client.connecting,
      client.destroyed,
      client.writable,
      client.readable,
      client.errored,
    )
    const over = new Promise(resolve => client.once('close', resolve))
    client.once('connect', end)
    await over
    log('closed', client.destroyed, client.readyState)
  }
  log('text', text[0])
})

parity('connect: again in the close listener', async ({ net, own, listen, to, log, until }) => {
  let connections = 0
  const server = await listen({}, peer => {
    connections++
    peer.resume().end()
  })
  const client = own(new net.Socket()).resume()
  client.on('close', () => {
    log('close', connections)
    if (connections < 3) client.connect(to(server))
  })
  client.connect(to(server))
  await until(() => connections === 3 && client.destroyed)
})

parity(
  'connect: from a path to a port and back',
  { on: 'unix' },
  async ({ net, own, listen, to, log, socketPath }) => {
    const servers = [
      await listen({ path: socketPath() }, peer => peer.end()),
      await listen({}, peer => peer.end()),
    ]
    const client = own(new net.Socket()).resume()
    for (const server of [...servers, ...servers]) {
      client.connect(to(server))
      const over = new Promise(resolve => client.once('close', resolve))
      await new Promise(resolve => client.once('connect', resolve))
      log('connected', client.remoteFamily, client.address().family)
      await over
    }
  },
)

// --- errors of the attempt ---------------------------------------------------------------------------------------

parity(
  'a local end in an error: shown when it was asked for, and kept on the error',
  { on: 'linux' },
  async t => {
    const { net, own, log, alias } = t
    const localPort = alias(await sparePort(t), 'local port')
    for (const more of [
      {},
      { localAddress: '127.0.0.1' },
      { localPort },
      { localAddress: '127.0.0.1', localPort },
    ]) {
      const client = own(new net.Socket())
      const failed = outcome(client)
      client.connect({ port: 1, host: '127.0.0.1', ...more })
      const error = await failed
      log(
        'error',
        error.message.replace(String(localPort), 'PORT'),
        Object.keys(error),
        error.localAddress,
        error.localPort === localPort,
      )
    }
  },
)

parity(
  'an address without a route fails at once, in a later tick',
  { on: 'linux' },
  async ({ net, own, log, closed }) => {
    const client = own(new net.Socket())
    client.on('error', error => log('error', error.code, error.syscall, error.address, Object.keys(error)))
    client.connect(1, '255.255.255.255')
    log('returned', client.connecting)
    await closed(client)
  },
)

// --- flags of Node -----------------------------------------------------------------------------------------------

const flags = {
  'no flag': [],
  '--network-family-autoselection': ['--network-family-autoselection'],
  '--no-network-family-autoselection': ['--no-network-family-autoselection'],
  '--network-family-autoselection-attempt-timeout': ['--network-family-autoselection-attempt-timeout=1234'],
  'an attempt timeout below 10': ['--network-family-autoselection-attempt-timeout=5'],
}
for (const [label, execArgv] of Object.entries(flags)) {
  parityProcess(`${label}: what the module says and what connect does`, { execArgv }, async t => {
    const { net, own, log, closed } = t
    log('defaults', net.getDefaultAutoSelectFamily(), net.getDefaultAutoSelectFamilyAttemptTimeout())
    const client = own(new net.Socket()).on('error', () => {})
    const lookup = (_host, { all }, callback) => {
      log('lookup', all)
      process.nextTick(callback, new Error('asked'))
    }
    client.connect({ port: 1, host: 'made.up', lookup })
    await closed(client)
  })
}
