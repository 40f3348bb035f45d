// Addresses, as a user's compiler sees them.

/** One end of a TCP connection. */
export interface AddressInfo {
  address: string
  /** `'IPv4'` or `'IPv6'`. */
  family: string
  port: number
}

/** How `BlockList` and `SocketAddress` spell a family. */
export type IPVersion = 'ipv4' | 'ipv6'

/** What `new SocketAddress()` takes. */
export interface SocketAddressInitOptions {
  /**
   * @default '127.0.0.1', for IPv6 '::'
   */
  address?: string | undefined
  /**
   * @default 'ipv4'
   */
  family?: IPVersion | undefined
  /**
   * For IPv6 alone.
   * @default 0
   */
  flowlabel?: number | undefined
  /**
   * 0–65535.
   * @default 0
   */
  port?: number | undefined
}
