// `a.pipe(b)` between two sockets without JavaScript, for as long as nobody could tell. When the stream has handed a
// chunk to `b`, `relayPiped` looks whether the addon may carry the bytes that follow. While it does, both sockets have
// a prototype in front of their own that notices when the program looks, and JavaScript carries on.

import { performance } from 'node:perf_hooks'
import { Readable, Writable } from 'node:stream'
import type { Handle } from './engine/once.js'
import {
  type Connection,
  kFiles,
  kHandle,
  kHeld,
  kOnread,
  kRelay,
  kShutdownRequest,
  kTls,
  kWriteRequest,
  type Relaying,
} from './state.js'

/** `FERRONET_RELAY=0`: what is piped always passes through JavaScript. */
export const relaysPipes = fromEnvironment()

function fromEnvironment(): boolean {
  const text = process.env.FERRONET_RELAY || '1'
  if (text !== '0' && text !== '1') throw new TypeError(`FERRONET_RELAY must be '0' or '1', not '${text}'`)
  return text === '1'
}

/** How many relays have begun in this thread. For tests: nothing else shows that there was one. */
export const begun = { count: 0 }

// Most connections that pipe a chunk or two are over then.
const FIRST_WAIT = 1
/** After a try that could not succeed. */
const NEXT_TRY = 16
// Who looks once may look again: the next relay begins twice as late.
const FIRST_PENALTY = 4
const MAX_PENALTY = 256

export function relayingOf(socket: Connection): Relaying {
  return (socket[kRelay] ??= {
    wait: FIRST_WAIT,
    penalty: FIRST_PENALTY,
    heldUp: false,
    shortTimer: null,
    movedAt: Number.NEGATIVE_INFINITY,
    toldAt: Number.NEGATIVE_INFINITY,
  })
}

/** `from` has just piped a chunk to its only destination. */
export function relayPiped(from: Connection): void {
  const relaying = relayingOf(from)
  if (relaying.wait > 0) relaying.wait--
  else begin(from)
}

/** `from` resumes: it may be because its destination has told of 'drain'. */
export function relayResumed(from: Connection, relaying: Relaying): void {
  if (!relaying.heldUp) return
  relaying.heldUp = false
  // When what had been read before has flowed.
  process.nextTick(begin, from)
}

function begin(from: Connection): void {
  const relaying = from[kRelay]
  if (relaying === null || relaying.wait > 0 || !isSocket(from)) return
  const [to] = from._readableState.pipes
  if (to === undefined) return
  if (isSocket(to) && isHeldUp(from, to)) {
    relaying.heldUp = true
    return
  }
  if (!isSocket(to) || !isUnseenReader(from) || !isUnseenWriter(to) || !willNotice(from) || !willNotice(to)) {
    relaying.wait = NEXT_TRY
    return
  }
  const [source, target] = [from[kHandle], to[kHandle]]
  if (!isIdle(to) || !source.mayRelay(target)) return
  if (!source.startRelay(target)) {
    // Each try sends early what could leave together.
    relaying.wait = NEXT_TRY
    return
  }
  begun.count++
  // Later it may be too late for a new property.
  relayingOf(to)
  relaying.wait = relaying.penalty
  relaying.penalty = Math.min(relaying.penalty * 2, MAX_PENALTY)
  watch(from)
  watch(to)
}

/** The first chunk that is piped from here need not pass through JavaScript. */
export function startsAtOnce(from: Connection): void {
  relayingOf(from).wait = 0
}

/** A relay of this socket has ended, whose last byte has passed `idle` ms ago. */
export function relayStopped(socket: Connection, idle: number): void {
  relayingOf(socket).movedAt = performance.now() - idle
  if (!socket[kHandle]?.relays) unwatch(socket)
}

/**
 * What a relay has read and not sent goes the way of a chunk that has just come, so that a full destination stops its
 * source, and an `end()` comes behind. False if the streams are past that.
 */
export function relayRest(from: Connection, bytes: Buffer, to: object | null): boolean {
  if (!isSocket(to)) return false
  const { ending, destroyed, errored, writing } = to._writableState as Connection['_writableState'] & {
    writing: boolean
  }
  if (ending || destroyed || errored || writing || to.destroyed) return false
  const { pipes, flowing } = from._readableState
  // Nobody but `pipe` listens.
  if (!from.destroyed && flowing === true && pipes.length === 1 && pipes[0] === to) from.emit('data', bytes)
  else to.write(bytes)
  return true
}

// --- whether anybody could tell ---------------------------------------------------------------------------------------

interface Connected extends Connection {
  [kHandle]: Handle
}

function isSocket(stream: unknown): stream is Connected {
  const handle = (stream as Partial<Connection> | null)?.[kHandle]
  return handle != null && handle.slot >= 0
}

/** A chunk of the high-water mark fills the stream, even if the kernel takes it at once. */
function isHeldUp(from: Connection, to: Connection): boolean {
  const { flowing, length } = from._readableState
  return to._writableState.needDrain || flowing === false || length > 0
}

/** Whether one that this one is piped to is full. Where there have been several Node leaves an empty set behind. */
export function isAwaited({ awaitDrainWriters: full }: Connection['_readableState']): boolean {
  // The set is one of Node's own, which is no `Set` to us.
  return full !== null && (full as { size?: number }).size !== 0
}

function isUnseenReader(socket: Connection): boolean {
  const { _readableState: state, _events: events } = socket
  return (
    isPlain(socket) &&
    state.flowing === true &&
    state.length === 0 &&
    !state.ended &&
    !state.destroyed &&
    !state.errored &&
    !state.decoder &&
    !state.objectMode &&
    !isAwaited(state) &&
    state.pipes.length === 1 &&
    isOwn(events.data, ownListeners().data) &&
    events.readable === undefined &&
    events.pause === undefined &&
    events.resume === undefined &&
    isIntact(socket, READS)
  )
}

function isUnseenWriter(socket: Connection): boolean {
  const { _writableState: state, _events: events } = socket
  return (
    isPlain(socket) &&
    socket[kFiles] === null &&
    socket[kShutdownRequest] === null &&
    !state.ending &&
    !state.destroyed &&
    !state.errored &&
    !state.objectMode &&
    !state.corked &&
    (events.drain === undefined || isOwn(events.drain, ownListeners().drain)) &&
    isIntact(socket, WRITES)
  )
}

/** Nothing that was written waits, in the stream or below it. */
function isIdle(socket: Connection): boolean {
  const { length, needDrain } = socket._writableState
  return length === 0 && !needDrain && socket[kHeld] === null && socket[kWriteRequest] === null
}

function isPlain(socket: Connection): boolean {
  return (
    !socket.connecting &&
    !socket.destroyed &&
    socket[kTls] === null &&
    socket[kOnread] === null &&
    socket._parent === null &&
    Object.isExtensible(socket)
  )
}

// What bytes pass through, and what the program may have replaced.
const READS = ['emit', 'push', 'read', '_read', 'pause', 'resume', '_unrefTimer'] as const
const WRITES = ['emit', 'write', '_write', '_writev', '_writeGeneric', '_unrefTimer'] as const
type Method = (typeof READS | typeof WRITES)[number]

const methods = new Map<Method, unknown>()

/** `prototype` is Socket's, with what it inherits. */
export function takeMethods(prototype: object): void {
  for (const name of [...READS, ...WRITES]) methods.set(name, Reflect.get(prototype, name))
}

function isIntact(socket: Connection, names: readonly Method[]): boolean {
  const prototype = prototypeOf(socket)
  return names.every(name => {
    const from = Object.hasOwn(socket, name) ? socket : prototype
    return Reflect.get(from, name, socket) === methods.get(name)
  })
}

/** Without a watcher. */
function prototypeOf(socket: Connection): object {
  const watcher = Object.getPrototypeOf(socket) as object
  return isWatching.has(watcher) ? (Object.getPrototypeOf(watcher) as object) : watcher
}

/** The listeners that `pipe` adds, by their source: each stream has functions of its own. */
let listeners: { data: string; drain: string } | undefined

function ownListeners(): { data: string; drain: string } {
  listeners ??= findListeners()
  return listeners
}

function findListeners(): { data: string; drain: string } {
  const source = new Readable({ read() {} })
  const target = new Writable({ highWaterMark: 1, write() {} })
  // It needs to drain, so `pipe` waits for that at once.
  target.write('x')
  source.pipe(target)
  return { data: String(source.listeners('data')[0]), drain: String(target.listeners('drain')[0]) }
}

function isOwn(listener: unknown, source: string): boolean {
  return typeof listener === 'function' && String(listener) === source
}

// --- noticing that somebody looks -------------------------------------------------------------------------------------

/** The prototypes that `watch` puts in front of others. */
const watching = new WeakMap<object, object>()
const isWatching = new WeakSet<object>()
/** The sockets that have one. */
const watched = new Set<Connection>()

function watch(socket: Connection): void {
  watched.add(socket)
  const prototype = Object.getPrototypeOf(socket) as object
  if (isWatching.has(prototype)) return
  let watcher = watching.get(prototype)
  if (watcher === undefined) {
    watcher = watcherOf(prototype)
    watching.set(prototype, watcher)
    isWatching.add(watcher)
  }
  Object.setPrototypeOf(socket, watcher)
}

function unwatch(socket: Connection): void {
  watched.delete(socket)
  const watcher = Object.getPrototypeOf(socket) as object
  // In vain if the program has prevented extensions meanwhile. Then the watcher has nothing more to do.
  if (isWatching.has(watcher)) Reflect.setPrototypeOf(socket, Object.getPrototypeOf(watcher) as object)
}

type Role = 'reads' | 'writes'
type Stops = (socket: Connection) => void

const stops: Record<Role, Stops> = {
  reads: socket => socket[kHandle]?.stopRelay(),
  writes: socket => socket[kHandle]?.stopRelayTo(),
}

function stopBoth(socket: Connection): void {
  stops.reads(socket)
  stops.writes(socket)
}

/** Methods whose call has to do with the bytes that are on their way. */
const LOOKS: Record<Role, PropertyKey[]> = {
  reads: [
    ...['pause', 'resume', 'read', 'pipe', 'unpipe', 'setEncoding', 'wrap', 'iterator'],
    Symbol.asyncIterator,
  ],
  writes: ['write', 'end', 'destroySoon', 'cork', 'uncork', '_write', '_writev', '_writeGeneric'],
}

/** Those whose first argument is an event, or nothing for all of them. */
const LISTENS = [
  ...['on', 'addListener', 'prependListener', 'off', 'removeListener', 'removeAllListeners'],
  // Deno's call no other method.
  ...['once', 'prependOnceListener'],
]

const NOTICED: PropertyKey[] = [...LOOKS.reads, ...LOOKS.writes, ...LISTENS]

const EVENTS: Record<string, Stops> = {
  data: stops.reads,
  readable: stops.reads,
  pause: stops.reads,
  resume: stops.reads,
  drain: stops.writes,
}

function watcherOf(prototype: object): object {
  const watcher = Object.create(prototype) as object
  const define = (name: PropertyKey, replaced: Stops, instead?: (...args: never[]) => unknown): void => {
    Object.defineProperty(watcher, name, {
      configurable: true,
      get() {
        return instead ?? (Reflect.get(prototype, name, this) as unknown)
      },
      set(this: Connection, value: unknown) {
        replaced(this)
        // On an instance, as if we were not here; and another prototype may have its own idea.
        Reflect.set(prototype, name, value, this)
      },
    })
  }
  for (const role of ['reads', 'writes'] as const) {
    for (const name of LOOKS[role]) {
      define(name, stops[role], function (this: Connection, ...args: never[]) {
        stops[role](this)
        return call(prototype, name, this, args)
      })
    }
  }
  for (const name of LISTENS) {
    define(name, stopBoth, function (this: Connection, ...args: never[]) {
      const event: unknown = args[0]
      if (event === undefined) stopBoth(this)
      else if (typeof event === 'string') EVENTS[event]?.(this)
      return call(prototype, name, this, args)
    })
  }
  // What they do to the bytes, if anything, ends in a write.
  for (const name of ['emit', 'push', 'unshift', '_read', '_unrefTimer']) define(name, stopBoth)
  return new Proxy(watcher, { getOwnPropertyDescriptor: inspected })
}

/**
 * A tool looks for the place of a method, to put its own in front (`mock.method()` of node:test). It finds the real one
 * behind us, and no relay: we are not told whose prototype it looks at.
 */
function inspected(watcher: object, name: PropertyKey): undefined {
  if (Object.hasOwn(watcher, name)) for (const socket of watched) stopBoth(socket)
  return undefined
}

/** Whether nothing of the socket's own is in front of the watcher's methods. */
function willNotice(socket: Connection): boolean {
  const prototype = prototypeOf(socket)
  return NOTICED.every(name => {
    if (!Object.hasOwn(socket, name)) return true
    const own: unknown = Reflect.get(socket, name)
    // An HTTP server's, which it leaves behind when the connection is no longer its own: it only throws.
    if (name === 'setEncoding' && (own as { name?: unknown } | null)?.name === 'socketSetEncoding')
      return true
    // An HTTP server leaves those of the prototype as well.
    return own === Reflect.get(prototype, name) && Reflect.deleteProperty(socket, name)
  })
}

function call(prototype: object, name: PropertyKey, socket: Connection, args: never[]): unknown {
  return Reflect.apply(Reflect.get(prototype, name, socket) as (...args: never[]) => unknown, socket, args)
}
