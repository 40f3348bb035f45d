// Runs a program (program.mjs) against a module with net's interface and writes down what its sockets did. Called by
// host.mjs, one program after the other, and leaves nothing open. views.mjs decides which parts of the log are compared.

import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { Stream } from './content.mjs'
import { Random } from './program.mjs'

/** Events of a socket or server that are recorded. 'data' is recorded as bytes; 'readable', 'pause' and the like are not. */
const WRITTEN = new Set([
  'connect',
  'ready',
  'drain',
  'end',
  'finish',
  'close',
  'error',
  'timeout',
  'listening',
  'connection',
  'drop',
])

/**
 * What is recorded of sockets that are piped to others (joined.mjs), with listeners: if `emit` were replaced, no relay
 * would begin.
 */
const NOTICED = ['end', 'finish', 'close', 'error', 'timeout']

const SOCKET_OPTIONS = ['allowHalfOpen', 'noDelay', 'highWaterMark']

// How long a 'timeout' hop is (ms).
const SHORT = 3
const LATE = ['immediate', 'immediate', 'immediate2', 'timeout']
// How often we check whether a program is done (ms).
const TICK = 4
// How long sockets that are destroyed at the end may take to close (ms).
const BYE = 3_000
// Events that a paired program holds back until both ends exist.
const PAIRING =
  /^(?:client|accepted)(\d+) (connect|connect 2|ready|(?<=accepted\d+ )start|again start|close)$/
// On platforms without paths to listen on, programs use TCP instead.
const HAS_PATHS = process.platform !== 'win32'

let runs = 0

/**
 * `quiet`: after how many ms without an event the program counts as done. `limit`: how long a program may take. `jitter`:
 * a number that makes this run irregular in time, as a busy machine does; 0 for none. `directory`: for Unix sockets.
 * Resolves with `{ log, outcome, lost }`; `lost` names what could not be closed afterwards.
 */
export function interpret(net, program, options) {
  return new Run(net, program, options).whole()
}

/** Whatever reaches 'uncaughtException' comes from the running program. */
let current
export function uncaught(error) {
  if (current === undefined) return false
  current.uncaught(error)
  return true
}

class Run {
  log = []
  #actors = new Map()
  #waiting = new Map()
  #byBytes = []
  #arriving = []
  #toStart = []
  #pairs = new Map()
  #hops = 0
  #streams = 0
  #last = performance.now()
  #over = false
  #idle = 0

  constructor(net, program, { quiet = 50, limit = 10_000, jitter = 0, directory }) {
    this.net = net
    this.program = program
    this.quiet = quiet
    this.limit = limit
    this.random = jitter ? new Random(jitter) : undefined
    this.directory = directory
    for (const op of program.ops) {
      const [who, event, amount] = op.on
      if (event === 'received') this.#byBytes.push({ who, amount, op })
      else {
        const key = `${who} ${event}`
        if (!this.#waiting.has(key)) this.#waiting.set(key, [])
        this.#waiting.get(key).push(op)
      }
    }
    program.sockets.forEach((socket, at) => {
      this.#toStart.push({ key: socket.start.join(' '), hop: socket.hop, number: at + 1 })
      this.#pairs.set(at + 1, { again: {} })
    })
  }

  async whole() {
    current = this
    const start = performance.now()
    let outcome = 'settled'
    this.#listen()
    for (let calm = 0; ; ) {
      await new Promise(resolve => setTimeout(resolve, TICK))
      const now = performance.now()
      if (now - start > this.limit) {
        outcome = `not settled after ${this.limit} ms`
        break
      }
      if (this.#hops > 0) continue
      const silence = now - this.#last
      if (silence > Math.max(this.quiet, 4 * this.#idle)) break
      // Checks twice, so that the ticks and close callbacks of the last socket have run.
      calm = this.#allClosed() && silence > TICK ? calm + 1 : 0
      if (calm > 1) break
    }
    for (const actor of this.#actors.values()) {
      this.#write(actor, 'final', '', undefined, true)
    }
    this.#over = true
    const lost = await this.#closeAll()
    current = undefined
    return { log: this.log, outcome, lost }
  }

  #listen() {
    const { maxConnections, ...options } = this.program.server
    const server = this.net.createServer(options)
    if (maxConnections !== undefined) server.maxConnections = maxConnections
    const actor = { name: 'server', track: 'server', emitter: server, counts: new Map(), server: true }
    this.#watch(actor)
    server.on('error', () => {})
    server.on('connection', socket => this.#accepted(socket))
    server.on('drop', () => this.#arriving.shift())
    if (this.program.transport === 'tcp' || !HAS_PATHS) server.listen({ host: '127.0.0.1', port: 0 })
    else {
      this.path = join(this.directory, `${++runs}.sock`)
      server.listen({ path: this.path })
    }
    server.once('listening', () => {
      this.port = this.path === undefined ? server.address().port : undefined
    })
  }

  // --- sockets

  #start(number) {
    const { client: settings, made } = this.program.sockets[number - 1]
    const { buffer, stopAfter, deaf, signal } = settings
    const options = {}
    for (const option of SOCKET_OPTIONS) if (option in settings) options[option] = settings[option]
    const name = `client${number}`
    const actor = {
      name,
      track: name,
      counts: new Map(),
      settings,
      number,
      received: 0,
      read: new Set(),
      target: this.#target(number),
    }
    if (signal) {
      actor.controller = new AbortController()
      options.signal = actor.controller.signal
    }
    if (settings.reads === 'onread') {
      options.onread = {
        buffer: Buffer.alloc(buffer),
        callback: (count, into) => this.#readInto(actor, into.subarray(0, count), stopAfter),
      }
    }
    this.#newStreams(actor)
    let socket
    if (made === 'connect') socket = this.net.connect({ ...options, ...actor.target })
    else {
      socket = new this.net.Socket(options)
      socket.connect(actor.target)
    }
    actor.emitter = socket
    this.#watch(actor)
    if (!deaf) socket.on('error', () => {})
    this.#arrives(actor)
    this.#read(actor)
    this.#fire(`${name} start`)
  }

  // Both ends of a pair exist, or never will: run what waited for them, and start the next pair.
  #settled(half, number) {
    if (half.settled) return
    half.settled = true
    let left = 2
    const both = (name, events) => {
      const fire = () => {
        for (const event of events) if (half[event]) this.#fireNow(`${name}${number} ${event}`)
        if (--left === 0 && half.again) this.#fireNow(`client${number} settled`)
      }
      // Either end may act first, so on a run with jitter either may be late.
      if (this.random?.chance(0.6)) this.#later('immediate', () => this.#later(this.random.of(LATE), fire))
      else this.#later('immediate', fire)
    }
    both('client', ['connect', 'connect 2', 'ready'])
    both('accepted', ['start', 'again start'])
  }

  #target(number) {
    switch (this.program.sockets[number - 1].target) {
      case 'server':
        return this.path === undefined ? { host: '127.0.0.1', port: this.port } : { path: this.path }
      case 'refused':
        return { host: '127.0.0.1', port: 1 }
      default:
        return HAS_PATHS ? { path: join(this.directory, 'missing.sock') } : { host: '127.0.0.1', port: 1 }
    }
  }

  // The server accepts connections in this order. From here on one more is on its way.
  #arrives(actor) {
    if (this.program.sockets[actor.number - 1].target !== 'server') return
    const again = actor.track !== actor.name
    // connect() calls the system in a tick of its own.
    process.nextTick(() => {
      if (actor.emitter.destroyed) return
      this.#arriving.push({ actor, again, up: actor.out, down: actor.in })
    })
  }

  #accepted(socket) {
    const { actor: client, again, up, down } = this.#arriving.shift() ?? {}
    if (client === undefined) {
      this.#write({ track: 'server' }, 'event', 'connection of nobody')
      socket.on('error', () => {})
      return
    }
    const base = `accepted${client.number}`
    const settings = again ? { reads: 'flow' } : this.program.sockets[client.number - 1].accepted
    const actor = {
      name: again ? `${base} again` : base,
      track: again ? `${base} again` : base,
      counts: new Map(),
      settings,
      number: client.number,
      received: 0,
      read: new Set(),
      emitter: socket,
      in: up,
      out: down,
    }
    if (settings.reads === 'joined') this.#notice(actor)
    else this.#watch(actor)
    if (!settings.deaf) socket.on('error', () => {})
    this.#read(actor)
    if (again) {
      socket.on('end', () => socket.end())
      this.#fire(`${base} again start`)
    } else this.#fire(`${actor.name} start`)
  }

  #newStreams(actor) {
    actor.received = 0
    actor.out = new Stream(++this.#streams)
    const { reads, with: other } = this.program.sockets[actor.number - 1].accepted
    const echoes = reads.startsWith('echo') || other === actor.number
    actor.in = echoes && actor.track === actor.name ? actor.out : new Stream(++this.#streams)
    const partner = this.#actors.get(`client${other}`)
    if (partner !== undefined && partner !== actor) [actor.in, partner.in] = [partner.out, actor.out]
  }

  // --- reading

  #read(actor) {
    const { emitter: socket, settings } = actor
    if (settings.encoding) socket.setEncoding(settings.encoding)
    switch (settings.reads) {
      case 'flow':
        socket.on('data', () => {})
        break
      case 'readable':
      case 'readableBy':
        socket.on('readable', () => {
          while (socket.read(settings.by) !== null);
        })
        break
      case 'pipe':
        actor.sink = new Writable({
          highWaterMark: 1024,
          write: (_chunk, _encoding, done) => (settings.slow ? setImmediate(done) : done()),
        })
        actor.sink.on('finish', () => this.#write(actor, 'event', 'sink finish'))
        socket.pipe(actor.sink)
        break
      case 'echoPipe':
        socket.pipe(socket)
        break
      case 'echoWrite':
        socket.on('data', chunk => {
          if (!socket.write(chunk)) socket.pause()
        })
        socket.on('drain', () => socket.resume())
        socket.on('end', () => socket.end())
        break
      case 'iterate':
        this.#iterate(actor)
        break
    }
  }

  async #iterate(actor) {
    const { emitter, settings, track } = actor
    const say = (name, value) => this.#write({ track }, 'event', name, value)
    try {
      for await (const _chunk of emitter) {
        if (actor.received >= (settings.breakAfter ?? Number.POSITIVE_INFINITY)) break
      }
      say('iterated')
    } catch (error) {
      say('iterated', error)
    }
  }

  #readInto(actor, bytes, stopAfter) {
    this.#receive(actor, bytes)
    this.#thresholds(actor)
    if (stopAfter === undefined || actor.stopped || actor.received < stopAfter) return true
    actor.stopped = true
    this.#later('immediate', () => actor.emitter.resume())
    return false
  }

  #receive(actor, chunk) {
    if (this.#over) return
    const encoding = actor.settings.encoding
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    const wrong = actor.in.wrongAt(actor.received, bytes)
    if (wrong >= 0 && !actor.wrong) {
      actor.wrong = true
      this.#write(actor, 'wrong', `byte ${wrong}`)
    }
    actor.received += bytes.length
    if (!encoding) actor.read.add(ahead(actor))
    this.#write(actor, 'data', 'data', bytes.length)
  }

  #thresholds(actor) {
    let due
    for (const entry of this.#byBytes) {
      if (!entry.done && entry.who === actor.name && actor.received >= entry.amount) {
        entry.done = true
        due ??= []
        due.push(entry.op)
      }
    }
    if (due) this.#all(due)
  }

  // --- events

  #watch(actor) {
    this.#actors.set(actor.name, actor)
    const { emitter } = actor
    const emit = emitter.emit
    const run = this
    emitter.emit = function (event, ...args) {
      if (run.#over) return Reflect.apply(emit, this, [event, ...args])
      run.#stumble(event)
      if (event === 'data') {
        actor.emitted = true
        run.#receive(actor, args[0])
        const result = Reflect.apply(emit, this, [event, ...args])
        run.#thresholds(actor)
        return result
      }
      if (!WRITTEN.has(event)) return Reflect.apply(emit, this, [event, ...args])
      const count = (actor.counts.get(event) ?? 0) + 1
      actor.counts.set(event, count)
      run.#happened(actor, event, args)
      const result = Reflect.apply(emit, this, [event, ...args])
      run.#fire(count === 1 ? `${actor.name} ${event}` : `${actor.name} ${event} ${count}`)
      return result
    }
  }

  #notice(actor) {
    this.#actors.set(actor.name, actor)
    for (const event of NOTICED) {
      actor.emitter.on(event, (...args) => {
        if (this.#over) return
        this.#stumble()
        const count = (actor.counts.get(event) ?? 0) + 1
        actor.counts.set(event, count)
        this.#happened(actor, event, args)
        this.#fire(count === 1 ? `${actor.name} ${event}` : `${actor.name} ${event} ${count}`)
      })
    }
  }

  #happened(actor, event, args) {
    if (event === 'close' && !actor.server) actor.closed = true
    if (event === 'error' && args[0]?.syscall === 'connect') {
      this.#arriving = this.#arriving.filter(arriving => arriving.actor !== actor)
    }
    const told = event === 'connection' || event === 'drop' || event === 'drain' ? undefined : args[0]
    this.#write(actor, 'event', event, told, true)
  }

  #fire(key) {
    const [, number, event] = (this.program.paired && PAIRING.exec(key)) || []
    const pair = this.#pairs.get(Number(number))
    if (pair === undefined) {
      this.#fireNow(key)
      return
    }
    // A socket that connects again makes a second pair.
    const half = event.includes('again') || event === 'connect 2' ? pair.again : pair
    if (event !== 'close') {
      half[event] = true
      if ((half.connect || half['connect 2']) && (half.start || half['again start']))
        this.#settled(half, Number(number))
      return
    }
    this.#fireNow(key)
    if (event === 'close') this.#settled(pair, Number(number))
  }

  #fireNow(key) {
    for (const start of this.#toStart) {
      if (start.key !== key || start.done) continue
      start.done = true
      this.#later(start.hop, () => this.#start(start.number))
    }
    const ops = this.#waiting.get(key)
    if (ops === undefined) return
    this.#waiting.delete(key)
    this.#all(ops)
  }

  // An event triggers all of its operations; exceptions are thrown after the last one.
  #all(ops) {
    let thrown
    for (const op of ops) {
      if (op.hop !== 'sync') this.#later(op.hop, () => this.#perform(op))
      else if (op.verb === 'throw') thrown ??= op
      else this.#perform(op)
    }
    if (thrown) this.#perform(thrown)
  }

  #later(hop, task) {
    if (hop === 'sync') {
      task()
      return
    }
    this.#hops++
    const run = () => {
      this.#hops--
      this.#last = performance.now()
      if (!this.#over) task()
    }
    if (hop === 'nextTick') process.nextTick(run)
    else if (hop === 'microtask') queueMicrotask(run)
    else if (hop === 'immediate') setImmediate(run)
    else if (hop === 'immediate2') setImmediate(() => setImmediate(run))
    else setTimeout(run, SHORT)
  }

  // --- operations

  #perform(op) {
    const actor = this.#actors.get(op.actor)
    if (op.verb === 'throw') {
      const error = new Error(`thrown by ${op.id}`)
      this.#write({ track: op.actor }, 'call', op.id, 'throws')
      throw error
    }
    if (actor === undefined) {
      this.#write({ track: op.actor }, 'call', op.id, 'no such socket')
      return
    }
    const { emitter } = actor
    let result
    try {
      result = actor.server ? this.#onServer(emitter, op) : this.#onSocket(actor, op)
    } catch (error) {
      result = error
    }
    this.#write(actor, 'call', op.id, result === emitter ? 'this' : result, !actor.server)
  }

  #onServer(server, op) {
    switch (op.verb) {
      case 'close':
        return op.callback ? server.close(this.#callback(op)) : server.close()
      case 'getConnections':
        return server.getConnections(this.#callback(op))
      case 'address': {
        const address = server.address()
        return address === null ? null : typeof address === 'string' ? 'a path' : Object.keys(address).join()
      }
      case 'limit':
        server.maxConnections = op.size
        return undefined
      default:
        return server[op.verb]()
    }
  }

  #onSocket(actor, op) {
    const { emitter: socket } = actor
    switch (op.verb) {
      case 'write':
        return this.#send(actor, op)
      case 'end':
        if (op.as !== undefined) return this.#send(actor, op)
        return op.callback ? socket.end(this.#callback(op)) : socket.end()
      case 'badWrite': {
        if (op.what === 'encoding') return socket.write('text', 'no such encoding')
        return socket.write({ null: null, number: 1, object: {} }[op.what])
      }
      case 'destroyError':
        return socket.destroy(Object.assign(new Error(`given by ${op.id}`), { code: 'GIVEN' }))
      case 'reset':
        return socket.resetAndDestroy()
      case 'abort':
        return actor.controller?.abort()
      case 'read': {
        actor.emitted = false
        const chunk = op.size === 0 ? socket.read() : socket.read(op.size)
        if (chunk === null) return null
        // A closed stream hands out the rest of its data without an event.
        if (!actor.emitted) this.#receive(actor, chunk)
        return 'bytes'
      }
      case 'unpipe':
        if (op.turns === undefined) return socket.unpipe()
        return this.#look(actor, op)
      case 'pipe':
        actor.to = this.#actors.get(op.to)?.emitter
        actor.end = op.end
        return actor.to === undefined ? 'no such socket' : socket.pipe(actor.to, { end: op.end })
      case 'pour':
        return this.#pour(actor, op, op.count)
      case 'writeNothing':
        return socket.writable && socket.write('')
      case 'count':
        return socket.bytesRead >= 0 && socket.bytesWritten >= 0
      case 'idle':
        if (op.ms > 0) this.#idle = Math.max(this.#idle, op.ms)
        return socket.setTimeout(op.ms)
      case 'look':
        return undefined
      case 'options':
        return socket[op.what]()
      case 'reconnect':
        actor.track = `${actor.name} again`
        actor.closed = false
        this.#newStreams(actor)
        socket.connect(actor.target)
        this.#arrives(actor)
        return undefined
      default:
        return op.turns === undefined ? socket[op.verb]() : this.#look(actor, op)
    }
  }

  #pour(actor, op, left) {
    const { emitter: socket } = actor
    if (socket.destroyed || socket.writableEnded) return undefined
    this.#send(actor, { ...op, verb: 'write' })
    if (left > 1) this.#later(op.every, () => this.#pour(actor, op, left - 1))
    else if (op.ends) socket.end()
    return undefined
  }

  /** Does something to a socket that is taken back some turns later. */
  #look(actor, op) {
    const undo = LOOKS[op.verb](actor.emitter, actor)
    const wait = left => {
      if (left === 0) undo?.()
      else this.#later('immediate', () => wait(left - 1))
    }
    this.#later('immediate', () => wait(op.turns))
    return undefined
  }

  #send({ emitter, out }, op) {
    const data = out.next(op.size, op.as)
    const result = op.callback ? emitter[op.verb](...data, this.#callback(op)) : emitter[op.verb](...data)
    out.sent(data)
    return result
  }

  #callback(op) {
    return (...args) => {
      if (this.#over) return
      const actor = this.#actors.get(op.actor)
      this.#write({ track: actor?.track ?? op.actor }, 'callback', op.id, args.length > 1 ? args : args[0])
      this.#fire(`${op.id} callback`)
    }
  }

  uncaught(error) {
    if (!this.#over) this.#write({ track: 'process' }, 'uncaught', '', error)
  }

  // --- the log

  #write(actor, kind, name, value, withState = false) {
    if (this.#over) return
    this.#last = performance.now()
    const last = this.log.at(-1)
    if (kind === 'data' && last?.kind === 'data' && last.track === actor.track) {
      last.value += value
      return
    }
    const entry = { track: actor.track, kind, name }
    if (value !== undefined) entry.value = kind === 'data' ? value : this.#plain(value)
    if (withState) entry.state = actor.server ? { listening: actor.emitter.listening } : stateOf(actor)
    this.log.push(entry)
  }

  // Values that vary from run to run are replaced by names.
  #plain(value) {
    if (Array.isArray(value)) return value.map(each => this.#plain(each))
    if (!(value instanceof Error))
      return ['object', 'function'].includes(typeof value) && value !== null
        ? `a ${value.constructor?.name}`
        : value
    let message = value.message
    if (this.directory) message = message.replaceAll(this.directory, '<tmp>').replace(/\d+\.sock/g, '<path>')
    message = message.replace(/:\d{4,5}\b/g, ':<port>')
    return { error: value.name, code: value.code, syscall: value.syscall, message }
  }

  // --- time

  // On a run with jitter some handlers take long, so that more than usual is ready in the next iteration.
  #stumble() {
    if (this.random === undefined || !this.random.chance(0.3)) return
    if (this.random.chance(0.5)) spin(this.random.next() * 2)
    else if (this.random.chance(0.3)) setTimeout(spin, this.random.below(3), 1)
    else setImmediate(spin, this.random.next())
  }

  // --- the end

  #allClosed() {
    if (this.#arriving.length > 0 || this.#actors.size < 2) return false
    for (const actor of this.#actors.values()) if (!actor.server && !actor.closed) return false
    return true
  }

  async #closeAll() {
    const open = new Map()
    for (const { emitter, server, name } of this.#actors.values()) {
      if (server ? !emitter._handle : emitter.closed) {
        if (!server) emitter.destroy()
        continue
      }
      open.set(emitter, name)
      emitter.on('error', () => {})
    }
    await new Promise(resolve => {
      const timer = setTimeout(resolve, BYE)
      const gone = emitter => {
        open.delete(emitter)
        if (open.size === 0) {
          clearTimeout(timer)
          resolve()
        }
      }
      for (const emitter of [...open.keys()]) {
        emitter.once('close', () => gone(emitter))
        if (emitter.destroy) {
          emitter.removeAllListeners('readable')
          emitter.destroy()
        } else emitter.close()
      }
      if (open.size === 0) gone()
    })
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    return [...new Set(open.values())].sort()
  }
}

/** What a program may do to a socket for some time without changing what arrives. Each returns how to take it back. */
const LOOKS = {
  pause(socket, actor) {
    socket.pause()
    // Without a destination what flows is lost; `pipe` resumes.
    return () => actor.unpiped || socket.resume()
  },
  cork(socket) {
    socket.cork()
    return () => socket.uncork()
  },
  listen(socket) {
    const listener = () => {}
    socket.on('data', listener)
    return () => socket.off('data', listener)
  },
  second(socket) {
    const second = new PassThrough().resume()
    socket.pipe(second)
    return () => socket.unpipe(second)
  },
  unpipe(socket, actor) {
    if (actor.to === undefined || actor.unpiped) return undefined
    actor.unpiped = true
    socket.unpipe(actor.to)
    return () => {
      actor.unpiped = false
      socket.pipe(actor.to, { end: actor.end })
    }
  },
  wrapWrite: socket => wrap(socket, 'write'),
  wrapEmit: socket => wrap(socket, 'emit'),
}

function wrap(socket, method) {
  const original = socket[method]
  socket[method] = function (...args) {
    return Reflect.apply(original, this, args)
  }
  return () => Reflect.deleteProperty(socket, method)
}

/** Bytes that the handle has read and that neither the stream nor the program has. */
function ahead({ emitter, received }) {
  return emitter.bytesRead - received - emitter.readableLength
}

const ASKED = [
  'destroyed',
  'closed',
  'readyState',
  'pending',
  'connecting',
  'readable',
  'writable',
  'readableEnded',
  'readableFlowing',
  'readableAborted',
  'writableEnded',
  'writableFinished',
  'writableLength',
  'writableNeedDrain',
  'writableCorked',
  'bytesWritten',
  'timeout',
]

function stateOf(actor) {
  const { emitter } = actor
  const state = {}
  for (const name of ASKED) state[name] = emitter[name] ?? null
  state.errored = emitter.errored ? (emitter.errored.code ?? emitter.errored.message) : null
  if (!actor.settings.encoding) state.readAhead = ahead(actor)
  return state
}

function spin(time) {
  const end = performance.now() + time
  while (performance.now() < end);
}
