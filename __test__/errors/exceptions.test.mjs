// What a handler throws reaches uncaughtException, and no other socket loses an event.

import { parity, parityProcess } from '../helpers/parity.mjs'

const boom = () => {
  throw new Error('boom')
}

for (const event of ['ready', 'data', 'close']) {
  parity(`an exception in ${event} is uncaught and the connection goes on`, async t => {
    const { net, own, listen, to, watch, closed, turns, catchUncaught } = t
    catchUncaught()
    const server = await listen({}, peer => peer.resume().end('text'))
    const client = watch(own(new net.Socket()), 'client', { into: 'main' })
    client.on(event, boom)
    client.connect(to(server)).resume()
    await closed(client)
    await turns(2)
  })
}

for (const event of ['connect', 'end', 'finish']) {
  parity(
    `an exception in ${event} is uncaught and leaves undone what Node does after the listeners`,
    async t => {
      const { net, own, listen, to, watch, log, quiet, catchUncaught } = t
      const caught = new Promise(resolve => catchUncaught(resolve))
      const server = await listen({}, peer => peer.resume().end('text'))
      const client = watch(own(new net.Socket()), 'client', { into: 'main' })
      client.on(event, boom)
      client.connect(to(server)).resume()
      await caught
      await quiet()
      log('state', client.readyState, client.destroyed, client.connecting)
    },
  )
}

parity('an exception in the connection listener is uncaught and the server goes on', async t => {
  const { net, own, connect, to, log, catchUncaught, seen, closed } = t
  catchUncaught()
  let number = 0
  const server = own(
    net.createServer(peer => {
      peer.on('error', () => {}).end(`number ${++number}`)
      if (number === 1) boom()
    }),
  )
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  for (const round of [1, 2]) {
    const client = connect(to(server))
    client.setEncoding('utf8').on('data', data => log(`round ${round}`, data))
    await closed(client)
  }
})

parity(
  'an exception in listening is uncaught and the server listens',
  async ({ net, watch, log, catchUncaught, seen }) => {
    const caught = new Promise(resolve => catchUncaught(resolve))
    const server = watch(net.createServer(), 'server')
    server.listen(0, '127.0.0.1', boom)
    await caught
    log('listening', server.listening)
    server.close(boom)
    await seen(server, 'close')
    await new Promise(resolve => setImmediate(resolve))
  },
)

parity(
  'an exception in a write callback is uncaught and later writes call back',
  async ({ pair, log, catchUncaught, drained }) => {
    catchUncaught()
    const { client, peer } = await pair()
    const arrived = drained(peer)
    client.write('1', boom)
    client.write('2', () => log('second'))
    client.end('3', () => log('third'))
    log('arrived', await arrived)
  },
)

parity('an exception in a timeout is uncaught', async ({ pair, log, catchUncaught }) => {
  const caught = new Promise(resolve => catchUncaught(resolve))
  const { client } = await pair()
  client.setTimeout(10, boom)
  await caught
  log('open', client.readyState)
})

parity(
  'an exception in a lookup answer is uncaught',
  async ({ net, own, watch, log, catchUncaught, listen, seen }) => {
    const caught = new Promise(resolve => catchUncaught(resolve))
    const server = await listen()
    const client = watch(own(new net.Socket()), 'client', { into: 'main' })
    client.on('lookup', boom)
    client.connect({
      port: server.address().port,
      host: 'made.up',
      lookup: (_host, _options, callback) =>
        process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }]),
    })
    await caught
    log('state', client.connecting, client.destroyed)
    client.destroy()
    await seen(client, 'close')
  },
)

parity('an exception of one socket costs the others nothing', async ({ pair, log, catchUncaught, until }) => {
  let uncaught = 0
  catchUncaught(() => uncaught++)
  const pairs = []
  for (let at = 0; at < 5; at++) pairs.push(await pair())
  const got = pairs.map(() => '')
  pairs.forEach(({ client }, at) => {
    client.on('data', data => {
      got[at] += data
      if (at % 2 === 0) boom()
    })
  })
  for (const { peer } of pairs) peer.write('first')
  await until(() => got.every(text => text === 'first'))
  for (const { peer } of pairs) peer.end(' second')
  await until(() => got.every(text => text === 'first second'))
  log('got', got, uncaught)
})

parity('every chunk after an exception still arrives', async ({ pair, log, catchUncaught, seen }) => {
  catchUncaught()
  const { client, peer } = await pair()
  let bytes = 0
  let thrown = false
  client.on('data', data => {
    bytes += data.length
    if (!thrown) {
      thrown = true
      boom()
    }
  })
  peer.end(Buffer.alloc(1_000_000))
  await seen(client, 'end')
  log('bytes', bytes)
})

parity(
  'a promise rejected in a handler reaches unhandledRejection',
  async ({ pair, catchUncaught, log, until }) => {
    let rejections = 0
    catchUncaught(() => rejections++)
    const { client, peer } = await pair()
    client.on('data', async data => {
      throw new Error(`rejected ${data}`)
    })
    peer.write('one')
    await until(() => rejections === 1)
    peer.write('two')
    await until(() => rejections === 2)
    log('open', client.readyState)
  },
)

parity('a rejection handled in the same tick reaches nobody', async ({ pair, log, until }) => {
  const { client, peer } = await pair()
  let handled = 0
  client.on('data', () => {
    Promise.reject(new Error('handled')).catch(() => handled++)
  })
  peer.write('x')
  await until(() => handled === 1)
  log('handled', handled)
})

parity('an exception in nextTick of a handler comes before the next event of the socket', async t => {
  const { pair, catchUncaught, watch, closed } = t
  catchUncaught()
  const { client, peer } = await pair()
  watch(client, 'client', { into: 'main' })
  client.on('data', () => process.nextTick(boom))
  peer.resume().end('x')
  await closed(client)
})

parity(
  'an exception in onread is uncaught and reading goes on',
  async ({ net, own, listen, to, catchUncaught, closed, log }) => {
    catchUncaught()
    const server = await listen({}, peer => peer.resume().end('0123456789'))
    const parts = []
    const callback = (nread, buffer) => {
      parts.push(buffer.toString('latin1', 0, nread))
      if (parts.length === 1) boom()
      return true
    }
    const client = own(net.connect(to(server, { onread: { buffer: Buffer.alloc(4), callback } })))
    await closed(client)
    log('parts', parts)
  },
)

parityProcess('an uncaught exception in data ends the process with code 1', async ({ pair }) => {
  const { client, peer } = await pair()
  client.on('data', boom)
  peer.write('x')
})

parityProcess(
  'an uncaught exception in the connection listener ends the process with code 1',
  async ({ listen, connect, to }) => {
    const server = await listen({}, boom)
    connect(to(server))
  },
)

parityProcess('an uncaught exception in a write callback ends the process with code 1', async ({ pair }) => {
  const { client } = await pair()
  client.write('x', boom)
})

parityProcess('an uncaught exception in close ends the process with code 1', async ({ pair }) => {
  const { client } = await pair()
  client.on('close', boom)
  client.destroy()
})

parityProcess('an error nobody listens to ends the process with code 1', async ({ net }) => {
  net.connect(1, '127.0.0.1')
})

parityProcess('an error of listen nobody listens to ends the process with code 1', async ({ net }) => {
  net.createServer().listen(0, '192.0.2.1')
})

parityProcess('a rejection in a handler ends the process with code 1', async ({ pair }) => {
  const { client, peer } = await pair()
  client.on('data', async () => boom())
  peer.write('x')
})

parityProcess('an uncaughtException handler keeps the process and its sockets', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  process.on('uncaughtException', error => {
    log('caught', error.message)
    peer.resume().end('two')
  })
  client.once('data', boom)
  client.on('data', data => log('data', String(data)))
  client.on('close', () => log('close'))
  peer.write('one')
  server.close()
})

parityProcess('uncaughtExceptionMonitor sees the exception of a handler', async ({ pair, log }) => {
  process.on('uncaughtExceptionMonitor', (error, origin) => log('monitor', error.message, origin))
  const { client, peer } = await pair()
  client.on('data', boom)
  peer.write('x')
})
