// The option `onread`: bytes are read into a buffer of the program, and reported by a callback instead of 'data'.

import { types } from 'node:util'
import type { Handle, SocketHandle } from './engine/once.js'
import { kOnRead, kOnReadInto, type Owner } from './engine/owner.js'
import { type Connection, kHandle, kOnread } from './state.js'

// Also for arrays of another realm (node:vm, Jest), as in Node.
const { isUint8Array } = types

type Generate = () => unknown
type Callback = (nread: number, buffer: Uint8Array | true) => unknown

/** Adopts the option; ignores, as Node does, one that lacks a callback or a buffer. */
export function takeOnread(socket: Connection, option: { buffer?: unknown; callback?: unknown }): void {
  const { buffer, callback } = option
  if (typeof callback !== 'function') return
  const onread = { buffer: null, generate: null, callback: callback as Callback }
  if (typeof buffer === 'function') socket[kOnread] = { ...onread, generate: buffer as Generate }
  else if (isUint8Array(buffer)) socket[kOnread] = { ...onread, buffer }
}

/** Tells a new handle where to read to. */
export function readIntoBuffer(socket: Connection, handle: SocketHandle): void {
  const onread = socket[kOnread]!
  if (onread.generate !== null) {
    const buffer = onread.generate.call(socket)
    if (!isUint8Array(buffer)) {
      // Node then reads into memory of its own, of which the callback learns the size and nothing else.
      ;(socket as Owner<Handle>)[kOnRead] = reportSize
      return
    }
    onread.buffer = buffer
  }
  handle.readInto(onread.buffer!)
}

function reportSize(this: Owner<Handle>, chunk: Buffer): void {
  this[kOnReadInto]!(chunk.byteLength)
}

/** Gives the program what is in its buffer, and takes the next one; returns whether it wants to read on. */
export function deliver(socket: Connection, nread: number): boolean {
  const onread = socket[kOnread]!
  const handle = socket[kHandle]
  const more = onread.callback.call(socket, nread, onread.buffer ?? true) !== false
  const next = onread.generate?.call(socket)
  if (isUint8Array(next)) {
    onread.buffer = next
    handle?.readInto(next)
  }
  return more
}
