// AsyncLocalStorage: the store that each listener and each callback sees, on both sides of a connection.

import { certificates } from '../helpers/certificates.mjs'
import { ofClient, ofSocket, Stores, storage } from '../helpers/stores.mjs'
import { first, secured } from '../helpers/tls.mjs'

const { good, ...others } = certificates()
const { key, cert, ca } = good
const both = { both: true }

secured('a client', both, async (t, kit) => {
  const stores = new Stores()
  const server = await kit.listen({ key, cert }, peer => {
    // What was written first may come along with it.
    peer.on('data', data => {
      if (String(data).endsWith('question')) peer.write('answer')
    })
    peer.on('end', () => peer.end())
  })
  server.on('OCSPRequest', (_certificate, _issuer, done) => done(null, Buffer.from('response')))
  const client = storage.run('connecting', () =>
    kit.connect(server, {
      ...{ ca, host: 'localhost', requestOCSP: true, timeout: 100_000 },
      lookup(_name, options, done) {
        stores.note('client lookup()')
        done(null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4)
      },
      checkServerIdentity() {
        stores.note('client checkServerIdentity')
      },
    }),
  )
  stores.on(client, 'client', ...ofClient, ...ofSocket)
  const heard = storage.run('hearing', () => {
    client.once('secureConnect', () => stores.note('client once secureConnect'))
    return first(client, 'data')
  })
  const written = new Promise(resolve => {
    storage.run('writing early', () =>
      client.write('before', () => {
        stores.note('client written before')
        resolve()
      }),
    )
  })
  await first(client, 'secureConnect')
  await written
  storage.run('writing', () => client.write('question', () => stores.note('client written')))
  await heard
  storage.run('ending', () => client.end('bye', () => stores.note('client ended')))
  await t.closed(client)
  stores.tell(t)
})

secured('a listener that is given to connect()', both, async (t, kit) => {
  const server = await kit.listen({ key, cert })
  const secure = new Promise(resolve => {
    storage.run('connecting', () => {
      const options = t.to(server, { ca, servername: 'localhost', ...kit.limits })
      t.own(kit.tls.connect(options, () => resolve(storage.getStore())))
    })
  })
  t.log('store', await secure)
})

secured('a client that has nobody to trust', both, async (t, kit) => {
  const stores = new Stores()
  const { key, cert } = others['self-signed']
  const server = await kit.listen({ key, cert })
  const client = storage.run('connecting', () => kit.connect(server, { ca: undefined }))
  stores.on(client, 'client', ...ofSocket, 'secureConnect')
  storage.run('writing', () => client.write('x', () => stores.note('client written')))
  await t.closed(client)
  stores.tell(t)
})

secured('a client that is refused', async (t, kit) => {
  const stores = new Stores()
  const server = await kit.listen({ key, cert })
  const to = t.to(server)
  server.close()
  await t.closed(server)
  const client = storage.run('connecting', () => t.own(kit.tls.connect(to)))
  stores.on(client, 'client', ...ofSocket)
  await t.closed(client)
  stores.tell(t)
})

for (const side of ['client', 'peer']) {
  secured(`${side === 'client' ? 'a client' : 'a socket of a server'} is destroyed`, both, async (t, kit) => {
    const stores = new Stores()
    const server = await storage.run('listening', () => kit.listen({ key, cert }))
    const accepted = first(server, 'secureConnection')
    const client = storage.run('connecting', () => kit.connect(server, { ca }))
    const [peer] = await Promise.all([accepted, first(client, 'secureConnect')])
    const socket = { client, peer }[side]
    stores.on(socket, side, ...ofSocket)
    storage.run('destroying', () => socket.destroy(new Error('of the program')))
    for (const end of [client, peer]) end.on('error', () => {}).resume()
    await t.closed(client, peer)
    stores.tell(t)
  })
}

secured('a time-out of a socket', async (t, kit) => {
  const stores = new Stores()
  const server = await storage.run('listening', () => kit.listen({ key, cert }))
  const { client, peer } = await kit.meet({ over: server, client: { ca } })
  for (const [side, socket] of Object.entries({ client, peer })) {
    stores.on(socket, side, 'timeout')
    storage.run(`timing the ${side}`, () => socket.setTimeout(1, () => stores.note(`${side} listener`)))
    await first(socket, 'timeout')
    socket.setTimeout(0)
  }
  stores.tell(t)
})

secured('writes that wait for a reader', both, async (t, kit) => {
  const stores = new Stores()
  const server = await storage.run('listening', () => kit.listen({ key, cert }))
  const accepted = first(server, 'secureConnection')
  const client = storage.run('connecting', () => kit.connect(server, { ca }))
  const [peer] = await Promise.all([accepted, first(client, 'secureConnect')])
  for (const [near, side, far] of [
    [client, 'client', peer],
    [peer, 'peer', client],
  ]) {
    stores.on(near, side, 'drain')
    const drained = first(near, 'drain')
    const block = Buffer.alloc(1 << 20)
    // The kernel decides which of them waits.
    for (let i = 0; i < 8; i++)
      storage.run('writing', () => near.write(block, () => stores.note(`${side} written`)))
    far.resume()
    await drained
  }
  stores.tell(t)
})

secured('the callback of a further handshake', async (t, kit) => {
  const { client, peer } = await kit.meet({
    ...{ server: { key, cert, maxVersion: 'TLSv1.2' }, client: { ca } },
  })
  for (const end of [client, peer]) end.resume()
  const done = new Promise(resolve => {
    storage.run('beginning', () => client.renegotiate({}, () => resolve(storage.getStore() ?? 'none')))
  })
  t.log('store', await done)
})
