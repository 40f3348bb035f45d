// The argument of a scenario function: the module under test, the recorder, and the set-up that nearly all
// scenarios share. Runs in the scenario's own process, never in ava's.

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

// The events whose order is promised. 'readable', 'pause' and 'resume' are internal to streams.
const promised = new Set([
  'lookup',
  'connectionAttempt',
  'connectionAttemptFailed',
  'connectionAttemptTimeout',
  'connect',
  'ready',
  'data',
  'drain',
  'end',
  'timeout',
  'error',
  'prefinish',
  'finish',
  'close',
  'listening',
  'connection',
  'drop',
])

export class Scenario {
  #cleanups = []
  #owned = new Map()
  #watched = new WeakMap()
  #ports = 0

  constructor(net, moduleName, trace) {
    this.net = net
    this.moduleName = moduleName
    this.trace = trace
    // All are closures, so that a scenario can destructure its argument.
    for (const name of Object.getOwnPropertyNames(Scenario.prototype)) {
      if (name !== 'constructor') this[name] = this[name].bind(this)
    }
    // `log(event, ...args)` goes to the main track, `log.to('name')(event, ...args)` to a track of its own.
    this.log = (event, ...args) => trace.record('main', event, args)
    this.log.to =
      track =>
      (event, ...args) =>
        trace.record(track, event, args)
  }

  // --- recording

  // Records every promised event of an emitter without becoming one of its listeners (a 'data' listener
  // would start the flow): on a track of its own, or with `into` merged into a track where order between
  // objects is promised. 'error' does get a listener, unless `uncaught` is set.
  watch(emitter, name, { into, also = [], except = [], uncaught = false } = {}) {
    this.own(emitter)
    if (!uncaught) emitter.on('error', () => {})
    const sightings = new Sightings()
    this.#watched.set(emitter, sightings)
    const emit = emitter.emit
    emitter.emit = (event, ...args) => {
      if ((promised.has(event) || also.includes(event)) && !except.includes(event)) {
        if (into === undefined) this.trace.record(name, event, args)
        else this.trace.record(into, `${name} ${event}`, args)
      }
      try {
        return Reflect.apply(emit, emitter, [event, ...args])
      } finally {
        sightings.happened(event)
      }
    }
    return emitter
  }

  // Resolves when `event` is first emitted. That may be in the past if the emitter is watched, or if it is the 'close' of
  // an owned one.
  seen(emitter, event) {
    if (event === 'close' && this.#owned.get(emitter)) return Promise.resolve()
    return this.#watched.get(emitter)?.wait(event) ?? this.#first(emitter, event)
  }

  closed(...emitters) {
    return Promise.all(emitters.map(emitter => this.seen(emitter, 'close')))
  }

  // Runs `body`, and records what it returns or throws.
  attempt(label, body) {
    try {
      const result = body()
      this.log(label, 'returned', result)
      return result
    } catch (error) {
      this.log(label, 'threw', error)
    }
  }

  alias(value, name) {
    return this.trace.alias(value, name)
  }

  // --- set-up

  // Listens on 127.0.0.1 and any port, unless the options say otherwise; resolves when it listens.
  async listen(options = {}, onConnection) {
    const { path, host = '127.0.0.1', port = 0, backlog, ...serverOptions } = options
    const server = this.own(this.net.createServer(serverOptions))
    // Few scenarios are about the accepted end, so its errors are ignored.
    server.on('connection', peer => this.own(peer).on('error', () => {}))
    if (onConnection) server.on('connection', onConnection)
    server.listen(path === undefined ? { host, port, backlog } : { path, backlog })
    await this.#first(server, 'listening')
    if (path === undefined) this.alias(server.address().port, this.#ports++ ? `port ${this.#ports}` : 'port')
    return server
  }

  connect(...args) {
    return this.own(this.net.connect(...args))
  }

  // How to reach a server from here: `connect(to(server))`.
  to(server, more = {}) {
    const address = server.address()
    return typeof address === 'string'
      ? { path: address, ...more }
      : { host: '127.0.0.1', port: address.port, ...more }
  }

  // A connection with both its ends in this process, connected and accepted.
  async pair({ server: serverOptions = {}, client: clientOptions = {}, path } = {}) {
    const server = await this.listen(path === undefined ? serverOptions : { ...serverOptions, path })
    const accepted = this.#first(server, 'connection')
    const client = this.connect(this.to(server, clientOptions))
    const [peer] = await Promise.all([accepted, this.#first(client, 'connect')])
    return { server, client, peer }
  }

  // An unused path to listen on.
  socketPath(name = 's.sock') {
    if (process.platform === 'win32') {
      const unique = `${process.pid}-${process.hrtime.bigint()}`
      this.alias(unique, 'unique')
      return `\\\\.\\pipe\\ferronet-${unique}-${name}`
    }
    return join(this.directory(), name)
  }

  directory() {
    // The test file's own process removes all of them, also those of a process that was killed.
    const path = mkdtempSync(join(process.env.FERRONET_TEST_SCRATCH, 'd-'))
    this.alias(path, 'tmp')
    this.cleanup(() => rmSync(path, { recursive: true, force: true }))
    return path
  }

  // Runs `body` in a worker thread that has loaded the same module under the same driver. The function
  // is passed as its source, so it only sees its argument, `{ net, data, port }`.
  worker(body, data) {
    const worker = new Worker(new URL('worker.mjs', import.meta.url), {
      workerData: { source: String(body), data, moduleName: this.moduleName },
    })
    this.cleanup(() => worker.terminate())
    return worker
  }

  // --- waiting, never on time

  // `count` turns of the event loop.
  async turns(count = 1) {
    for (let turn = 0; turn < count; turn++) await immediate()
  }

  // Makes, uses and closes a connection, so that anything that was on its way before has arrived. Used to
  // show that something did not happen.
  async quiet() {
    const { server, client, peer } = await this.pair()
    const back = this.drained(client)
    peer.resume().end('round trip')
    await back
    server.close()
    await this.#first(server, 'close')
    await this.turns(2)
  }

  // Waits turn by turn until `condition` holds; the scenario's time-out is the limit.
  async until(condition) {
    while (!condition()) await immediate()
  }

  // Reads a socket to its end.
  async drained(socket) {
    const chunks = []
    socket.on('data', chunk => chunks.push(chunk))
    await this.#first(socket, 'end')
    return typeof chunks[0] === 'string' ? chunks.join('') : Buffer.concat(chunks)
  }

  // From here on, 'uncaughtException' and 'unhandledRejection' are recorded instead of failing the scenario.
  catchUncaught(listener = () => {}) {
    this.catchesUncaught = (error, origin) => {
      this.log(origin, error)
      listener(error, origin)
    }
  }

  // --- the end

  cleanup(task) {
    this.#cleanups.push(task)
  }

  own(emitter) {
    if (!this.#owned.has(emitter)) {
      this.#owned.set(emitter, false)
      emitter.once('close', () => this.#owned.set(emitter, true))
    }
    return emitter
  }

  // Destroys everything that is still open and waits for its 'close', newest first.
  async finish() {
    for (const emitter of this.#owned.keys()) emitter.on('error', () => {})
    for (const task of this.#cleanups.reverse()) await task()
    const waits = []
    for (const [emitter, closed] of [...this.#owned].reverse()) {
      if (typeof emitter.destroy === 'function') {
        if (!closed || !emitter.destroyed) waits.push(this.#first(emitter, 'close'))
        emitter.destroy()
      } else if (emitter.listening) {
        waits.push(this.#first(emitter, 'close'))
        emitter.close()
      }
    }
    await Promise.all(waits)
    await this.turns(2)
  }

  #first(emitter, event) {
    return new Promise(resolve => emitter.once(event, resolve))
  }
}

// The events that a watched emitter has emitted so far, and the promises waiting for one.
class Sightings {
  #past = new Set()
  #waiting = new Map()

  happened(event) {
    this.#past.add(event)
    for (const resolve of this.#waiting.get(event) ?? []) resolve()
    this.#waiting.delete(event)
  }

  wait(event) {
    if (this.#past.has(event)) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting.set(event, [...(this.#waiting.get(event) ?? []), resolve])
    })
  }
}
