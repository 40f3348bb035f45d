// `relay(a, b)`: two sockets joined in both directions, and a promise of both byte counts.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { Check, source } from '../fixtures/interop/bytes.mjs'
import { parity } from '../helpers/parity.mjs'
import { proxy, relays, where } from '../helpers/relay.mjs'

const ours = { module: 'ferronet' }

for (const kinds of [
  ['tcp', 'tcp'],
  ['tcp', 'unix'],
]) {
  parity(
    `it resolves with the bytes of both directions: ${kinds.join(', ')}`,
    { ...ours, ...where(...kinds) },
    async t => {
      const count = relays(t)
      const { client, a, b, peer } = await proxy(t, { kinds, allowHalfOpen: false })
      // Of these two the one end must not end the other.
      for (const socket of [client, peer]) socket.allowHalfOpen = true
      const joined = t.net.relay(a, b)
      await count.until(2)
      const [there, back] = [new Check(), new Check()]
      await Promise.all([
        pipeline(source(3_000_000), client),
        pipeline(peer, there),
        pipeline(source(2_000_000), peer),
        pipeline(client, back),
      ])
      assert.deepEqual(await joined, { aToB: 3_000_000, bToA: 2_000_000 })
      assert.deepEqual(
        [there.right, there.wrong, back.right, back.wrong],
        [3_000_000, false, 2_000_000, false],
      )
      assert.ok(a.destroyed && b.destroyed)
    },
  )
}

parity('it begins before the first byte', ours, async t => {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t)
  const joined = t.net.relay(a, b)
  await count.until(2)
  client.end('hello')
  assert.equal(String(await t.drained(peer)), 'hello')
  peer.end()
  client.resume()
  assert.deepEqual(await joined, { aToB: 5, bToA: 0 })
})

parity('what was there before it goes first', ours, async t => {
  const { client, a, b, peer } = await proxy(t)
  client.write('early ')
  a.pause()
  await t.until(() => a.readableLength === 6)
  b.write('before ')
  const joined = t.net.relay(a, b)
  client.end('late')
  assert.equal(String(await t.drained(peer)), 'before early late')
  peer.end()
  client.resume()
  assert.deepEqual(await joined, { aToB: 10, bToA: 0 })
})

parity('half-close is carried across', ours, async t => {
  const { client, a, b, peer } = await proxy(t, { allowHalfOpen: false })
  client.allowHalfOpen = peer.allowHalfOpen = true
  const joined = t.net.relay(a, b)
  const arrived = t.drained(peer)
  client.end('question')
  assert.equal(String(await arrived), 'question')
  const answer = t.drained(client)
  peer.end('answer')
  assert.equal(String(await answer), 'answer')
  assert.deepEqual(await joined, { aToB: 8, bToA: 6 })
})

for (const who of ['client', 'peer']) {
  parity(`the ${who}'s reset rejects it and destroys both`, ours, async t => {
    const count = relays(t)
    const { client, a, b, peer } = await proxy(t)
    const joined = t.net.relay(a, b)
    await count.until(2)
    const [gone, other] = who === 'client' ? [client, peer] : [peer, client]
    other.on('error', () => {})
    const closed = new Promise(resolve => other.on('close', resolve))
    other.resume()
    gone.resetAndDestroy()
    await assert.rejects(joined, { code: 'ECONNRESET', syscall: 'read' })
    assert.ok(a.destroyed && b.destroyed)
    other.end()
    await closed
  })
}

parity('destroying one of them rejects it', ours, async t => {
  const count = relays(t)
  const { a, b } = await proxy(t)
  const joined = t.net.relay(a, b)
  await count.until(2)
  a.destroy()
  await assert.rejects(joined, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
  assert.ok(b.destroyed)
})

parity('a signal ends it', ours, async t => {
  const count = relays(t)
  const { a, b } = await proxy(t)
  const controller = new AbortController()
  const joined = t.net.relay(a, b, { signal: controller.signal })
  await count.until(2)
  controller.abort(new Error('enough'))
  await assert.rejects(joined, { name: 'AbortError', code: 'ABORT_ERR' })
  assert.ok(a.destroyed && b.destroyed)

  const late = await proxy(t)
  await assert.rejects(t.net.relay(late.a, late.b, { signal: AbortSignal.abort() }), { code: 'ABORT_ERR' })
  assert.ok(late.a.destroyed && late.b.destroyed)
})

parity('a socket that is still connecting is waited for', ours, async t => {
  const server = await t.listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const { client, peer } = await t.pair()
  const joined = t.net.relay(peer, t.connect(t.to(server)))
  const arrived = t.drained(client)
  client.end('there and back')
  assert.equal(String(await arrived), 'there and back')
  assert.deepEqual(await joined, { aToB: 14, bToA: 14 })
})

parity('what comes for a socket that the program has ended is an error', ours, async t => {
  for (const midway of [false, true]) {
    const { client, a, b, peer } = await proxy(t)
    a.on('error', () => {})
    const early = t.net.relay(a, b)
    if (midway) {
      client.write('x')
      await once(peer, 'data')
    }
    a.end('that is all')
    await once(a, 'finish')
    peer.write('for a')
    await assert.rejects(early, { code: 'ERR_STREAM_WRITE_AFTER_END' })
    assert.ok(a.destroyed && b.destroyed)
    assert.equal(String(await t.drained(client)), 'that is all')
  }
})

parity('a socket that the program has ended waits for the end of the other', ours, async t => {
  const { client, a, b, peer } = await proxy(t)
  const joined = t.net.relay(a, b)
  a.end('that is all')
  await once(a, 'finish')
  peer.end()
  client.resume().end('but this')
  assert.equal(String(await t.drained(peer)), 'but this')
  assert.deepEqual(await joined, { aToB: 8, bToA: 11 })
})

parity('a socket that has closed in good order takes the other one along', ours, async t => {
  for (const first of [true, false]) {
    const { client, a, b } = await proxy(t)
    const closed = once(a, 'close')
    a.resume().end()
    client.resume().end()
    await closed
    const joined = first ? t.net.relay(a, b) : t.net.relay(b, a)
    await assert.rejects(joined, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
    assert.ok(b.destroyed)
  }
})

parity('two sockets that have closed in good order have nothing to say', ours, async t => {
  const { client, a, b, peer } = await proxy(t)
  const closed = [a, b].map(socket => once(socket, 'close'))
  for (const socket of [client, a, b, peer]) socket.resume().end()
  await Promise.all(closed)
  assert.deepEqual(await t.net.relay(a, b), { aToB: 0, bToA: 0 })
})

parity("of a socket of Node's the error says whose it has to be, and whose it is", ours, async t => {
  const { client } = await t.pair()
  const { Socket } = await import('node:net')
  await assert.rejects(t.net.relay(client, new Socket()), {
    message: `The "b" argument must be an instance of ferronet's Socket. Received an instance of Node's Socket`,
  })
})

parity('wrong arguments reject', ours, async t => {
  const { client, peer } = await t.pair()
  for (const args of [[], [client], [client, {}], [null, peer]]) {
    await assert.rejects(t.net.relay(...args), { code: 'ERR_INVALID_ARG_TYPE' })
  }
  await assert.rejects(t.net.relay(client, client), { code: 'ERR_INVALID_ARG_VALUE' })
  await assert.rejects(t.net.relay(client, peer, { signal: 1 }), { code: 'ERR_INVALID_ARG_TYPE' })
  assert.ok(!client.destroyed && !peer.destroyed)
  client.write('x')
  await once(peer, 'data')
})

parity('one that has been ended and gets nothing is served to its end', ours, async t => {
  const { client, a, b, peer } = await proxy(t)
  a.end('goodbye')
  const joined = t.net.relay(a, b)
  assert.equal(String(await t.drained(client)), 'goodbye')
  const arrived = t.drained(peer)
  client.end('hello')
  assert.equal(String(await arrived), 'hello')
  peer.end()
  assert.deepEqual(await joined, { aToB: 5, bToA: 0 })
})

parity('two that are joined already get nothing twice', ours, async t => {
  const { client, a, b, peer } = await proxy(t)
  a.pipe(b, { end: false })
  const joined = [t.net.relay(a, b), t.net.relay(a, b)]
  const arrived = t.drained(peer)
  client.end('there')
  assert.equal(String(await arrived), 'there')
  const back = t.drained(client)
  peer.end('back')
  assert.equal(String(await back), 'back')
  assert.deepEqual(await Promise.all(joined), [
    { aToB: 5, bToA: 4 },
    { aToB: 5, bToA: 4 },
  ])
})

parity('it leaves no listener behind', ours, async t => {
  for (const how of ['ended', 'destroyed', 'aborted']) {
    const { client, a, b, peer } = await proxy(t)
    // Not of 'close', for which the scenario waits as well.
    const listeners = () =>
      ['error', 'end', 'finish', 'data', 'drain', 'unpipe'].map(name => [
        name,
        a.listenerCount(name),
        b.listenerCount(name),
      ])
    const before = listeners()
    const controller = new AbortController()
    const joined = t.net.relay(a, b, { signal: controller.signal }).catch(() => {})
    for (const socket of [client, peer]) socket.on('error', () => {}).resume()
    if (how === 'ended') for (const socket of [client, peer]) socket.end()
    else if (how === 'destroyed') a.destroy()
    else controller.abort()
    await Promise.all([joined, t.closed(a), t.closed(b)])
    assert.deepEqual(listeners(), before, how)
  }
})
