// Programs in which sockets are piped to sockets: a proxy between two connections, or an echo. Part of program.mjs.
//
// With ferronet the bytes of such sockets pass JavaScript by, but only while nobody looks. So interpret.mjs observes the
// accepted ends (`reads: 'joined'`) with a few listeners instead of replacing `emit`, and knows nothing of their 'data'
// and 'drain'. What they carry is checked at the clients. Between the bytes the program looks now and then, and stops
// looking: nothing that it does to a joined socket changes what arrives, unless it is `violent`.

const KIB = 1024
const SIZES = { 1: 12, 100: 12, [KIB]: 14, [4 * KIB]: 12, [16 * KIB]: 14, [64 * KIB]: 18, [200 * KIB]: 12 }
const MOST_BYTES = 2 * KIB * KIB
const HOPS = { sync: 50, nextTick: 10, microtask: 8, immediate: 22, immediate2: 4, timeout: 6 }
const READS = { flow: 60, readable: 10, readableBy: 8, pipe: 22 }
// Without a destination a listener would get the bytes alone, so a program does one or the other.
const LOOKS = ['pause', 'cork', 'wrapWrite', 'wrapEmit', 'writeNothing', 'count', 'idle', 'options']
const WAYS = [
  [...LOOKS, 'listen', 'listen', 'second'],
  [...LOOKS, 'unpipe', 'unpipe', 'unpipe'],
]
const ENDS = ['destroy', 'destroyError', 'reset', 'destroySoon', 'end']

export function generateJoined(random, seed) {
  const echoes = random.chance(0.3)
  const both = !echoes && random.chance(0.8)
  const program = {
    seed,
    transport: random.chance(0.5) ? 'tcp' : 'unix',
    paired: true,
    joined: true,
    violent: random.chance(0.2),
    server: {},
    sockets: [],
    ops: [],
  }
  // If the end of one direction cut off the other, what arrives would be a matter of time.
  const halfOpen = () => (both || random.chance(0.6) ? { allowHalfOpen: true } : {})
  Object.assign(program.server, halfOpen())
  if (random.chance(0.15)) program.server.highWaterMark = random.of([1, 4 * KIB, 256 * KIB])
  const count = echoes ? 1 : 2
  for (let number = 1; number <= count; number++) {
    program.sockets.push({
      start: number === 1 ? ['server', 'listening'] : ['client1', 'settled'],
      hop: 'sync',
      target: 'server',
      made: random.chance(0.75) ? 'connect' : 'new',
      client: { ...client(random), ...halfOpen() },
      accepted: { reads: 'joined', with: echoes ? 1 : 3 - number },
    })
  }
  const [near, far] = echoes ? ['accepted1', 'accepted1'] : ['accepted1', 'accepted2']
  const ready = [far, 'start']
  const add = (actor, on, verb, more) =>
    program.ops.push({ actor, on, hop: random.weighted(HOPS), verb, ...more })
  // Mostly in the turn in which both are there, as in a proxy.
  const join = (from, to) => add(from, ready, 'pipe', { to, end: random.chance(0.92) })
  join(near, far)
  if (both) join(far, near)

  const totals = {}
  const pour = (from, to) => {
    const size = Number(random.weighted(SIZES))
    const times = Math.min(4 + random.below(40), Math.floor(MOST_BYTES / size))
    const every = random.of(['immediate', 'immediate', 'immediate2', 'timeout', 'nextTick'])
    add(from, ready, 'pour', { count: times, size, as: 'buffer', every, ends: random.chance(0.85) })
    totals[to] = times * size
  }
  pour('client1', echoes ? 'client1' : 'client2')
  if (both) pour('client2', 'client1')

  const receivers = Object.keys(totals)
  const middle = () => {
    const who = random.of(receivers)
    const total = totals[who]
    const amount = random.of([1, total >> 3, total >> 2, total >> 1, total - (total >> 2), total])
    return [who, 'received', Math.max(1, amount)]
  }
  const way = random.of(WAYS)
  for (let left = random.below(7); left > 0; left--) look(random, add, middle(), way, { near, far, both })
  for (const who of receivers) {
    if (random.chance(0.3)) add(who, middle(), 'pause', { turns: 1 + random.below(20) })
  }
  if (program.violent) {
    const actors = ['client1', near, ...(echoes ? [] : [far, 'client2'])]
    add(random.of(actors), middle(), random.of(ENDS))
  }
  return program
}

function client(random) {
  const reads = random.weighted(READS)
  const how = { reads }
  if (reads === 'readableBy') how.by = random.of([10, 100, 5000])
  if (reads === 'pipe') how.slow = random.chance(0.6)
  if (random.chance(0.1)) how.noDelay = true
  return how
}

function look(random, add, on, way, { near, far, both }) {
  const verb = random.of(way)
  const turns = random.below(5)
  const [from, to] = both && random.chance(0.5) ? [far, near] : [near, far]
  switch (verb) {
    case 'idle':
      return add(from, on, verb, { ms: 20 })
    case 'options':
      return add(from, on, verb, { what: random.of(['setNoDelay', 'setKeepAlive', 'ref', 'unref']) })
    case 'count':
    case 'writeNothing':
      return add(random.of([from, to]), on, verb)
    case 'cork':
    case 'wrapWrite':
      return add(to, on, verb, { turns })
    default:
      return add(from, on, verb, { turns })
  }
}
