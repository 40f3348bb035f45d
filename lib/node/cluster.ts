// What Node's cluster module has for its own `net` in a worker: how to ask the primary for a listener, and the symbol
// under which it looks for the server of a handle. Seen in Node 20 to 26; node-insides.test.mjs and cluster.test.mjs
// notice when they change.

import type { Native } from './foreign.js'
import { host } from './host.js'
import { ownerSymbol } from './owner-symbol.js'

/** What a worker asks its primary for, in the words of Node's own `listen`. */
export interface Query {
  address: string | null
  port: number | null
  addressType: number | null
  fd: number | undefined
  flags: number | undefined
  backlog: number
  readableAll?: boolean
  writableAll?: boolean
}

/** The listener that the cluster module gives a worker under round robin. */
export interface Subscription {
  onconnection?: (status: number, client?: Native) => void
  listen(backlog: number): number
  close(): void
  ref(): void
  unref(): void
  getsockname?(out: object): number
}

export interface Cluster {
  isWorker: boolean
  _getServer?(
    server: object,
    query: Query,
    done: (status: number, handle: Subscription | Native | null) => void,
  ): void
}

/** The cluster module of a worker process; null in any other process. */
export function clusterOfWorker(): Cluster | null {
  // Workers have a channel to their primary; other processes do not pay for loading the module.
  if (process.send === undefined) return null
  // The connections that Deno's primary hands out have no descriptor to take over. A worker listens by itself there, on
  // the same port as the others with `reusePort`.
  if (host === 'Deno') return null
  const cluster = require('node:cluster') as Cluster
  return cluster.isWorker && cluster._getServer !== undefined ? cluster : null
}

/**
 * Tells the cluster module whose handle this is: it asks the server whether it is full, and closes it when the worker
 * disconnects.
 */
export function setOwner(handle: Subscription | Native, owner: object | null): void {
  const symbol = ownerSymbol()
  if (symbol !== undefined) (handle as unknown as { [owner: symbol]: unknown })[symbol] = owner
}
