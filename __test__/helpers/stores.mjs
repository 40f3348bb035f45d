// AsyncLocalStorage in scenarios: which store each listener and each callback has seen.

import { AsyncLocalStorage } from 'node:async_hooks'

export const storage = new AsyncLocalStorage()

/** What is told of a client's way to a session, and of any socket. */
export const ofClient = [
  'lookup',
  'connect',
  'ready',
  'secureConnect',
  'secure',
  'session',
  'keylog',
  'OCSPResponse',
]
export const ofSocket = ['data', 'end', 'prefinish', 'finish', 'error', 'close']

/** The stores that have been seen, by what saw them. */
export class Stores {
  #seen = {}

  note(what) {
    const store = storage.getStore() ?? 'none'
    this.#seen[what] ??= []
    if (!this.#seen[what].includes(store)) this.#seen[what].push(store)
  }

  on(emitter, side, ...events) {
    for (const event of events) emitter.on(event, () => this.note(`${side} ${event}`))
    return emitter
  }

  /** The order is not what this is about. */
  tell(t) {
    for (const what of Object.keys(this.#seen).sort()) t.log(what, ...this.#seen[what].sort())
  }
}
