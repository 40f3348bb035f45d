// A connection that two sockets have: a TLSSocket, and the Socket whose connection it has taken over. It is closed once,
// by whoever comes first, and both hear of it, the lower one first.

import type { Duplex } from 'node:stream'
import type { Handle } from '../engine/once.js'
import { setImmediate } from '../node/timers.js'
import { override } from '../override.js'
import { throwLater } from './later.js'

type Callbacks = ((() => void) | undefined)[]

/** `upper`: the socket that has taken it over, and knows what still waits to be written. */
export function closeTogether(handle: Handle, upper: Duplex): void {
  const { close, reset } = handle
  let told: Callbacks | undefined = []
  /** It is the lower one that has reset the connection. */
  let isBelow = false
  const all = (): void => {
    const callbacks = told!
    told = undefined
    for (const callback of callbacks) each(callback)
  }
  const each = (callback: (() => void) | undefined): void => throwLater(() => callback?.())
  // Another socket on a connection that has been closed: what it has waiting is cancelled all the same.
  const late = (callbacks: Callbacks): void => {
    const { canceled = [] } = handle
    delete handle.canceled
    if (told !== undefined) told[isBelow ? 'push' : 'unshift'](...canceled, ...callbacks)
    else setImmediate(() => handle.runInAsyncScope(() => [...canceled, ...callbacks].forEach(each)))
  }
  override(handle, {
    close(...callbacks: Callbacks): void {
      if (handle.closed) {
        late(callbacks)
        return
      }
      told!.push(...callbacks)
      if (!upper.destroyed) upper.destroy()
      if (!handle.closed) close.call(handle, all)
    },
    reset(...callbacks: Callbacks): number {
      if (handle.closed) {
        late(callbacks)
        return 0
      }
      told!.push(...callbacks)
      const status = reset.call(handle, all)
      if (status === 0 && !upper.destroyed) {
        isBelow = true
        upper.destroy()
      }
      return status
    },
  })
}
