// A handler that runs the event loop itself, as `deasync` and other addons do: nothing in progress may be lost, mixed
// up, or wait for the handler to return.

import { native } from '../helpers/native.mjs'
import { parity } from '../helpers/parity.mjs'
import { Peer } from '../helpers/peer.mjs'

const ONCE = 1
const patience = 20_000

/** Runs the loop until `done`, as a synchronous call that waits would. */
function runUntil(done) {
  const { runLoop } = native()
  const deadline = Date.now() + patience
  while (!done()) {
    if (Date.now() > deadline) throw new Error('nothing comes any more')
    runLoop(ONCE)
  }
}

/**
 * On Windows libuv's inner loop sees neither what the outer one has taken already, nor more of the socket whose handler
 * runs it: node:net waits for ever there.
 */
const unlikeWindows = main =>
  process.platform === 'win32' ? { since: '999', expected: { main } } : { expected: { main } }

async function accepted(t, count, options = {}) {
  const peer = await Peer.start(t.cleanup)
  const server = await t.listen(options)
  const sockets = []
  for (let at = 0; at < count; at++) {
    const next = new Promise(resolve => server.once('connection', resolve))
    peer.do('connect', server.address().port)
    sockets.push(await next)
  }
  return { peer, server, sockets }
}

for (const [name, options] of [
  ['', {}],
  [', sharedChunks', { sharedChunks: true }],
]) {
  parity(
    `messages that came together reach their sockets while the first one's handler runs the loop${name}`,
    unlikeWindows([
      ['all had theirs inside', true],
      ['got', ['message 0', 'message 1', 'message 2', 'message 3', 'message 4']],
    ]),
    async t => {
      const { peer, sockets } = await accepted(t, 5, options)
      const got = sockets.map(() => '')
      let nested = false
      for (const [at, socket] of sockets.entries()) {
        socket.on('data', chunk => {
          got[at] += chunk
          if (nested) return
          nested = true
          runUntil(() => got.every(Boolean))
          t.log('all had theirs inside', got.every(Boolean))
        })
      }
      await t.turns(2)
      for (const at of sockets.keys()) peer.do('write', at, Buffer.from(`message ${at}`))
      await t.until(() => got.every(Boolean))
      t.log('got', got)
    },
  )

  parity(
    `a long read goes on while a handler runs the loop, and nothing of another connection gets in${name}`,
    async t => {
      const { peer, sockets } = await accepted(t, 2, options)
      const [one, other] = sockets
      const received = { one: [], other: [] }
      const length = chunks => chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      let nested = false
      one.on('data', chunk => {
        received.one.push(chunk)
        if (nested) return
        nested = true
        peer.do('start', 1, Buffer.alloc(200_000, 'b'))
        runUntil(() => length(received.other) === 200_000)
      })
      other.on('data', chunk => received.other.push(chunk))
      await t.turns(2)
      peer.do('start', 0, Buffer.alloc(600_000, 'a'))
      await t.until(() => length(received.one) === 600_000)
      t.log(
        'pure',
        Buffer.concat(received.one).every(byte => byte === 97),
      )
      t.log(
        'pure',
        Buffer.concat(received.other).every(byte => byte === 98),
      )
    },
  )
}

parity('clients that came together are accepted while a handler runs the loop', async t => {
  const { peer, server, sockets } = await accepted(t, 1)
  let clients = 0
  server.on('connection', () => clients++)
  sockets[0].on('data', () => {
    for (let at = 0; at < 3; at++) peer.do('connect', server.address().port)
    runUntil(() => clients === 3)
    t.log('accepted inside', clients)
  })
  await t.turns(2)
  peer.do('write', 0, Buffer.from('go'))
  await t.until(() => clients === 3)
  t.log('accepted', clients)
})

const both = ['answer to first', 'answer to second']
parity(
  'a handler writes, and waits for the answer by running the loop',
  unlikeWindows([
    ['inside', both],
    ['answers', both],
  ]),
  async t => {
    const server = await t.listen({}, peer => peer.on('data', chunk => peer.write(`answer to ${chunk}`)))
    const client = t.connect(t.to(server))
    const answers = []
    client.on('data', chunk => {
      answers.push(String(chunk))
      if (answers.length > 1) return
      client.write('second')
      runUntil(() => answers.length === 2)
      t.log('inside', answers)
    })
    client.write('first')
    await t.until(() => answers.length === 2)
    t.log('answers', answers)
  },
)

parity('a timer writes twice, and waits for the answer by running the loop', async t => {
  const server = await t.listen({}, peer => peer.pipe(peer))
  const client = t.connect(t.to(server))
  await t.seen(client, 'connect')
  let echoed = ''
  client.on('data', chunk => {
    echoed += chunk
  })
  await new Promise(resolve =>
    setTimeout(() => {
      client.write('one ')
      client.write('two')
      runUntil(() => echoed === 'one two')
      resolve()
    }),
  )
  t.log('echoed', echoed)
})

parity("completions and 'close' come while a handler runs the loop", async t => {
  const { peer, sockets } = await accepted(t, 3)
  const events = []
  for (const [at, socket] of sockets.entries()) {
    socket.on('finish', () => events.push(`finish ${at}`))
    socket.on('close', () => events.push(`close ${at}`))
  }
  sockets[0].on('data', () => {
    sockets[1].end()
    sockets[2].destroy()
    runUntil(() => events.includes('close 2'))
    t.log('inside', events.includes('close 2'))
  })
  await t.turns(2)
  peer.do('write', 0, Buffer.from('go'))
  await t.until(() => events.includes('finish 1') && events.includes('close 2'))
  t.log('events', events.filter(event => !event.endsWith('0')).sort())
})
