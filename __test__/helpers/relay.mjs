// Set-ups in which sockets are piped to sockets, and whether ferronet has carried the bytes without JavaScript.

import { once } from 'node:events'
import { createRequire } from 'node:module'

/**
 * Counts the relays that have begun, while the scenario runs. `ran()` throws if ferronet has had none, without which a
 * scenario would show nothing; of node:net it has nothing to say.
 */
export function relays(t) {
  if (t.moduleName === 'node:net') return { ran() {}, begun: () => 1, until: () => t.turns(4) }
  const { begun } = createRequire(import.meta.url)('../../dist/lib/relay.js')
  const before = begun.count
  return {
    begun: () => begun.count - before,
    ran(atLeast = 1) {
      if (begun.count - before < atLeast) {
        throw new Error(`${begun.count - before} relays have begun, not ${atLeast}`)
      }
    },
    /** Waits until so many have. */
    until: count => t.until(() => begun.count - before >= count),
  }
}

/** Where there are connections of these kinds that can be half-open: Windows' named pipes cannot. */
export const where = (...kinds) => (kinds.includes('unix') ? { on: 'unix' } : {})

/** Writes a byte at a time and waits for it at the other end: a relay begins after a few chunks. */
export async function warmUp(from, to, count = 4) {
  for (let byte = 0; byte < count; byte++) {
    from.write('.')
    await once(to, 'data')
  }
}

/**
 * client → a, b → peer: `a` and `b` are the ends of a proxy in the middle, not piped yet. `kinds`: 'tcp' or 'unix' for
 * either connection.
 */
export async function proxy(t, { kinds = ['tcp', 'tcp'], allowHalfOpen = true } = {}) {
  const options = kind => ({
    server: { allowHalfOpen },
    client: { allowHalfOpen },
    ...(kind === 'unix' ? { path: t.socketPath() } : {}),
  })
  const front = await t.pair(options(kinds[0]))
  const back = await t.pair(options(kinds[1]))
  front.server.close()
  back.server.close()
  return { client: front.client, a: front.peer, b: back.client, peer: back.peer }
}
