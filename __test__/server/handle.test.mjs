// `_createServerHandle`: returns a bound handle, for code that uses it directly; and servers that listen on such a
// handle.

import { closeSync, existsSync, openSync } from 'node:fs'
import { parity } from '../helpers/parity.mjs'

const unix = { on: 'unix' }

// The error's number, or where the handle is.
function made(t, ...args) {
  const handle = t.net._createServerHandle(...args)
  if (typeof handle === 'number') return handle
  t.cleanup(() => handle.close())
  const end = {}
  if (handle.getsockname) handle.getsockname(end)
  else if (handle.sockname && handle.kind === 'tcp') Object.assign(end, handle.sockname())
  return [typeof handle.fd, end.address, end.family, typeof end.port]
}

parity('an address, a port and 4 or 6', t => {
  t.log('IPv4', made(t, '127.0.0.1', 0, 4))
  t.log('IPv6', made(t, '::1', 0, 6))
  t.log('a port as a string', made(t, '127.0.0.1', '0', 4))
  t.log('no family', made(t, '127.0.0.1', 0))
  t.log('fd below 0', made(t, '127.0.0.1', 0, 4, -1))
})

parity('no address: both families', t => {
  t.log('nothing', made(t))
  t.log('null', made(t, null, 0))
  t.log('empty', made(t, '', 0, 4))
  t.log('IPv6 only', made(t, null, 0, 6, undefined, 1))
})

parity('the wrong family is EINVAL', t => {
  t.log('IPv6 as IPv4', made(t, '::1', 0, 4))
  t.log('IPv4 as IPv6', made(t, '127.0.0.1', 0, 6))
  t.log('IPv6 without a family', made(t, '::1', 0))
  t.log('a name', made(t, 'localhost', 0, 4), made(t, 'localhost', 0, 6))
})

const flags = {
  on: 'linux',
  since: ['22.12', '23.1'],
  expected: {
    main: [
      ['IPv6 only', ['number', '::', 'IPv6', 'number']],
      ['listening', true, true],
    ],
  },
}
parity('flags: 1 is IPv6 only, 2 is reusePort', flags, t => {
  t.log('IPv6 only', made(t, '::', 0, 6, undefined, 1))
  const first = t.net._createServerHandle('127.0.0.1', 0, 4, undefined, 2)
  const server = t.own(t.net.createServer()).listen(first)
  const { port } = server.address()
  const handle = t.net._createServerHandle('127.0.0.1', port, 4, undefined, 2)
  const second = t.own(t.net.createServer()).listen(handle)
  t.log('listening', server.listening, second.listening)
})

parity('an address that is not here is EADDRNOTAVAIL; one in use is told by listen()', async t => {
  t.log('not here', made(t, '192.0.2.1', 0, 4))
  const { port } = (await t.listen()).address()
  const handle = t.net._createServerHandle('127.0.0.1', port, 4)
  t.log('in use', typeof handle)
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(handle)
  t.log('listening', server.listening)
  await t.seen(server, 'error')
})

parity('a path: port and addressType are -1', unix, t => {
  const path = t.socketPath()
  const handle = t.net._createServerHandle(path, -1, -1)
  t.log('made', typeof handle, existsSync(path))
  t.log('in use', t.net._createServerHandle(path, -1, -1))
  t.log('no directory', t.net._createServerHandle(`${path}-missing/socket`, -1, -1))
  handle.close()
  t.log('left', existsSync(path))
})

parity('a descriptor: nothing else counts', unix, t => {
  t.log('closed', made(t, null, null, null, 1e6))
  const fd = openSync('/dev/null')
  t.log('a file', made(t, '127.0.0.1', 0, 4, fd))
  closeSync(fd)
})

for (const [how, listen] of Object.entries({
  'listen(handle)': (server, handle) => server.listen(handle, 5),
  'listen({ handle })': (server, handle) => server.listen({ handle }),
  'listen({ _handle })': (server, handle) => server.listen({ _handle: handle }),
  '_handle and _listen2': (server, handle) => {
    server._handle = handle
    server._listen2(null, -1, -1, 5)
    return server
  },
})) {
  parity(`${how} listens on what it made`, async t => {
    const server = t.watch(
      t.net.createServer(peer => peer.end('hi')),
      'server',
    )
    t.log('returned', listen(server, t.net._createServerHandle('127.0.0.1', 0, 4)) === server)
    t.log('at once', server.listening, server._connectionKey)
    await t.seen(server, 'listening')
    t.log('arrived', await t.drained(t.connect(t.to(server))))
    server.close()
    await t.seen(server, 'close')
  })
}

parity('it is a function that can be replaced', ({ net, log }) => {
  const { value, ...flags } = Object.getOwnPropertyDescriptor(net, '_createServerHandle')
  log('property', typeof value, value.name, value.length, flags)
})
