// What waits for the Handle: requests of the stream, and callbacks of the program.

import { AsyncResource } from 'node:async_hooks'
import type { Handle, SocketHandle } from './engine/once.js'

export type Done = (error?: Error | null) => void

/** What the stream waits for; its callback runs in the async context of the call that asked. */
export class Request extends AsyncResource {
  #done: Done

  constructor(provider: 'WRITEWRAP' | 'SHUTDOWNWRAP', handle: SocketHandle, done: Done) {
    super(provider, handle.asyncId())
    this.#done = done
  }

  complete(error?: Error | null): void {
    // The hooks run later, behind what is called here.
    this.emitDestroy()
    this.runInAsyncScope(this.#done, undefined, error)
  }
}

/** A program's callback of a write, waiting until the kernel has taken the last byte of that write. */
export interface Held {
  handle: Handle
  /** How many bytes the handle must have sent. */
  mark: number
  callback: Done
}
