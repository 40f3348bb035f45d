// `startTLS()`: from plain bytes to TLS on the same socket, at whatever moment.

import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import tls from 'node:tls'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { facts, plain, told, upgrades } from '../helpers/upgrade.mjs'

const server = { isServer: true, ...identity }

for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
  for (const exchanges of [0, 1, 20]) {
    upgrades(`both ends after ${exchanges} exchanges, ${maxVersion}`, async (t, upgrade) => {
      const { client, peer } = await t.pair()
      for (let i = 0; i < exchanges; i++) {
        client.write(`question ${i}`)
        await plain(peer)
        peer.write(`answer ${i}`)
        await plain(client)
      }
      const [near, far] = await Promise.all([
        upgrade(client, { ...trust, maxVersion, ALPNProtocols: ['b', 'a'] }),
        upgrade(peer, { ...server, ALPNProtocols: ['a', 'b'] }),
      ])
      t.log('client', facts(near))
      t.log('server', facts(far))
      t.log('keys', near.tls.exportKeyingMaterial(20, 'a').equals(far.tls.exportKeyingMaterial(20, 'a')))
      const label = Buffer.from('c')
      const keys = near.tls.exportKeyingMaterial(20, 'a', label)
      t.log('keys with a context', keys.equals(far.tls.exportKeyingMaterial(20, 'a', label)))
      const [up, down] = [t.drained(far), t.drained(near)]
      near.resume()
      far.resume()
      near.end('from the client')
      far.end('from the server')
      t.log('up', await up)
      t.log('down', await down)
      await t.closed(near, far)
    })
  }
}

upgrades('a client that is still connecting', async (t, upgrade) => {
  const listener = await t.listen({}, async peer => {
    const far = await upgrade(peer, server)
    far.end('hello')
  })
  const client = t.connect(t.to(listener))
  const near = await upgrade(client, trust)
  t.log('arrived', await t.drained(near))
})

upgrades('what is written right behind the call arrives, and end() waits for it', async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const secure = upgrade(client, trust)
  const far = await upgrade(peer, server)
  const arrived = t.drained(far)
  const near = await secure
  near.write('one ')
  near.write('two ', () => t.log('written'))
  near.end('three')
  t.log('arrived', await arrived)
  near.resume()
  await t.closed(near, far)
})

// On node:net the two streams are different objects, and the rest is about the one.
const own = { module: 'ferronet' }

upgrades('writes in the tick of the call wait for the handshake', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const secure = upgrade(client, trust)
  client.write('one ')
  client.write('two ', () => t.log('written'))
  client.end('three')
  const far = await upgrade(peer, server)
  t.log('arrived', String(await t.drained(far)))
  await secure
  client.resume()
  await t.closed(client, far)
  t.log('counted', far.bytesRead, client.bytesWritten)
  check(t.trace, { arrived: 'one two three' })
})

upgrades('end() in the tick of the call waits for no handshake', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const secure = upgrade(client, trust)
  client.end()
  const error = await upgrade(peer, server).catch(error => error)
  if (error.code !== 'ECONNRESET') throw error
  await secure
  client.resume()
  await t.closed(client, peer)
})

upgrades('end() waits for the handshake if something has been written', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const secure = upgrade(client, trust)
  client.end('a word')
  const far = await upgrade(peer, server)
  await secure
  client.resume()
  if (String(await t.drained(far)) !== 'a word') throw new Error('other bytes')
  await t.closed(client, far)
})

upgrades('plain writes that wait leave first', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const before = Buffer.alloc(6_000_000, 'p')
  client.write(before.subarray(0, 3_000_000))
  client.write(before.subarray(3_000_000))
  const secure = upgrade(client, trust)
  client.write('secret')
  let rest = before.length
  await new Promise(resolve => {
    peer.on('readable', function onReadable() {
      for (;;) {
        const chunk = peer.read(Math.min(rest, peer.readableLength) || 1)
        if (chunk === null) return
        rest -= chunk.length
        if (chunk.includes('secret')) throw new Error('in the clear')
        if (rest === 0) {
          peer.off('readable', onReadable)
          resolve()
          return
        }
      }
    })
  })
  const far = await upgrade(peer, server)
  const arrived = t.drained(far)
  far.resume()
  await secure
  client.end()
  client.resume()
  equal(String(await arrived), 'secret')
})

// The far end, byte by byte: a TLSSocket of Node's over a stream that gives and takes what it is told to.
function byHand(onCiphertext) {
  const wire = new Duplex({
    read() {},
    write(chunk, _, done) {
      onCiphertext(chunk)
      done()
    },
  })
  return { wire, session: tls.connect({ ...trust, socket: wire }).on('error', () => {}) }
}

for (const how of ['unshift', 'left in the buffer', 'paused']) {
  upgrades(`a hello in the same segment as the last plain bytes: ${how}`, own, async (t, upgrade) => {
    const listener = await t.listen({ pauseOnConnect: how === 'paused' })
    const accepted = new Promise(resolve => listener.once('connection', resolve))
    const raw = t.connect(t.to(listener))
    let first = true
    const { wire, session } = byHand(chunk => {
      raw.write(first ? Buffer.concat([Buffer.from('STARTTLS'), chunk]) : chunk)
      first = false
    })
    raw.on('data', chunk => wire.push(chunk))
    const peer = await accepted
    if (how === 'unshift') {
      const chunk = await new Promise(resolve => {
        peer.once('data', data => {
          peer.pause()
          resolve(data)
        })
      })
      peer.unshift(chunk.subarray(8))
    } else {
      if (how === 'paused') peer.resume()
      peer.pause()
      await new Promise(resolve => peer.once('readable', resolve))
      equal(String(peer.read(8)), 'STARTTLS')
    }
    const far = await upgrade(peer, server)
    far.resume()
    far.write('secret')
    equal(String((await new Promise(resolve => session.once('data', resolve))) ?? ''), 'secret')
    session.destroy()
  })
}

upgrades('a hello and all that follows, one byte at a time', async (t, upgrade) => {
  const listener = await t.listen()
  const accepted = new Promise(resolve => listener.once('connection', resolve))
  const raw = t.connect(t.to(listener, { noDelay: true }))
  const bytes = []
  let running = false
  const { wire, session } = byHand(async chunk => {
    bytes.push(...chunk)
    if (running) return
    running = true
    while (bytes.length > 0) {
      await new Promise(resolve => raw.write(Buffer.of(bytes.shift()), resolve))
      await t.turns(1)
    }
    running = false
  })
  raw.on('data', chunk => {
    for (const byte of chunk) wire.push(Buffer.of(byte))
  })
  const far = await upgrade(await accepted, server)
  const arrived = t.drained(far)
  far.write('answer')
  t.log('answer', await new Promise(resolve => session.once('data', resolve)))
  session.end('question')
  t.log('question', await arrived)
})

upgrades('plain bytes behind the command break the handshake', own, async (t, upgrade, engine) => {
  const { client, peer } = await t.pair()
  client.write('STARTTLS\r\nMAIL FROM:<a@b>\r\n')
  await new Promise(resolve => peer.once('readable', resolve))
  equal(String(peer.read(10)), 'STARTTLS\r\n')
  peer.on('data', () => {
    throw new Error('an injected byte was delivered')
  })
  const error = await upgrade(peer, server).then(
    () => undefined,
    error => error,
  )
  equal(error?.code, 'ERR_SSL_WRONG_VERSION_NUMBER')
  if (engine === 'openssl' && error.library !== 'SSL routines') throw error
  await t.closed(peer)
})

upgrades('a peer that does not speak TLS', async (t, upgrade) => {
  const { client, peer } = await t.pair()
  peer.write('HTTP/1.1 400 Bad Request\r\n\r\n')
  const error = await upgrade(client, trust).catch(error => error)
  t.log('error', told(error))
})

upgrades('no protocol in common', async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const outcome = await Promise.all([
    upgrade(client, { ...trust, maxVersion: 'TLSv1.2' }).catch(error => error),
    upgrade(peer, { ...server, minVersion: 'TLSv1.3' }).catch(error => error),
  ])
  t.log('errors', outcome.map(told))
})

upgrades('no application protocol in common', async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const outcome = await Promise.all([
    upgrade(client, { ...trust, ALPNProtocols: ['x'] }).catch(error => error),
    upgrade(peer, { ...server, ALPNProtocols: ['y'] }).catch(error => error),
  ])
  t.log('errors', outcome.map(told))
})

upgrades('a session is resumed', async (t, upgrade) => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    let session
    for (const time of ['first', 'second']) {
      const { client, peer } = await t.pair()
      const given = new Promise(resolve => (time === 'first' ? peer.once('close', resolve) : resolve()))
      const secure = upgrade(client, { ...trust, maxVersion, session })
      // Both times the same context, whose keys the tickets are sealed with.
      const far = await upgrade(peer, { ...server, ticketKeys: Buffer.alloc(48, 'k') })
      const near = await secure
      t.log(`${maxVersion}, ${time}`, near.tls.isSessionReused(), far.tls.isSessionReused(), near.authorized)
      near.on('session', ticket => {
        session = ticket
      })
      far.end('hello')
      await t.drained(near.resume())
      session ??= near.tls.getSession()
      near.destroy()
      far.destroy()
      await given
    }
  }
})

upgrades('lines for a keylog', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  const lines = []
  client.on('keylog', line => lines.push(String(line)))
  await Promise.all([upgrade(client, trust), upgrade(peer, server)])
  equal(
    lines.every(line => /^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]+\n$/.test(line)),
    true,
  )
  equal(
    lines.some(line => line.startsWith('CLIENT_TRAFFIC_SECRET_0 ')),
    true,
  )
})

for (const when of ['before', 'during the handshake', 'behind it']) {
  upgrades(`a signal that is aborted ${when}`, async (t, upgrade) => {
    const { client, peer } = await t.pair()
    peer.on('error', () => {})
    const controller = new AbortController()
    const { signal } = controller
    if (when === 'before') controller.abort(new Error('enough'))
    const done = upgrade(client, { ...trust, signal }).catch(error => error)
    if (when === 'during the handshake') controller.abort(new Error('enough'))
    if (when !== 'behind it') {
      const { name, code, cause } = await done
      t.log('error', name, code, cause.message)
    } else {
      await upgrade(peer, server)
      const near = await done
      const failed = new Promise(resolve => near.once('error', resolve))
      controller.abort(new Error('enough'))
      const { name, code, cause } = await failed
      t.log('error', name, code, cause.message)
    }
  })
}

upgrades('as a promise', own, async t => {
  const { startTLS } = t.net.promises
  const { client, peer } = await t.pair()
  const [near] = await Promise.all([startTLS(client, trust), startTLS(peer, server)])
  equal(near, client)
  equal(near.authorized, true)
  const codeOf = promise =>
    promise.then(
      () => undefined,
      error => error.code,
    )
  equal(await codeOf(startTLS(client, trust)), 'ERR_TLS_CANNOT_START')
  client.destroy()
  equal(await codeOf(startTLS(client, trust)), 'ERR_SOCKET_CLOSED')
  const other = await t.pair()
  for (const wrong of [undefined, null, 1, {}, new EventEmitter()])
    equal(await codeOf(startTLS(wrong, trust)), 'ERR_INVALID_ARG_TYPE')
  const far = codeOf(startTLS(other.peer, server))
  equal(await codeOf(startTLS(other.client, { servername: 'localhost' })), 'DEPTH_ZERO_SELF_SIGNED_CERT')
  await far
})

upgrades('a socket that has closed cannot begin, and is a plain one when it connects again', own, async t => {
  const { server: listener, client, peer } = await t.pair()
  peer.resume()
  client.destroy()
  await t.closed(client)
  let code
  try {
    client.startTLS(trust, () => {})
  } catch (error) {
    code = error.code
  }
  equal(code, 'ERR_TLS_CANNOT_START')
  equal(client.listenerCount('secure'), 0)
  client.connect(listener.address().port, '127.0.0.1')
  equal('encrypted' in client, false)
  await new Promise(resolve => client.once('connect', resolve))
})

upgrades('a socket that has been destroyed and has not said so yet lets it pass', own, async t => {
  const { client } = await t.pair()
  client.destroy()
  let isSecure = false
  client.startTLS(trust, () => (isSecure = true))
  await t.closed(client)
  equal(isSecure, false)
})

upgrades('the facts of the connection stay', own, async (t, upgrade) => {
  const { server: listener, client, peer } = await t.pair()
  await Promise.all([upgrade(client, trust), upgrade(peer, server)])
  equal(client.remotePort, listener.address().port)
  equal(peer.remotePort, client.localPort)
  equal(client.remoteAddress, '127.0.0.1')
  client.setNoDelay().setKeepAlive(true, 1000).ref()
  equal(client.readyState, 'open')
  client.setTimeout(20)
  await new Promise(resolve => client.once('timeout', resolve))
})

upgrades('calls that cannot be meant', own, async (t, upgrade) => {
  const thrown = (code, run) => {
    try {
      run()
    } catch (error) {
      equal(error.code, code)
      return
    }
    throw new Error(`no ${code}`)
  }
  const { client, peer } = await t.pair()
  thrown('ERR_TLS_CANNOT_START', () => new t.net.Socket().startTLS())
  thrown('ERR_INVALID_ARG_TYPE', () => client.startTLS(1))
  thrown('ERR_INVALID_ARG_TYPE', () => client.startTLS({ servername: 1 }))
  for (const wrong of [1, 'yes', null]) {
    thrown('ERR_INVALID_ARG_TYPE', () => client.startTLS({ isServer: wrong }))
    thrown('ERR_INVALID_ARG_TYPE', () => client.startTLS({ requireCloseNotify: wrong }))
  }
  equal('encrypted' in client, false)
  thrown('ERR_INVALID_ARG_TYPE', () => client.startTLS({ checkServerIdentity: 1 }))
  thrown('ERR_INVALID_ARG_TYPE', () => client.startTLS({}, 1))
  thrown('ERR_INVALID_ARG_TYPE', () => client.startTLS({ signal: 1 }))
  thrown('ERR_TLS_INVALID_PROTOCOL_VERSION', () => client.startTLS({ minVersion: 'x' }))
  peer.setEncoding('utf8')
  client.write('text')
  await new Promise(resolve => peer.once('readable', resolve))
  thrown('ERR_TLS_CANNOT_START', () => peer.startTLS(server))
  peer.read()
  const both = Promise.all([upgrade(client, trust), upgrade(peer, server)])
  thrown('ERR_TLS_CANNOT_START', () => client.startTLS(trust))
  await both
  client.write('text')
  equal(await new Promise(resolve => peer.resume().once('data', resolve)), 'text')
  client.end()
  thrown('ERR_TLS_CANNOT_START', () => client.startTLS(trust))
})

function equal(seen, wanted) {
  if (seen !== wanted) throw new Error(`${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`)
}

function check(trace, wanted) {
  const entries = JSON.stringify(trace)
  for (const [event, value] of Object.entries(wanted)) {
    if (!entries.includes(JSON.stringify([event, JSON.stringify(value)])) && !entries.includes(value))
      throw new Error(`${event}: ${entries}`)
  }
}
