// Workers that start and end in every possible way: their resources are released, and this thread is not affected.

import { once } from 'node:events'
import { growth } from '../fixtures/robustness/memory.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'

const leavesNothing = async (t, work) => t.log('left', await growth(work))

parityProcess('workers terminated while they send', { on: 'unix' }, async t => {
  const server = await t.listen({}, peer => peer.resume())
  await leavesNothing(t, async () => {
    for (let at = 0; at < 4; at++) {
      const accepted = once(server, 'connection')
      const thread = t.worker(({ net, data }) => {
        const client = net.connect(data, '127.0.0.1')
        const more = () => {
          while (client.write(Buffer.alloc(100_000)));
          client.once('drain', more)
        }
        client.on('connect', more)
      }, server.address().port)
      const [peer] = await accepted
      await once(peer, 'data')
      await thread.terminate()
      if (!peer.destroyed) await t.closed(peer)
    }
  })
  server.close()
})

parityProcess('workers terminated while they receive', { on: 'unix' }, async t => {
  const server = await t.listen({}, peer => {
    const more = () => {
      while (peer.write(Buffer.alloc(100_000)));
      peer.once('drain', more)
    }
    more()
  })
  await leavesNothing(t, async () => {
    for (let at = 0; at < 4; at++) {
      const accepted = once(server, 'connection')
      const thread = t.worker(({ net, data, port }) => {
        const client = net.connect(data, '127.0.0.1')
        client.resume()
        client.once('data', () => port.postMessage('receiving'))
      }, server.address().port)
      const [peer] = await accepted
      await once(thread, 'message')
      await thread.terminate()
      if (!peer.destroyed) await t.closed(peer)
    }
  })
  server.close()
})

parityProcess('workers terminated while they talk among themselves', { on: 'unix' }, async t => {
  await leavesNothing(t, async () => {
    for (let at = 0; at < 4; at++) {
      const thread = t.worker(({ net, port }) => {
        const server = net.createServer(peer => peer.pipe(peer))
        server.listen(0, '127.0.0.1', () => {
          for (let at = 0; at < 10; at++) {
            const client = net.connect(server.address().port, '127.0.0.1')
            client.write(Buffer.alloc(200_000))
            client.on('data', data => client.write(data))
            client.once('data', () => port.postMessage('under way'))
          }
        })
      })
      await once(thread, 'message')
      await thread.terminate()
    }
  })
})

parityProcess('workers that exit with open servers and sockets', { on: 'unix' }, async t => {
  const ends = {
    'process.exit in a handler': `client.once('data', () => process.exit(3))`,
    'process.exit while connecting': `process.exit(4)`,
    'an exception in a handler': `client.once('data', () => { throw new Error('boom') })`,
    'a close handler that exits': `client.on('close', () => process.exit(5)).on('connect', () => client.destroy())`,
    'everything unreferenced': `client.on('connect', () => { client.unref(); server.unref() })`,
    'writes pending': `client.on('connect', () => { client.write(Buffer.alloc(20_000_000)); process.exit(6) })`,
  }
  const server = await t.listen({}, peer => peer.write('welcome'))
  let first = true
  await leavesNothing(t, async () => {
    for (const [name, source] of Object.entries(ends)) {
      const thread = t.worker(
        ({ net, data: [target, source] }) => {
          const server = net.createServer()
          server.listen(0, '127.0.0.1', () => {
            const client = net.connect(target, '127.0.0.1')
            new Function('client', 'server', source)(client, server)
          })
        },
        [server.address().port, source],
      )
      thread.on('error', error => first && t.log.to(name)('error', error.message))
      const [code] = await once(thread, 'exit')
      if (first) t.log.to(name)('exit', code)
    }
    first = false
    await t.until(() => server._connections === 0)
  })
  server.close()
})

parity('workers terminated at any moment of their start', async t => {
  const server = await t.listen({}, peer => peer.resume().end('welcome'))
  for (let at = 0; at < 12; at++) {
    const thread = t.worker(({ net, data }) => {
      // It never ends by itself.
      setInterval(() => {}, 1e6)
      for (let at = 0; at < 20; at++) net.connect(data, '127.0.0.1').resume()
    }, server.address().port)
    const started = at % 3 > 0
    if (started) await once(thread, 'online')
    await t.turns(at * 20)
    const code = await thread.terminate()
    // Before it is online the code depends on how far it has come.
    t.log('terminated', started ? code : 'early')
  }
  const client = t.connect(t.to(server))
  t.log('this thread is served', await t.drained(client))
  await t.until(() => server._connections === 0)
})

parityProcess('process.exit with workers in the middle of transfers', async t => {
  const server = await t.listen({}, peer => peer.pipe(peer))
  let busy = 0
  for (let at = 0; at < 3; at++) {
    const thread = t.worker(({ net, data, port }) => {
      const client = net.connect(data, '127.0.0.1')
      client.write(Buffer.alloc(500_000))
      client.on('data', chunk => client.write(chunk))
      client.once('data', () => port.postMessage('busy'))
    }, server.address().port)
    thread.once('message', () => ++busy === 3 && process.exit(7))
  }
})
