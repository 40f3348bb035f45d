// The options of ferronet/tls that node:tls does not have.

import { deepEqual as equal, throws } from 'node:assert/strict'
import nodeTls from 'node:tls'
import { first, identity, secured, trust } from '../helpers/tls.mjs'

const ours = { module: 'ferronet' }
const required = { requireCloseNotify: true }

/** The code of its error, or null if it just ends. */
function endOf(socket) {
  return new Promise(resolve => {
    socket.once('error', ({ code }) => resolve(code)).once('end', () => resolve(null))
    socket.resume()
  })
}

for (const announced of [true, false]) {
  const how = announced ? 'was announced' : 'was not announced'

  secured(`a server with requireCloseNotify hears an end that ${how}`, ours, async (t, { listen }) => {
    const server = await listen(required)
    const accepted = first(server, 'secureConnection')
    const raw = t.connect(t.to(server))
    const session = nodeTls.connect({ ...trust, socket: raw }).on('error', () => {})
    const [peer] = await Promise.all([accepted, first(session, 'secureConnect')])
    const end = endOf(peer)
    session.write('x', () => (announced ? session : raw).end())
    equal(await end, announced ? null : 'ERR_TLS_TRUNCATED')
  })

  secured(`a client with requireCloseNotify hears an end that ${how}`, ours, async (t, { connect }) => {
    const server = await t.listen()
    server.on('connection', raw => {
      const session = new nodeTls.TLSSocket(raw, { isServer: true, ...identity }).on('error', () => {})
      session.once('data', () => (announced ? session : raw).end())
    })
    const client = connect(server, required)
    const end = endOf(client)
    client.write('x')
    equal(await end, announced ? null : 'ERR_TLS_TRUNCATED')
  })
}

// The other engine gives Node's chunks, which have their own memory.
secured(
  'sharedChunks is for the sockets of a client and of a server',
  { ...ours, engine: 'openssl' },
  async (_, { meet }) => {
    for (const sharedChunks of [true, false]) {
      const { client, peer } = await meet({ server: { sharedChunks }, client: { sharedChunks } })
      const atPeer = first(peer, 'data')
      client.write('x')
      const atClient = first(client, 'data')
      peer.write('y')
      for (const chunk of await Promise.all([atPeer, atClient])) {
        equal(chunk.buffer.byteLength > chunk.length, sharedChunks)
      }
    }
  },
)

secured('busyPoll is checked for a client and for a server', ours, async (_, { tls }) => {
  const wrong = { busyPoll: -1 }
  throws(() => tls.connect({ port: 1, ...wrong }), { code: 'ERR_OUT_OF_RANGE' })
  throws(() => new tls.TLSSocket(undefined, wrong), { code: 'ERR_OUT_OF_RANGE' })
  throws(() => tls.createServer(wrong), { code: 'ERR_OUT_OF_RANGE' })
})
