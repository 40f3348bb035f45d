// From the arguments of `connect()` to an open connection: what was asked for, the lookup, one attempt or
// several in turn. Success is reported by calling `[kOpened]()` of the Socket, failure by `destroy(error)`. Wrong
// arguments throw, the network never does.

import { AsyncResource } from 'node:async_hooks'
import * as dns from 'node:dns'
import { addAbortListener } from 'node:events'
import { localEnd } from './address.js'
import type { AnyOptions } from './arguments.js'
import { debug, debugging } from './debug.js'
import { Handle, type SocketHandle } from './engine/once.js'
import {
  closedBeforeConnection,
  connectAggregateError,
  connectionTimeout,
  endpointException,
  errnoOf,
  fromLoop,
  invalidAddressFamily,
  invalidIpAddress,
  ipBlocked,
  type SystemError,
} from './errors.js'
import { nodeNet as net } from './node/net.js'
import { clearTimeout, setTimeout } from './node/timers.js'
import {
  type Address,
  type Attempt,
  type Connection,
  type Destination,
  kAttempt,
  kBoundSource,
  kHandle,
  kOpened,
  kReplaceHandle,
  type Series,
} from './state.js'
import {
  invalidArgType,
  invalidArgValue,
  validateAbortSignal,
  validateBoolean,
  validateFunction,
  validateHost,
  validateInt32,
  validateNumber,
  validatePort,
  validateString,
} from './validate.js'

// --- lookup -----------------------------------------------------------------------------------------------------

/** Validates the TCP options, then finds the address or addresses and tries them, all in later ticks. */
export function lookupAndConnect(socket: Connection, options: AnyOptions): void {
  const host = options.host || 'localhost'
  const localAddress = options.localAddress as string | undefined
  const localPort = options.localPort as number | undefined
  validateHost(host, 'options.host')
  const bound = socket[kBoundSource]
  if (bound && (localAddress !== undefined || localPort !== undefined)) {
    const reason = 'localAddress and localPort cannot be used with an adopted bound socket'
    throw invalidArgValue('options', options, reason)
  }
  if (localAddress && !net.isIP(localAddress)) throw invalidIpAddress(localAddress)
  if (localPort) validateNumber(localPort, 'options.localPort')
  if (options.port !== undefined) {
    if (typeof options.port !== 'number' && typeof options.port !== 'string') {
      throw invalidArgType('options.port', 'one of type number or string', options.port)
    }
    validatePort(options.port, 'Port')
  }
  let autoSelectFamily = net.getDefaultAutoSelectFamily()
  // A bound socket already has its family.
  if (bound) autoSelectFamily = false
  else if (options.autoSelectFamily != null) {
    validateBoolean(options.autoSelectFamily, 'options.autoSelectFamily')
    autoSelectFamily = options.autoSelectFamily
  }
  let attemptTimeout = net.getDefaultAutoSelectFamilyAttemptTimeout()
  if (options.autoSelectFamilyAttemptTimeout != null) {
    validateInt32(options.autoSelectFamilyAttemptTimeout, 'options.autoSelectFamilyAttemptTimeout', 1)
    attemptTimeout = Math.max(10, options.autoSelectFamilyAttemptTimeout as number)
  }
  const to: Destination = { port: Number(options.port ?? 0), localAddress, localPort }

  const literal = net.isIP(host)
  if (literal !== 0 && bound) {
    // Its local address is known as soon as the system has chosen a route.
    attempt(socket, host, literal as 4 | 6, to)
    return
  }
  if (literal !== 0) {
    process.nextTick(connectLiteral, socket, host, literal, to)
    return
  }

  if (options.lookup != null) validateFunction(options.lookup, 'options.lookup')
  const lookup = (options.lookup ?? dns.lookup) as typeof dns.lookup
  const dnsOptions = lookupOptions(options)
  socket._host = host
  if (debugging) debug('connect: lookup of %s, %j', host, dnsOptions)
  if (dnsOptions.family !== 4 && dnsOptions.family !== 6 && !localAddress && autoSelectFamily) {
    lookup(host, { ...dnsOptions, all: true }, (error, addresses) => {
      if (socket.connecting) chooseAddresses(socket, host, error, addresses, options, to, attemptTimeout)
    })
    return
  }
  lookup(host, dnsOptions, (error, address, family) => {
    socket.emit('lookup', error, address, family, host)
    if (!socket.connecting) return
    if (error) fail(socket, error)
    else if (typeof address !== 'string' || !net.isIP(address)) fail(socket, invalidIpAddress(address))
    else if (family !== 4 && family !== 6)
      fail(socket, invalidAddressFamily(family, options.host, options.port))
    else {
      socket._unrefTimer()
      attempt(socket, address, family, to)
    }
  })
}

function lookupOptions(options: AnyOptions): dns.LookupOneOptions & { family: number } {
  const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : (options.family as number)
  let hints = (options.hints as number) || 0
  if (process.platform !== 'win32' && family !== 4 && family !== 6 && hints === 0) hints = dns.ADDRCONFIG
  return { family, hints }
}

function connectLiteral(socket: Connection, host: string, family: number, to: Destination): void {
  if (socket.connecting) attempt(socket, host, family as 4 | 6, to)
}

// A lookup may answer before `net.connect` has returned: the caller must be able to add its listeners first.
function fail(socket: Connection, error: Error): void {
  process.nextTick(destroyWith, socket, error)
}

function destroyWith(socket: Connection, error: Error): void {
  socket.destroy(error)
}

function chooseAddresses(
  socket: Connection,
  host: string,
  error: Error | null,
  addresses: dns.LookupAddress[],
  options: AnyOptions,
  to: Destination,
  timeout: number,
): void {
  if (error) {
    socket.emit('lookup', error, undefined, undefined, host)
    fail(socket, error)
    return
  }
  // Each address once, the families in turn, beginning with the one that the resolver put first.
  const groups: Record<4 | 6, Address[]> = { 4: [], 6: [] }
  let leading: 4 | 6 | undefined
  // What a custom lookup answers instead of a list throws here, as in Node; the names are those in Node's messages.
  for (let i = 0; i < addresses.length; i++) {
    const { address, family } = addresses[i]!
    socket.emit('lookup', error, address, family, host)
    if (!socket.connecting) return
    if (!net.isIP(address) || (family !== 4 && family !== 6)) continue
    leading ??= family
    const group = groups[family]
    if (!group.some(known => known.address === address)) group.push({ address, family })
  }
  if (leading === undefined) {
    const { address, family } = addresses[0]!
    if (!net.isIP(address)) fail(socket, invalidIpAddress(address))
    else fail(socket, invalidAddressFamily(family, options.host, options.port))
    return
  }
  const first = groups[leading]
  const second = groups[leading === 4 ? 6 : 4]
  const inTurn: Address[] = []
  for (let i = 0; i < first.length || i < second.length; i++) {
    if (i < first.length) inTurn.push(first[i]!)
    if (i < second.length) inTurn.push(second[i]!)
  }
  socket._unrefTimer()
  if (inTurn.length === 1) {
    attempt(socket, inTurn[0]!.address, inTurn[0]!.family, to)
    return
  }
  socket.autoSelectFamilyAttemptedAddresses = []
  attemptNext({ socket, addresses: inTurn, next: 0, to, timeout, timer: undefined, errors: [] })
}

// --- one attempt ------------------------------------------------------------------------------------------------

export function connectPath(socket: Connection, path: unknown): void {
  validateString(path, 'options.path')
  socket.emit('connectionAttempt', path, undefined, undefined)
  const handle = socket[kHandle]
  if (!socket.connecting || handle === null) return
  const status = inFlight(socket) ? errnoOf('EALREADY') : handle.connectPath(path)
  if (status !== 0) {
    socket.destroy(endpointException(status, 'connect', path, undefined, 'undefined:undefined'))
    return
  }
  begin(socket, { handle, address: path, port: undefined, family: undefined }, undefined, undefined, null)
}

function attempt(socket: Connection, address: string, family: 4 | 6, to: Destination): void {
  const handle = socket[kHandle]!
  const { port, localPort } = to
  let { localAddress } = to
  if (localAddress || localPort) {
    localAddress ||= family === 4 ? '0.0.0.0' : '::'
    const status = bindLocal(handle, family, localAddress, localPort ?? 0)
    if (status !== 0) {
      socket.destroy(endpointException(status, 'bind', localAddress, localPort))
      return
    }
  }
  socket.emit('connectionAttempt', address, port, family)
  if (!socket.connecting || socket[kHandle] !== handle) return
  if (socket.blockList?.check(address, `ipv${family}`)) {
    socket.destroy(ipBlocked(address))
    return
  }
  const status = inFlight(socket) ? errnoOf('EALREADY') : connectTcp(handle, family, address, port)
  if (status !== 0) socket.destroy(refusedAtOnce(handle, status, address, port))
  else begin(socket, { handle, address, port, family }, localAddress, localPort, null)
}

// A lookup may answer with an address and the wrong family.
function connectTcp(handle: SocketHandle, family: 4 | 6, address: string, port: number): number {
  return net.isIP(address) === family ? handle.connect(address, port) : errnoOf('EINVAL')
}

function bindLocal(handle: SocketHandle, family: 4 | 6, localAddress: string, localPort: number): number {
  const status =
    net.isIP(localAddress) === family ? handle.bindTcp(localAddress, localPort) : errnoOf('EINVAL')
  // As in libuv, a handle reports a port in use only later, when it connects or listens.
  if (status === 0 && localPort > 0 && localEnd(handle).port !== localPort) return errnoOf('EADDRINUSE')
  return status
}

function inFlight(socket: Connection): boolean {
  return socket[kAttempt] !== null && socket[kAttempt].handle === socket[kHandle]
}

function begin(
  socket: Connection,
  to: Pick<Attempt, 'handle' | 'address' | 'port' | 'family'>,
  localAddress: string | undefined,
  localPort: number | undefined,
  series: Series | null,
): void {
  const { handle, address, port, family } = to
  if (debugging) debug('connect: attempt at %s, port %s', address, port)
  const provider = handle.kind === 'tcp' ? 'TCPCONNECTWRAP' : 'PIPECONNECTWRAP'
  const request = new AsyncResource(provider, handle.asyncId())
  socket[kAttempt] = { handle, address, port, family, localAddress, localPort, series, request }
}

// The system refuses to begin: there is no route, or the family is not supported.
function refusedAtOnce(handle: SocketHandle, status: number, address: string, port: number): SystemError {
  const local = localEnd(handle)
  return endpointException(status, 'connect', address, port, `${local.address}:${local.port}`)
}

/** The outcome of the attempt in flight. */
export function attemptEnded(socket: Connection, status: number): void {
  const ended = socket[kAttempt]
  socket[kAttempt] = null
  ended?.request.emitDestroy()
  if (ended === null || socket.destroyed) return
  if (debugging) debug('connect: attempt at %s ended with status %d', ended.address, status)
  ended.request.runInAsyncScope(settle, undefined, socket, ended, status)
}

function settle(socket: Connection, ended: Attempt, status: number): void {
  const { series } = ended
  if (series !== null) clearTimeout(series.timer)
  if (status === 0) {
    socket[kOpened]()
    return
  }
  const error = fromLoop(() => attemptError(ended, status))
  if (series === null) {
    // No other address is left, so listeners already see the state after the attempt.
    socket.connecting = false
    socket._sockname = null
  } else series.errors.push(error)
  socket.emit('connectionAttemptFailed', ended.address, ended.port, ended.family, error)
  if (series === null) socket.destroy(error)
  else if (socket.connecting) attemptNext(series)
}

function attemptError(ended: Attempt, status: number): SystemError {
  const { address, port, localAddress, localPort } = ended
  if (!localAddress || !localPort) return endpointException(status, 'connect', address, port)
  const error = endpointException(status, 'connect', address, port, `${localAddress}:${localPort}`)
  return Object.assign(error, { localAddress, localPort })
}

// --- several addresses, one after the other -----------------------------------------------------------------------

function attemptNext(series: Series): void {
  const { socket, to, errors } = series
  const { port, localPort } = to
  // Goes round only when an address fails before the network is used.
  for (;;) {
    clearTimeout(series.timer)
    if (socket._aborted || !socket.connecting) return
    const current = series.next++
    if (current >= series.addresses.length) {
      socket.destroy(errors.length === 0 ? connectionTimeout() : connectAggregateError(errors))
      return
    }
    if (current > 0) socket[kReplaceHandle](new Handle('tcp', 'TCPWRAP'))
    const handle = socket[kHandle]!
    const { address, family } = series.addresses[current]!
    let localAddress: string | undefined
    if (localPort) {
      localAddress = family === 4 ? '0.0.0.0' : '::'
      const status = bindLocal(handle, family, localAddress, localPort)
      if (status !== 0) {
        errors.push(endpointException(status, 'bind', localAddress, localPort))
        continue
      }
    }
    if (socket.blockList?.check(address, `ipv${family}`)) {
      const error = ipBlocked(address)
      errors.push(error)
      socket.emit('connectionAttemptFailed', address, port, family, error)
      continue
    }
    socket.emit('connectionAttempt', address, port, family)
    if (!socket.connecting || socket[kHandle] !== handle) return
    socket.autoSelectFamilyAttemptedAddresses!.push(`${address}:${port}`)
    const status = connectTcp(handle, family, address, port)
    if (status !== 0) {
      const error = refusedAtOnce(handle, status, address, port)
      errors.push(error)
      socket.emit('connectionAttemptFailed', address, port, family, error)
      continue
    }
    begin(socket, { handle, address, port, family }, localAddress, localPort, series)
    // Only the system limits the time of the last address.
    if (series.next < series.addresses.length)
      series.timer = setTimeout(attemptTimedOut, series.timeout, series)
    return
  }
}

function attemptTimedOut(series: Series): void {
  const { socket } = series
  const ended = socket[kAttempt]
  if (ended === null) return
  socket.emit('connectionAttemptTimeout', ended.address, ended.port, ended.family)
  series.errors.push(fromLoop(() => attemptError(ended, errnoOf('ETIMEDOUT'))))
  socket[kAttempt] = null
  ended.request.emitDestroy()
  ended.handle.close()
  if (socket.connecting) attemptNext(series)
}

// --- giving up --------------------------------------------------------------------------------------------------

/** Ends the attempt in flight, and those that would follow it. */
export function stopSeries(socket: Connection): void {
  const attempt = socket[kAttempt]
  if (attempt === null) return
  if (attempt.series !== null) clearTimeout(attempt.series.timer)
  socket[kAttempt] = null
  attempt.request.emitDestroy()
}

/** Ends a series of attempts when the signal fires; the stream itself destroys the socket. */
export function stopAttemptsOnAbort(socket: Connection, signal: AbortSignal): void {
  validateAbortSignal(signal, 'options.signal')
  process.nextTick(() => {
    if (signal.aborted) socket._aborted = true
    if (signal.aborted || socket.destroyed) return
    const listener = addAbortListener(signal, () => (socket._aborted = true))
    // A signal may outlive many sockets.
    socket.once('close', () => listener[Symbol.dispose]())
  })
}

// --- writes that wait for the connection --------------------------------------------------------------------------

/** Runs `write` once connected; `failed` if the socket closes first. */
export function whenConnected(socket: Connection, write: () => void, failed: (error: Error) => void): void {
  function onConnect(): void {
    socket.off('close', onClose)
    write()
  }
  function onClose(): void {
    failed(closedBeforeConnection())
  }
  socket.once('connect', onConnect)
  socket.once('close', onClose)
}
