// Bytes around the moment in which a connection turns secure: what was plain stays what it was, and nothing else goes out
// or comes in as if it had been in TLS.

import { deepEqual as equal } from 'node:assert/strict'
import nodeNet from 'node:net'
import { proxy, relays, warmUp } from '../helpers/relay.mjs'
import { first, identity, secured, trust } from '../helpers/tls.mjs'
import { upgrades } from '../helpers/upgrade.mjs'

const server = { isServer: true, ...identity }
const own = { module: 'ferronet' }

/** A listener that keeps what it gets; `hello` waits for the hello of a client. */
async function wire(t) {
  const got = []
  const listener = t.own(nodeNet.createServer(socket => t.own(socket).on('data', data => got.push(data))))
  await new Promise(resolve => listener.listen({ host: '127.0.0.1', port: 0 }, resolve))
  t.alias(listener.address().port, 'port')
  const all = () => Buffer.concat(got).toString('latin1')
  const isHello = () => all().includes('\x16\x03\x01')
  return { listener, all, hello: () => t.until(isHello) }
}

/** What arrives in TLS of a client that has begun to turn secure (`near`). */
async function sealed(t, upgrade, client, peer, near) {
  const far = await upgrade(peer, server)
  const arrived = t.drained(far)
  far.resume()
  await near
  client.end()
  return String(await arrived)
}

// --- what goes out ----------------------------------------------------------------------------------------------------

secured('what is written to a TLSSocket before it is connected', async (t, { tls }) => {
  for (const when of ['behind connect()', "in 'connect'", 'before connect()']) {
    // Node's does not begin then.
    if (when === 'before connect()' && t.moduleName === 'node:net') continue
    const { listener, all, hello } = await wire(t)
    const client = t.own(new tls.TLSSocket(undefined, trust)).on('error', () => {})
    const write = () => client.write('secret')
    if (when === "in 'connect'") client.prependListener('connect', write)
    if (when === 'before connect()') write()
    client.connect(t.to(listener))
    if (when === 'behind connect()') write()
    await hello()
    equal([when, all().includes('secret'), client.encrypted], [when, false, true])
    client.destroy()
    await t.closed(client)
  }
})

function answerAll(socket) {
  let heard = ''
  socket.on('data', data => {
    heard += data
    if (heard.endsWith('!')) socket.end(`heard ${heard}`)
  })
}

secured('a TLSSocket that connects again is secure again', { ...own, both: true }, async (t, kit) => {
  const server = await kit.listen({}, answerAll)
  const client = kit.connect(server)
  for (const round of ['one', 'two', 'three']) {
    const seen = []
    const closed = new Promise(resolve => client.once('close', resolve))
    const said = t.drained(client)
    const ready = first(client, 'secureConnect').then(() => seen.push(client.authorized, client.tls.engine))
    if (round !== 'one') {
      equal([client.authorized, client.secureConnecting, client.tls], [false, true, null])
      client.write(round)
      client.once('connect', () => client.write('!'))
    } else client.write(`${round}!`)
    await ready
    equal([String(await said), ...seen], [`heard ${round}!`, true, kit.engine])
    await closed
    if (round !== 'three') client.connect(t.to(server))
  }
})

secured('a TLSSocket that connects again does not believe another server', own, async (t, kit) => {
  const good = await kit.listen({}, socket => socket.end())
  const { listener, all, hello } = await wire(t)
  const client = kit.connect(good).resume()
  await t.closed(client)
  client.once('connect', () => client.write('secret'))
  client.connect(t.to(listener))
  client.write('secret')
  await hello()
  equal([client.authorized, client.authorizationError, all().includes('secret')], [false, null, false])
})

upgrades('a write of the program that gives the stream copies', own, async t => {
  const { listener, all, hello } = await wire(t)
  const client = t.connect(t.to(listener)).on('error', () => {})
  const { write } = client
  client.write = (chunk, ...rest) => write.call(client, Buffer.from(chunk), ...rest)
  client.startTLS(trust)
  client.write('secret')
  await hello()
  equal(all().includes('secret'), false)
})

upgrades('writes on both sides of the call, in a corked socket', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  client.cork()
  client.write('plain ')
  client.write('as before')
  const near = upgrade(client, trust)
  client.write('secret ')
  client.write('from here on')
  client.uncork()
  await t.until(() => peer.readableLength >= 15 || peer.read(0) !== null)
  equal(String(peer.read(15)), 'plain as before')
  equal(await sealed(t, upgrade, client, peer, near), 'secret from here on')
})

upgrades('a socket that closes before startTLS() can begin, and connects again', own, async (t, upgrade) => {
  const { listener, all } = await wire(t)
  const client = t.connect(t.to(listener))
  for (let round = 0; round < 2; round++) {
    upgrade(client, trust).catch(() => {})
    client.write('secret')
    client.destroy()
    await new Promise(resolve => client.once('close', resolve))
    client.connect(t.to(listener))
  }
  await first(client, 'connect')
  equal([client.encrypted, client.tls], [undefined, undefined])
  client.write('plain again')
  await t.until(() => all().includes('plain again'))
  equal([all().includes('secret'), all().includes('\x16\x03')], [false, false])
})

upgrades('small plain writes for which there is no room', own, async (t, upgrade) => {
  const { client, peer } = await t.pair()
  let plain = 0
  // What a handler writes is collected, and through for the stream, before the kernel is asked.
  client.on('data', () => {
    for (let each = 0; each < 4; each++) client.write('p'.repeat(4000))
    plain += 16_000
  })
  while (client._handle.writeQueueSize === 0) {
    peer.write('.')
    await first(client, 'data')
    await t.turns()
  }
  client.removeAllListeners('data').pause()
  equal(client.writableLength, 0)
  const near = upgrade(client, trust)
  client.write('secret')
  await new Promise(resolve => {
    peer.on('readable', function take() {
      while (plain > 0) {
        const chunk = peer.read(Math.min(plain, peer.readableLength) || 1)
        if (chunk === null) return
        if (chunk.includes('secret')) throw new Error('in the clear')
        plain -= chunk.length
      }
      peer.off('readable', take)
      resolve()
    })
  })
  equal(await sealed(t, upgrade, client, peer, near), 'secret')
})

upgrades('bytes of a relay that wait for room', { ...own, on: 'linux' }, async (t, upgrade) => {
  const { client, a, b, peer } = await proxy(t)
  const relay = relays(t)
  a.pipe(b)
  await warmUp(client, peer)
  const total = 24 * 1024 * 1024
  const pattern = Buffer.alloc(total)
  for (let at = 0; at + 4 <= total; at += 4) pattern.writeUInt32LE(at, at)
  peer.removeAllListeners('data').pause()
  client.write(pattern)
  await relay.until(1)
  // Nobody reads at the end of it, so the relay's own memory fills as well.
  let before = -1
  while (before !== b.bytesWritten) {
    before = b.bytesWritten
    await t.quiet()
  }
  const near = upgrade(b, trust)
  const got = []
  let length = 0
  let far
  // Plain bytes first: as long as they are those of the pattern.
  await new Promise(resolve => {
    peer.on('readable', function take() {
      for (;;) {
        const chunk = peer.read()
        if (chunk === null) return
        const same = sameBytes(chunk, pattern, length)
        got.push(chunk.subarray(0, same))
        length += same
        if (same === chunk.length) continue
        peer.off('readable', take)
        peer.unshift(chunk.subarray(same))
        far = upgrade(peer, server)
        resolve()
        return
      }
    })
  })
  far = await far
  far.on('data', chunk => {
    got.push(chunk)
    length += chunk.length
  })
  await near
  await t.until(() => length >= total)
  equal(Buffer.concat(got).equals(pattern), true)
})

/** How many bytes of `chunk` are those of `all` from `from` on. */
function sameBytes(chunk, all, from) {
  const wanted = all.subarray(from, from + chunk.length)
  if (chunk.equals(wanted)) return chunk.length
  return chunk.findIndex((byte, at) => byte !== wanted[at])
}

// --- what comes in ----------------------------------------------------------------------------------------------------

for (const how of ['flowing', 'paused', 'in a segment of its own']) {
  upgrades(`plain bytes behind the answer to STARTTLS, ${how}`, own, async (t, upgrade) => {
    const { client, peer } = await t.pair()
    const seen = []
    const outcome = new Promise(resolve => {
      const start = () =>
        resolve(
          upgrade(client, trust).then(
            () => 'secure',
            error => error.code,
          ),
        )
      if (how === 'flowing') {
        client.once('data', chunk => {
          seen.push(String(chunk))
          start()
        })
      } else {
        client.once('readable', () => {
          seen.push(String(client.read(8)))
          start()
        })
      }
    })
    peer.write('go ahead')
    if (how === 'in a segment of its own') await t.until(() => seen.length > 0)
    peer.write('250 you are root\r\n')
    const later = chunk => seen.push(String(chunk))
    // In one read with the answer it is the program that takes them, and TLS hears nothing.
    if (how === 'flowing')
      await t.until(() => seen.length > 0).then(() => seen[0] === 'go ahead' || peer.end())
    const code = await outcome
    client.on('data', later)
    await t.closed(client)
    const apart = seen[0] === 'go ahead'
    equal(seen, apart ? ['go ahead'] : ['go ahead250 you are root\r\n'])
    equal(code, apart ? 'ERR_SSL_WRONG_VERSION_NUMBER' : 'ECONNRESET')
  })
}

for (const way of ['resume', 'read']) {
  upgrades(
    `plain bytes while earlier writes wait, into a buffer (onread), ${way}()`,
    own,
    async (t, upgrade) => {
      const seen = []
      const onread = {
        buffer: Buffer.alloc(1000),
        callback: (length, buffer) => seen.push(String(buffer.subarray(0, length))),
      }
      const { client, peer } = await t.pair({ client: { onread } })
      client.pause()
      client.write(Buffer.alloc(8_000_000, 'p'))
      peer.write('250 you are root\r\n')
      await t.quiet()
      const outcome = upgrade(client, trust).then(
        () => 'secure',
        error => error.code,
      )
      client[way]()
      await t.quiet()
      peer.resume()
      equal(await outcome, 'ERR_SSL_WRONG_VERSION_NUMBER')
      equal(seen, [])
    },
  )
}

const moments = {
  "in 'connection'": write => write(),
  'in a tick behind it': write => process.nextTick(write),
  'in an immediate behind it': write => setImmediate(write),
}
for (const [when, act] of Object.entries(moments)) {
  secured(
    `what is written to the socket below a server's, ${when}, does not leave unencrypted`,
    own,
    async (t, kit) => {
      const server = await kit.listen()
      const closed = new Promise(resolve => {
        server.on('connection', raw => {
          raw.on('error', error => {
            if (kit.engine === 'openssl' || error.code !== 'ERR_TLS_INVALID_STATE') throw error
          })
          raw.once('close', () => {
            // It is a plain socket again.
            if (Object.hasOwn(raw, '_write')) throw new Error('cannot be written')
            resolve()
          })
          act(() => raw.write('PLAIN'))
          act(() => raw.write('PLAIN', () => {}))
        })
      })
      const { port } = server.address()
      const client = t.own(nodeNet.connect(port, '127.0.0.1'))
      const got = []
      client.on('error', () => {}).on('data', data => got.push(data))
      await first(client, 'connect')
      await t.turns(3)
      client.end('no hello')
      await closed
      if (Buffer.concat(got).includes('PLAIN')) throw new Error('it has left')
    },
  )
}
