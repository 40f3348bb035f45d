// Writes that wait for a handshake which fails, or for a kernel which takes no more before the connection breaks: what their
// callbacks hear, and when.

import { createServer } from 'node:net'
import { TLSSocket } from 'node:tls'
import { first, identity, secured, told, trust } from '../helpers/tls.mjs'

const hello = 'data'
// Node 20 says of what nobody has read that it has been sent.
const isOld = Number.parseInt(process.versions.node, 10) < 22

/** How a server that is no server of TLS behaves when the client's hello has come. */
const peers = {
  'speaks no TLS': socket => socket.end('220 hello\r\n'),
  'hangs up': socket => socket.end(),
  'resets the connection': socket => socket.resetAndDestroy(),
  'sends an alert': socket => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 40])),
}

const writes = {
  'a small one': [['x']],
  'small ones': [['x'], ['y'], ['z']],
  'a large one': [[Buffer.alloc(100_000)]],
  'an empty one': [['']],
  'a small one without a callback': [['x', false]],
}

for (const [behaviour, act] of Object.entries(peers)) {
  for (const [name, all] of Object.entries(writes)) {
    if (isOld && (name === 'an empty one' || /hangs|resets/.test(behaviour))) continue
    const moments = ['at once', 'when connected', 'later']
    secured(`a peer ${behaviour}, and ${name} waits`, async (t, kit) => {
      const server = t.own(
        createServer(socket => {
          t.own(socket).on('error', () => {})
          socket.once(hello, () => act(socket))
        }),
      )
      await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
      const port = server.address().port
      for (const when of moments) {
        const client = t.own(kit.tls.connect({ host: '127.0.0.1', port }))
        const failed = first(client, 'error')
        const lines = []
        const write = () => {
          for (const [at, [data, calls = true]] of all.entries()) {
            const heard = error => {
              lines.push([
                'callback',
                at,
                error ? told(error).code : error,
                client.destroyed,
                client.errored !== null,
              ])
            }
            if (calls) client.write(data, heard)
            else client.write(data)
          }
        }
        if (when === 'at once') write()
        else if (when === 'when connected') client.once('connect', write)
        else client.once('connect', () => process.nextTick(write))
        client.on('error', error => lines.push(['error', told(error).code, told(error).message]))
        await new Promise(resolve =>
          client.on('close', hadError => {
            lines.push(['close', hadError])
            resolve()
          }),
        )
        await failed
        t.log(when, lines)
      }
    })
  }
}

const moments = {
  'in the tick of connect()': (_client, _lower, destroy) => destroy(),
  "in 'connect'": (client, lower, destroy) => (lower ?? client).once('connect', destroy),
  "in 'secureConnect'": (client, _lower, destroy) => client.once('secureConnect', destroy),
}

for (const [when, run] of Object.entries(moments)) {
  for (const over of ['nothing', 'a socket that connects', 'a socket that is connected']) {
    // That one has its 'connect' behind it. Node 20 throws in an immediate of its own.
    if (isOld || (when === "in 'connect'" && over === 'a socket that is connected')) continue
    secured(`a client over ${over} is destroyed ${when}: a write that waits fails, once`, async (t, kit) => {
      const server = await kit.listen()
      for (const size of [1, 100_000]) {
        let lower
        if (over !== 'nothing') {
          lower = t.connect(t.to(server))
          t.watch(lower, 'lower', { except: ['lookup', 'connectionAttempt', 'end'] })
        }
        if (over === 'a socket that is connected') await first(lower, 'connect')
        const client = kit.connect(
          lower ?? server,
          lower && { socket: lower, host: undefined, port: undefined },
        )
        const closed = t.closed(client, ...(lower ? [lower] : []))
        let calls = 0
        let failed
        client.write(Buffer.alloc(size), error => {
          calls++
          failed = Boolean(error)
        })
        run(client, lower, () => client.destroy())
        await closed
        t.log('callback', calls, failed)
      }
    })
  }
}

const facts = error => (error ? [error.code ?? null, error.message] : (error ?? null))

/** What writes hear, and in which order, of a connection that comes to nothing. */
const failures = {
  'is refused': { connect: (kit, dead) => kit.tls.connect({ host: '127.0.0.1', port: dead }) },
  'finds no name': {
    connect: kit =>
      kit.tls.connect({
        host: 'nowhere.invalid',
        port: 1,
        lookup: (_name, _options, done) =>
          process.nextTick(done, Object.assign(new Error('unknown'), { code: 'ENOTFOUND' })),
      }),
  },
  'is refused below it': {
    connect: (kit, dead) => kit.tls.connect({ socket: kit.t.connect({ host: '127.0.0.1', port: dead }) }),
  },
  'is refused below one that is alone': {
    connect: (kit, dead) => new kit.tls.TLSSocket(kit.t.connect({ host: '127.0.0.1', port: dead })),
  },
  'is refused, of one that is alone': {
    connect(kit, dead) {
      const client = new kit.tls.TLSSocket()
      kit.t.log('connecting', client.connecting, client.readyState)
      return client.connect(dead, '127.0.0.1')
    },
  },
  'meets nobody': { peer: () => {} },
  'meets nobody, below it': { peer: () => {}, below: true },
  'is not believed': { options: { servername: 'other.example' }, peer: 'secure' },
}
const acts = {
  '': () => {},
  ', and is destroyed in the same tick': (_client, destroy) => destroy(),
  ', and is destroyed in a tick': (_client, destroy) => process.nextTick(destroy),
  ", and is destroyed in 'connect'": (client, destroy) => client.once('connect', destroy),
  ", and is destroyed behind 'connect'": (client, destroy) =>
    client.once('connect', () => setImmediate(destroy)),
}

for (const [how, { connect, peer, below, options }] of Object.entries(failures)) {
  for (const [when, act] of Object.entries(acts)) {
    const connects = peer !== undefined
    if ((!connects && when.includes('connect')) || (connects && peer !== 'secure' && when === '')) continue
    // Node 20 says of a write that waits for the handshake that it has been sent.
    if (isOld && connects && (peer === 'secure' || when.includes('connect'))) continue
    secured(`a client that ${how}${when}: what its writes hear`, async (t, kit) => {
      const server =
        peer === 'secure'
          ? await kit.listen()
          : t.own(createServer(socket => t.own(socket).on('error', () => {})))
      if (peer !== 'secure') await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address()
      t.alias(port, 'port')
      if (!connects) await new Promise(resolve => server.close(resolve))
      for (const error of when === '' ? [undefined] : [undefined, new Error('of the program')]) {
        for (const all of [['x'], ['x', 'y', 'z'], [Buffer.alloc(100_000), 'y'], ['', 'y']]) {
          for (const written of connects && /^$|'connect'/.test(when)
            ? ['at once', "in 'connect'"]
            : ['at once']) {
            t.log('writes', all.length, error?.message ?? null, written)
            const client = t.own(
              connect?.(kit, port) ??
                (below
                  ? kit.tls.connect({ socket: t.connect({ host: '127.0.0.1', port }) })
                  : kit.tls.connect({ ...trust, host: '127.0.0.1', port, ...options })),
            )
            for (const event of ['error', 'close'])
              client.on(event, value =>
                t.log(event, value === true || value === false ? value : facts(value)),
              )
            const closed = first(client, 'close')
            const write = () => {
              for (const [at, data] of all.entries())
                client.write(data, heard =>
                  t.log('callback', at, facts(heard), client.destroyed, facts(client.errored)),
                )
            }
            if (written === 'at once') write()
            else client.once('connect', write)
            act(client, () => client.destroy(error))
            await closed
            await new Promise(setImmediate)
          }
        }
      }
    })
  }
}

// What is sealed has left the writer, and can still fail. A client that reads would hear of the reset by that.
secured(
  'a peer that reads nothing resets, and the last write of one that does not read either fails',
  { engine: 'openssl' },
  async (t, kit) => {
    const accepted = {}
    accepted.peer = new Promise(resolve => {
      accepted.server = t.own(
        createServer(raw => {
          const peer = new TLSSocket(t.own(raw), { ...identity, isServer: true })
          for (const each of [raw, peer]) each.on('error', () => {})
          peer.on('secure', () => resolve({ raw, peer }))
        }),
      )
    })
    await new Promise(resolve => accepted.server.listen(0, '127.0.0.1', resolve))
    const client = kit.connect(accepted.server)
    const [{ raw, peer }] = await Promise.all([accepted.peer, first(client, 'secureConnect')])
    // Its buffer is full, so it does not read.
    peer.pause().write(Buffer.alloc(1_000_000))
    await t.until(() => client.readableLength >= client.readableHighWaterMark)
    let waits = 0
    const failed = []
    while (waits === 0) {
      waits++
      client.write(Buffer.alloc(16_000), error => {
        waits--
        if (error) failed.push(error.code)
      })
      await t.turns(20)
    }
    const events = []
    client.on('finish', () => events.push('finish'))
    client.on('error', ({ code, syscall }) => events.push(['error', code, syscall]))
    raw.resetAndDestroy()
    await new Promise(resolve => client.on('close', hadError => resolve(events.push(['close', hadError]))))
    t.log('saw', failed, events)
  },
)
