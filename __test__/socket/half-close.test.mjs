// Each side closes its half separately: which side ends first, reads to the end, or stays open.

import { parity } from '../helpers/parity.mjs'

const state = socket => [socket.readyState, socket.readable, socket.writable, socket.allowHalfOpen]

parity('a peer that ends first, with data', async ({ listen, connect, to, watch, closed }) => {
  let peer
  const server = await listen({}, socket => {
    peer = watch(socket, 'peer').resume()
    peer.end('hi')
  })
  const client = watch(connect(to(server)), 'client').resume()
  await closed(client)
  await closed(peer)
})

parity('we end first, with data', async ({ listen, connect, to, watch, closed, seen }) => {
  let peer
  const server = watch(
    await listen({}, socket => {
      peer = watch(socket, 'peer').resume()
    }),
    'server',
  )
  const client = watch(connect(to(server)), 'client').resume()
  await seen(server, 'connection')
  client.end('bye')
  await closed(client, peer)
})

parity(
  'with allowHalfOpen the end of the peer leaves our side open',
  async ({ pair, watch, log, closed, seen, drained }) => {
    const { client, peer } = await pair({ client: { allowHalfOpen: true } })
    watch(client, 'client', { into: 'main' }).resume()
    log('before', ...state(client))
    const arrived = drained(peer)
    peer.end('that is all')
    await seen(client, 'end')
    log('half', ...state(client), client.destroyed)
    client.write('still ')
    client.end('here')
    log('ended', ...state(client))
    log.to('peer')('arrived', await arrived)
    await closed(client, peer)
    log('after', ...state(client), client.destroyed)
  },
)

parity('with allowHalfOpen on the server the accepted socket answers after the end', async t => {
  const { pair, watch, log, closed, drained, seen } = t
  const { server, client, peer } = await pair({ server: { allowHalfOpen: true } })
  watch(peer, 'peer').resume()
  log('server', server.allowHalfOpen, peer.allowHalfOpen, client.allowHalfOpen)
  const answer = drained(client)
  client.end('question')
  await seen(peer, 'end')
  log('half', ...state(peer))
  peer.end('answer')
  log('arrived', await answer)
  await closed(client, peer)
})

parity('without allowHalfOpen the end of the peer ends our side after its listeners', async t => {
  const { pair, watch, log, closed } = t
  const { client, peer } = await pair()
  watch(client, 'client', { into: 'main' }).resume()
  client.on('end', () => {
    log('in end', ...state(client), client.writableEnded)
    process.nextTick(() => log('nextTick', client.writableEnded))
  })
  peer.resume().end()
  await closed(client)
})

parity('readyState follows both halves', async ({ pair, log, seen, closed, watch }) => {
  const { client, peer } = await pair({ client: { allowHalfOpen: true }, server: { allowHalfOpen: true } })
  watch(client, 'client', { except: ['data'] }).resume()
  watch(peer, 'peer', { except: ['data'] }).resume()
  log('open', client.readyState, peer.readyState)
  client.end()
  log('end called', client.readyState)
  await seen(peer, 'end')
  log('end seen', client.readyState, peer.readyState)
  peer.end()
  log('both', client.readyState, peer.readyState)
  await closed(client, peer)
  log('closed', client.readyState, peer.readyState)
})

parity(
  'allowHalfOpen set after the connection is respected',
  async ({ pair, watch, log, seen, quiet, closed }) => {
    const { client, peer } = await pair()
    watch(client, 'client', { into: 'main' }).resume()
    client.allowHalfOpen = true
    peer.resume().end()
    await seen(client, 'end')
    await quiet()
    log('half', ...state(client), client.destroyed)
    client.end()
    await closed(client)
  },
)

parity('nobody reads, so the end is never seen and the socket stays open', async t => {
  const { pair, watch, log, until, quiet, seen } = t
  const { client, peer } = await pair()
  watch(client, 'client')
  watch(peer, 'peer')
  peer.resume().end('unread')
  await seen(peer, 'finish')
  await until(() => client.bytesRead === 6)
  await quiet()
  log('later', client.destroyed, client.readableLength, client.readyState, peer.destroyed)
})

parity(
  'what nobody read is still there when somebody does',
  async ({ pair, watch, log, quiet, seen, closed, until }) => {
    const { client, peer } = await pair()
    watch(client, 'client')
    peer.resume().end('late reader')
    await until(() => client.bytesRead === 11)
    await quiet()
    log('before', client.destroyed)
    client.resume()
    await closed(client)
    await seen(client, 'end')
  },
)

parity('an end without data is seen though nobody reads', async ({ pair, watch, log, closed }) => {
  const { client, peer } = await pair()
  watch(client, 'client')
  peer.end()
  await closed(client)
  log('later', client.destroyed, client.readableEnded, client.readyState, client.writable)
})

parity('reading with read() sees the end', async ({ pair, watch, log, closed }) => {
  const { client, peer } = await pair()
  watch(client, 'client', { into: 'main', except: ['data'] })
  client.on('readable', () => {
    for (let chunk; (chunk = client.read()) !== null; ) log('read', chunk)
  })
  peer.resume().end('pulled')
  await closed(client)
})

parity(
  'a socket made unreadable closes after its FIN',
  async ({ net, own, listen, to, watch, log, closed }) => {
    const server = await listen({}, peer => peer.resume())
    const client = watch(own(new net.Socket({ readable: false })), 'client', { into: 'main' })
    client.connect(to(server))
    log('at once', client.readable, client.writable)
    client.end('one way')
    await closed(client)
  },
)

parity('end on both sides at once closes both', async ({ pair, watch, closed, log }) => {
  const { client, peer } = await pair()
  for (const socket of [client, peer]) socket.resume().end('x')
  const order = { client: [], peer: [] }
  for (const [name, socket] of Object.entries({ client, peer })) {
    watch(socket, name, { except: ['finish', 'prefinish', 'end', 'data'] })
    for (const event of ['end', 'finish', 'close']) socket.on(event, () => order[name].push(event))
  }
  await closed(client, peer)
  for (const [name, events] of Object.entries(order)) log(name, [...events].sort(), events.at(-1))
})

parity('many bytes before the FIN all arrive before the end', async ({ pair, log, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(client)
  for (let part = 0; part < 300; part++) peer.write(Buffer.alloc(10_000, part))
  peer.end()
  const bytes = await arrived
  log('arrived', bytes.length, bytes)
})

parity('a half-open proxy passes each end on', async ({ listen, connect, to, log, drained, net, own }) => {
  const origin = await listen({ allowHalfOpen: true }, async socket => {
    const question = await drained(socket)
    socket.end(`answer to ${question}`)
  })
  const proxy = await listen({ allowHalfOpen: true }, socket => {
    const upstream = own(net.connect(to(origin, { allowHalfOpen: true })))
    socket.pipe(upstream).pipe(socket)
  })
  const client = connect(to(proxy, { allowHalfOpen: true }))
  const arrived = drained(client)
  client.end('question')
  log('arrived', String(await arrived))
})

parity('a path socket half-closes as TCP does', { on: 'unix' }, async t => {
  const { pair, watch, log, closed, seen, drained, socketPath } = t
  const { client, peer } = await pair({ path: socketPath(), client: { allowHalfOpen: true } })
  watch(client, 'client', { into: 'main' }).resume()
  const arrived = drained(peer)
  peer.end('over')
  await seen(client, 'end')
  log('half', ...state(client))
  client.end('and out')
  log.to('peer')('arrived', await arrived)
  await closed(client, peer)
})

parity('a path socket without allowHalfOpen ends by itself', { on: 'unix' }, async t => {
  const { pair, watch, closed, socketPath } = t
  const { client, peer } = await pair({ path: socketPath() })
  watch(client, 'client').resume()
  watch(peer, 'peer').resume()
  peer.end('over')
  await closed(client, peer)
})
