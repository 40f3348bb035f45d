// Servers on a path, and what stands in the way of reaching one.

import { parity } from '../helpers/parity.mjs'

parity('nothing listens there', async ({ connect, watch, closed, socketPath }) => {
  await closed(watch(connect(socketPath('nobody')), 'client'))
})

parity('the name is in use', async ({ net, listen, watch, seen, socketPath }) => {
  const first = await listen({ path: socketPath() })
  const second = watch(net.createServer(), 'second')
  second.listen(first.address())
  await seen(second, 'error')
})

parity('the name is in use by another process', async ({ net, watch, seen, socketPath }) => {
  const { spawn } = await import('node:child_process')
  const path = socketPath()
  const program = `require('node:net').createServer().listen(process.argv[1], () => process.send('there'))`
  const child = spawn(process.execPath, ['-e', program, path], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  await new Promise(resolve => child.once('message', resolve))
  const server = watch(net.createServer(), 'server')
  server.listen(path)
  await seen(server, 'error')
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
})

parity(
  'the name is free again at once',
  async ({ net, own, listen, connect, to, socketPath, seen, drained, log }) => {
    const path = socketPath()
    for (let round = 0; round < 5; round++) {
      const server = own(net.createServer(peer => peer.resume().end(`round ${round}`)))
      server.listen(path)
      await seen(server, 'listening')
      log('answer', await drained(connect(to(server)).on('error', error => log('error', error))))
      server.close()
      await seen(server, 'close')
    }
    await listen({ path })
  },
)

parity('nothing is there any more once the server has closed', async t => {
  const { listen, connect, watch, closed, seen, socketPath } = t
  const server = await listen({ path: socketPath() })
  const path = server.address()
  server.close()
  await seen(server, 'close')
  await closed(watch(connect(path), 'client'))
})

parity('a file is no server', async ({ connect, watch, closed, directory }) => {
  const { writeFileSync } = await import('node:fs')
  const { join } = await import('node:path')
  const path = join(directory(), 'file')
  writeFileSync(path, 'just a file')
  await closed(watch(connect(path), 'client'))
})

parity('a path in the file system is no name for a pipe', { on: 'win32' }, async t => {
  const { net, watch, seen, directory } = t
  const { join } = await import('node:path')
  const server = watch(net.createServer(), 'server')
  server.listen(join(directory(), 'pipe'))
  await seen(server, 'error')
})

parity('names with a question mark and in capitals', { on: 'win32' }, async t => {
  const { listen, connect, socketPath, drained, log } = t
  const plain = socketPath()
  for (const path of [
    plain.replace('\\\\.\\', '\\\\?\\'),
    plain.replace('pipe', 'PIPE').replace('ferronet', 'FERRONET'),
  ]) {
    const server = await listen({ path }, peer => peer.resume().end('hello'))
    log('address', server.address() === path)
    for (const way of [path, plain]) {
      const client = connect(way)
      log('through', way === plain, await drained(client))
    }
    server.close()
    await t.seen(server, 'close')
  }
})

parity(
  'names with slashes in them',
  { on: 'win32' },
  async ({ listen, connect, to, socketPath, drained, log }) => {
    const server = await listen({ path: `${socketPath()}\\a\\b` }, peer => peer.resume().end('hello'))
    log('got', await drained(connect(to(server))))
  },
)

parity('getConnections counts', async ({ listen, connect, to, socketPath, log, until }) => {
  const peers = []
  const server = await listen({ path: socketPath() }, peer => peers.push(peer.resume()))
  const count = () =>
    new Promise(resolve => server.getConnections((error, number) => resolve([error, number])))
  log('none', await count())
  const clients = [connect(to(server)), connect(to(server)), connect(to(server))]
  await until(() => peers.length === 3)
  log('three', await count())
  clients[0].destroy()
  await until(() => peers.some(peer => peer.destroyed))
  log('two', await count())
})

parity(
  'maxConnections drops the others',
  async ({ listen, connect, to, socketPath, watch, closed, until }) => {
    let count = 0
    const server = watch(await listen({ path: socketPath() }, () => count++), 'server', {
      except: ['connection'],
    })
    server.maxConnections = 1
    const first = connect(to(server))
    await until(() => count === 1)
    await closed(watch(connect(to(server)), 'second').resume())
    first.destroy()
  },
)

parity('close waits for the connections', async ({ pair, socketPath, watch, closed, log }) => {
  const { server, client, peer } = await pair({ path: socketPath() })
  watch(server, 'server', { into: 'main' })
  server.close(error => log('callback', error))
  log('closing', server.listening, server.address())
  peer.resume()
  client.resume().end()
  await closed(client, peer, server)
})

parity(
  'close with clients that were not accepted yet',
  async ({ listen, connect, to, socketPath, closed, log }) => {
    const server = await listen({ path: socketPath() })
    let accepted = 0
    server.on('connection', peer => {
      accepted++
      peer.destroy()
    })
    const clients = [1, 2, 3].map(() =>
      connect(to(server))
        .on('error', () => {})
        .resume(),
    )
    server.close()
    await closed(server, ...clients)
    log(
      'all are closed',
      clients.every(client => client.destroyed),
      accepted <= 3,
    )
  },
)

parity('a flood of clients finds its way in', async ({ listen, connect, to, socketPath, drained, log }) => {
  let accepted = 0
  const server = await listen({ path: socketPath() }, peer => {
    accepted++
    peer.resume().end('in')
  })
  const answers = Array.from({ length: 60 }, () => drained(connect(to(server))))
  const all = (await Promise.all(answers)).map(String)
  log(
    'accepted',
    accepted,
    all.length,
    all.every(answer => answer === 'in'),
  )
})

parity(
  'a client that goes away before it is accepted',
  async ({ listen, connect, to, socketPath, drained, log }) => {
    const server = await listen({ path: socketPath() }, peer => peer.resume().end('hello'))
    connect(to(server))
      .on('error', () => {})
      .destroy()
    log('the next one', await drained(connect(to(server))))
  },
)

parity(
  'readableAll and writableAll are taken',
  async ({ net, own, connect, to, socketPath, seen, drained, log }) => {
    for (const options of [
      { readableAll: true },
      { writableAll: true },
      { readableAll: true, writableAll: true },
    ]) {
      const server = own(net.createServer(peer => peer.resume().end('hello')))
      server.listen({ path: socketPath(Object.keys(options).join('-')), ...options })
      await seen(server, 'listening')
      log('got', options, await drained(connect(to(server))))
    }
  },
)

parity('a worker and its parent', async ({ listen, socketPath, worker, log, drained, seen }) => {
  const server = await listen({ path: socketPath() })
  const accepted = new Promise(resolve => server.once('connection', resolve))
  const thread = worker(({ net, data, port }) => {
    const socket = net.connect(data, () => socket.end('from the worker'))
    socket.on('close', () => port.postMessage('closed')).resume()
  }, server.address())
  const closed = seen(thread, 'message')
  const peer = await accepted
  log('arrived', await drained(peer))
  peer.end()
  await closed
})

parity(
  'a worker that is terminated closes its pipes',
  async ({ listen, socketPath, worker, watch, closed }) => {
    const server = await listen({ path: socketPath() })
    const accepted = new Promise(resolve => server.once('connection', resolve))
    const thread = worker(({ net, data }) => net.connect(data).resume(), server.address())
    const peer = watch(await accepted, 'peer').resume()
    await thread.terminate()
    await closed(peer)
  },
)
