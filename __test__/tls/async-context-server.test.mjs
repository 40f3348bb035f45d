// AsyncLocalStorage: what listeners of a server see, and those of a session over a socket that had a store of its own.

import { constants } from 'node:crypto'
import { certificates } from '../helpers/certificates.mjs'
import { ofClient, ofSocket, Stores, storage } from '../helpers/stores.mjs'
import { first, secured } from '../helpers/tls.mjs'

const { key, cert, ca } = certificates().good
const both = { both: true }

/** Without listeners of 'connection' ferronet makes one object of the two. */
for (const wherefore of ['a server that nobody hears a connection of', 'a server that is heard']) {
  secured(wherefore, both, async (t, kit) => {
    const stores = new Stores()
    const asked = what => stores.note(`server ${what}`)
    const kept = new Map()
    const server = await storage.run('listening', () =>
      kit.listen({
        ...{ key, cert, ca, requestCert: true, secureOptions: constants.SSL_OP_NO_TICKET },
        SNICallback(_name, done) {
          asked('SNICallback')
          setImmediate(done, null, null)
        },
        ALPNCallback({ protocols }) {
          asked('ALPNCallback')
          return protocols[0]
        },
      }),
    )
    const events = ['secureConnection', 'keylog', ...(wherefore.endsWith('heard') ? ['connection'] : [])]
    stores.on(server, 'server', ...events)
    server.on('newSession', (id, session, done) => {
      asked('newSession')
      kept.set(id.toString('hex'), session)
      done()
    })
    server.on('resumeSession', (id, done) => {
      asked('resumeSession')
      done(null, kept.get(id.toString('hex')) ?? null)
    })
    server.on('OCSPRequest', (_certificate, _issuer, done) => {
      asked('OCSPRequest')
      setImmediate(done, null, Buffer.from('response'))
    })
    server.on('secureConnection', peer => {
      stores.on(peer, 'peer', ...ofSocket, 'drain', 'secure')
      storage.run('answering', () => peer.write('answer', () => stores.note('peer written')))
      storage.run('ending', () => peer.on('end', () => peer.end('bye', () => stores.note('peer ended'))))
    })
    let session
    for (let round = 0; round < 2; round++) {
      const accepted = first(server, 'secureConnection')
      const client = kit.connect(server, {
        ...{ key, cert, ca, ALPNProtocols: ['a'], requestOCSP: true, servername: 'localhost', session },
      })
      client.on('session', given => {
        session = given
      })
      await first(client, 'data')
      client.resume().end('question')
      await t.closed(client, await accepted)
    }
    stores.tell(t)
  })
}

secured('a server refuses a client', both, async (t, kit) => {
  const stores = new Stores()
  const insists = { key, cert, ca, requestCert: true }
  const server = await storage.run('listening', () => kit.listen(insists))
  stores.on(server, 'server', 'tlsClientError')
  const failed = new Promise(resolve => {
    server.on('tlsClientError', (_error, socket) => {
      stores.on(socket, 'peer', 'close')
      socket.on('close', resolve)
    })
  })
  const client = kit.connect(server, { ca }).on('error', () => {})
  await failed
  await t.closed(client.resume())
  stores.tell(t)
})

secured('a client over a socket', both, async (t, kit) => {
  const stores = new Stores()
  const server = await kit.listen({ key, cert }, peer => {
    peer.on('data', () => peer.end('answer'))
    peer.on('end', () => peer.end())
  })
  const below = storage.run('connecting', () => t.connect(t.to(server)))
  await first(below, 'connect')
  const client = storage.run('securing', () =>
    t.own(
      kit.tls.connect({
        ...{ socket: below, ca, servername: 'localhost', ...kit.limits },
        checkServerIdentity() {
          stores.note('client checkServerIdentity')
        },
      }),
    ),
  )
  stores.on(client, 'client', ...ofClient, ...ofSocket)
  stores.on(below, 'below', 'close')
  await first(client, 'secureConnect')
  storage.run('writing', () => client.write('question', () => stores.note('client written')))
  await t.closed(client)
  stores.tell(t)
})

secured('a server that is given a socket', both, async (t, kit) => {
  const stores = new Stores()
  const server = storage.run('creating', () =>
    t.own(
      kit.tls.createServer({
        ...{ key, cert, ...kit.limits },
        SNICallback(_name, done) {
          stores.note('server SNICallback')
          setImmediate(done, null, null)
        },
      }),
    ),
  )
  stores.on(server, 'server', 'secureConnection', 'keylog')
  server.on('secureConnection', peer => {
    stores.on(t.own(peer), 'peer', ...ofSocket)
    peer.on('data', () => peer.end('answer', () => stores.note('peer ended')))
  })
  const listener = await storage.run('listening', () =>
    t.listen({}, socket => {
      stores.note('listener connection')
      storage.run('giving', () => server.emit('connection', socket))
    }),
  )
  const client = t.own(kit.tls.connect({ ...t.to(listener), ca, servername: 'localhost', ...kit.limits }))
  client.resume().write('question')
  const closed = first(server, 'secureConnection').then(peer => t.closed(peer))
  await t.closed(client)
  await closed
  stores.tell(t)
})
