// What the module exports: each export's descriptor, name and arity; and isIP. What newer versions of Node have added
// and the module `promises` have tests of their own.

import { parity } from '../helpers/parity.mjs'

const functions = [
  ...['Server', 'Socket', 'Stream', 'createServer', 'connect', 'createConnection'],
  ...['isIP', 'isIPv4', 'isIPv6', '_normalizeArgs'],
  ...['getDefaultAutoSelectFamily', 'setDefaultAutoSelectFamily'],
  ...['getDefaultAutoSelectFamilyAttemptTimeout', 'setDefaultAutoSelectFamilyAttemptTimeout'],
]

for (const name of functions) {
  parity(`${name}: a writable, enumerable, configurable function with its name and arity`, ({ net, log }) => {
    const { value, ...descriptor } = Object.getOwnPropertyDescriptor(net, name)
    log('descriptor', descriptor, typeof value, value.name, value.length)
    log('prototype', Object.getOwnPropertyDescriptor(value, 'prototype')?.writable ?? 'no prototype')
  })
}

parity(
  'Server, Socket: a constructor each, whose prototype says so and is not enumerable',
  ({ net, log }) => {
    for (const name of ['Server', 'Socket']) {
      const { value, ...descriptor } = Object.getOwnPropertyDescriptor(net[name], 'prototype')
      log(name, descriptor, value === net[name].prototype)
      const { value: made, ...rest } = Object.getOwnPropertyDescriptor(net[name].prototype, 'constructor')
      log('constructor', rest, made === net[name])
      log('statics', Object.getOwnPropertyNames(net[name]).sort())
      log('inherited statics', typeof net[name].once, typeof net[name].from, net[name].defaultMaxListeners)
    }
  },
)

parity('Stream, createConnection: other names of Socket and connect', ({ net, log }) => {
  log('Stream', net.Stream === net.Socket, net.Stream.name)
  log('createConnection', net.createConnection === net.connect, net.createConnection.name)
})

parity('BlockList, SocketAddress: the classes of the Node that runs, enumerable and configurable', t => {
  const node = process.getBuiltinModule('node:net')
  for (const name of ['BlockList', 'SocketAddress']) {
    const { enumerable, configurable } = Object.getOwnPropertyDescriptor(t.net, name)
    t.log(name, { enumerable, configurable }, t.net[name] === node[name], typeof t.net[name])
  }
})

parity('isIP and the defaults of autoSelectFamily: one and the same for both modules', ({ net, log }) => {
  const node = process.getBuiltinModule('node:net')
  for (const name of functions) if (/^isIP|Default/.test(name)) log(name, net[name] === node[name])
})

parity(
  'the module: import, named imports and require give the same objects',
  async ({ net, log, moduleName }) => {
    const { createRequire } = await import('node:module')
    const namespace = await import(moduleName)
    const required = createRequire(import.meta.url)(moduleName)
    log('default', namespace.default === net, required === net)
    for (const name of [...functions, 'BlockList', 'SocketAddress']) {
      log(name, namespace[name] === net[name], required[name] === net[name])
    }
    log('extensible', Object.isExtensible(required), Object.isFrozen(required))
  },
)

parity('the module: an export can be replaced and put back', ({ net, log, cleanup }) => {
  for (const name of functions) {
    const original = net[name]
    cleanup(() => (net[name] = original))
    net[name] = 'replaced'
    log(name, net[name])
  }
})

parity('setDefaultAutoSelectFamily: decides how the next connect looks a name up', async t => {
  const { net, own, log, closed, cleanup } = t
  const before = net.getDefaultAutoSelectFamily()
  cleanup(() => net.setDefaultAutoSelectFamily(before))
  for (const value of [true, false]) {
    net.setDefaultAutoSelectFamily(value)
    const client = own(new net.Socket()).on('error', () => {})
    client.connect({
      port: 1,
      host: 'made.up',
      lookup: (_host, { all }, callback) => {
        log('lookup', value, all)
        process.nextTick(callback, new Error('nobody'))
      },
    })
    await closed(client)
  }
})

parity('the defaults: those of the Node that runs', async ({ net, log }) => {
  const { getDefaultHighWaterMark } = await import('node:stream')
  log('autoSelectFamily', net.getDefaultAutoSelectFamily())
  log('attempt timeout', net.getDefaultAutoSelectFamilyAttemptTimeout())
  const socket = new net.Socket()
  log('highWaterMark', socket.readableHighWaterMark, socket.writableHighWaterMark)
  log('the same', net.createServer().highWaterMark === getDefaultHighWaterMark(false))
})

// What each list of arguments becomes: the options, and the callback.
const lists = {
  nothing: [],
  'a port': [80],
  'a port and a host': [80, 'example'],
  'a port, a host and a callback': [80, 'example', () => {}],
  'a port and a callback': [80, () => {}],
  'a port, undefined and a callback': [80, undefined, () => {}],
  'a port, null and a callback': [80, null, () => {}],
  'a port, a number and a callback': [80, 511, () => {}],
  'a callback that is not the last': [80, () => {}, 'late'],
  'a numeric string': ['80'],
  'a hexadecimal string': ['0x50'],
  'an exponential string': ['8e1'],
  'a negative string': ['-1'],
  'a fraction': ['1.5'],
  'an empty string': [''],
  'a blank string': [' '],
  'a path': ['/tmp/x'],
  'a path and a callback': ['/tmp/x', () => {}],
  'a path and a host': ['/tmp/x', 'example'],
  'a relative path': ['x'],
  "'NaN'": ['NaN'],
  "'Infinity'": ['Infinity'],
  null: [null],
  'null and a callback': [null, () => {}],
  undefined: [undefined],
  'undefined and a callback': [undefined, () => {}],
  true: [true],
  NaN: [Number.NaN],
  '-1': [-1],
  'a bigint': [80n],
  'a callback alone': [() => {}],
  options: [{ port: 80, host: 'example' }],
  'options and a callback': [{ path: '/tmp/x' }, () => {}],
  'options and a string': [{ port: 80 }, 'example'],
  'an array': [[80, 'example']],
  'a boxed number': [new Number(80)],
}
for (const [label, list] of Object.entries(lists)) {
  parity(`_normalizeArgs: ${label}`, ({ net, log }) => {
    const result = net._normalizeArgs(list)
    const [options, callback] = result
    log('result', Array.isArray(result), result.length, Object.keys(result))
    log('options', options === list[0], options instanceof Object, { ...options })
    log('callback', callback === null, callback === list.at(-1))
  })
}

parity('_normalizeArgs: what it returns is marked, and connect takes it as it is', async t => {
  const { net, own, listen, log, closed } = t
  const server = await listen({}, peer => peer.end())
  const normalized = net._normalizeArgs([server.address().port, '127.0.0.1', () => log('callback')])
  log('symbols', Object.getOwnPropertySymbols(normalized).length)
  const client = own(new net.Socket())
  client.connect(normalized).resume()
  await closed(client)
  // An array without the mark is an object of options like any other.
  t.attempt('without the mark', () => own(new net.Socket()).connect([{ port: 1 }, null]))
})

const noAddresses = [
  '',
  ' ',
  '1.2.3.4 ',
  ' 1.2.3.4',
  '1.2.3',
  '1.2.3.4.5',
  '1.2.3.256',
  '01.2.3.4',
  '1.2.3.04',
  '0x1.2.3.4',
]
const four = ['0.0.0.0', '255.255.255.255', '127.0.0.1', '1.2.3.4']
const six = [
  '::',
  '::1',
  '1::',
  '::ffff:1.2.3.4',
  '64:ff9b::1.2.3.4',
  'ABCD::ef01',
  '1:2:3:4:5:6:7:8',
  '::1%eth0',
  'fe80::1%0.1-x:y',
]
const noSix = [
  '::1%',
  'fe80::1%é',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  ':::',
  '1::2::3',
  '::1.2.3',
  '::g',
  '[::1]',
  '::1/64',
  '12345::',
]
parity('isIP, isIPv4, isIPv6: strings', ({ net, log }) => {
  for (const text of [...noAddresses, ...four, ...six, ...noSix]) {
    log('is', text, net.isIP(text), net.isIPv4(text), net.isIPv6(text))
  }
})

parity('isIP, isIPv4, isIPv6: what is no string is made one', ({ net, log, attempt }) => {
  const values = {
    'an array of one': ['1.1.1.1'],
    'an array of two': ['1.1.1.1', '1.1.1.1'],
    'an object with toString': { toString: () => '::1' },
    'a boxed string': new String('1.2.3.4'),
    'a Buffer': Buffer.from('::1'),
    null: null,
    undefined,
    0: 0,
    1.5: 1.5,
    true: true,
    'a function': () => {},
  }
  for (const [label, value] of Object.entries(values)) {
    log(label, net.isIP(value), net.isIPv4(value), net.isIPv6(value))
  }
  attempt('a symbol', () => net.isIP(Symbol('::1')))
  attempt('an object without a prototype', () => net.isIP(Object.create(null)))
  log('no argument', net.isIP(), net.isIPv4(), net.isIPv6())
})
