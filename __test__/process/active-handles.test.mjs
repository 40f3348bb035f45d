// What keeps the process alive? Node answers for its own sockets with `process.getActiveResourcesInfo()`, ferronet with
// `activeHandles()`: the same entries come and go.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { parity, parityProcess } from '../helpers/parity.mjs'

const here = { module: 'ferronet', on: 'unix' }

// The names of what is referenced, beyond what the process had before (its own pipes).
const watcher = ({ net, moduleName }) => {
  void [process.stdout, process.stderr]
  const names = () =>
    moduleName === 'node:net'
      ? process.getActiveResourcesInfo().filter(name => /^(TCP|Pipe)\w*Wrap$/.test(name))
      : net.activeHandles().flatMap(({ type, referenced }) => (referenced ? [type] : []))
  const before = names()
  return () => {
    const now = names()
    for (const name of before) now.splice(now.indexOf(name), now.includes(name) ? 1 : 0)
    return now.sort().join(' ')
  }
}

// An address is looked up too, and has an answer in the next tick.
const addressKnown = () => new Promise(resolve => process.nextTick(resolve))

for (const kind of ['tcp', 'unix']) {
  const on = kind === 'unix' ? 'unix' : undefined
  const path = t => (kind === 'unix' ? { path: t.socketPath() } : {})

  parity(
    `the entries of a server and a connection, from their first moment to their last, ${kind}`,
    { on },
    async t => {
      const { listen, connect, to, seen, closed, log } = t
      const shown = watcher(t)
      const server = await listen(path(t))
      log('listening', shown())
      const accepted = once(server, 'connection')
      const client = connect(to(server))
      await addressKnown()
      log('connecting', shown())
      await Promise.all([accepted, seen(client, 'connect')])
      log('connected', shown())
      client.pause()
      log('paused', shown())
      client.unref()
      log('unref', shown())
      client.ref()
      const gone = closed(client)
      client.resume().destroy()
      log('destroyed', shown())
      await gone
      const [peer] = await accepted
      if (!peer.destroyed) await closed(peer)
      log('closed', shown())
      const over = closed(server)
      server.close()
      log('closing the server', shown())
      await over
      log('over', shown())
    },
  )

  parity(`an entry is gone when 'close' is told, ${kind}`, { on }, async t => {
    const { pair, closed, log } = t
    const shown = watcher(t)
    const { server, client, peer } = await pair(path(t))
    const gone = closed(client, peer)
    client.on('close', () => log.to('client')('close', client._handle))
    peer.resume().end()
    client.resume()
    await gone
    log('left', shown())
    server.close(() => log('none', shown()))
    await closed(server)
  })
}

parity('a thread sees its own', async t => {
  const { worker, listen, log } = t
  const shown = watcher(t)
  await listen()
  const thread = worker(async ({ net, port, data }) => {
    const names = () =>
      data === 'node:net'
        ? process.getActiveResourcesInfo().filter(name => /^TCP/.test(name))
        : net.activeHandles().map(({ type }) => type)
    const before = names()
    const server = net.createServer().listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    port.postMessage([before, names()])
    server.close()
  }, t.moduleName)
  log('in the thread', (await once(thread, 'message'))[0])
  log('here', shown())
})

// --- what Node does not tell --------------------------------------------------------------------------------------

// The entry of a socket or server.
const of = (net, owner) => net.activeHandles().find(handle => handle.owner === owner)

parity('each entry says where it is, whose it is and what it waits for', here, async ({ net, ...t }) => {
  const server = await t.listen({ allowHalfOpen: true })
  const port = server.address().port
  const listening = { type: 'TCPServerWrap', local: `127.0.0.1:${port}`, remote: undefined, listening: true }
  assert.deepEqual(of(net, server), {
    ...{ ...listening, fd: server._handle.fd, reading: false, requests: [], referenced: true },
    ...{ keepsAlive: true, owner: server },
  })
  const accepted = once(server, 'connection')
  const client = t.connect(port, '127.0.0.1')
  await addressKnown()
  assert.deepEqual(of(net, client).requests, ['connect'])
  assert.equal(of(net, client.unref()).keepsAlive, true)
  client.ref()
  const [[peer]] = await Promise.all([accepted, once(client, 'connect')])
  const { local, remote, requests } = of(net, client)
  assert.deepEqual([local, remote, requests], [`127.0.0.1:${client.localPort}`, `127.0.0.1:${port}`, []])

  peer.pause()
  client.write(Buffer.alloc(32 * 1024 * 1024))
  assert.deepEqual(of(net, client).requests, ['write'])
  client.end()
  assert.deepEqual(of(net, client).requests, ['write'])
  peer.resume()
  await once(peer, 'end')
  const finished = once(client, 'finish')
  if (!client.writableFinished) await finished
  assert.deepEqual(of(net, client).requests, [])

  peer.end()
  assert.deepEqual(of(net, peer).requests, ['shutdown'])
  await once(client, 'close')
  client.destroy()
  assert.equal(of(net, client), undefined)
})

parity('a socket that closes is there until it has closed', here, async ({ net, ...t }) => {
  const { client } = await t.pair({ server: { allowHalfOpen: true } })
  const before = net.activeHandles().length
  const gone = once(client, 'close')
  client.destroy()
  const closing = net.activeHandles().filter(({ requests }) => requests.includes('close'))
  assert.equal(net.activeHandles().length, before)
  assert.equal(closing.length, 1)
  const { type, fd, keepsAlive, local } = closing[0]
  assert.deepEqual([type, fd, keepsAlive, local], ['TCPSocketWrap', -1, true, undefined])
  await gone
  assert.equal(net.activeHandles().length, before - 1)
})

parity(
  'a BoundSocket has an entry without an owner, which keeps nothing alive',
  here,
  ({ net, directory }) => {
    const before = net.activeHandles().length
    const bound = new net.BoundSocket({ path: `${directory()}/bound` })
    const { type, owner, keepsAlive, local } = net.activeHandles().at(-1)
    assert.deepEqual([type, owner, keepsAlive, local], ['PipeWrap', null, false, bound.address()])
    bound.close()
    assert.equal(net.activeHandles().filter(({ fd }) => fd >= 0).length, before)
  },
)

parityProcess(
  'when the loop runs dry nothing in the list keeps the process alive',
  {
    ...here,
    expected: {
      main: [
        ['beforeExit', ['TCPServerWrap', 'TCPSocketWrap', 'TCPSocketWrap'], 0],
        ['process exit', 0],
      ],
      end: { code: 0, signal: null, stdout: '', stderr: [] },
    },
  },
  async ({ net, pair, log }) => {
    process.on('beforeExit', () => {
      const open = net.activeHandles()
      log(
        'beforeExit',
        open.map(({ type }) => type).sort(),
        open.filter(({ keepsAlive }) => keepsAlive).length,
      )
    })
    const { server, client, peer } = await pair()
    server.unref()
    peer.unref()
    client.unref()
    assert.equal(net.activeHandles().filter(({ keepsAlive }) => keepsAlive).length, 0)
  },
)

parityProcess(
  'a connect that has failed, and is destroyed before it is told, does not keep the process',
  { on: 'unix' },
  ({ connect, socketPath, log }) => {
    const [path, other] = [socketPath(), socketPath()]
    const first = connect(path)
    const second = connect(other)
    first.on('error', error => {
      log('first', error.code)
      second.destroy()
    })
    second.on('error', error => log('second', error.code)).on('close', hadError => log('close', hadError))
  },
)
