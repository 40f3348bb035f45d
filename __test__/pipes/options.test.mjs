// What a server may say about its named pipe, which node:net cannot. Other platforms have no such pipes.

import { parity } from '../helpers/parity.mjs'

const windows = { module: 'ferronet', on: 'win32' }
const unix = { module: 'ferronet', on: 'unix' }

parity(
  'wrong options throw, as Node throws',
  {
    module: 'ferronet',
    expected: {
      main: [
        [null, 'ERR_INVALID_ARG_TYPE', 'The "options.pipe" property must be of type object. Received null'],
        [
          'text',
          'ERR_INVALID_ARG_TYPE',
          `The "options.pipe" property must be of type object. Received type string ('text')`,
        ],
        [
          { firstInstance: 1 },
          'ERR_INVALID_ARG_TYPE',
          'The "options.pipe.firstInstance" property must be of type boolean. Received type number (1)',
        ],
        [
          { rejectRemoteClients: 'yes' },
          'ERR_INVALID_ARG_TYPE',
          `The "options.pipe.rejectRemoteClients" property must be of type boolean. Received type string ('yes')`,
        ],
        [
          { access: 'both' },
          'ERR_INVALID_ARG_VALUE',
          "The property 'options.pipe.access' must be one of: 'duplex', 'inbound', 'outbound'. Received 'both'",
        ],
        [
          { securityDescriptor: 7 },
          'ERR_INVALID_ARG_TYPE',
          'The "options.pipe.securityDescriptor" property must be of type string. Received type number (7)',
        ],
        [
          { securityDescriptor: '' },
          'ERR_INVALID_ARG_VALUE',
          "The property 'options.pipe.securityDescriptor' must not be empty. Received ''",
        ],
      ].map(([pipe, code, message]) => ['threw', pipe, code, message]),
    },
  },
  async ({ net, socketPath, log }) => {
    for (const pipe of [
      null,
      'text',
      { firstInstance: 1 },
      { rejectRemoteClients: 'yes' },
      { access: 'both' },
      { securityDescriptor: 7 },
      { securityDescriptor: '' },
    ]) {
      try {
        net.createServer().listen({ path: socketPath(), pipe })
      } catch (error) {
        log('threw', pipe, error.code, error.message)
      }
    }
  },
)

parity(
  'where paths name something else each option is ENOTSUP',
  {
    ...unix,
    expected: { main: Array(4).fill(['error', 'ENOTSUP', 'listen']) },
  },
  async ({ net, own, socketPath, log }) => {
    for (const pipe of [
      { firstInstance: false },
      { rejectRemoteClients: true },
      { access: 'inbound' },
      { securityDescriptor: 'D:(A;;GA;;;WD)' },
    ]) {
      const server = own(net.createServer())
      server.listen({ path: socketPath(), pipe })
      await new Promise(resolve =>
        server.once('error', error => {
          log('error', error.code, error.syscall)
          resolve()
        }),
      )
    }
  },
)

parity(
  'the defaults are those of a plain path',
  {
    module: 'ferronet',
    expected: { main: [['arrived', 'Buffer "hello"']] },
  },
  async ({ net, own, connect, to, socketPath, seen, drained, log }) => {
    const server = own(net.createServer(peer => peer.resume().end('hello')))
    const pipe = { firstInstance: true, rejectRemoteClients: false, access: 'duplex' }
    server.listen({ path: socketPath(), pipe })
    await seen(server, 'listening')
    log('arrived', await drained(connect(to(server))))
  },
)

parity(
  'a server joins the pipes of another, and clients find both',
  { ...windows, expected: { main: [['both answered', true]] } },
  async ({ net, own, connect, socketPath, seen, drained, log }) => {
    const path = socketPath()
    for (const name of ['first', 'second']) {
      const server = own(net.createServer(peer => peer.resume().end(name)))
      server.listen({ path, pipe: { firstInstance: name === 'first' } })
      await seen(server, 'listening')
    }
    const answers = await Promise.all(Array.from({ length: 16 }, () => drained(connect(path))))
    log('both answered', new Set(answers.map(String)).size === 2)
  },
)

parity(
  'the first instance is refused to a name that is in use',
  { ...windows, expected: { main: [['error', 'EADDRINUSE', 'listen']] } },
  async ({ net, own, listen, socketPath, log }) => {
    const first = await listen({ path: socketPath() })
    const second = own(net.createServer())
    second.listen({ path: first.address(), pipe: { firstInstance: true } })
    await new Promise(resolve =>
      second.once('error', error => {
        log('error', error.code, error.syscall)
        resolve()
      }),
    )
  },
)

parity(
  'local clients are welcome where remote ones are not',
  { ...windows, expected: { main: [['arrived', 'Buffer "hello"']] } },
  async ({ net, own, connect, to, socketPath, seen, drained, log }) => {
    const server = own(net.createServer(peer => peer.resume().end('hello')))
    server.listen({ path: socketPath(), pipe: { rejectRemoteClients: true } })
    await seen(server, 'listening')
    log('arrived', await drained(connect(to(server))))
  },
)

parity(
  'inbound: the server only reads',
  {
    ...windows,
    expected: {
      main: [
        ['peer', 'readOnly', false],
        ['client', 'writeOnly'],
        ['arrived', 'Buffer "one way"'],
      ],
    },
  },
  async ({ net, own, connect, to, socketPath, seen, drained, log }) => {
    const server = own(net.createServer())
    server.listen({ path: socketPath(), pipe: { access: 'inbound' } })
    await seen(server, 'listening')
    const accepted = new Promise(resolve => server.once('connection', resolve))
    const client = connect({ ...to(server), allowHalfOpen: true })
    const peer = own(await accepted)
    log('peer', peer.readyState, peer.writable)
    client.resume()
    await seen(client, 'end')
    log('client', client.readyState)
    const arrived = drained(peer)
    client.end('one way')
    log('arrived', await arrived)
  },
)

parity(
  'outbound: the server only writes',
  {
    ...windows,
    expected: {
      main: [
        ['peer', 'writeOnly', false],
        ['arrived', 'Buffer "one way"'],
      ],
    },
  },
  async ({ net, own, connect, to, socketPath, seen, drained, log }) => {
    const server = own(net.createServer())
    server.on('connection', peer => {
      log('peer', peer.readyState, peer.readable)
      own(peer).end('one way')
    })
    server.listen({ path: socketPath(), pipe: { access: 'outbound' } })
    await seen(server, 'listening')
    log('arrived', await drained(connect(to(server))))
  },
)

parity(
  'a security descriptor lets in whom it names',
  { ...windows, expected: { main: [['arrived', 'Buffer "hello"']] } },
  async ({ net, own, connect, to, socketPath, seen, drained, log }) => {
    const server = own(net.createServer(peer => peer.resume().end('hello')))
    // Everything for everybody.
    server.listen({ path: socketPath(), pipe: { securityDescriptor: 'D:(A;;GA;;;WD)' } })
    await seen(server, 'listening')
    log('arrived', await drained(connect(to(server))))
  },
)

parity(
  'a security descriptor keeps out whom it does not name',
  { ...windows, expected: { main: [['error', 'EPERM', 'connect']] } },
  async ({ net, own, connect, to, socketPath, seen, log }) => {
    const server = own(net.createServer())
    // An empty list: nobody may do anything.
    server.listen({ path: socketPath(), pipe: { securityDescriptor: 'D:P' } })
    await seen(server, 'listening')
    const client = connect(to(server))
    const [error] = await new Promise(resolve => client.once('error', (...args) => resolve(args)))
    log('error', error.code, error.syscall)
  },
)

parity(
  'what is no security descriptor is EINVAL',
  { ...windows, expected: { main: [['error', 'EINVAL', 'listen']] } },
  async ({ net, own, socketPath, log }) => {
    const server = own(net.createServer())
    server.listen({ path: socketPath(), pipe: { securityDescriptor: 'everybody' } })
    await new Promise(resolve =>
      server.once('error', error => {
        log('error', error.code, error.syscall)
        resolve()
      }),
    )
  },
)
