// BlockList and SocketAddress, and the option `blockList` of servers, sockets and connect: which connections are closed
// silently, which addresses we do not connect to, and what happens when.

import { parity } from '../helpers/parity.mjs'

// Node 20 takes the option and ignores it.
const since = ['22.13', '23.4']
const ends = { except: ['connectionAttempt', 'end', 'prefinish', 'finish', 'error', 'close'] }

const blocking = (net, ...addresses) => {
  const list = new net.BlockList()
  for (const address of addresses) list.addAddress(address, address.includes(':') ? 'ipv6' : 'ipv4')
  return list
}
const blocked = address => ({
  name: 'Error',
  constructor: 'Error',
  code: 'ERR_IP_BLOCKED',
  message: `IP(${address}) is blocked by net.BlockList`,
})

parity('BlockList: works as a class of ferronet', ({ net, log }) => {
  const list = new net.BlockList()
  list.addAddress('1.2.3.4')
  list.addRange('10.0.0.1', '10.0.0.9')
  list.addSubnet('fe80::', 10, 'ipv6')
  for (const [address, family] of [
    ['1.2.3.4'],
    ['::ffff:1.2.3.4', 'ipv6'],
    ['10.0.0.5'],
    ['10.0.0.10'],
    ['fe80::1', 'ipv6'],
  ]) {
    log('check', address, list.check(address, family))
  }
  log('rules', list.rules, list.constructor === net.BlockList)
})

parity('SocketAddress: works as a class of ferronet, also in a list', ({ net, log }) => {
  const address = new net.SocketAddress({ address: '127.0.0.1', port: 80 })
  log('address', address.address, address.port, address.family, address.flowlabel)
  const list = new net.BlockList()
  list.addAddress(address)
  log('check', list.check(address), list.check('127.0.0.1'), list.check('127.0.0.2'))
})

parity(
  'BlockList: what is none is refused by createServer, Socket and connect',
  { since, expected: refusals() },
  t => {
    const { net, own, attempt } = t
    for (const value of [true, 1, 'x', {}, [], () => {}]) {
      for (const make of [net.createServer, net.Socket])
        attempt(typeof value, () => own(make({ blockList: value })).constructor.name)
    }
  },
)

parity('BlockList: what is falsy is no list', ({ net, own, log }) => {
  for (const blockList of [undefined, null, false, 0, '']) {
    const [server, socket] = [own(net.createServer({ blockList })), own(new net.Socket({ blockList }))]
    log('kept', server.blockList, socket.blockList, 'blockList' in server, 'blockList' in socket)
  }
})

parity(
  'BlockList: kept on the server and the socket as it is',
  { since, expected: { main: [['kept', true, true]] } },
  ({ net, own, log }) => {
    const blockList = new net.BlockList()
    log(
      'kept',
      own(net.createServer({ blockList })).blockList === blockList,
      own(new net.Socket({ blockList })).blockList === blockList,
    )
  },
)

// --- the server --------------------------------------------------------------------------------------------------

parity(
  'createServer blockList: who is on it is closed without connection or drop, who is not is served',
  {
    on: 'linux',
    since,
    expected: {
      main: [
        ['connection', '127.0.0.2'],
        ['counted', 1],
      ],
      client: ['connect', 'ready'],
      other: ['connect', 'ready'],
    },
  },
  async t => {
    const { net, listen, connect, to, watch, log, seen, closed, until } = t
    const server = await listen({ blockList: blocking(net, '127.0.0.1') }, peer =>
      log('connection', peer.remoteAddress),
    )
    server.on('drop', () => log('drop'))
    const client = watch(connect(to(server, { localAddress: '127.0.0.1' })), 'client', ends).resume()
    await closed(client)
    const other = watch(connect(to(server, { localAddress: '127.0.0.2' })), 'other', ends)
    await seen(other, 'ready')
    await until(() => server._connections === 1)
    log('counted', server._connections)
  },
)

parity(
  'createServer blockList: an IPv4 address on it holds for a dual-stack server too',
  { on: 'linux', since, expected: { main: [['counted', 0]], client: ['connect', 'ready'] } },
  async ({ net, own, connect, watch, log, closed, seen }) => {
    const server = own(net.createServer({ blockList: blocking(net, '127.0.0.1') }, () => log('connection')))
    server.listen(0)
    await seen(server, 'listening')
    const client = connect(server.address().port, '127.0.0.1')
    await closed(watch(client, 'client', ends).resume())
    log('counted', server._connections)
  },
)

parity(
  'createServer blockList: rules added and lists set later count for the next connection',
  {
    on: 'linux',
    since,
    expected: {
      main: [
        ['first', true],
        ['second', false],
        ['third', true],
      ],
    },
  },
  async ({ net, listen, connect, to, log }) => {
    const server = await listen({ blockList: new net.BlockList() })
    const served = async () => {
      const accepted = new Promise(resolve => server.once('connection', () => resolve(true)))
      const client = connect(to(server)).resume()
      client.on('error', () => {})
      const over = new Promise(resolve => client.once('close', () => resolve(false)))
      const outcome = await Promise.race([accepted, over])
      client.destroy()
      return outcome
    }
    log('first', await served())
    server.blockList.addSubnet('127.0.0.0', 8)
    log('second', await served())
    server.blockList = undefined
    log('third', await served())
  },
)

parity(
  'createServer blockList: means nothing on a path',
  { on: 'unix' },
  async ({ net, pair, log, socketPath }) => {
    const { peer } = await pair({ path: socketPath(), server: { blockList: blocking(net, '127.0.0.1') } })
    log('open', peer.readyState)
  },
)

parity(
  'createServer blockList: maxConnections comes first',
  { on: 'linux', since, expected: { main: ['drop', ['counted', 0]] } },
  async ({ net, listen, connect, to, log, closed, watch }) => {
    const server = await listen({ blockList: blocking(net, '127.0.0.1') })
    server.maxConnections = 0
    server.on('drop', () => log('drop'))
    await closed(
      watch(connect(to(server)), 'client', {
        except: ['connectionAttempt', 'connect', 'ready', ...ends.except],
      }).resume(),
    )
    log('counted', server._connections)
  },
)

// --- the client --------------------------------------------------------------------------------------------------

parity(
  'Socket blockList: an address on it is not connected to',
  {
    since,
    expected: {
      main: [
        ['returned', true, false],
        ['client connectionAttempt', '127.0.0.1', 65_000, 4],
        ['client error', blocked('127.0.0.1')],
        ['client close', true],
      ],
    },
  },
  async t => {
    const { net, own, watch, log, closed } = t
    const client = watch(own(new net.Socket({ blockList: blocking(net, '127.0.0.1') })), 'client', {
      into: 'main',
    })
    client.connect(65_000, '127.0.0.1')
    log('returned', client.connecting, client.destroyed)
    await closed(client)
  },
)

parity(
  'connect blockList: net.connect hands it on, and a name that has such an address fails too',
  {
    since,
    expected: {
      main: [
        ['error', 'ERR_IP_BLOCKED'],
        ['error', 'ERR_IP_BLOCKED'],
      ],
    },
  },
  async ({ net, own, log, closed }) => {
    const blockList = blocking(net, '127.0.0.1', '::1')
    for (const more of [
      { host: '::1' },
      {
        host: 'made.up',
        lookup: (_host, _options, callback) =>
          process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }]),
      },
    ]) {
      const client = own(net.connect({ port: 1, blockList, ...more }))
      client.on('error', error => log('error', error.code))
      await closed(client)
    }
  },
)

const several = (...addresses) => ({
  port: 1,
  host: 'made.up',
  autoSelectFamilyAttemptTimeout: 8_000,
  lookup: (_host, _options, callback) =>
    process.nextTick(
      callback,
      null,
      addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 })),
    ),
})

parity(
  'connect blockList: of several addresses those on it are passed over',
  {
    on: 'linux',
    since,
    expected: {
      main: [
        ['failed', '127.0.0.1', 'ERR_IP_BLOCKED'],
        ['connected', '127.0.0.2', ['127.0.0.2']],
      ],
    },
  },
  async ({ net, own, listen, log, seen }) => {
    const server = await listen({ host: '127.0.0.2' })
    const client = own(new net.Socket({ blockList: blocking(net, '127.0.0.1') }))
    client.on('connectionAttemptFailed', (address, _port, _family, error) =>
      log('failed', address, error.code),
    )
    client.connect({ ...several('127.0.0.1', '127.0.0.2'), port: server.address().port })
    await seen(client, 'connect')
    const attempted = client.autoSelectFamilyAttemptedAddresses.map(each => each.replace(/:\d+$/, ''))
    log('connected', client.remoteAddress, attempted)
  },
)

parity(
  'connect blockList: when all addresses are on it the error has one error for each',
  {
    on: 'linux',
    since,
    expected: {
      main: [
        [
          'error',
          'AggregateError',
          'ERR_IP_BLOCKED',
          ['IP(127.0.0.1) is blocked by net.BlockList', 'IP(127.0.0.2) is blocked by net.BlockList'],
        ],
      ],
    },
  },
  async ({ net, own, log, closed }) => {
    const client = own(new net.Socket({ blockList: blocking(net, '127.0.0.1', '127.0.0.2') }))
    client.on('error', error =>
      log(
        'error',
        error.constructor.name,
        error.code,
        error.errors.map(each => each.message),
      ),
    )
    client.connect(several('127.0.0.1', '127.0.0.2'))
    await closed(client)
  },
)

parity(
  'Socket blockList: means nothing for a path',
  { on: 'unix' },
  async ({ net, own, listen, to, log, seen, socketPath }) => {
    const server = await listen({ path: socketPath() })
    const client = own(new net.Socket({ blockList: blocking(net, '127.0.0.1') }))
    client.connect(to(server))
    await seen(client, 'connect')
    log('open', client.readyState)
  },
)

function refusals() {
  const kinds = [
    ['boolean', 'type boolean (true)'],
    ['number', 'type number (1)'],
    ['string', "type string ('x')"],
    ['object', 'an instance of Object'],
    ['object', 'an instance of Array'],
    ['function', 'function '],
  ]
  const refusal = received => ({
    name: 'TypeError',
    constructor: 'TypeError',
    code: 'ERR_INVALID_ARG_TYPE',
    message: `The "options.blockList" property must be an net.BlockList. Received ${received}`,
  })
  return {
    main: kinds.flatMap(([kind, received]) => [
      [kind, 'threw', refusal(received)],
      [kind, 'threw', refusal(received)],
    ]),
  }
}
