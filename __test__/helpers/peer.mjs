// The other end of a scenario's connections, in a thread of its own and always on node:net, so that it can work while
// the scenario's thread is blocked. `do()` returns when the verb is done and its effect has reached the kernel at the
// scenario's end. So the scenario's event loop finds the same in each run.

import { Worker } from 'node:worker_threads'

const patience = 20_000

/** The verbs are those of peer-thread.mjs. */
export class Peer {
  #worker
  /** How many verbs have been done, and what the last of them returned. */
  #state = new Int32Array(new SharedArrayBuffer(8))

  static async start(cleanup) {
    const peer = new Peer()
    peer.#worker = new Worker(new URL('peer-thread.mjs', import.meta.url), { workerData: peer.#state })
    cleanup(() => peer.#worker.terminate())
    await new Promise((resolve, reject) => {
      peer.#worker.once('message', resolve)
      peer.#worker.once('error', reject)
    })
    return peer
  }

  /** Blocks this thread until the verb is done; returns its result, a number. */
  do(verb, ...args) {
    const done = Atomics.load(this.#state, 0)
    this.#worker.postMessage({ verb, args })
    if (Atomics.wait(this.#state, 0, done, patience) === 'timed-out')
      throw new Error(`the peer hangs in ${verb}`)
    return this.#state[1]
  }
}
