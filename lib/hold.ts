// Writes that wait until something else has been done.

import { whenConnected } from './connect.js'
import { override } from './override.js'
import type { Done } from './request.js'
import type { Connection } from './state.js'
import { canceled } from './write.js'

/**
 * Holds back what is written to a socket until the result is called. (`cork()` would not do, because `end()` uncorks.)
 * `error`: what such a write hears if the socket closes.
 */
export function hold(socket: Connection, error: () => Error = canceled): () => void {
  // A stream asks for one of the three at a time.
  let run: (() => unknown) | undefined
  let done: Done | undefined
  let holds = true
  const methods = socket as unknown as Record<
    '_write' | '_writev' | '_final',
    (...args: unknown[]) => unknown
  >
  const later = (name: keyof typeof methods) => [
    name,
    (...args: unknown[]) => {
      const own = args.at(-1) as Done
      const wait = (): void => {
        if (!holds) {
          methods[name](...args)
          return
        }
        done = own
        run = () => methods[name](...args)
      }
      if (socket.connecting && name !== '_final') whenConnected(socket, wait, own)
      else wait()
    },
  ]
  const restore = override(socket, Object.fromEntries([later('_write'), later('_writev'), later('_final')]))
  const closed = (): void => {
    // It may be the end of an earlier connection.
    if (!socket.destroyed) return
    socket.off('close', closed)
    run = undefined
    done?.(error())
  }
  socket.on('close', closed)
  return () => {
    holds = false
    restore()
    socket.off('close', closed)
    done = undefined
    run?.()
  }
}
