// Handlers that throw, many times and next to others: no other socket loses an event, and nothing leaks.

import { growth } from '../fixtures/robustness/memory.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'

const SIZE = 100_000
const boom = new Error('boom')

// `count` clients at once, so that their events share batches; every second one throws, once, at `event`. Returns what
// became of the others.
async function round(t, server, event, count) {
  const goods = []
  for (let at = 0; at < count; at++) {
    const client = t.net.connect(t.to(server))
    client.on('error', () => {})
    const bad = at % 2 === 1
    const fail = () => {
      // What Node does after the listeners it leaves undone: an exception may leave a socket open for ever.
      client.destroy()
      throw boom
    }
    // Corked, for a write that the kernel takes at once asks for no 'drain'.
    const start = () => {
      client.cork()
      client.write(
        Buffer.alloc(SIZE),
        bad && event === 'a write callback' ? fail : () => seen.push('written'),
      )
      client.uncork()
    }
    const seen = []
    for (const name of ['connect', 'ready', 'drain', 'end', 'finish', 'close'])
      client.on(name, () => seen.push(name))
    let text = ''
    client.on('data', data => (text += data))
    client.on('end', () => seen.push(text))
    if (event === 'timeout') client.setTimeout(1, () => client.setTimeout(0) && start())
    else client.on('connect', start)
    if (!bad) goods.push(new Promise(resolve => client.on('close', () => resolve(seen.sort().join(' ')))))
    else if (event === 'error') client.on('connect', () => client.destroy(boom)).on('error', fail)
    else if (event !== 'a write callback') client.on(event, fail)
  }
  const others = new Set(await Promise.all(goods))
  await t.until(() => server._connections === 0)
  return [...others]
}

// A server that answers when it has got all; `event`: where every second of its sockets throws.
async function serve(t, event) {
  let number = 0
  const server = t.own(
    t.net.createServer(peer => {
      const bad = number++ % 2 === 1
      let bytes = 0
      peer.on('error', () => {})
      peer.on('data', chunk => {
        bytes += chunk.length
        if (bytes === SIZE) peer.end('answer')
      })
      if (!bad || event === undefined) return
      if (event === 'connection') throw boom
      // An exception leaves undone what the others wait for, but not the close.
      peer.on(event, () => {
        if (event !== 'close') peer.destroy()
        throw boom
      })
    }),
  )
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  t.alias(server.address().port, 'port')
  return server
}

const events = [
  'connect',
  'ready',
  'data',
  'drain',
  'end',
  'finish',
  'close',
  'timeout',
  'error',
  'a write callback',
]

for (const event of events) {
  parity(`exceptions in ${event} cost no other socket an event`, async t => {
    let caught = 0
    t.catchesUncaught = error => {
      if (error === boom) caught++
      else throw error
    }
    const server = await serve(t)
    for (let at = 0; at < 3; at++) t.log('others', await round(t, server, event, 40))
    await t.until(() => caught >= 60)
    await t.quiet()
    t.log('caught', caught)
  })
}

for (const event of ['connection', 'data', 'end', 'finish', 'close']) {
  parity(`exceptions in ${event} on the server cost no other socket an event`, async t => {
    let caught = 0
    t.catchesUncaught = error => {
      if (error === boom) caught++
      else throw error
    }
    const server = await serve(t, event)
    const ends = []
    for (let at = 0; at < 40; at++) {
      const client = t.connect(t.to(server)).on('error', () => {})
      const seen = []
      client.on('connect', () => client.write(Buffer.alloc(SIZE)))
      client.on('data', data => seen.push(String(data)))
      client.on('end', () => seen.push('end'))
      ends.push(new Promise(resolve => client.on('close', () => resolve(seen.join(' ')))))
    }
    const all = await Promise.all(ends)
    await t.until(() => server._connections === 0 && caught >= 20)
    await t.quiet()
    t.log('answered', all.filter(seen => seen === 'answer end').length >= 20)
    t.log('caught', caught)
  })
}

parityProcess('thousands of exceptions leave nothing behind', { on: 'unix' }, async t => {
  let caught = 0
  process.on('uncaughtException', error => {
    if (error === boom) caught++
    else throw error
  })
  const server = await serve(t)
  let rounds = 0
  const work = async () => {
    for (let at = 0; at < 2; at++) for (const event of events) await round(t, server, event, 20)
    rounds += 2 * events.length
  }
  t.log('left', await growth(work))
  t.log('caught', caught >= 400, caught === rounds * 10)
  server.close()
})

parity('thousands of exceptions in one batch are all reported', async t => {
  const errors = []
  t.catchesUncaught = error => errors.push(error.message)
  const server = await t.listen({}, peer => {
    peer.on('data', data => {
      for (let at = 0; at < 30; at++) {
        process.nextTick(() => {
          throw new Error('in a tick')
        })
      }
      peer.end(data)
      throw new Error('in data')
    })
  })
  const clients = Array.from({ length: 200 }, () => t.connect(t.to(server)))
  await Promise.all(clients.map(client => t.seen(client, 'connect')))
  const echoes = clients.map(client => t.drained(client))
  for (const client of clients) client.write('echo')
  const texts = new Set((await Promise.all(echoes)).map(String))
  await t.until(() => errors.length === 200 * 31)
  t.log('echoed', [...texts], errors.filter(message => message === 'in data').length)
})
