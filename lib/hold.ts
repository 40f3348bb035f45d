// Writes that wait until something else has been done.

import type { Duplex } from 'node:stream'
import { override } from './override.js'
import type { Done } from './request.js'
import { canceled } from './write.js'

/** Holds back what is written to a socket until the result is called. (`cork()` would not do, because `end()` uncorks.) */
export function hold(socket: Duplex): () => void {
  // A stream asks for one of the three at a time.
  let run: (() => unknown) | undefined
  let done: Done | undefined
  const methods = socket as unknown as Record<
    '_write' | '_writev' | '_final',
    (...args: unknown[]) => unknown
  >
  const later = (name: keyof typeof methods) => [
    name,
    (...args: unknown[]) => {
      done = args.at(-1) as Done
      run = () => methods[name](...args)
    },
  ]
  const restore = override(socket, Object.fromEntries([later('_write'), later('_writev'), later('_final')]))
  const closed = (): void => {
    // It may be the end of an earlier connection.
    if (!socket.destroyed) return
    socket.off('close', closed)
    done?.(canceled())
  }
  socket.on('close', closed)
  return () => {
    restore()
    socket.off('close', closed)
    done = undefined
    run?.()
  }
}
