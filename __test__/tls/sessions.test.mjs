// Sessions that go on: tickets, the store of a server, and the keys.

import { first, secured, trust } from '../helpers/tls.mjs'

async function again(t, kit, server, session) {
  const { client, peer } = await kit.meet({ over: server, client: { session } })
  t.log('again', client.isSessionReused(), peer.isSessionReused(), client.authorized)
  client.destroy()
  await t.closed(peer)
}

secured('a session goes on', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const session = await kit.earned(server)
  t.log('session', Buffer.isBuffer(session))
  await again(t, kit, server, session)
})

secured('a session is told of behind secureConnect', { both: true }, async (t, kit) => {
  const server = await kit.listen({}, socket => socket.write('x'))
  const client = kit.connect(server)
  const seen = []
  client.on('secureConnect', () => seen.push('secureConnect'))
  const told = new Promise(resolve => client.on('session', () => resolve(seen.push('session'))))
  client.resume()
  await told
  t.log('seen', seen.slice(0, 2))
})

secured('setSession before the handshake', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const session = await kit.earned(server)
  const socket = t.connect(t.to(server))
  const client = t.own(new kit.tls.TLSSocket(socket, { ...kit.limits, ca: trust.ca, isServer: false }))
  client.setServername('localhost')
  client.setSession(session)
  client._start()
  await first(client, 'secure')
  t.log('reused', client.isSessionReused())
})

secured('other ticket keys end what was', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const session = await kit.earned(server)
  const keys = server.getTicketKeys()
  server.setTicketKeys(Buffer.alloc(48, 7))
  await again(t, kit, server, session)
  server.setTicketKeys(keys)
  await again(t, kit, server, session)
})

secured('two servers with the same ticket keys', { both: true }, async (t, kit) => {
  const ticketKeys = Buffer.alloc(48, 3)
  const one = await kit.listen({ ticketKeys })
  const other = await kit.listen({ ticketKeys })
  const session = await kit.earned(one)
  await again(t, kit, other, session)
  t.log('keys', one.getTicketKeys().equals(ticketKeys))
})

secured('newSession and resumeSession, TLS 1.2 without tickets', async (t, kit) => {
  const { constants } = await import('node:crypto')
  const kept = new Map()
  const server = await kit.listen({ maxVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET })
  server.on('newSession', (id, session, done) => {
    t.log('newSession', id.length)
    kept.set(id.toString('hex'), session)
    done()
  })
  server.on('resumeSession', (id, done) => {
    t.log('resumeSession', kept.has(id.toString('hex')))
    done(null, kept.get(id.toString('hex')) ?? null)
  })
  const options = { maxVersion: 'TLSv1.2' }
  const { client } = await kit.meet({ over: server, client: options })
  const session = client.getSession()
  client.destroy()
  const next = await kit.meet({ over: server, client: { ...options, session } })
  t.log('reused', next.client.isSessionReused())
})
