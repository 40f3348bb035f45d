// The options of a socket. What concerns the connection itself is `Remembered`: taken from the options of the
// constructor or set by the likes of `setNoDelay()`, applied to each connection that the socket makes, handed from a
// Server to the sockets it accepts, and carried along when a socket moves. `apply` is the only place that sets them on
// a connection.
//
// A new option: a field and its default, a line in `remembered` and in `apply`, in `nodeOptions` if Node has it as
// well, and its method in socket.ts.

import type { BlockList } from 'node:net'
import type { AnyOptions } from './arguments.js'
import type { Handle, SocketHandle } from './engine/once.js'
import { invalidArgValue, validateInt32, validateKeepAliveDelay } from './validate.js'

/** What `new Socket()` takes, beside the options of a stream. */
export interface SocketOptions extends AnyOptions {
  allowHalfOpen?: boolean
  blockList?: BlockList
  fd?: number
  handle?: unknown
  keepAlive?: boolean
  keepAliveInitialDelay?: number
  manualStart?: boolean
  noDelay?: boolean
  objectMode?: boolean
  onread?: { buffer?: unknown; callback?: unknown } | null
  pauseOnCreate?: boolean
  readable?: boolean
  readableObjectMode?: boolean
  sharedChunks?: boolean
  signal?: AbortSignal
  typeOfService?: number
  busyPoll?: number
  writableObjectMode?: boolean
  /** Instead of those above that are remembered. */
  [kRemembered]?: Remembered
}

export const kRemembered = Symbol('ferronet.remembered')

/** Never changed, only replaced: sockets share it, and it travels to other threads as it is. */
export interface Remembered {
  readonly noDelay: boolean
  readonly keepAlive: boolean
  /** Seconds; 0 leaves the system's. */
  readonly keepAliveDelay: number
  /** Seconds; undefined is Node's default. */
  readonly keepAliveInterval: number | undefined
  readonly keepAliveCount: number | undefined
  /** IP_TOS or the traffic class; undefined leaves the system's. */
  readonly typeOfService: number | undefined
  /** SO_BUSY_POLL, in microseconds; undefined leaves the system's. */
  readonly busyPoll: number | undefined
  /**
   * Whether chunks may be views of memory that other sockets' chunks are in; each Handle is told when it gets its
   * Socket.
   */
  readonly sharedChunks: boolean
}

/** The defaults: one object for all sockets without options. */
export const nothingRemembered: Remembered = Object.freeze({
  noDelay: false,
  keepAlive: false,
  keepAliveDelay: 0,
  keepAliveInterval: undefined,
  keepAliveCount: undefined,
  typeOfService: undefined,
  busyPoll: undefined,
  sharedChunks: false,
})

// --- given --------------------------------------------------------------------------------------------------------

/** What a Socket demands of its stream: it emits 'close' itself, and encodes strings itself. */
const streamOptions = { emitClose: false, autoDestroy: true, decodeStrings: false } as const

/** The options of a Socket for a connection that a Server accepted: complete, and therefore not copied. */
export class AcceptedOptions implements SocketOptions {
  [option: string]: unknown
  emitClose = streamOptions.emitClose
  autoDestroy = streamOptions.autoDestroy
  decodeStrings = streamOptions.decodeStrings;
  [kRemembered]: Remembered
  constructor(
    public handle: SocketHandle,
    public allowHalfOpen: boolean,
    public pauseOnCreate: boolean,
    public readableHighWaterMark: number,
    public writableHighWaterMark: number,
    remembered: Remembered,
  ) {
    this[kRemembered] = remembered
  }
}

/** A copy of the caller's options, checked, with what a Socket demands of its stream. */
export function ownOptions(given: SocketOptions | number | undefined): SocketOptions {
  const options: SocketOptions = typeof given === 'number' ? { fd: given } : { ...given }
  if (options.objectMode || options.readableObjectMode || options.writableObjectMode)
    throw objectMode(options)
  if (typeof given !== 'number') validateKeepAliveDelay(given)
  if (options.keepAliveInitialDelay! < 0) options.keepAliveInitialDelay = 0
  options.emitClose = streamOptions.emitClose
  options.autoDestroy = streamOptions.autoDestroy
  options.decodeStrings = streamOptions.decodeStrings
  options.allowHalfOpen = Boolean(options.allowHalfOpen)
  return options
}

function objectMode(options: SocketOptions): Error {
  const name = ['objectMode', 'readableObjectMode', 'writableObjectMode'].find(mode => options[mode])!
  return invalidArgValue(`options.${name}`, options[name], 'is not supported')
}

/** What is to be remembered of the options of a Socket. Throws ERR_INVALID_ARG_TYPE and ERR_OUT_OF_RANGE. */
export function remembered(options: SocketOptions): Remembered {
  if (options[kRemembered] !== undefined) return options[kRemembered]
  let all = nothingRemembered
  if (options.sharedChunks) all = { ...all, sharedChunks: true }
  if (options.noDelay) all = { ...all, noDelay: true }
  if (options.keepAlive) all = { ...all, keepAlive: true }
  if (options.keepAliveInitialDelay !== undefined) {
    warnOfShortDelay(options.keepAliveInitialDelay)
    all = { ...all, keepAliveDelay: seconds(options.keepAliveInitialDelay) }
  }
  if (options.typeOfService !== undefined) {
    validateInt32(options.typeOfService, 'options.typeOfService', 0, 255)
    all = { ...all, typeOfService: options.typeOfService }
  }
  if (options.busyPoll !== undefined) {
    validateInt32(options.busyPoll, 'options.busyPoll', 0)
    all = { ...all, busyPoll: options.busyPoll }
  }
  return all
}

// --- changed ------------------------------------------------------------------------------------------------------

/** `options` after `setKeepAlive()` with these arguments, in milliseconds. */
export function withKeepAlive(
  options: Remembered,
  enable: unknown,
  initialDelay: number | undefined,
  interval: number | undefined,
  count: number | undefined,
): Remembered {
  warnOfShortDelay(initialDelay)
  return {
    ...options,
    keepAlive: Boolean(enable),
    keepAliveDelay: seconds(initialDelay),
    keepAliveInterval: interval === undefined ? undefined : seconds(interval),
    keepAliveCount: count,
  }
}

/**
 * `before`, the options of the last accepted connection, or new ones if the properties of the Server that decide about
 * them have changed since. Pipes have no options of the kernel's.
 */
export function forAccepted(
  before: Remembered,
  server: { noDelay: unknown; keepAlive: unknown; keepAliveInitialDelay: number },
  kind: Handle['kind'],
): Remembered {
  const noDelay = kind === 'tcp' && Boolean(server.noDelay)
  const keepAlive = kind === 'tcp' && Boolean(server.keepAlive)
  const keepAliveDelay = keepAlive ? server.keepAliveInitialDelay : 0
  if (
    noDelay === before.noDelay &&
    keepAlive === before.keepAlive &&
    keepAliveDelay === before.keepAliveDelay
  )
    return before
  return { ...before, noDelay, keepAlive, keepAliveDelay }
}

/** Milliseconds as whole seconds; anything but a number becomes 0, as in Node. */
export function seconds(msecs: number | undefined): number {
  return Math.trunc((msecs as number) / 1000) | 0
}

let warned = false
// The system counts in seconds, and 0 means its default of two hours: the opposite of what the program wants.
function warnOfShortDelay(initialDelay: unknown): void {
  if (warned || typeof initialDelay !== 'number' || !(initialDelay > 0 && initialDelay < 1000)) return
  warned = true
  process.emitWarning(
    `A keep-alive delay of ${initialDelay} ms is less than a second and counts as 0, the system's default.`,
    'KeepAliveWarning',
  )
}

// --- applied ------------------------------------------------------------------------------------------------------

/**
 * Sets on a connection those of `wanted` that are not as in `has`, which a new connection has as `nothingRemembered`.
 * Returns what the system said to the type of service; its other answers count for nothing, as in Node.
 */
export function apply(handle: SocketHandle, wanted: Remembered, has: Remembered = nothingRemembered): number {
  if (handle.kind !== 'tcp') return 0
  if (wanted.noDelay !== has.noDelay) handle.setNoDelay(wanted.noDelay)
  if (keepsAliveOtherwise(wanted, has)) applyKeepAlive(handle, wanted)
  if (wanted.busyPoll !== has.busyPoll && wanted.busyPoll !== undefined) handle.setBusyPoll(wanted.busyPoll)
  if (wanted.typeOfService === has.typeOfService || wanted.typeOfService === undefined) return 0
  return handle.setTypeOfService(wanted.typeOfService)
}

function keepsAliveOtherwise(wanted: Remembered, has: Remembered): boolean {
  if (wanted.keepAlive !== has.keepAlive) return true
  return (
    wanted.keepAlive &&
    (wanted.keepAliveDelay !== has.keepAliveDelay ||
      wanted.keepAliveInterval !== has.keepAliveInterval ||
      wanted.keepAliveCount !== has.keepAliveCount)
  )
}

// With Node's arguments: a tool may have put a function of its own there.
function applyKeepAlive(handle: SocketHandle, options: Remembered): void {
  const { keepAlive, keepAliveDelay, keepAliveInterval, keepAliveCount } = options
  handle.setKeepAlive(keepAlive, keepAliveDelay, keepAliveInterval, keepAliveCount)
}

// --- carried ------------------------------------------------------------------------------------------------------

/** As options of a Socket of Node's; those that it has no option for are lost. */
export function nodeOptions(options: Remembered): {
  noDelay: boolean
  keepAlive: boolean
  keepAliveInitialDelay: number
  typeOfService: number | undefined
} {
  const { noDelay, keepAlive, keepAliveDelay, typeOfService } = options
  return { noDelay, keepAlive, keepAliveInitialDelay: keepAliveDelay * 1000, typeOfService }
}
