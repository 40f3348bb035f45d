// Turns a seed into a program, and a program into words. A program is plain data: the server, the sockets, and a flat
// list of operations, each with the event that triggers it. The same seed gives the same program on every
// platform and Node; interpret.mjs runs it.
//
//   { seed, transport: 'tcp' | 'unix', paired, server: { options of net.createServer, maxConnections },
//     sockets: [{ start: [who, event], hop, target, made, client: { reads, …options }, accepted: { reads } }],
//     ops: [{ id, actor, on: [who, event, …], hop, verb, … }] }
//
// Every fifth seed is a program of joined.mjs.
//
// Actors are 'server', 'client1' and its opposite 'accepted1', 'client2', … An operation runs once, the first time its
// event comes. `hop` is the delay between the event and the operation.
//
// The kernel decides whether the client or the server is told first about a connection, and a program that acts at once
// depends on that. So most programs are `paired`: their sockets connect one after the other, and 'connect' and 'start'
// trigger nothing until both ends exist. The other programs act at once, but destroy nothing, so that it makes no
// difference to what arrives.

import { generateJoined } from './joined.mjs'

/** A small random generator, the same everywhere. Its quality does not matter. */
export class Random {
  #state

  constructor(seed) {
    this.#state = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) >>> 0
    for (let round = 0; round < 4; round++) this.next()
  }

  /** From 0 up to 1. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below(limit) {
    return Math.floor(this.next() * limit)
  }

  chance(probability) {
    return this.next() < probability
  }

  of(list) {
    return list[this.below(list.length)]
  }

  /** A random key, weighted. */
  weighted(weights) {
    const entries = Object.entries(weights)
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      left -= weight
      if (left < 0) return name
    }
    return entries.at(-1)[0]
  }
}

const KIB = 1024
const SIZES = {
  0: 4,
  1: 12,
  10: 14,
  64: 14,
  [KIB]: 14,
  [4 * KIB]: 8,
  [16 * KIB]: 10,
  [64 * KIB]: 9,
  [200 * KIB]: 9,
  [KIB * KIB]: 7,
}
const ENCODINGS = {
  buffer: 8,
  string: 6,
  uint8array: 2,
  utf8: 3,
  latin1: 2,
  high: 1,
  wide: 1,
  hex: 2,
  base64: 2,
  utf16le: 2,
}
const HOPS = { sync: 50, nextTick: 10, microtask: 8, immediate: 22, immediate2: 4, timeout: 6 }
const MOST_BYTES = 3 * KIB * KIB

// The themes of programs: how often each verb is drawn.
const THEMES = {
  mixed: {
    write: 30,
    end: 12,
    destroy: 4,
    destroyError: 2,
    destroySoon: 3,
    reset: 3,
    pause: 6,
    resume: 6,
    read: 3,
    cork: 3,
    uncork: 3,
    idle: 2,
    abort: 1,
    throw: 2,
    look: 4,
    badWrite: 1,
    options: 2,
  },
  talk: { write: 60, end: 14, cork: 4, uncork: 4, look: 4, pause: 3, resume: 4 },
  endings: { write: 20, end: 30, destroySoon: 8, destroy: 6, look: 4, throw: 1 },
  violence: {
    write: 30,
    end: 8,
    destroy: 12,
    destroyError: 6,
    reset: 12,
    abort: 4,
    throw: 6,
    destroySoon: 4,
  },
  flow: { write: 30, pause: 14, resume: 14, read: 8, end: 10, look: 4, cork: 3, uncork: 3 },
}
const PEACEFUL = { write: 60, end: 14, cork: 4, uncork: 4, options: 2 }

/** The program of a seed. */
export function generate(seed) {
  const random = new Random(seed)
  if (seed % 5 === 0) return named(generateJoined(random, seed))
  const paired = random.chance(0.75)
  const theme = !paired
    ? PEACEFUL
    : THEMES[random.weighted({ mixed: 40, talk: 18, endings: 16, violence: 12, flow: 14 })]
  const transport = random.chance(0.65) ? 'tcp' : 'unix'
  const program = { seed, transport, paired, server: serverOptions(random, paired), sockets: [], ops: [] }
  const count = Number(random.weighted({ 1: 62, 2: 26, 3: 12 }))
  for (let number = 1; number <= count; number++) program.sockets.push(makeSocket(random, number, program))
  const sizes = random.chance(0.6)
    ? Object.fromEntries(Object.entries(SIZES).filter(([size]) => size <= 4 * KIB))
    : SIZES
  const context = { random, theme, program, sizes, bytes: 0 }
  for (let number = 1; number <= count; number++) makeConversation(context, number)
  if (paired) makeServerOps(context)
  named(program)
  // Only now do we know what 'received' waits for, and which operations follow another's callback.
  for (const op of program.ops) {
    if (op.on[1] === 'received') op.on = [op.on[0], 'received', threshold(random, program, op.on[0])]
  }
  for (const op of program.ops) {
    const earlier = program.ops.filter(other => other.actor === op.actor && other.callback && other !== op)
    if (op.verb !== 'reconnect' && earlier.length > 0 && random.chance(0.15)) {
      const before = random.of(earlier)
      if (!leadsTo(program, before, op)) op.on = [before.id, 'callback']
    }
  }
  return program
}

/** Gives every operation its name. */
function named(program) {
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  program.ops.forEach((op, at) => {
    op.id = at < 26 ? letters[at] : letters[Math.floor(at / 26) - 1] + letters[at % 26]
  })
  return program
}

// Whether running `op` needs `later` to have run: two that wait for each other would never run.
function leadsTo(program, op, later) {
  for (let at = op; at && at.on[1] === 'callback'; ) {
    const id = at.on[0]
    if (id === later.id) return true
    at = program.ops.find(other => other.id === id)
  }
  return false
}

function serverOptions(random, paired) {
  const options = {}
  if (random.chance(0.4)) options.allowHalfOpen = true
  if (random.chance(0.12)) options.pauseOnConnect = true
  if (random.chance(0.2)) options.highWaterMark = random.of([1, 100, 4 * KIB, 256 * KIB])
  if (random.chance(0.2)) options.noDelay = true
  if (random.chance(0.1)) options.keepAlive = true
  // Not 0, which Node 20 treats as no limit.
  if (paired && random.chance(0.06)) options.maxConnections = 1 + random.below(2)
  return options
}

const ACCEPTED_READS = {
  flow: 52,
  echoPipe: 8,
  echoWrite: 6,
  readable: 8,
  readableBy: 4,
  pipe: 8,
  iterate: 5,
  none: 9,
}
const CLIENT_READS = { flow: 58, readable: 8, readableBy: 4, pipe: 7, iterate: 5, onread: 9, none: 9 }

function makeSocket(random, number, program) {
  const client = { ...reading(random, CLIENT_READS, program) }
  if (random.chance(0.35)) client.allowHalfOpen = true
  if (random.chance(0.15)) client.noDelay = true
  if (random.chance(0.1)) client.highWaterMark = random.of([1, 100, 4 * KIB, 256 * KIB])
  if (random.chance(0.05)) client.deaf = true
  const accepted = reading(random, ACCEPTED_READS, program)
  if (random.chance(0.03)) accepted.deaf = true
  const socket = {
    start: ['server', 'listening'],
    hop: random.chance(0.8) ? 'sync' : random.weighted(HOPS),
    target: random.weighted({ server: 92, refused: 4, missing: 4 }),
    made: random.chance(0.75) ? 'connect' : 'new',
    client,
    accepted,
  }
  if (number > 1 && program.paired)
    socket.start = [`client${number - 1}`, random.of(['settled', 'settled', 'close'])]
  if (program.transport === 'unix' && socket.target === 'refused') socket.target = 'missing'
  return socket
}

function reading(random, weights, program) {
  const reads = random.weighted(weights)
  const how = { reads }
  if (reads === 'readableBy') how.by = random.of([1, 10, 100, 5000])
  if (reads === 'pipe') how.slow = random.chance(0.4)
  if (reads === 'onread') how.buffer = random.of([1, 64, 4 * KIB, 64 * KIB])
  if (reads === 'onread' && random.chance(0.3)) how.stopAfter = random.of([1, 64, 4 * KIB])
  if (reads === 'iterate' && program.paired && random.chance(0.3)) how.breakAfter = random.of([1, 10, KIB])
  if (['flow', 'readable', 'iterate'].includes(reads) && random.chance(0.12)) {
    how.encoding = random.of(['utf8', 'latin1', 'hex', 'base64'])
  }
  return how
}

function makeConversation(context, number) {
  const { random, program } = context
  const socket = program.sockets[number - 1]
  const [client, accepted] = [`client${number}`, `accepted${number}`]
  const sides = socket.target === 'server' ? [client, accepted] : [client]
  for (const actor of sides) {
    const count = 1 + random.below(5)
    for (let op = 0; op < count; op++) addOp(context, actor, number)
  }
  const add = (actor, on, verb, more = {}) => program.ops.push({ actor, on, hop: hop(random), verb, ...more })
  if (socket.target !== 'server') return
  const echoes = socket.accepted.reads.startsWith('echo')
  if (program.server.pauseOnConnect && random.chance(0.85)) {
    add(accepted, [accepted, 'start'], 'resume')
  }
  // Most connections end by themselves, because for an open one the run has to wait until it times out.
  if (random.chance(0.7))
    add(
      client,
      random.of([
        [client, 'connect'],
        [client, 'connect'],
        [client, 'received'],
        [client, 'drain'],
        [client, 'end'],
      ]),
      'end',
    )
  if (random.chance(0.7) && !echoes) {
    // An early answer, a late one, and one that is just in time.
    if (random.chance(0.4))
      addWrite(
        context,
        accepted,
        random.of([
          [accepted, 'end'],
          [accepted, 'received'],
        ]),
      )
    add(
      accepted,
      random.of([
        [accepted, 'end'],
        [accepted, 'end'],
        [accepted, 'received'],
        [accepted, 'start'],
      ]),
      'end',
    )
  }
  if (program.paired && random.chance(0.12)) {
    add(client, [client, 'close'], 'reconnect')
    if (random.chance(0.7)) addWrite(context, client, [client, 'connect 2'])
    add(
      client,
      random.of([
        [client, 'connect 2'],
        [client, 'received'],
      ]),
      random.of(['end', 'destroy', 'destroySoon']),
    )
  }
}

function hop(random) {
  return random.weighted(HOPS)
}

// Only an actor's own events; the kernel decides when something happens on the other side.
function trigger(random, actor, program) {
  const client = actor.startsWith('client')
  // Before the connection exists we do not know whether the server will keep it.
  const early = program.server.maxConnections === undefined ? 10 : 0
  const event = random.weighted({
    start: client ? early : 45,
    connect: client ? 45 : 0,
    ready: client ? 3 : 0,
    received: 22,
    end: 12,
    drain: 5,
    finish: 6,
    close: 4,
    error: 3,
    timeout: 1,
  })
  return [actor, event]
}

function addOp(context, actor, number) {
  const { random, theme, program } = context
  const socket = program.sockets[number - 1]
  const on = trigger(random, actor, program)
  const verb = random.weighted(theme)
  const reads = (actor.startsWith('client') ? socket.client : socket.accepted).reads
  if (verb === 'write' || ((verb === 'end' || verb === 'uncork') && random.chance(0.3))) {
    if (reads.startsWith('echo')) return
    if (verb === 'uncork') program.ops.push({ actor, on, hop: 'sync', verb: 'cork' })
    addWrite(context, actor, on, verb === 'end' ? 'end' : 'write')
    if (verb === 'uncork') program.ops.push({ actor, on, hop: hop(random), verb })
    return
  }
  const op = { actor, on, hop: hop(random), verb }
  if (verb === 'read') op.size = random.of([0, 1, 10, KIB])
  if (verb === 'idle') op.ms = random.chance(0.8) ? 20 : 0
  if (verb === 'badWrite') op.what = random.of(['null', 'number', 'object', 'encoding'])
  if (verb === 'options') op.what = random.of(['setNoDelay', 'setKeepAlive', 'ref', 'unref'])
  if (verb === 'end' && random.chance(0.4)) op.callback = true
  if (verb === 'abort') {
    if (!actor.startsWith('client')) op.verb = 'destroy'
    else socket.client.signal = true
  }
  if ((verb === 'pause' || verb === 'resume') && reads === 'pipe' && random.chance(0.5)) op.verb = 'unpipe'
  program.ops.push(op)
}

function addWrite(context, actor, on, verb = 'write') {
  const { random, program, sizes } = context
  const socket = program.sockets[Number(actor.at(-1)) - 1]
  if (actor.startsWith('accepted') && socket.accepted.reads.startsWith('echo')) return
  const times = verb === 'write' && random.chance(0.2) ? 2 + random.below(6) : 1
  const how = hop(random)
  for (let time = 0; time < times; time++) {
    const size = Number(random.weighted(sizes))
    if (context.bytes + size > MOST_BYTES) return
    context.bytes += size
    const op = { actor, on, hop: how, verb, size, as: random.weighted(ENCODINGS) }
    // If destroying the connection cuts a character in two, there are no bytes to compare.
    if (op.as === 'wide' && (socket.client.encoding === 'utf8' || socket.accepted.encoding === 'utf8'))
      op.as = 'string'
    if (op.as === 'high' && (socket.client.encoding === 'utf8' || socket.accepted.encoding === 'utf8'))
      op.as = 'latin1'
    if (random.chance(0.35)) op.callback = true
    program.ops.push(op)
  }
}

function threshold(random, program, actor) {
  const number = actor.at(-1)
  const echoes = program.sockets[number - 1]?.accepted.reads.startsWith('echo')
  const sender = actor.startsWith('client') && !echoes ? `accepted${number}` : `client${number}`
  const total = program.ops.reduce((sum, op) => sum + (op.actor === sender ? (op.size ?? 0) : 0), 0)
  return random.of([1, 1, Math.max(1, total >> 1), Math.max(1, total), Math.max(1, total)])
}

function makeServerOps({ random, program }) {
  if (program.ops.some(({ verb }) => verb === 'reconnect')) return
  const early = program.ops.some(({ actor, on }) => actor.startsWith('client') && on[1] === 'start')
  const count = random.chance(0.5) ? 1 + random.below(2) : 0
  for (let at = 0; at < count; at++) {
    // On the last socket, so that no other connection is on its way.
    const number = program.sockets.length
    const on = random.of([
      ['server', 'listening'],
      ['server', 'connection'],
      ['server', 'connection'],
      [`client${number}`, 'settled'],
      [`client${number}`, 'close'],
      [`accepted${number}`, 'close'],
      ['server', 'close'],
    ])
    const verb = random.weighted({
      close: 45,
      getConnections: 25,
      unref: 6,
      address: 8,
      throw: 6,
      limit: early ? 0 : 10,
    })
    const op = { actor: 'server', on, hop: hop(random), verb }
    if (verb === 'close' && random.chance(0.6)) op.callback = true
    if (verb === 'limit') op.size = 1 + random.below(2)
    program.ops.push(op)
  }
}

/** How many bytes a program may send, all sides together. */
export function volume(program) {
  return program.ops.reduce((sum, op) => sum + (op.verb === 'read' ? 0 : (op.size ?? 0) * (op.count ?? 1)), 0)
}

// --- in words -----------------------------------------------------------------------------------------------------

const HOP_WORDS = {
  sync: '',
  nextTick: ', nextTick',
  microtask: ', microtask',
  immediate: ', setImmediate',
  immediate2: ', setImmediate twice',
  timeout: ', setTimeout 3',
}

/** A program as lines to read. */
export function spell(program) {
  const { transport, paired, server, sockets, ops } = program
  const violent = program.violent ? ', violent' : ''
  const lines = [`server    ${transport}${paired ? '' : ', not paired'}${violent}${settings(server)}`]
  const list = actor => {
    for (const op of ops)
      if (op.actor === actor) lines.push(`  ${op.id.padEnd(3)} ${moment(op)}: ${action(op)}`)
  }
  list('server')
  sockets.forEach(({ start, hop, target, made, client, accepted }, at) => {
    const where =
      target === 'server' ? 'to the server' : target === 'refused' ? 'to a closed port' : 'to a missing path'
    const how = made === 'new' ? 'new Socket() and connect()' : 'connect()'
    lines.push(`client${at + 1}   ${how} ${where} on ${start.join(' ')}${HOP_WORDS[hop]}${settings(client)}`)
    list(`client${at + 1}`)
    if (target !== 'server') return
    lines.push(`accepted${at + 1}${settings(accepted)}`)
    list(`accepted${at + 1}`)
  })
  return lines
}

function moment({ actor, on: [who, event, amount], hop }) {
  const what =
    event === 'callback' ? `callback of ${who}` : event === 'received' ? `${amount} B received` : event
  return `on ${event === 'callback' || who === actor ? '' : `${who} `}${what}${HOP_WORDS[hop]}`
}

function action(op) {
  const callback = op.callback ? ', callback' : ''
  if (op.verb === 'pour')
    return `${op.count} × write(${bytes(op.size)} ${op.as})${HOP_WORDS[op.every]} in between${op.ends ? ', end()' : ''}`
  if (op.verb === 'pipe') return `pipe(${op.to}${op.end ? '' : ', { end: false }'})`
  if (op.turns !== undefined) return `${op.verb}, for ${op.turns} turns`
  if (op.as !== undefined) return `${op.verb}(${bytes(op.size)} ${op.as}${callback})`
  const detail = op.size ?? op.ms ?? op.what
  return `${op.verb}(${detail ?? ''}${op.callback ? (detail === undefined ? 'callback' : callback) : ''})`
}

function bytes(count) {
  if (count >= KIB * KIB) return `${count / KIB / KIB} MiB`
  return count >= KIB ? `${count / KIB} KiB` : `${count} B`
}

function settings(options) {
  const entries = Object.entries(options).map(([name, value]) => `${name}: ${value}`)
  return entries.length > 0 ? `   { ${entries.join(', ')} }` : ''
}
