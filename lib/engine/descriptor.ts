// What is known of a descriptor that came from outside.

import { fstatSync, readvSync, writevSync } from 'node:fs'
import { engine } from './engine.js'

/** What a Handle remembers of a descriptor that is not an ordinary socket. */
export interface Adopted {
  /** One of 0 to 2. It stays open, as with libuv, so that the next file does not become somebody's stdout. */
  standard: boolean
  fifo: boolean
  readable: boolean
  writable: boolean
}

const nothing = new Uint8Array(0)

/** What a descriptor is, in the words of Node's errors: 'TCP', 'PIPE', 'UDP', 'FILE', 'TTY' or 'UNKNOWN'. */
export function kindOfDescriptor(fd: number): string {
  return engine.kind(fd)
}

/** Closes a descriptor that `Handle#release` or `Handle#copy` returned and nobody took. */
export function closeDescriptor(fd: number): void {
  engine.closeCopy(fd)
}

/** Null for an ordinary socket. */
export function examine(kind: 'tcp' | 'pipe', fd: number): Adopted | null {
  const standard = fd >= 0 && fd <= 2
  const fifo = kind === 'pipe' && fd >= 0 && fstatSync(fd).isFIFO()
  if (!standard && !fifo) return null
  return {
    standard,
    fifo,
    readable: !fifo || allows(readvSync, fd),
    writable: !fifo || allows(writevSync, fd),
  }
}

// A FIFO is open in one direction. In the other one the reactor would wait for ever; the system tells at once, without
// moving a byte.
function allows(ask: (fd: number, buffers: NodeJS.ArrayBufferView[]) => number, fd: number): boolean {
  try {
    ask(fd, [nothing])
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EBADF'
  }
  return true
}
