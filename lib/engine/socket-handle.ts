// What a Socket calls on the handle below it. There are two kinds: ours (handle.ts), and one around an object that the
// program brings (../node/foreign-handle.ts). What only ours has, a Socket calls behind `isForeign`.

import type { Endpoint } from './endpoint.js'
import type { Owner } from './owner.js'

export interface SocketHandle {
  readonly kind: 'tcp' | 'pipe'
  /** The reactor's slot; -1 before an operating system socket exists, after it is closed, and for the program's. */
  readonly slot: number
  owner: Owner<unknown> | null
  /** A listener of reads that Node's http agent has put there. */
  readonly onread?: unknown
  asyncId(): number

  // --- connect ------------------------------------------------------------------------------------------------

  bindTcp(address: string, port: number): number
  connect(address: string, port: number): number
  connectPath(path: string): number

  // --- read ---------------------------------------------------------------------------------------------------

  /** Whether bytes are asked for. */
  readonly reading: boolean
  readStart(): number
  readStop(): number
  readInto(buffer: Uint8Array): void
  shareChunks(): void

  // --- write, beside `write` and `writev`, which differ --------------------------------------------------------

  flushSoon(): void
  flush(): number
  readonly writeQueueSize: number
  readonly writeErrno: number

  // --- relay --------------------------------------------------------------------------------------------------

  readonly relays: boolean
  stopRelay(): void
  stopRelayTo(): void
  /** Brings `bytesRead` and `bytesWritten` up to date. */
  count(): this
  readonly bytesRead: number
  readonly bytesWritten: number

  // --- close --------------------------------------------------------------------------------------------------

  shutdown(): number
  close(callback?: () => void): void
  reset(callback?: () => void): number
  readonly closed: boolean

  // --- options and facts --------------------------------------------------------------------------------------

  setNoDelay(enable: boolean): number
  setKeepAlive(enable: boolean, delay: number, interval?: number, count?: number): number
  setTypeOfService(tos: number): number
  getTypeOfService(): number
  setBusyPoll(microseconds: number): number
  getBusyPoll(): number
  readonly getsockname: ((out: object) => number) | undefined
  readonly getpeername: ((out: object) => number) | undefined
  sockname(): Partial<Endpoint> | string | number
  peername(): Partial<Endpoint> | string | number
  readonly fd: number
  ref(): void
  unref(): void
}
