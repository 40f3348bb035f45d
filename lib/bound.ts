// BoundSocket: an address that is reserved before a Server or Socket uses it. The handle belongs to the BoundSocket
// until one of them adopts it; from then on only `isPipe` works.

import { type Endpoint, Handle } from './engine/once.js'
import { endpointException, errnoException, invalidHandleType, nodeError } from './errors.js'
import { UV_TCP_IPV6ONLY, UV_TCP_REUSEPORT } from './listen.js'
import { nodeNet } from './node/net.js'
import type { BoundSocketOptions } from './types.js'
import { invalidArgValue, validateBoolean, validateObject, validatePort, validateString } from './validate.js'

const dispose: typeof Symbol.dispose =
  Symbol.dispose ?? (Symbol.for('nodejs.dispose') as typeof Symbol.dispose)

/** What an adopted BoundSocket was: its handle, and its path if it has one. */
interface Adopted {
  handle: Handle
  path: string | undefined
}

let adoptOurs: (bound: BoundSocket) => Adopted

/** The handle for the constructor, while `boundOf` makes a BoundSocket of an existing one. */
let given: Handle | null = null

/**
 * `new BoundSocket([options])`: a socket that is bound and neither listens nor connects, for `server.listen(bound)`,
 * `new Socket({ handle: bound })` or `connect({ handle: bound, … })`. Throws what bind(2) fails with, at once. Since
 * Node 26.4 and 24.19.
 */
export class BoundSocket {
  #handle: Handle | null
  #address: Endpoint | string

  constructor(options: BoundSocketOptions = {}) {
    if (given !== null) {
      this.#handle = given
      this.#address = given.sockname() as Endpoint | string
      return
    }
    validateObject(options, 'options')
    if (options.path === undefined) {
      this.#handle = bindTcp(options)
      this.#address = this.#handle.sockname() as Endpoint
    } else {
      this.#handle = bindPath(options)
      this.#address = options.path
    }
  }

  /** `{ address, family, port }`, or the path. Throws ERR_SOCKET_HANDLE_ADOPTED once adopted or closed. */
  address(): Endpoint | string {
    this.#own()
    return this.#address
  }

  /** The descriptor, which stays this object's; -1 where sockets have none. Throws ERR_SOCKET_HANDLE_ADOPTED. */
  fd(): number {
    return this.#own().fd
  }

  /** Gives up the address. Throws ERR_SOCKET_HANDLE_ADOPTED. */
  close(): void {
    this.#own().close()
    this.#handle = null
  }

  /** Whether this is a Unix-domain socket (or named pipe). */
  get isPipe(): boolean {
    return typeof this.#address === 'string'
  }

  /** Like `close()`, and nothing when there is nothing to close. */
  [dispose](): void {
    this.#handle?.close()
    this.#handle = null
  }

  #own(): Handle {
    if (this.#handle === null) throw alreadyAdopted()
    return this.#handle
  }

  // Not a member, because programs are to see the members of Node's class only.
  static {
    adoptOurs = bound => {
      const handle = bound.#own()
      bound.#handle = null
      return { handle, path: typeof bound.#address === 'string' ? bound.#address : undefined }
    }
  }
}

/** The members of Node's own BoundSocket that we need. */
interface NodesBoundSocket {
  fd(): number
  close(): void
  readonly isPipe?: boolean
}

const NodesBoundSocket = (nodeNet as { BoundSocket?: new () => NodesBoundSocket }).BoundSocket

/** Whether this is a BoundSocket, of ours or of Node's. */
export function isBound(value: unknown): value is BoundSocket | NodesBoundSocket {
  return value instanceof BoundSocket || (NodesBoundSocket !== undefined && value instanceof NodesBoundSocket)
}

/**
 * Takes the handle out of a BoundSocket. Throws ERR_SOCKET_HANDLE_ADOPTED, and ERR_INVALID_HANDLE_TYPE for a path of
 * Node's, which would go when Node's handle closes.
 */
export function adoptBound(bound: BoundSocket | NodesBoundSocket): Adopted {
  if (bound instanceof BoundSocket) return adoptOurs(bound)
  const fd = bound.fd()
  if (bound.isPipe || fd < 0) throw invalidHandleType()
  const handle = Handle.adopt('tcp', 'TCPWRAP', fd, true)
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  bound.close()
  return { handle, path: undefined }
}

/** A BoundSocket of a handle that has come from another thread. */
export function boundOf(handle: Handle): BoundSocket {
  given = handle
  try {
    return new BoundSocket()
  } finally {
    given = null
  }
}

function alreadyAdopted(): Error {
  const message = 'The bound socket has already been adopted by a server or socket'
  return nodeError(Error, 'ERR_SOCKET_HANDLE_ADOPTED', message)
}

function bindTcp(options: BoundSocketOptions): Handle {
  const port = options.port ?? 0
  validatePort(port, 'options.port')
  const ipv6Only = options.ipv6Only ?? false
  validateBoolean(ipv6Only, 'options.ipv6Only')
  const reusePort = options.reusePort ?? false
  validateBoolean(reusePort, 'options.reusePort')
  const host = options.host ?? (ipv6Only ? '::' : '0.0.0.0')
  validateString(host, 'options.host')
  if (nodeNet.isIP(host) === 0) {
    const reason = 'must be a numeric IP address; net.BoundSocket does not perform DNS resolution'
    throw invalidArgValue('options.host', host, reason)
  }
  const handle = new Handle('tcp', 'TCPWRAP')
  const flags = (ipv6Only ? UV_TCP_IPV6ONLY : 0) | (reusePort ? UV_TCP_REUSEPORT : 0)
  let status = handle.bindTcp(host, Number(port), flags)
  // A port in use is reported when the socket is first asked for its address.
  if (status === 0) {
    const found = handle.sockname()
    if (typeof found === 'number') status = found
  }
  if (status === 0) return handle
  handle.close()
  throw endpointException(status, 'bind', host, Number(port))
}

function bindPath(options: BoundSocketOptions): Handle {
  const { path, host, port, ipv6Only, reusePort } = options
  if (host !== undefined || port !== undefined || ipv6Only !== undefined || reusePort !== undefined) {
    const reason = 'path is mutually exclusive with host, port, ipv6Only, and reusePort'
    throw invalidArgValue('options', options, reason)
  }
  validateString(path, 'options.path')
  if (path.startsWith('\0') && process.platform !== 'linux') {
    const reason = 'abstract socket paths are only supported on Linux'
    throw invalidArgValue('options.path', path, reason)
  }
  const handle = new Handle('pipe', 'PIPEWRAP')
  const status = handle.bindPath(path)
  if (status === 0) return handle
  handle.close()
  throw errnoException(status, 'bind')
}
