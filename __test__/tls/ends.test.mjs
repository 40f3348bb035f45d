// How a connection ends that is in TLS: announced or not, in one direction or both, early or in the middle of an event.

import { deepEqual as equal } from 'node:assert/strict'
import tls from 'node:tls'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { first, secured, told } from '../helpers/tls.mjs'
import { upgrades } from '../helpers/upgrade.mjs'

const server = { isServer: true, ...identity }
const own = { module: 'ferronet' }

/** A client of Node's whose socket is at hand, and the socket at our end, secure. */
async function withNode(t, upgrade, { listen = {}, ...options } = {}) {
  const listener = await t.listen(listen)
  const accepted = new Promise(resolve => listener.once('connection', resolve))
  const raw = t.connect(t.to(listener, { allowHalfOpen: true }))
  const session = tls.connect({ ...trust, socket: raw }).on('error', () => {})
  const ready = new Promise(resolve => session.once('secureConnect', resolve))
  const far = await upgrade(await accepted, { ...server, ...options })
  await ready
  return { raw, session, far }
}

upgrades('a FIN that was not announced is an end', async (t, upgrade) => {
  const { raw, session, far } = await withNode(t, upgrade)
  const arrived = t.drained(far)
  session.write('last words', () => raw.end())
  t.log('arrived', await arrived)
  await t.closed(far)
})

upgrades('whether the end was announced can be asked', own, async (t, upgrade) => {
  for (const announced of [true, false]) {
    const { raw, session, far } = await withNode(t, upgrade)
    const arrived = t.drained(far)
    if (announced) session.end('x')
    else session.write('x', () => raw.end())
    equal(String(await arrived), 'x')
    equal(far.tls.closeNotify, announced)
    await t.closed(far)
  }
})

upgrades('requireCloseNotify makes an end that was not announced an error', own, async (t, upgrade) => {
  for (const announced of [true, false]) {
    const { raw, session, far } = await withNode(t, upgrade, { requireCloseNotify: true })
    const error = new Promise(resolve => far.once('error', resolve).once('end', resolve))
    far.resume()
    if (announced) session.end('x')
    else session.write('x', () => raw.end())
    equal((await error)?.code, announced ? undefined : 'ERR_TLS_TRUNCATED')
    await t.closed(far)
  }
})

upgrades('a reset', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  await Promise.all([upgrade(client, trust), upgrade(peer, server)])
  const error = new Promise(resolve => client.once('error', resolve))
  peer.resetAndDestroy()
  const { code, syscall } = await error
  equal([code, syscall], ['ECONNRESET', 'read'])
  await t.closed(client)
})

upgrades('a half-open socket writes on after the peer has ended', async (t, upgrade) => {
  const { client, peer } = await t.pair({
    server: { allowHalfOpen: true },
    client: { allowHalfOpen: true },
  })
  const half = { allowHalfOpen: true }
  const [near, far] = await Promise.all([
    upgrade(client, { ...trust, ...half }),
    upgrade(peer, { ...server, ...half }),
  ])
  const [up, down] = [t.drained(far), t.drained(near)]
  near.resume()
  far.resume()
  near.end('question')
  t.log('question', await up)
  t.log('writable', far.writable)
  await t.turns(3)
  far.write('a late ')
  far.end('answer')
  t.log('answer', await down)
  await t.closed(near, far)
})

for (const isServer of [false, true]) {
  for (const when of ['at once', 'behind a hello']) {
    upgrades(
      `the peer leaves during the handshake, ${isServer ? 'a server' : 'a client'}, ${when}`,
      async (t, upgrade) => {
        const { client, peer } = await t.pair()
        const options = isServer ? server : trust
        const error = upgrade(client, options).catch(error => error)
        if (when !== 'at once') {
          // The beginning of a record of a handshake, of which more should follow.
          peer.write(Buffer.from([22, 3, 1, 2, 0, 1]))
        }
        peer.end()
        peer.resume()
        const { code, message } = await error
        t.log('error', code, message)
        await t.closed(client)
      },
    )
  }
}

upgrades('a reset during the handshake', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const error = upgrade(client, trust).catch(error => error)
  peer.resetAndDestroy()
  equal((await error).code, 'ECONNRESET')
  await t.closed(client)
})

upgrades('a server that hears nothing gives up', own, async (t, upgrade) => {
  const { peer } = await t.pair()
  const error = await upgrade(peer, { ...server, handshakeTimeout: 30 }).catch(error => error)
  equal(error.code, 'ERR_TLS_HANDSHAKE_TIMEOUT')
  await t.closed(peer)
})

for (const event of ['secure', 'data', 'end', 'session', 'keylog']) {
  upgrades(`destroy() in '${event}'`, own, async (t, upgrade) => {
    const { client, peer } = await t.pair()
    const far = upgrade(peer, server).catch(() => {})
    client.once(event, () => client.destroy())
    client.on('data', () => {})
    peer.once('secure', () => peer.end('bytes'))
    upgrade(client, trust).catch(() => {})
    await t.closed(client)
    await far
    equal(client.destroyed, true)
  })
}

upgrades('destroy() right behind the call', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  upgrade(client, trust).catch(() => {})
  client.destroy()
  await t.closed(client)
  const error = await upgrade(peer, server).catch(error => error)
  equal(error.code, 'ECONNRESET')
})

upgrades('a handler that throws costs no other event', own, async (t, upgrade) => {
  t.catchUncaught()
  const { client, peer } = await t.pair()
  const arrived = t.drained(client)
  const far = upgrade(peer, server)
  client.once('secure', () => {
    throw new Error('of the program')
  })
  client.startTLS(trust)
  await far
  peer.end('bytes')
  equal(String(await arrived), 'bytes')
})

upgrades(
  'a record that was changed on the way is an error behind the bytes before it',
  own,
  async (t, upgrade, engine) => {
    const { raw, session, far } = await withNode(t, upgrade)
    const error = new Promise(resolve => far.once('error', resolve))
    let arrived = ''
    far.on('data', chunk => {
      arrived += chunk
    })
    session.write('good', () => {
      raw.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 32]), Buffer.alloc(32, 7)]))
    })
    const { code } = await error
    equal(arrived, 'good')
    equal(code, 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC')
    await t.closed(far)
    equal(far.tls.engine, engine)
  },
)

upgrades('an alert of the peer', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const far = upgrade(peer, server).catch(error => error)
  const near = upgrade(client, {
    servername: 'localhost',
    maxVersion: 'TLSv1.2',
    minVersion: 'TLSv1.2',
    ciphers: 'AES128-SHA',
  })
  const [one, two] = await Promise.all([near.catch(error => error), far])
  equal(/^ERR_SSL_.*ALERT_HANDSHAKE_FAILURE$/.test(one.code), true)
  equal(two.code, 'ERR_SSL_NO_SHARED_CIPHER')
})

upgrades('a TLS socket is not given away', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  await Promise.all([upgrade(client, trust), upgrade(peer, server)])
  for (const give of [t.net.detach, t.net.toNodeSocket]) {
    try {
      give(client)
    } catch (error) {
      equal(error.code, 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE')
      continue
    }
    throw new Error('given away')
  }
})

// Behind the handshake a server sends tickets, to a client that is gone. Nobody has asked for them to be sent.
secured('a client that hangs up right behind the handshake is no error of the server', async (t, kit) => {
  const server = await kit.listen()
  for (const late of [undefined, 'written behind']) {
    const accepted = first(server, 'secureConnection')
    const client = kit.connect(server).on('error', () => {})
    await first(client, 'secureConnect')
    await t.turns(1)
    client.destroy()
    const peer = await accepted
    const seen = []
    peer.on('error', ({ code }) => seen.push(code))
    for (const event of ['end', 'close']) peer.on(event, () => seen.push(event))
    if (late !== undefined) await new Promise(resolve => peer.write(late, () => resolve()))
    await t.closed(peer.resume())
    t.log('seen', late, late === undefined ? seen : seen.at(-1))
  }
})

// An https client that closes at the end of a response has heard of the end of its socket by then.
secured(
  'the last bytes and the end behind them are told in one iteration',
  { both: true },
  async (t, kit) => {
    const server = await kit.listen()
    const way = await t.listen()
    const held = []
    let holds = false
    const front = new Promise(resolve => {
      way.on('connection', socket => {
        const back = t.connect(t.to(server))
        back.on('data', chunk => (holds ? held.push(chunk) : socket.write(chunk)))
        back.on('end', () => socket.write(Buffer.concat(held)))
        socket.pipe(back)
        resolve(socket)
      })
    })
    const { client, peer } = await kit.meet({ over: server, through: way })
    const seen = []
    const note = what => {
      seen.push(what)
      t.log('saw', what)
    }
    client.on('data', () => {
      note('data')
      if (seen.length === 1) setImmediate(() => note('immediate'))
    })
    const ended = first(client, 'end').then(() => note('end'))
    // Behind the tickets, which are on their way already.
    peer.once('data', () => {
      holds = true
      peer.end('last words')
    })
    client.write('first words')
    await ended
    await t.closed(client)
    ;(await front).destroy()
  },
)

secured(
  'the last bytes and an error behind them are told in one iteration',
  { both: true },
  async (t, kit) => {
    const server = await kit.listen()
    const way = await t.listen()
    const held = []
    let holds = false
    way.on('connection', socket => {
      const back = t.connect(t.to(server))
      back.on('data', chunk => {
        if (!holds) socket.write(chunk)
        else if (held.push(chunk) === 1) socket.write(Buffer.concat([chunk, Buffer.from('no record of TLS')]))
      })
      socket.on('error', () => {}).pipe(back)
    })
    const { client, peer } = await kit.meet({ over: server, through: way })
    const failed = first(client, 'error').then(error => t.log('saw', told(error)))
    const turned = first(client, 'data').then(() => {
      t.log('saw data')
      return new Promise(resolve => setImmediate(resolve))
    })
    peer.once('data', () => {
      holds = true
      peer.write('last words')
    })
    client.write('first words')
    await turned
    t.log('saw immediate')
    await failed
    client.destroy()
  },
)
