// From the arguments of `listen()` to a bound Handle: every overload becomes a plan, and a plan becomes a handle or the
// number of an error. Wrong arguments throw; the Server emits the other errors.

import { chmodSync } from 'node:fs'
import { isIPv6LinkLocal } from './address.js'
import { type AnyOptions, isPipeName } from './arguments.js'
import { Handle } from './engine/once.js'
import { PIPE_JOINS, PIPE_LOCAL, PIPE_READS, PIPE_WRITES } from './engine/pipe.js'
import { errnoOf } from './errors.js'
import { adoptDescriptor } from './node/foreign.js'
import { nodeNet } from './node/net.js'
import type { PipeOptions } from './types.js'
import { invalidArgValue, validateBoolean, validateObject, validatePort, validateString } from './validate.js'

/** What a Server needs of its listener: a Handle, or in a cluster worker a place on the primary's list. */
export type Listener = Pick<
  Handle,
  'kind' | 'owner' | 'fd' | 'listen' | 'sockname' | 'getsockname' | 'ref' | 'unref' | 'hasRef' | 'getAsyncId'
> & { close(callback?: () => void): void }

/** What to bind: a descriptor, all addresses or one, or a path. */
type Target =
  | { kind: 'fd'; fd: number }
  | { kind: 'any'; port: number; flags: number }
  | { kind: 'address'; address: string; family: number; port: number; flags: number }
  | { kind: 'path'; path: string }

interface Terms {
  backlog: number
  /** Not to be shared with the other workers of a cluster. */
  exclusive: boolean
  /** What everybody may do with the path, as the bits of a file's mode. */
  mode: number
  /** For a named pipe of Windows. */
  pipe?: PipeOptions
}

/** What to listen on, whichever way it was spelled; `handle` is whatever the server has already. */
export type Plan = (Target | { kind: 'handle' }) & Terms

/** A plan whose host has to be looked up first. */
export type HostPlan = { kind: 'host'; host: string; port: number; flags: number } & Terms

/** What `_listen2` is called with, the method that tools wrap: as Node spells a plan. */
export type ListenArguments = [
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog: number,
  fd?: number,
  flags?: number,
]

// As in libuv's header.
export const UV_TCP_IPV6ONLY = 1
export const UV_TCP_REUSEPORT = 2
export const EVERYBODY_READS = 0o444
export const EVERYBODY_WRITES = 0o222
const ACCESSES = ['duplex', 'inbound', 'outbound'] as const

/** The plan for a handle that the server has been given. */
export function planHandle(args: unknown[]): Plan {
  return { kind: 'handle', backlog: backlogArgument(args), exclusive: true, mode: 0 }
}

/** `args` are the arguments of `listen`, `options` what `normalizeArgs` made of them. */
export function planListen(args: unknown[], options: AnyOptions): Plan | HostPlan {
  const argument = backlogArgument(args)
  if (typeof options.fd === 'number' && options.fd >= 0) {
    return { kind: 'fd', fd: options.fd, backlog: argument, exclusive: false, mode: 0 }
  }

  // An option goes to the system as it is: -1 is the longest queue there on Linux. An argument has to be a count.
  const backlog = (options.backlog as number) || argument
  const exclusive = Boolean(options.exclusive) || options.reusePort === true
  const terms = { backlog, exclusive, mode: 0 }
  const anyPort = options.port === null || (options.port === undefined && 'port' in options)
  const port = args.length === 0 || typeof args[0] === 'function' || anyPort ? 0 : options.port
  if (typeof port === 'number' || typeof port === 'string') {
    validatePort(port, 'options.port')
    let flags = 0
    if (options.ipv6Only === true) flags |= UV_TCP_IPV6ONLY
    if (options.reusePort === true) flags |= UV_TCP_REUSEPORT
    const at = { port: Number(port), flags, ...terms }
    return options.host ? { kind: 'host', host: options.host as string, ...at } : { kind: 'any', ...at }
  }

  const { path } = options
  if (isPipeName(path) && path !== '') {
    if (path.startsWith('\0') && (options.readableAll || options.writableAll)) {
      const reason = 'can not set readableAll or writableAllt to true when path is abstract unix socket'
      throw invalidArgValue('options', options, reason)
    }
    let mode = 0
    if (options.readableAll === true) mode |= EVERYBODY_READS
    if (options.writableAll === true) mode |= EVERYBODY_WRITES
    if (options.pipe === undefined) return { kind: 'path', path, ...terms, mode }
    // The primary of a cluster would not know of these options.
    return { kind: 'path', path, ...terms, exclusive: true, mode, pipe: pipeOptions(options.pipe) }
  }

  if ('port' in options || 'path' in options) throw invalidArgValue('options', options)
  throw invalidArgValue('options', options, 'must have the property "port" or "path"')
}

function pipeOptions(given: unknown): PipeOptions {
  validateObject(given, 'options.pipe')
  const { firstInstance, rejectRemoteClients, access, securityDescriptor } = given as Record<string, unknown>
  if (firstInstance !== undefined) validateBoolean(firstInstance, 'options.pipe.firstInstance')
  if (rejectRemoteClients !== undefined)
    validateBoolean(rejectRemoteClients, 'options.pipe.rejectRemoteClients')
  if (access !== undefined && !(ACCESSES as readonly unknown[]).includes(access)) {
    const reason = `must be one of: ${ACCESSES.map(each => `'${each}'`).join(', ')}`
    throw invalidArgValue('options.pipe.access', access, reason)
  }
  if (securityDescriptor !== undefined) {
    validateString(securityDescriptor, 'options.pipe.securityDescriptor')
    if (securityDescriptor === '') {
      throw invalidArgValue('options.pipe.securityDescriptor', securityDescriptor, 'must not be empty')
    }
  }
  return { firstInstance, rejectRemoteClients, access, securityDescriptor } as PipeOptions
}

/** The backlog among the arguments of `listen`: the second or third, 0 where there is none. */
function backlogArgument(args: unknown[]): number {
  return count(args[1]) || count(args[2])
}

function count(value: unknown): number {
  return Math.max(Number(value), 0) || 0
}

/** The plan for a host that has these addresses: a link-local one only when there is no other. */
export function planAddress(plan: HostPlan, addresses: { address: string; family: number }[]): Plan {
  const { address, family } = addresses.find(({ address }) => !isIPv6LinkLocal(address)) ?? addresses[0]!
  return { ...plan, kind: 'address', address, family: family || 4 }
}

/** A plan in Node's terms; null and -1 stand for what it leaves open. */
export function argumentsOf(plan: Plan): ListenArguments {
  const { backlog } = plan
  switch (plan.kind) {
    case 'handle':
      return [null, -1, -1, backlog]
    case 'fd':
      return [null, null, null, backlog, plan.fd, undefined]
    case 'any':
      return [null, plan.port, 4, backlog, undefined, plan.flags]
    case 'address':
      return [plan.address, plan.port, plan.family, backlog, undefined, plan.flags]
    case 'path':
      return [plan.path, -1, -1, backlog, undefined, undefined]
  }
}

/** The reverse of `argumentsOf`: a tool may have changed the arguments in between. */
export function targetOf(...[address, port, addressType, , fd, flags = 0]: ListenArguments): Target {
  if (typeof fd === 'number') return { kind: 'fd', fd }
  if (port === -1 && addressType === -1) return { kind: 'path', path: address! }
  if (address) return { kind: 'address', address, family: addressType!, port: port!, flags }
  return { kind: 'any', port: port!, flags }
}

// --- bind ---------------------------------------------------------------------------------------------------------

/** A handle or a negative error number, and the address that was bound if the target is all addresses. */
export interface Bound {
  handle: Listener | number
  address?: string
  family?: 4 | 6
}

export function bind(target: Target, pipe?: PipeOptions): Bound {
  switch (target.kind) {
    case 'fd':
      return { handle: bindDescriptor(target.fd) }
    case 'path':
      return { handle: pipe === undefined ? bindPath(target.path) : bindPipe(target.path, pipe) }
    case 'address':
      return { handle: bindTcp(target.address, target.port, target.flags) }
    case 'any':
      return bindAnyAddress(target.port, target.flags)
  }
}

function bindTcp(address: string, port: number, flags: number): Handle | number {
  return bound(new Handle('tcp', 'TCPSERVERWRAP'), handle => handle.bindTcp(address, port, flags))
}

/** All addresses: of both families, or of IPv4 where there is no IPv6. */
function bindAnyAddress(
  port: number,
  flags: number,
): { handle: Handle | number; address: string; family: 4 | 6 } {
  const handle = bindTcp('::', port, flags)
  // libuv reports a port in use only from listen(), so this is no reason for Node to try the other family.
  if (typeof handle !== 'number' || handle === errnoOf('EADDRINUSE'))
    return { handle, address: '::', family: 6 }
  return { handle: bindTcp('0.0.0.0', port, flags), address: '0.0.0.0', family: 4 }
}

/** A handle on a descriptor that the program hands over. */
function bindDescriptor(fd: number): Handle | number {
  if (!Number.isInteger(fd)) return errnoOf('EINVAL')
  try {
    return adoptDescriptor(fd, 'SERVERWRAP')
  } catch {
    // A descriptor that nothing can listen on.
    return errnoOf('EINVAL')
  }
}

function bindPath(path: string): Handle | number {
  return bound(new Handle('pipe', 'PIPESERVERWRAP'), handle => handle.bindPath(path))
}

function bindPipe(path: string, options: PipeOptions): Handle | number {
  const { firstInstance, rejectRemoteClients, access, securityDescriptor } = options
  let flags = 0
  if (firstInstance === false) flags |= PIPE_JOINS
  if (rejectRemoteClients === true) flags |= PIPE_LOCAL
  if (access === 'inbound') flags |= PIPE_READS
  if (access === 'outbound') flags |= PIPE_WRITES
  const open = (handle: Handle) => handle.bindPipe(path, flags, securityDescriptor ?? '')
  return bound(new Handle('pipe', 'PIPESERVERWRAP'), open)
}

/**
 * `net._createServerHandle`, which some programs use: a bound handle, or a negative error number. `addressType` is 4 or
 * 6 (anything else is 4); with a port and an addressType of -1 the address is a path; with `fd` nothing else counts.
 */
export function createServerHandle(
  address?: string | null,
  port?: number | null,
  addressType?: number | null,
  fd?: number | null,
  flags?: number,
): Handle | number {
  if (typeof fd === 'number' && fd >= 0) return bindDescriptor(fd)
  if (port === -1 && addressType === -1) return bindPath(String(address))
  const number = Number(port) & 0xffff
  if (!address) return bindAnyAddress(number, flags ?? 0).handle
  if (nodeNet.isIP(address) !== (addressType === 6 ? 6 : 4)) return errnoOf('EINVAL')
  return bindTcp(address, number, flags ?? 0)
}

function bound(handle: Handle, bind: (handle: Handle) => number): Handle | number {
  const status = bind(handle)
  if (status === 0) return handle
  handle.close()
  return status
}

/**
 * Sets the permissions of a path to `mode` and nothing else, as libuv does since 1.49; returns 0 or a negative error
 * number.
 */
export function openToAll(listener: Listener, path: string, mode: number): number {
  if (process.platform === 'win32') {
    // In a cluster worker the primary has done it.
    if (!(listener instanceof Handle)) return 0
    return listener.openToAll((mode & EVERYBODY_READS) !== 0, (mode & EVERYBODY_WRITES) !== 0)
  }
  try {
    chmodSync(path, mode)
    return 0
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? errnoOf('UNKNOWN')
  }
}
