// Connections and listeners that ferronet did not open: descriptors, and the libuv handles of Node's own sockets and
// servers. ferronet takes over the descriptor, or works on a copy of the one that a libuv handle has.
//
// A libuv handle is recognised by the name of its class and its `fd`. Seen in Node 20 to 26; node-insides.test.mjs
// notices when that changes.

import { Handle, kindOfDescriptor } from '../engine/once.js'
import { invalidFdType } from '../errors.js'

/** The members of a libuv handle that we need. */
export interface Native {
  readonly fd: number
  close(callback?: () => void): void
  readStart?(): number
  readStop?(): number
}

/** Whether this is a TCP or Pipe handle of libuv: nothing else has both the name and a descriptor. */
export function isNative(value: unknown): value is Native {
  if (value === null || typeof value !== 'object') return false
  const kind = value.constructor?.name
  return (kind === 'TCP' || kind === 'Pipe') && typeof (value as Native).fd === 'number'
}

/** Not if it is closed, and not on Windows: what `fd` shows there is the SOCKET that a handle was opened with. */
export function hasDescriptor(native: Native): boolean {
  return native.fd >= 0 && process.platform !== 'win32'
}

export function isPipe(native: Native): boolean {
  return native.constructor.name === 'Pipe'
}

/** Takes over a descriptor. Throws ERR_INVALID_FD_TYPE for what is neither TCP nor a pipe. */
export function adoptDescriptor(fd: number, provider = 'WRAP'): Handle | number {
  const kind = kindOfDescriptor(fd)
  if (kind === 'TCP') return Handle.adopt('tcp', `TCP${provider}`, fd)
  if (kind === 'PIPE') return Handle.adopt('pipe', `PIPE${provider}`, fd)
  throw invalidFdType(kind)
}

/** Takes over the socket of a libuv handle, which is closed. */
export function adoptNative(native: Native, provider = 'WRAP'): Handle | number {
  const handle = copyNative(native, provider)
  if (typeof handle !== 'number') native.close()
  return handle
}

/** A handle of ours on the same socket. */
export function copyNative(native: Native, provider = 'WRAP'): Handle | number {
  const pipe = isPipe(native)
  return Handle.adopt(pipe ? 'pipe' : 'tcp', (pipe ? 'PIPE' : 'TCP') + provider, native.fd, true)
}
