// Set-ups in which sockets are piped to sockets, and whether ferronet has carried the bytes without JavaScript.

import { once } from 'node:events'
import { createRequire } from 'node:module'

/**
 * Counts the relays that have begun, while the scenario runs. `ran()` throws if ferronet has had none, without which a
 * scenario would show nothing, and `none()` if it has had one; of node:net they have nothing to say.
 */
export function relays(t) {
  if (t.moduleName === 'node:net') return { ran() {}, none() {}, begun: () => 1, until: () => t.turns(4) }
  const { begun } = createRequire(import.meta.url)('../../dist/lib/relay.js')
  const before = begun.count
  return {
    begun: () => begun.count - before,
    ran(atLeast = 1) {
      if (begun.count - before < atLeast) {
        throw new Error(`${begun.count - before} relays have begun, not ${atLeast}`)
      }
    },
    /** The opposite: throws if one has begun. */
    none() {
      if (begun.count > before) throw new Error(`${begun.count - before} relays have begun`)
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
 * Records a socket's events: in which order reading and writing end is up to the peers. (`t.watch` would replace its
 * `emit`, and a relay would not begin.)
 */
export function record(t, socket, name) {
  for (const event of ['end', 'finish', 'unpipe', 'close', 'error', 'timeout']) {
    const track = { end: `${name} reads`, finish: `${name} writes`, unpipe: `${name} writes` }[event] ?? name
    socket.on(event, (...args) =>
      t.log.to(track)(event, ...args.filter(arg => typeof arg !== 'object' || arg?.code)),
    )
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

/**
 * The same with `a` piped to `b`, and with `both` back as well: on ferronet bytes go from one to the other without
 * JavaScript by now. With `recorded` the events of `a` and `b` are.
 */
export async function relaying(t, { both = false, recorded = false, ...options } = {}) {
  const count = relays(t)
  const { client, a, b, peer } = await proxy(t, options)
  if (recorded) {
    record(t, a, 'a')
    record(t, b, 'b')
  }
  a.pipe(b)
  if (both) b.pipe(a)
  await warmUp(client, peer)
  if (both) await warmUp(peer, client)
  count.ran(both ? 2 : 1)
  return { client, a, b, peer }
}
