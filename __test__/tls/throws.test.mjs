// Handlers that throw. What they throw is an uncaught exception, once for each time, and the connection goes on. ('end' and
// 'finish' are left out: a stream of Node's closes behind their handlers, and stays open when one throws.)

import assert from 'node:assert/strict'
import { first, secured } from '../helpers/tls.mjs'

const onEvents = (...events) =>
  events.map(event => [event, (emitter, boom) => emitter.on(event, () => boom())])

const ofClients = [
  ...onEvents('secureConnect', 'OCSPResponse', 'session', 'keylog', 'data', 'close'),
  ['the callback of an early write', (client, boom) => client.write('early ', () => boom())],
]
const ofServers = [
  ...onEvents('connection', 'secureConnection', 'keylog'),
  [
    'newSession',
    (server, boom) =>
      server.on('newSession', (_id, _session, done) => {
        done()
        boom()
      }),
  ],
]
const ofPeers = onEvents('data', 'close')

/** `hooks`: handlers that throw, for the server, its socket and the client; they come behind those of the scenario. */
async function talk(t, kit, hooks) {
  const seen = []
  t.catchesUncaught = (error, origin) => seen.push(`${origin}: ${error.message}`)
  const boom = () => {
    throw new Error('of the program')
  }
  const server = await kit.listen({ requestOCSP: true })
  const accepted = new Promise(resolve => {
    server.once('secureConnection', peer => {
      const closed = new Promise(done => peer.prependOnceListener('close', done))
      peer.on('data', data => peer.write(data)).on('end', () => seen.push('the peer has seen the end'))
      hooks.peer?.(peer, boom)
      resolve(closed)
    })
  })
  hooks.server?.(server, boom)
  // Node itself, thrown out of the middle of a handshake, may tell of an error behind the end.
  const client = kit.connect(server, { requestOCSP: true }).on('error', () => {})
  const closed = new Promise(done => client.prependOnceListener('close', done))
  let said = ''
  client.once('secureConnect', () => client.write('hello'))
  client.on('data', data => {
    said += data
    if (said.endsWith('hello')) client.end()
  })
  client.on('end', () => seen.push('the client has seen the end'))
  hooks.client?.(client, boom)
  await Promise.all([closed, accepted.then(closed => closed)])
  // What 'close' throws.
  await new Promise(resolve => setImmediate(resolve))
  t.log('seen', seen.sort(), said)
  const after = kit.connect(server)
  await first(after, 'secureConnect')
  t.log('and another', after.authorized)
}

for (const [side, all] of Object.entries({ client: ofClients, server: ofServers, peer: ofPeers })) {
  for (const [label, hook] of all) {
    secured(`${side}: ${label}`, { both: true }, (t, kit) => talk(t, kit, { [side]: hook }))
  }
}

// Before, Node leaves the client waiting.
if (Number.parseInt(process.versions.node, 10) >= 24) {
  secured('server: OCSPRequest', { both: true }, async (t, kit) => {
    const server = await kit.listen()
    server.on('OCSPRequest', () => {
      throw new Error('of the program')
    })
    const failed = first(server, 'tlsClientError')
    const client = kit.connect(server, { requestOCSP: true }).on('error', () => {})
    t.log('failed', (await failed).message)
    await t.closed(client)
  })
}

secured('a FERRONET_TLS that is no engine', { module: 'ferronet' }, async (_t, kit) => {
  process.env.FERRONET_TLS = 'wolf'
  const message = "FERRONET_TLS must be 'openssl' or 'node', not 'wolf'"
  // A server that threw when it has accepted somebody would end the process.
  assert.throws(() => kit.tls.createServer(), { name: 'TypeError', message })
  assert.throws(() => kit.tls.connect({ port: 1 }), { name: 'TypeError', message })
})
