// What Node's cluster module has for its own `net` in a worker: how to ask the primary for a listener, and the symbol
// under which it looks for the server of a handle. Seen in Node 20 to 26; node-insides.test.mjs and cluster.test.mjs
// notice when they change.

import type * as net from 'node:net'
import type { Native } from './foreign.js'
import { NodeSocket } from './sockets.js'

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
  const cluster = require('node:cluster') as Cluster
  return cluster.isWorker && cluster._getServer !== undefined ? cluster : null
}

let ownerSymbol: symbol | undefined

/** Node's `owner_symbol`, which a socket of Node's shows on the handle it is given; undefined if it does not. */
export function findOwnerSymbol(): symbol | undefined {
  const probe = {}
  void new NodeSocket({ handle: probe, readable: false } as net.SocketConstructorOpts)
  return Object.getOwnPropertySymbols(probe).find(({ description }) => description === 'owner_symbol')
}

/**
 * Tells the cluster module whose handle this is: it asks the server whether it is full, and closes it when the worker
 * disconnects.
 */
export function setOwner(handle: Subscription | Native, owner: object | null): void {
  ownerSymbol ??= findOwnerSymbol()
  if (ownerSymbol !== undefined) (handle as unknown as { [owner: symbol]: unknown })[ownerSymbol] = owner
}
