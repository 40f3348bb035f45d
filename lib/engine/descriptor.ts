// What is known of a descriptor that came from outside.

import { fstatSync, readFileSync, readvSync, statSync, writevSync } from 'node:fs'
import { host } from '../node/host.js'
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
  const fifo = kind === 'pipe' && fd >= 0 && isFifo(fd)
  if (!standard && !fifo) return null
  return {
    standard,
    fifo,
    ...(fifo ? directions(fd) : { readable: true, writable: true }),
  }
}

// The `fs` of Deno knows no descriptors but those that it has opened.
const own = host === 'Deno'

function isFifo(fd: number): boolean {
  return (own ? statSync(`/dev/fd/${fd}`) : fstatSync(fd)).isFIFO()
}

function directions(fd: number): { readable: boolean; writable: boolean } {
  if (!own) return { readable: allows(readvSync, fd), writable: allows(writevSync, fd) }
  let mode = 2
  try {
    const [, flags] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))!
    mode = Number.parseInt(flags!, 8) & 3
  } catch {
    // Not Linux: what cannot be done will be an error when it is tried.
  }
  return { readable: mode !== 1, writable: mode !== 0 }
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
