// Sockets that nobody attends to: no listener of 'error', or paused.

import { setImmediate as immediate } from 'node:timers/promises'
import { first, identity, secured } from '../helpers/tls.mjs'

secured('an error of a client that nobody listens for', async (t, kit) => {
  const server = t.own(kit.tls.createServer(identity))
  await new Promise(resolve => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  const accepted = first(server, 'secureConnection')
  const client = kit.connect(server).on('error', () => {})
  const peer = t.own(await accepted).resume()
  t.log('listeners', peer.listenerCount('error'), peer.listenerCount('_tlsError'))
  peer.destroy(new Error('of the program'))
  const hadError = await first(peer, 'close')
  t.log('closed', hadError, peer.errored?.message)
  client.destroy()
})

secured(
  'a peer that pauses in secureConnection hears of a client that has gone',
  { both: true },
  async (t, kit) => {
    const server = await kit.listen({}, peer => peer.pause())
    const { client, peer } = await kit.meet({ over: server })
    client.end()
    await t.closed(peer)
    t.log('paused', peer.isPaused(), peer.readableEnded)
  },
)

secured('a client that is paused before it connects reads ahead', { both: true }, async (t, kit) => {
  const server = await kit.listen({}, peer => peer.write('bytes'))
  const client = kit.connect(server).pause()
  await first(client, 'secureConnect')
  // As long as it takes: nothing tells of it.
  for (let turns = 0; client.readableLength === 0 && turns < 100_000; turns++) await immediate()
  t.log('paused', client.isPaused(), client.readableLength, client.bytesRead)
  t.log('read', String(client.read()))
})
