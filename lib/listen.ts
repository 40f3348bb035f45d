// From the arguments of `listen()` to a bound Handle: every overload becomes one plan, and a plan becomes a
// handle or the number of an error. Errors of the arguments throw; the Server tells of the others.

import { chmodSync } from 'node:fs'
import { isIPv6LinkLocal } from './address.js'
import { type AnyOptions, isPipeName } from './connect.js'
import { errnoOf } from './errors.js'
import { adoptDescriptor } from './foreign.js'
import { Handle } from './handle-once.js'
import { nodeNet } from './node-net.js'
import { invalidArgValue, validatePort } from './validate.js'

/** What a Server asks of what it listens on: a Handle, or its place among the listeners of a cluster. */
export type Listener = Pick<
  Handle,
  'kind' | 'owner' | 'fd' | 'listen' | 'sockname' | 'getsockname' | 'ref' | 'unref' | 'hasRef' | 'getAsyncId'
> & { close(callback?: () => void): void }

/** What to listen on, whichever way it was spelled. */
export type Plan =
  | { kind: 'tcp'; port: number; host: string | null; backlog: number; exclusive: boolean; flags: number }
  | { kind: 'pipe'; path: string; backlog: number; exclusive: boolean; mode: number }
  | { kind: 'fd'; fd: number; backlog: number }

// As in libuv's header.
const UV_TCP_IPV6ONLY = 1
const UV_TCP_REUSEPORT = 2
const EVERYBODY_READS = 0o444
const EVERYBODY_WRITES = 0o222

/** `args` are the arguments of `listen`, `options` what `normalizeArgs` made of them. */
export function planListen(args: unknown[], options: AnyOptions): Plan {
  const argument = backlogArgument(args)
  // An option goes to the system as it is: -1 is the longest queue there on Linux. An argument has to be a count.
  const backlog = (options.backlog as number) || argument
  if (typeof options.fd === 'number' && options.fd >= 0) {
    return { kind: 'fd', fd: options.fd, backlog: argument }
  }

  const anyPort = options.port === null || (options.port === undefined && 'port' in options)
  const port = args.length === 0 || typeof args[0] === 'function' || anyPort ? 0 : options.port
  const exclusive = Boolean(options.exclusive) || options.reusePort === true
  if (typeof port === 'number' || typeof port === 'string') {
    validatePort(port, 'options.port')
    let flags = 0
    if (options.ipv6Only === true) flags |= UV_TCP_IPV6ONLY
    if (options.reusePort === true) flags |= UV_TCP_REUSEPORT
    const host = (options.host as string | undefined) || null
    return { kind: 'tcp', port: Number(port), host, backlog, exclusive, flags }
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
    return { kind: 'pipe', path, backlog, exclusive, mode }
  }

  if ('port' in options || 'path' in options) throw invalidArgValue('options', options)
  throw invalidArgValue('options', options, 'must have the property "port" or "path"')
}

/** The backlog among the arguments of `listen`: the second or third, 0 where there is none. */
export function backlogArgument(args: unknown[]): number {
  return count(args[1]) || count(args[2])
}

function count(value: unknown): number {
  return Math.max(Number(value), 0) || 0
}

/** The address a host name is listened on: a link-local one only when there is no other. */
export function chooseAddress<A extends { address: string }>(addresses: A[]): A | undefined {
  return addresses.find(({ address }) => !isIPv6LinkLocal(address)) ?? addresses[0]
}

/** A handle bound to `address`, or the negative error number. */
export function bindTcp(address: string, port: number, flags: number): Handle | number {
  return bound(new Handle('tcp', 'TCPSERVERWRAP'), handle => handle.bindTcp(address, port, flags))
}

/** A handle bound to all addresses: of both families, or of IPv4 where there is no IPv6. */
export function bindAnyAddress(
  port: number,
  flags: number,
): { handle: Handle | number; address: string; family: 4 | 6 } {
  const handle = bindTcp('::', port, flags)
  // libuv reports a port in use only from listen(), so this is no reason for Node to try the other family.
  if (typeof handle !== 'number' || handle === errnoOf('EADDRINUSE'))
    return { handle, address: '::', family: 6 }
  return { handle: bindTcp('0.0.0.0', port, flags), address: '0.0.0.0', family: 4 }
}

/** A handle on a descriptor that the program gives away. */
export function bindDescriptor(fd: number): Handle | number {
  try {
    return adoptDescriptor(fd, 'SERVERWRAP')
  } catch {
    // Not a descriptor one could listen on.
    return errnoOf('EINVAL')
  }
}

export function bindPath(path: string): Handle | number {
  return bound(new Handle('pipe', 'PIPESERVERWRAP'), handle => handle.bindPath(path))
}

/**
 * For those who reach for it as `net._createServerHandle`: a bound handle, or a negative error number. `addressType` is
 * 4 or 6 (anything else is 4); with a port and an addressType of -1 the address is a path; with `fd` nothing else counts.
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

/** Sets the permissions of a pipe's name, to nothing but `mode` as libuv does since 1.49; returns 0 or a negative error number. */
export function openToAll(path: string, mode: number): number {
  // Windows keeps a pipe's permissions elsewhere.
  if (process.platform === 'win32') return 0
  try {
    chmodSync(path, mode)
    return 0
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? errnoOf('UNKNOWN')
  }
}
