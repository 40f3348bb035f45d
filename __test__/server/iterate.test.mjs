// `for await (const socket of server)`. No released node:net has this yet, so each test states what to expect.

import { parity, parityProcess } from '../helpers/parity.mjs'

const iterate = (title, tracks, scenario) => {
  const expected = Array.isArray(tracks) ? { main: tracks } : tracks
  parity(title, { since: '99', expected }, scenario)
}
const alone = (title, main, scenario) => {
  const end = { code: 0, signal: null, stdout: '', stderr: [] }
  const expected = { main: [...main, ['process exit', 0]], end }
  parityProcess(title, { since: '99', expected }, scenario)
}

// A server that keeps its connections in `peers`; the loop is the only one who takes care of them.
async function listening({ net, own, seen, cleanup }, options = {}) {
  const server = own(net.createServer(options)).listen(0, '127.0.0.1')
  await seen(server, 'listening')
  server.peers = []
  server.on('connection', socket => server.peers.push(socket))
  cleanup(() => {
    for (const peer of server.peers) peer.on('error', () => {}).destroy()
  })
  return server
}

const counts = server => ['connection', 'error', 'close'].map(event => server.listenerCount(event)).join(' ')

iterate(
  'each connection comes in turn, and the loop ends when the server has closed',
  [
    ['arrived', 'one'],
    ['arrived', 'two'],
    ['arrived', 'three'],
    ['ended', 3],
  ],
  async t => {
    const server = await listening(t)
    let taken = 0
    t.connect(t.to(server)).end('one')
    for await (const socket of server) {
      t.log('arrived', String(await t.drained(socket)))
      taken++
      if (taken === 1) t.connect(t.to(server)).end('two')
      if (taken === 2) t.connect(t.to(server)).end('three')
      if (taken === 3) server.close()
    }
    t.log('ended', taken)
  },
)

iterate(
  'what arrives while the loop is busy waits, in order',
  [
    ['order', true],
    ['ended', 5],
  ],
  async t => {
    const server = await listening(t)
    const ports = []
    server.on('connection', socket => ports.push(socket.remotePort))
    const seen = []
    const iterator = server[Symbol.asyncIterator]()
    const clients = Array.from({ length: 5 }, () => t.connect(t.to(server)))
    await t.until(() => ports.length === 5)
    for await (const socket of iterator) {
      seen.push(socket.remotePort)
      socket.end()
      if (seen.length === 5) {
        server.close()
        for (const client of clients) client.resume()
      }
    }
    t.log('order', seen.join() === ports.join())
    t.log('ended', seen.length)
  },
)

iterate(
  'the members of the iterator',
  [
    ['methods', 'function', 'function', 'function', true],
    ['property', true, true, true],
    ['on the prototype', true],
    ['length', 0],
  ],
  async t => {
    const server = t.own(t.net.createServer())
    const iterator = server[Symbol.asyncIterator]()
    t.log(
      'methods',
      typeof iterator.next,
      typeof iterator.return,
      typeof iterator.throw,
      iterator[Symbol.asyncIterator]() === iterator,
    )
    await iterator.return()
    const { prototype } = t.net.Server
    const { value, ...flags } = Object.getOwnPropertyDescriptor(prototype, Symbol.asyncIterator)
    t.log('property', flags.configurable, flags.writable, typeof value === 'function')
    t.log('on the prototype', !Object.hasOwn(server, Symbol.asyncIterator))
    t.log('length', value.length)
  },
)

iterate(
  'next() called several times is answered in order',
  [
    ['first', true],
    ['second', true],
    ['the rest', [true, true]],
    ['after', true],
  ],
  async t => {
    const server = await listening(t)
    const iterator = server[Symbol.asyncIterator]()
    const asked = [iterator.next(), iterator.next(), iterator.next(), iterator.next()]
    const connections = []
    server.on('connection', socket => connections.push(socket))
    const clients = [t.connect(t.to(server)), t.connect(t.to(server))]
    t.log('first', (await asked[0]).value === connections[0])
    t.log('second', (await asked[1]).value === connections[1])
    for (const client of clients) client.destroy()
    for (const socket of connections) socket.destroy()
    server.close()
    const rest = await Promise.all(asked.slice(2))
    t.log(
      'the rest',
      rest.map(({ done, value }) => done && value === undefined),
    )
    t.log('after', (await iterator.next()).done)
  },
)

iterate(
  'an error of the server rejects the loop, and nothing else hears of it',
  [
    ['rejected', { name: 'Error', constructor: 'Error', message: 'mine' }],
    ['listeners', '0 0 0'],
    ['after', true],
  ],
  async ({ net, log, turns }) => {
    const server = net.createServer()
    const iterator = server[Symbol.asyncIterator]()
    const next = iterator.next()
    server.emit('error', new Error('mine'))
    await next.catch(error => log('rejected', error))
    await turns(1)
    log('listeners', counts(server))
    log('after', (await iterator.next()).done)
  },
)

iterate(
  'an error comes after the connections that came before it, once',
  [
    ['socket', true],
    ['rejected', 'mine'],
    ['after', true],
  ],
  async t => {
    const server = await listening(t)
    const iterator = server[Symbol.asyncIterator]()
    const client = t.connect(t.to(server))
    await t.seen(server, 'connection')
    server.emit('error', new Error('mine'))
    const { value } = await iterator.next()
    t.log('socket', value instanceof t.net.Socket)
    await iterator.next().catch(error => t.log('rejected', error.message))
    t.log('after', (await iterator.next()).done)
    client.destroy()
  },
)

iterate(
  'an error that several wait for is told to the first, the others are done',
  [['outcome', ['mine', true, true]]],
  async ({ net, log }) => {
    const server = net.createServer()
    const iterator = server[Symbol.asyncIterator]()
    const asked = [iterator.next(), iterator.next(), iterator.next()]
    server.emit('error', new Error('mine'))
    const outcome = asked.map(each =>
      each.then(
        ({ done }) => done,
        error => error.message,
      ),
    )
    log('outcome', await Promise.all(outcome))
  },
)

iterate(
  'listen() that fails rejects a loop that waits for it',
  [['rejected', 'EADDRINUSE', 'listen']],
  async ({ net, listen, log }) => {
    const { port } = (await listen()).address()
    const server = net.createServer().listen(port, '127.0.0.1')
    try {
      for await (const socket of server) socket.destroy()
    } catch (error) {
      log('rejected', error.code, error.syscall)
    }
  },
)

for (const how of ['break', 'return', 'throw']) {
  iterate(
    `leaving the loop by ${how} destroys what waits, keeps what was taken, and the server goes on`,
    [
      ['left', how === 'throw' ? 'mine' : '<undefined>'],
      ['listeners', '1 0 1'],
      ['taken', false],
      ['waiting', true, true],
      ['listening', true],
      ['another', true],
    ],
    async t => {
      const server = await listening(t)
      const { peers } = server
      const clients = [1, 2, 3].map(() => t.connect(t.to(server)).on('error', () => {}))
      async function loop() {
        for await (const _socket of server) {
          await t.until(() => peers.length === 3)
          if (how === 'break') break
          if (how === 'return') return
          throw new Error('mine')
        }
      }
      const failure = await loop().catch(error => error.message)
      t.log('left', failure)
      t.log('listeners', counts(server))
      t.log('taken', peers[0].destroyed)
      t.log('waiting', peers[1].destroyed, peers[2].destroyed)
      t.log('listening', server.listening)
      t.connect(t.to(server))
      await t.until(() => peers.length === 4)
      t.log('another', peers[3] instanceof t.net.Socket)
      for (const client of clients) client.destroy()
    },
  )
}

iterate(
  'a server can be looped over again',
  [
    ['first', 'Buffer "one"'],
    ['second', 'Buffer "two"'],
    ['listeners', '1 0 1'],
  ],
  async t => {
    const server = await listening(t)
    for (const [label, text] of [
      ['first', 'one'],
      ['second', 'two'],
    ]) {
      t.connect(t.to(server)).end(text)
      for await (const socket of server) {
        t.log(label, await t.drained(socket))
        break
      }
    }
    t.log('listeners', counts(server))
  },
)

iterate('two loops both get every connection', [['same', true]], async t => {
  const server = await listening(t)
  const both = [server[Symbol.asyncIterator](), server[Symbol.asyncIterator]()]
  t.connect(t.to(server))
  const [one, other] = await Promise.all(both.map(iterator => iterator.next()))
  t.log('same', one.value === other.value)
  await Promise.all(both.map(iterator => iterator.return()))
})

iterate(
  'return() and throw() answer those who wait',
  [
    ['returned', [true, true]],
    ['thrown', ['mine', true]],
  ],
  async ({ net, log }) => {
    const server = net.createServer()
    const first = server[Symbol.asyncIterator]()
    const waiting = first.next()
    log('returned', [(await first.return()).done, (await waiting).done])
    const second = server[Symbol.asyncIterator]()
    const other = second.next()
    const thrown = await second.throw(new Error('mine')).catch(error => error.message)
    log('thrown', [thrown, (await other).done])
  },
)

iterate(
  'a connection that is reset while it waits ends nothing, and comes destroyed',
  [
    ['reset', true, 'ECONNRESET'],
    ['listeners', 0],
    ['next', 'Buffer "alive"'],
  ],
  async t => {
    const server = await listening(t)
    const iterator = server[Symbol.asyncIterator]()
    let waiting
    server.once('connection', socket => (waiting = socket))
    const client = t.connect(t.to(server))
    await t.seen(client, 'connect')
    await t.until(() => waiting !== undefined)
    client.resetAndDestroy()
    await t.seen(waiting, 'close')
    const { value } = await iterator.next()
    t.log('reset', value.destroyed, value.errored?.code)
    t.log('listeners', value.listenerCount('error'))
    t.connect(t.to(server)).end('alive')
    const next = await iterator.next()
    t.log('next', await t.drained(next.value))
    await iterator.return()
  },
)

iterate(
  'the loop ends after the last connection, not before',
  [
    ['order', 'client closed'],
    ['order', 'done'],
  ],
  async t => {
    const server = await listening(t)
    const client = t.connect(t.to(server))
    const iterator = server[Symbol.asyncIterator]()
    const { value: socket } = await iterator.next()
    server.close()
    const end = iterator.next().then(() => t.log('order', 'done'))
    await t.turns(10)
    client.on('close', () => t.log('order', 'client closed'))
    client.destroy()
    await t.seen(client, 'close')
    socket.destroy()
    await end
  },
)

iterate(
  'a loop begun before listen() gets what comes afterwards',
  [['arrived', 'Buffer "early"']],
  async t => {
    const server = t.own(t.net.createServer())
    const iterator = server[Symbol.asyncIterator]()
    const next = iterator.next()
    server.listen(0, '127.0.0.1')
    await t.seen(server, 'listening')
    t.connect(t.to(server)).end('early')
    t.log('arrived', await t.drained((await next).value))
    await iterator.return()
  },
)

iterate(
  'connections that maxConnections or the blockList turns away do not come',
  [
    ['came', 1],
    ['dropped', 1],
  ],
  async t => {
    const server = await listening(t)
    server.maxConnections = 1
    const iterator = server[Symbol.asyncIterator]()
    const first = t.connect(t.to(server))
    await iterator.next()
    let came = 1
    iterator.next().then(({ done }) => (came += done ? 0 : 1))
    const second = t.connect(t.to(server)).on('error', () => {})
    await t.seen(server, 'drop')
    await t.seen(second.resume(), 'close')
    t.log('came', came)
    t.log('dropped', 1)
    first.destroy()
    await iterator.return()
  },
)

iterate('options of the server hold for its connections', [['options', true, true]], async t => {
  const server = await listening(t, { allowHalfOpen: true, pauseOnConnect: true })
  t.connect(t.to(server))
  for await (const socket of server) {
    t.log('options', socket.allowHalfOpen, socket.isPaused())
    break
  }
})

alone(
  'a process ends by itself when the loop has ended',
  [['arrived', 'hi'], ['over']].map(e => (e.length === 1 ? e[0] : e)),
  async ({ net, log }) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      net.connect(server.address().port, '127.0.0.1').end('hi')
    })
    for await (const socket of server) {
      for await (const chunk of socket.setEncoding('utf8')) log('arrived', chunk)
      server.close()
    }
    log('over')
  },
)

alone(
  'a loop over a server that does not listen does not keep the process alive',
  ['waiting'],
  async ({ net, log }) => {
    const iterator = net.createServer()[Symbol.asyncIterator]()
    iterator.next().then(() => log('never'))
    log('waiting')
  },
)

alone(
  'a loop over an unreferenced server does not keep the process alive',
  ['listening'],
  async ({ net, log }) => {
    const server = net.createServer().listen(0, '127.0.0.1').unref()
    server.on('listening', () => log('listening'))
    server[Symbol.asyncIterator]().next()
  },
)
