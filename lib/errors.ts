// Every error that ferronet makes is made here, in Node's shapes: system errors carry `errno`, `code` and
// `syscall` as the kernel gave them, the others a stable `code`, which the first line of their stack shows too.

import { format, getSystemErrorMap } from 'node:util'

/** An error of the system: what `read`, `write`, `connect`, `listen` and the like fail with. */
export interface SystemError extends Error {
  errno: number
  code: string
  syscall: string
  address?: string
  port?: number
  localAddress?: string
  localPort?: number
}

// --- stacks -----------------------------------------------------------------------------------------------------
//
// A stack shows the program's frames and not ours. An error that the event loop reports has no frames of the program:
// it gets a single one of ours, as errors of Node's get one of Node's.

/** The directory of our files; undefined in a bundle, where they are in one file with the program. */
const ours = /^(.*[\\/])lib[\\/]errors\.js$/.exec(__filename)?.[1]
/** How many frames of ours and of Node's streams may be above the first one of the program. */
const ABOVE = 24
let telling = false

/** `Error.stackTraceLimit`, or 0 if a program has removed or frozen it. */
function stackLimit(): number {
  const limit = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')
  return limit?.writable && typeof limit.value === 'number' ? limit.value : 0
}

function limited<T>(limit: number, run: () => T): T {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = limit
  try {
    return run()
  } finally {
    Error.stackTraceLimit = before
  }
}

/** Makes an error that the event loop reports. There can be many, so the stack is put together only when it is read. */
export function fromLoop<E extends Error>(make: () => E): E {
  if (telling || stackLimit() < 1) return make()
  telling = true
  try {
    const error = limited(0, make)
    limited(1, () => Error.captureStackTrace(error, fromLoop))
    return error
  } finally {
    telling = false
  }
}

/** Makes an error that comes from a call of the program: its stack begins with the program's frames. */
function fromCall<E extends Error>(make: () => E): E {
  const limit = stackLimit()
  if (telling || limit < 1 || ours === undefined) return make()
  const error = limited(limit + ABOVE, make)
  const { stack } = error
  // With a program's own `Error.prepareStackTrace` the stack can be anything.
  if (typeof stack !== 'string') return error
  const lines = stack.split('\n')
  const head = lines.findIndex(line => /^ +at /.test(line))
  if (head < 0) return error
  const frames = lines.slice(head)
  const first = frames.findIndex(frame => !frame.includes(ours) && !/[( ](?:node|ext):/.test(frame))
  const shown =
    first < 0
      ? frames.filter(frame => frame.includes(ours) && !/[\\/](errors|validate)\.js/.test(frame)).slice(0, 1)
      : frames.slice(first).filter(frame => !frame.includes(ours))
  error.stack = [...lines.slice(0, head), ...shown.slice(0, limit)].join('\n')
  return error
}

// --- system errors ----------------------------------------------------------------------------------------------

const systemErrors = getSystemErrorMap()

function named(errno: number): readonly [code: string, text: string] {
  return (systemErrors.get(errno) as [string, string] | undefined) ?? [`Unknown system error ${errno}`, '']
}

/** This platform's negative number of a libuv error name. */
export function errnoOf(name: string): number {
  for (const [errno, [code]] of systemErrors) if (code === name) return errno
  throw new RangeError(`libuv has no error ${name}`)
}

/** `read ECONNRESET` */
export function errnoException(errno: number, syscall: string): SystemError {
  const [code] = named(errno)
  return fromCall(() => Object.assign(new Error(`${syscall} ${code}`), { errno, code, syscall }))
}

/** `connect ECONNREFUSED 127.0.0.1:80`, and ` - Local (…)` after it when `local` is given. */
export function endpointException(
  errno: number,
  syscall: string,
  address: string | undefined,
  port?: number,
  local?: string,
): SystemError {
  const [code] = named(errno)
  const suffix = local === undefined ? '' : ` - Local (${local})`
  const error: SystemError = fromCall(() =>
    Object.assign(new Error(`${syscall} ${code}${at(address, port)}${suffix}`), {
      errno,
      code,
      syscall,
      address: address as string,
    }),
  )
  if (port) error.port = port
  return error
}

/** `listen EADDRINUSE: address already in use 127.0.0.1:80` */
export function listenException(errno: number, address: string | null, port: number): SystemError {
  // Here Node has other words for a number that nobody knows.
  const [code, text] = systemErrors.get(errno) ?? ['UNKNOWN', 'unknown error']
  const error: SystemError = fromCall(() =>
    Object.assign(new Error(`listen ${code}: ${text}${at(address, port)}`), {
      code,
      errno,
      syscall: 'listen',
      address: address as string,
    }),
  )
  if (port) error.port = port
  return error
}

function at(address: string | null | undefined, port: number | undefined): string {
  if (port !== undefined && port > 0) return ` ${address}:${port}`
  return address ? ` ${address}` : ''
}

// --- errors with a code of Node's -------------------------------------------------------------------------------

type ErrorClass = ErrorConstructor | TypeErrorConstructor | RangeErrorConstructor

function toStringWithCode(this: Error & { code: string }): string {
  return `${this.name} [${this.code}]: ${this.message}`
}
const prototypes = new Map<ErrorClass, object>(
  [Error, TypeError, RangeError].map(Class => [
    Class,
    Object.create(Class.prototype, {
      toString: { value: toStringWithCode, writable: true, configurable: true },
    }),
  ]),
)

/** An error as Node's own modules throw it: `TypeError [ERR_X]: message`. */
export function nodeError(Class: ErrorClass, code: string, message: string): NodeJS.ErrnoException {
  return fromCall(() => {
    const error: NodeJS.ErrnoException = new Class(message)
    Object.setPrototypeOf(error, prototypes.get(Class)!)
    return codeInStack(error, `${Class.name} [${code}]`, code)
  })
}

// The stack is put together when it is first read, with the name that the error has then.
function codeInStack<E extends Error & { code?: string }>(
  error: E,
  name: string,
  code: string | undefined,
): E {
  Object.defineProperty(error, 'name', { value: name, configurable: true })
  void error.stack
  Reflect.deleteProperty(error, 'name')
  error.code = code as string
  return error
}

/** What a connect to several addresses fails with: each attempt's error, and the code of the first. */
export function connectAggregateError(
  errors: (Error & { code?: string })[],
): AggregateError & { code?: string } {
  const code = errors[0]?.code
  return fromCall(() => codeInStack(new AggregateError(errors), `AggregateError [${code}]: `, code))
}

/** What writing fails with after the peer's FIN has ended both sides. */
export function endedByPeer(): Error {
  return fromCall(() =>
    Object.assign(new Error('This socket has been ended by the other party'), { code: 'EPIPE' }),
  )
}

/** What an aborted operation fails with; the signal's reason is its cause. */
export function aborted(signal: AbortSignal | undefined): Error {
  return fromCall(() => {
    const error = new Error('The operation was aborted', { cause: signal?.reason })
    return Object.assign(error, { code: 'ABORT_ERR', name: 'AbortError' })
  })
}

/** Of a file that is to be sent. */
export function fileShrank(sent: number, wanted: number): Error {
  const message = `The file has become shorter while it was sent: ${sent} of ${wanted} bytes are out`
  return fromLoop(() => nodeError(Error, 'ERR_FERRONET_FILE_SHRANK', message))
}

export function writeAfterEnd(): Error {
  return nodeError(Error, 'ERR_STREAM_WRITE_AFTER_END', 'write after end')
}

export function socketClosed(): Error {
  return nodeError(Error, 'ERR_SOCKET_CLOSED', 'Socket is closed')
}

export function closedBeforeConnection(): Error {
  return nodeError(
    Error,
    'ERR_SOCKET_CLOSED_BEFORE_CONNECTION',
    'Socket closed before the connection was established',
  )
}

export function connectionTimeout(): Error {
  return nodeError(Error, 'ERR_SOCKET_CONNECTION_TIMEOUT', 'Socket connection timeout')
}

export function ipBlocked(address: string): Error {
  return nodeError(Error, 'ERR_IP_BLOCKED', `IP(${address}) is blocked by net.BlockList`)
}

export function invalidIpAddress(address: unknown): Error {
  return nodeError(TypeError, 'ERR_INVALID_IP_ADDRESS', format('Invalid IP address: %s', address))
}

export function invalidAddressFamily(family: unknown, host: unknown, port: unknown): Error {
  const message = `Invalid address family: ${String(family)} ${String(host)}:${String(port)}`
  return Object.assign(nodeError(RangeError, 'ERR_INVALID_ADDRESS_FAMILY', message), { host, port })
}

export function invalidHandleType(): Error {
  return nodeError(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent')
}

export function invalidFdType(type: string): Error {
  return nodeError(TypeError, 'ERR_INVALID_FD_TYPE', `Unsupported fd type: ${type}`)
}

export function alreadyListening(): Error {
  return nodeError(
    Error,
    'ERR_SERVER_ALREADY_LISTEN',
    'Listen method has been called more than once without closing.',
  )
}

export function notRunning(): Error {
  return nodeError(Error, 'ERR_SERVER_NOT_RUNNING', 'Server is not running.')
}
