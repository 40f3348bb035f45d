// The path of a server that was Node's. The engine removes the paths that it has bound; one that libuv has bound is
// removed here.

import { existsSync, linkSync, renameSync, unlinkSync } from 'node:fs'
import type * as net from 'node:net'
import { Handle } from '../handle-once.js'
import { override } from './estate.js'

/**
 * Closes Node's server and keeps its path. Returns whether we have to remove the path later: libuv removes what it has
 * bound, so we put it back. (Where there are no hard links it is gone.)
 */
export function closeButForName(from: net.Server, path: string): boolean {
  const spare = `${path}~${process.hrtime.bigint()}`
  try {
    linkSync(path, spare)
  } catch {
    from.close()
    return false
  }
  from.close()
  if (!existsSync(path)) {
    renameSync(spare, path)
    return true
  }
  // Node's server got its socket from another process, which removes it.
  unlinkSync(spare)
  return false
}

const removing = new WeakSet<Handle>()

/** Whether `removeWith` was called for this handle. */
export function removesPath(handle: Handle): boolean {
  return removing.has(handle)
}

/** Removes the path when its listener closes, as the engine does with a path that it has bound. */
export function removeWith(handle: Handle, path: string): void {
  removing.add(handle)
  override(handle, {
    close: (...callbacks: Parameters<Handle['close']>) => {
      try {
        unlinkSync(path)
      } catch {
        // It is gone already, which libuv ignores too.
      }
      Handle.prototype.close.apply(handle, callbacks)
    },
  })
}
