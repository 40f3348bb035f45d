// Where the two ends are, as Node spells it: `{ address, family, port }`, and nothing at all for a pipe.

import type { Endpoint, SocketHandle } from './engine/once.js'

export type AddressInfo = Partial<Endpoint>

// Both ask under the names of Node's handles, which tools replace.

/** The local end; empty for a pipe, whose path Node does not report here, and when the system cannot tell. */
export function localEnd(handle: SocketHandle): AddressInfo {
  const end: AddressInfo = {}
  return handle.getsockname === undefined || handle.getsockname(end) ? {} : end
}

/** The peer's end, or null when there is none to report. */
export function remoteEnd(handle: SocketHandle): AddressInfo | null {
  const end: AddressInfo = {}
  return handle.getpeername === undefined || handle.getpeername(end) ? null : end
}

export function isIPv6LinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address)
}
