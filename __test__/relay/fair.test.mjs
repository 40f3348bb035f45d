// A relay at full speed leaves the other sockets their turns.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Check, source } from '../fixtures/interop/bytes.mjs'
import { parity } from '../helpers/parity.mjs'
import { relaying, where } from '../helpers/relay.mjs'

const MB = 1024 * 1024
const ANSWERS = 20

/** Bytes without end through a relay, to a peer that reads all it can. */
async function atFullSpeed(t, kinds) {
  const { client, a, b, peer } = await relaying(t, { kinds, both: true })
  const check = new Check()
  source(Number.POSITIVE_INFINITY).pipe(client)
  peer.pipe(check)
  await t.until(() => check.right > 4 * MB)
  return { a, b, check }
}

/** How much the relays carry until each of these sockets has had so many answers, one after the other. */
async function answered(bulk, sockets, count) {
  const before = bulk.map(({ a }) => a.bytesRead)
  await Promise.all(
    sockets.map(async socket => {
      for (let answers = 0; answers < count; answers++) {
        socket.write('x')
        await once(socket, 'data')
      }
    }),
  )
  return bulk.map(({ a }, at) => a.bytesRead - before[at])
}

for (const kind of ['tcp', 'unix']) {
  const kinds = [kind, kind]
  parity(`small questions are answered beside a relay at full speed: ${kind}`, where(kind), async t => {
    const bulk = [await atFullSpeed(t, kinds)]
    const echoed = await t.pair()
    echoed.peer.on('data', chunk => echoed.peer.write(chunk))
    const piped = await t.pair()
    piped.peer.pipe(piped.peer)
    const { client, peer } = await relaying(t, { kinds, both: true })
    peer.on('data', chunk => peer.write(chunk))
    const sockets = [echoed.client, piped.client, client]
    const carried = await answered(bulk, sockets, ANSWERS)
    // In a turn a relay carries half a megabyte, and the answer through two relays takes six turns or so.
    for (const bytes of carried) {
      assert.ok(bytes < ANSWERS * 16 * MB, `${Math.round(bytes / MB)} MB until ${ANSWERS} answers had come`)
    }
    t.log(
      'saw',
      sockets.map(socket => socket.bytesRead >= ANSWERS),
      bulk.map(({ check }) => check.wrong),
    )
  })
}

parity('relays at full speed all go on', async t => {
  const bulk = []
  for (let at = 0; at < 4; at++) bulk.push(await atFullSpeed(t, ['tcp', 'tcp']))
  const before = bulk.map(({ a }) => a.bytesRead)
  const gained = at => bulk[at].a.bytesRead - before[at]
  // Until the slowest has 20 MB, the fastest may have several times as much, but not everything.
  await t.until(() => bulk.every((_, at) => gained(at) > 20 * MB))
  const most = Math.max(...bulk.map((_, at) => gained(at)))
  assert.ok(most < 400 * MB, `${Math.round(most / MB)} MB, and another 20`)
  t.log(
    'wrong',
    bulk.map(({ check }) => check.wrong),
  )
})
