// Paths: file-system sockets, Linux's abstract names, their limits, modes and errors.

import { parity } from '../helpers/parity.mjs'

const unix = { on: 'unix' }
const linux = { on: 'linux' }

parity('data goes both ways over a path', unix, async ({ pair, socketPath, drained, log }) => {
  const { client, peer } = await pair({ path: socketPath(), server: { allowHalfOpen: true } })
  peer.pipe(peer)
  client.write('over ')
  client.end('and back')
  log('arrived', await drained(client))
})

parity('a large transfer over a path keeps every byte', unix, async ({ pair, socketPath, drained, log }) => {
  const { client, peer } = await pair({ path: socketPath() })
  const arrived = drained(peer)
  client.end(Buffer.alloc(5_000_000, 'abcdefg'))
  log('arrived', await arrived)
})

parity(
  'the events of a path connection',
  unix,
  async ({ listen, to, net, own, watch, closed, socketPath }) => {
    let peer
    const server = watch(
      await listen({ path: socketPath() }, socket => {
        peer = watch(socket, 'peer').resume()
        peer.end('hi')
      }),
      'server',
    )
    const client = watch(own(new net.Socket()), 'client')
    client.connect(to(server)).resume()
    await closed(client)
    await closed(peer)
  },
)

parity('an abstract name leaves nothing in the file system', linux, async ({ pair, log, drained, alias }) => {
  const { existsSync } = await import('node:fs')
  const name = `\0ferronet-${process.pid}-${process.hrtime.bigint()}`
  alias(name.slice(1), 'name')
  const { server, client, peer } = await pair({ path: name })
  log('address', server.address(), existsSync(name.slice(1)))
  const arrived = drained(peer)
  client.end('abstract')
  log('arrived', await arrived)
})

parity('an abstract name in use is EADDRINUSE, and free once closed', linux, async t => {
  const { net, listen, watch, seen, alias, log } = t
  const name = `\0ferronet-${process.pid}-${process.hrtime.bigint()}`
  alias(name.slice(1), 'name')
  const first = await listen({ path: name })
  const second = watch(net.createServer(), 'second')
  second.listen(name)
  await seen(second, 'error')
  first.close()
  await seen(first, 'close')
  second.listen(name)
  await seen(second, 'listening')
  log('address', second.address())
})

parity('an abstract name nobody has is ECONNREFUSED', linux, async ({ connect, watch, closed, alias }) => {
  const name = `\0ferronet-${process.pid}-${process.hrtime.bigint()}`
  alias(name.slice(1), 'name')
  await closed(watch(connect(name), 'client'))
})

parity(
  'a file left behind by a crash is EADDRINUSE',
  linux,
  async ({ net, watch, seen, socketPath, log }) => {
    const { execFileSync } = await import('node:child_process')
    const { existsSync } = await import('node:fs')
    const path = socketPath()
    const crash = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    try {
      execFileSync(process.execPath, ['-e', crash], { stdio: 'ignore' })
    } catch {}
    log('left', existsSync(path))
    const server = watch(net.createServer(), 'server')
    server.listen(path)
    await seen(server, 'error')
  },
)

parity('the server unlinks its path only once', unix, async ({ listen, log, seen, socketPath }) => {
  const { existsSync, writeFileSync } = await import('node:fs')
  const path = socketPath()
  const server = await listen({ path })
  server.close()
  log('gone', existsSync(path))
  writeFileSync(path, 'somebody else')
  await seen(server, 'close')
  log('theirs', existsSync(path))
})

parity(
  'a path taken away under the server still closes it',
  unix,
  async ({ listen, watch, log, seen, socketPath }) => {
    const { unlinkSync } = await import('node:fs')
    const path = socketPath()
    const server = watch(await listen({ path }), 'server')
    unlinkSync(path)
    server.close(error => log('callback', error))
    await seen(server, 'close')
  },
)

// On Node 20 writableAll alone makes the path readable as well.
parity(
  'readableAll and writableAll open the path to others',
  {
    since: '22',
    on: 'unix',
    expected: {
      main: [
        ['mode', { readableAll: true }, true, false],
        ['mode', { writableAll: true }, false, true],
        ['mode', { readableAll: true, writableAll: true }, true, true],
      ],
    },
  },
  async ({ net, own, log, seen, socketPath }) => {
    const { statSync } = await import('node:fs')
    // Without group and others, whatever the umask of whoever runs this.
    const umask = process.umask(0o077)
    for (const options of [
      { readableAll: true },
      { writableAll: true },
      { readableAll: true, writableAll: true },
    ]) {
      const path = socketPath()
      const server = own(net.createServer())
      server.listen({ path, ...options })
      await seen(server, 'listening')
      const mode = statSync(path).mode
      log('mode', options, Boolean(mode & 0o044), Boolean(mode & 0o022))
    }
    process.umask(umask)
  },
)

parity(
  'a path of the longest length is bound and connected',
  linux,
  async ({ directory, pair, drained, log }) => {
    const start = `${directory()}/`
    const path = start.padEnd(107, 'x')
    const { client, peer, server } = await pair({ path })
    log('length', server.address().length)
    const arrived = drained(peer)
    client.end('x')
    log('arrived', await arrived)
  },
)

parity(
  'two servers on two paths do not disturb each other',
  unix,
  async ({ listen, connect, to, socketPath, log, drained }) => {
    const servers = []
    for (const name of ['a', 'b']) {
      servers.push(await listen({ path: socketPath(name) }, peer => peer.end(name)))
    }
    for (const server of servers) log('from', await drained(connect(to(server))))
  },
)

parity('a connection on a path counts and is dropped like one on TCP', unix, async t => {
  const { listen, connect, to, socketPath, log, until } = t
  const peers = []
  const server = await listen({ path: socketPath() }, peer => peers.push(peer))
  const clients = [connect(to(server)), connect(to(server))]
  await until(() => peers.length === 2)
  log('two', server._connections)
  for (const client of clients) client.destroy()
  for (const peer of peers) peer.resume()
  await until(() => server._connections === 0)
  log('none', server._connections)
})

parity('getpeername of a path client is undefined', unix, async ({ pair, socketPath, log }) => {
  const { client, peer, server } = await pair({ path: socketPath() })
  log('client', client.remoteAddress, client.localAddress, client.address())
  log('peer', peer.remoteAddress, peer.localAddress, peer.address())
  log('server', server.address())
})
