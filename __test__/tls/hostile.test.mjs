// A connection that is destroyed, or whose server is closed, at any step of its handshake: the same is told as by
// node:tls, 'close' comes once, the other connections go on, and nothing is left behind.

import { deepEqual as equal } from 'node:assert/strict'
import { constants } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { certificates } from '../helpers/certificates.mjs'
import { also, first, identity, secured, told, trust } from '../helpers/tls.mjs'
import { upgrades } from '../helpers/upgrade.mjs'

const { good } = certificates()
const own = { module: 'ferronet' }

/** Counts 'close' of a socket. */
function closes(socket) {
  const seen = { count: 0 }
  socket.on('close', () => seen.count++)
  return seen
}

/** A server that does something at each step: `act(step)` is called in there. */
async function stepping(kit, act) {
  const server = await kit.listen({
    ...{ key: good.key, cert: good.cert, ca: good.ca, secureOptions: constants.SSL_OP_NO_TICKET },
    SNICallback(name, done) {
      act('SNICallback')
      done(null, name === 'localhost' ? undefined : kit.tls.createSecureContext(good))
    },
    ALPNCallback({ protocols }) {
      act('ALPNCallback')
      return protocols[0]
    },
  })
  for (const event of ['connection', 'secureConnection', 'keylog']) server.on(event, () => act(event))
  server.on('OCSPRequest', (_certificate, _issuer, done) => {
    act('OCSPRequest')
    done(null, Buffer.from('response'))
  })
  server.on('newSession', (_id, _session, done) => {
    act('newSession')
    done()
  })
  server.on('secureConnection', socket =>
    socket.on('data', data => {
      act('data')
      socket.write(data)
    }),
  )
  return server
}

const options = { ca: good.ca, ALPNProtocols: ['a'], requestOCSP: true }
const steps = [
  ...['connection', 'keylog', 'ALPNCallback', 'SNICallback', 'OCSPRequest', 'newSession', 'secureConnection'],
  'data',
]

const acts = {
  'destroys the connection': (_server, raw) => raw.destroy(),
  'destroys it with an error': (_server, raw) => raw.destroy(new Error('of the program')),
  'resets it': (_server, raw) => raw.resetAndDestroy(),
}

for (const step of steps) {
  // Node itself does not survive it in these two.
  const comparable = step === 'keylog' || step === 'newSession' ? own : {}
  secured(
    `a server's program ends the connection: ${step}`,
    { both: true, ...comparable },
    async (t, kit) => {
      let now = () => {}
      const server = await stepping(kit, at => now(at))
      const { client: other, peer: far } = await kit.meet({ over: server, client: options })
      for (const [label, act] of Object.entries(acts)) {
        const seen = []
        let raw
        let counted
        server.once('connection', socket => {
          raw = socket.on('error', () => {})
          counted = closes(raw)
        })
        // At 'connection' there is none yet: see below.
        now = at => {
          if (at !== step || raw === undefined || raw.destroyed) return
          act(server, raw)
        }
        if (step === 'connection') server.once('connection', () => act(server, raw))
        const failed = error => seen.push(told(error))
        server.on('tlsClientError', failed)
        const client = kit.connect(server, options).on('error', () => {})
        const ours = closes(client)
        client.once('secureConnect', () => client.write('bytes'))
        client.resume()
        await t.closed(client)
        await t.until(() => counted?.count > 0)
        await t.turns(3)
        server.off('tlsClientError', failed)
        equal([label, counted.count, ours.count], [label, 1, 1])
        t.log(label, seen)
      }
      now = () => {}
      far.write('still there')
      t.log('the other', String(await first(other, 'data')))
    },
  )

  secured(`a server is closed in the middle: ${step}`, { both: true }, async (t, kit) => {
    let server
    let ended
    const act = at => {
      if (at !== step || ended !== undefined) return
      ended = closes(server)
      server.close()
    }
    server = await stepping(kit, act)
    const client = kit.connect(server, options)
    client.once('secureConnect', () => client.write('bytes'))
    t.log('said', String(await first(client, 'data')), ended.count)
    client.end()
    await t.closed(server, client)
    t.log('closed', ended.count)
  })
}

for (const event of ['OCSPResponse', 'secure', 'session']) {
  secured(`a client ends the connection with an error: ${event}`, { both: true }, async (t, kit) => {
    const server = await stepping(kit, () => {})
    server.on('secureConnection', socket => socket.write('bytes'))
    const client = kit.connect(server, options)
    const counted = closes(client)
    const seen = []
    for (const name of also) client.on(name, () => seen.push(name))
    client.once(event, () => client.destroy(new Error(event)))
    t.log('error', (await first(client, 'error')).message)
    await t.closed(client)
    await t.turns(2)
    t.log('seen', [...new Set(seen)], counted.count)
  })
}

secured('both ends are destroyed in the middle of another handshake', async (t, kit) => {
  const server = await kit.listen({ maxVersion: 'TLSv1.2' })
  for (const side of ['client', 'peer']) {
    const ends = await kit.meet({ over: server })
    const counted = [closes(ends.client), closes(ends.peer)]
    ends.client.resume()
    ends.peer.resume()
    ends.client.renegotiate({}, () => t.log('never'))
    ends[side].destroy()
    await t.closed(ends.client, ends.peer)
    await t.turns(2)
    t.log(
      side,
      counted.map(({ count }) => count),
    )
  }
})

for (const when of ['in the listener', 'in the tick of the call', 'behind the hello']) {
  upgrades(`startTLS(): the socket is destroyed ${when}`, own, async (t, upgrade) => {
    for (const side of ['client', 'peer']) {
      const ends = await t.pair()
      const one = ends[side]
      const other = ends[side === 'client' ? 'peer' : 'client']
      const optionsOf = socket => (socket === ends.client ? trust : { isServer: true, ...identity })
      const counted = [closes(one), closes(other)]
      const outcome = upgrade(other, optionsOf(other)).then(
        () => 'secure',
        error => error.code,
      )
      one.on('error', () => {}).on('data', () => {})
      one.startTLS(optionsOf(one), () => when === 'in the listener' && one.destroy())
      if (when === 'in the tick of the call') one.destroy()
      if (when === 'behind the hello') {
        await t.turns(1)
        one.destroy()
      }
      other.resume()
      await t.closed(one, other)
      const end = await outcome
      if (end !== 'ECONNRESET' && !(end === 'secure' && when !== 'in the tick of the call'))
        throw new Error(end)
      equal(
        counted.map(({ count }) => count),
        [1, 1],
      )
    }
  })
}

const descriptors = () => readdirSync('/proc/self/fd').length
const alone = { ...own, on: 'linux', both: true }

secured('nothing is left of connections that end at some step', alone, async (t, kit) => {
  let now
  let raw
  let far
  const server = await stepping(kit, at => at === now && raw.destroy())
  server.prependListener('connection', socket => {
    raw = socket.on('error', () => {})
    far = first(raw, 'close')
  })
  const round = async () => {
    for (now of [...steps, 'nothing']) {
      const accepted = first(server, 'connection')
      const client = kit.connect(server, options).on('error', () => {})
      client.once('secureConnect', () => client.write('bytes'))
      client.on('data', () => client.destroy())
      await accepted
      await Promise.all([t.closed(client), far])
    }
    await t.until(() => t.net.activeHandles().length === 1)
    return descriptors()
  }
  const once = await round()
  for (let rounds = 0; rounds < 5; rounds++) equal(await round(), once)
})
