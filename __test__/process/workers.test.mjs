// Worker threads: sockets and servers in a thread of their own, and threads that end while these are in use.

import { parity } from '../helpers/parity.mjs'

const message = worker => new Promise(resolve => worker.once('message', resolve))
const exited = worker => new Promise(resolve => worker.once('exit', resolve))

parity('a server in a worker serves this thread', async ({ worker, connect, drained, log }) => {
  const thread = worker(({ net, port }) => {
    const server = net.createServer(peer => {
      peer.end('from the worker')
      server.close()
    })
    server.listen(0, '127.0.0.1', () => port.postMessage(server.address().port))
  })
  const gone = exited(thread)
  log('arrived', await drained(connect(await message(thread), '127.0.0.1')))
  log('exit', await gone)
})

parity('a client in a worker talks to this thread', async ({ worker, listen, drained, log }) => {
  const accepted = []
  const server = await listen({}, peer => accepted.push(drained(peer)))
  const thread = worker(({ net, data }) => {
    net.connect(data, '127.0.0.1').resume().end('from the worker')
  }, server.address().port)
  log('exit', await exited(thread))
  log('arrived', await accepted[0])
})

parity('client and server within one worker', async ({ worker, log }) => {
  const thread = worker(({ net, port }) => {
    const events = []
    const server = net.createServer({ allowHalfOpen: true }, peer => peer.pipe(peer))
    server.listen(0, '127.0.0.1', () => {
      const client = net.connect(server.address().port, '127.0.0.1')
      for (const event of ['connect', 'ready', 'end', 'close']) client.on(event, () => events.push(event))
      client.setEncoding('utf8').on('data', data => events.push(data))
      client.on('close', () => server.close(() => port.postMessage(events)))
      client.end('within')
    })
  })
  const gone = exited(thread)
  log('events', await message(thread))
  log('exit', await gone)
})

parity('a worker with an unreferenced server ends', async ({ worker, log }) => {
  const thread = worker(({ net }) => {
    net.createServer().listen(0, '127.0.0.1').unref()
  })
  log('exit', await exited(thread))
})

parity('a worker with unreferenced connections ends', async ({ worker, listen, log }) => {
  const server = await listen()
  const thread = worker(({ net, data }) => {
    net
      .connect(data, '127.0.0.1')
      .unref()
      .on('connect', () => {})
  }, server.address().port)
  log('exit', await exited(thread))
})

parity(
  'terminate ends a worker with a server, and frees its port',
  async ({ worker, connect, watch, closed, log, alias }) => {
    const thread = worker(({ net, port }) => {
      const server = net.createServer()
      server.listen(0, '127.0.0.1', () => port.postMessage(server.address().port))
    })
    const number = alias(await message(thread), 'port')
    log('terminate', await thread.terminate())
    await closed(
      watch(connect(number, '127.0.0.1'), 'client', {
        except: ['connectionAttempt', 'connectionAttemptFailed'],
      }),
    )
  },
)

parity(
  'terminate ends a worker with connections open, which close here',
  async ({ worker, listen, closed, log, until }) => {
    const peers = []
    const server = await listen({}, peer => peers.push(peer.resume()))
    const thread = worker(({ net, data }) => {
      for (let at = 0; at < 5; at++) net.connect(data, '127.0.0.1').resume()
    }, server.address().port)
    await until(() => peers.length === 5)
    const over = closed(...peers)
    log('terminate', await thread.terminate())
    await over
    log('closed', server._connections)
  },
)

parity('terminate in the middle of a transfer leaves this thread whole', async t => {
  const { worker, listen, connect, to, closed, drained, log, seen, until } = t
  const peers = []
  const server = await listen({}, peer => peers.push(peer))
  const thread = worker(({ net, data }) => {
    const client = net.connect(data, '127.0.0.1').resume()
    const more = () => client.write(Buffer.alloc(100_000), more)
    client.on('connect', more)
  }, server.address().port)
  await until(() => peers.length === 1)
  await seen(peers[0], 'data')
  const over = closed(peers[0])
  peers[0].resume()
  log('terminate', await thread.terminate())
  await over
  // This thread's sockets go on as if nothing had happened.
  const next = connect(to(server)).resume()
  await until(() => peers.length === 2)
  next.end('alive')
  log('next', await drained(peers[1]))
})

parity('terminate while the worker receives', async ({ worker, listen, closed, log, until }) => {
  const peers = []
  const server = await listen({}, peer => {
    peers.push(peer.resume())
    const more = () => peer.write(Buffer.alloc(100_000), error => error ?? setImmediate(more))
    more()
  })
  const thread = worker(({ net, data, port }) => {
    net
      .connect(data, '127.0.0.1')
      .once('data', () => port.postMessage('receiving'))
      .resume()
  }, server.address().port)
  log('worker', await message(thread))
  await until(() => peers.length === 1)
  const over = closed(peers[0])
  log('terminate', await thread.terminate())
  await over
  log('closed', peers[0].destroyed)
})

parity('process.exit in a worker ends the worker alone', async ({ worker, listen, closed, log, until }) => {
  const peers = []
  const server = await listen({}, peer => peers.push(peer.resume()))
  const thread = worker(({ net, data }) => {
    net.connect(data, '127.0.0.1').on('connect', () => setImmediate(() => process.exit(9)))
  }, server.address().port)
  log('exit', await exited(thread))
  await until(() => peers.length === 1)
  if (!peers[0].destroyed) await closed(peers[0])
  log('closed', peers[0].destroyed)
})

parity('an uncaught exception in a worker is its error event here', async ({ worker, listen, log }) => {
  const server = await listen({}, peer => peer.write('x'))
  const thread = worker(({ net, data }) => {
    net.connect(data, '127.0.0.1').on('data', () => {
      throw new TypeError('from a handler')
    })
  }, server.address().port)
  const gone = exited(thread)
  log('error', await new Promise(resolve => thread.once('error', resolve)))
  log('exit', await gone)
})

parity('several workers at once, one after another', async ({ worker, listen, drained, log, until }) => {
  const texts = []
  const server = await listen({}, async peer => texts.push(String(await drained(peer))))
  for (let round = 0; round < 2; round++) {
    const threads = [1, 2, 3].map(at =>
      worker(
        ({ net, data: [port, text] }) => {
          net.connect(port, '127.0.0.1').resume().end(text)
        },
        [server.address().port, `round ${round} worker ${at}`],
      ),
    )
    log('exits', await Promise.all(threads.map(exited)))
  }
  await until(() => texts.length === 6)
  log('texts', texts.sort())
})

parity('a large transfer between two workers keeps every byte', async ({ worker, log }) => {
  const receiver = worker(({ net, port }) => {
    const { createHash } = process.getBuiltinModule('node:crypto')
    const server = net.createServer(peer => {
      const hash = createHash('sha1')
      let bytes = 0
      peer.on('data', chunk => {
        bytes += chunk.length
        hash.update(chunk)
      })
      peer.on('end', () => server.close(() => port.postMessage([bytes, hash.digest('hex')])))
    })
    server.listen(0, '127.0.0.1', () => port.postMessage(server.address().port))
  })
  const number = await message(receiver)
  const gone = exited(receiver)
  const result = message(receiver)
  worker(({ net, data }) => {
    const client = net.connect(data, '127.0.0.1').resume()
    for (let part = 0; part < 80; part++) client.write(Buffer.alloc(100_000, part))
    client.end()
  }, number)
  log('received', ...(await result))
  log('exit', await gone)
})
