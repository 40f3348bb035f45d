// BoundSocket, as a user's compiler sees it.

import type { AddressInfo } from './address.js'

/** What `new BoundSocket()` takes: `path`, or any of the others. */
export interface BoundSocketOptions {
  /**
   * A numeric address; no name is looked up.
   * @default '0.0.0.0', with `ipv6Only` '::'
   */
  host?: string | undefined
  /**
   * 0–65535; 0 is any free port.
   * @default 0
   */
  port?: number | undefined
  /**
   * A socket bound to `::` does not accept IPv4.
   * @default false
   */
  ipv6Only?: boolean | undefined
  /**
   * Lets several sockets bind to the same port (SO_REUSEPORT).
   * @default false
   */
  reusePort?: boolean | undefined
  /** The path of a Unix-domain socket. On Linux a leading NUL names the abstract namespace. */
  path?: string | undefined
}

/**
 * A socket that is bound to an address and neither listens nor connects yet. Give it to `server.listen(bound)`, to
 * `new Socket({ handle: bound })` or to `connect({ handle: bound, … })`, which adopt it: all members but `isPipe` then
 * throw ERR_SOCKET_HANDLE_ADOPTED. Since Node 26.4 and 24.19.
 */
export interface BoundSocket {
  /** `{ address, family, port }`, or the path. Throws ERR_SOCKET_HANDLE_ADOPTED once adopted or closed. */
  address(): AddressInfo | string
  /**
   * The descriptor, which still belongs to this object; -1 on Windows. Throws ERR_SOCKET_HANDLE_ADOPTED once adopted
   * or closed.
   */
  fd(): number
  /** Gives up the address. Throws ERR_SOCKET_HANDLE_ADOPTED once adopted or closed. */
  close(): void
  /** Whether it is bound to a path. */
  readonly isPipe: boolean
  /** `close()` for `using`; does nothing once adopted or closed. */
  [Symbol.dispose](): void
}

/** A BoundSocket of Node's own `net`, which not every @types/node knows. */
export interface NodeBoundSocket {
  address(): AddressInfo
  fd(): number
  close(): void
}

export interface BoundSocketConstructor {
  /**
   * Binds at once. Throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE and ERR_SOCKET_BAD_PORT, and if the system
   * refuses the address its error, such as `bind EADDRINUSE`.
   */
  new (options?: BoundSocketOptions): BoundSocket
  readonly prototype: BoundSocket
}
