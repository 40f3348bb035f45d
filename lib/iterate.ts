// `for await (const socket of server)`: connections that the loop has not taken yet wait in order, in any number.

import type { EventEmitter } from 'node:events'
import type { Socket } from './socket.js'

interface Waiting {
  resolve(result: IteratorResult<Socket, undefined>): void
  reject(error: Error): void
}

// A socket that waits has no listeners of the program yet, and must not end the process when its peer resets it. The
// loop gets it destroyed, with the error in `errored`.
function ignore(): void {}

/** Ends with `'close'`, rejects with `'error'`. Leaving the loop destroys what waits; the server goes on. */
export function connectionsOf(server: EventEmitter): AsyncIterableIterator<Socket, undefined> {
  const sockets: Socket[] = []
  const waiting: Waiting[] = []
  let failure: Error | null = null
  let ended = false

  function onConnection(socket: Socket): void {
    const first = waiting.shift()
    if (first !== undefined) first.resolve({ value: socket, done: false })
    else sockets.push(socket.on('error', ignore))
  }
  function onError(error: Error): void {
    const first = waiting.shift()
    if (first === undefined) failure = error
    else first.reject(error)
    end()
  }
  function end(): void {
    ended = true
    server.off('connection', onConnection).off('error', onError).off('close', end)
    for (const { resolve } of waiting.splice(0)) resolve({ value: undefined, done: true })
  }
  function leave(): void {
    end()
    failure = null
    for (const socket of sockets.splice(0)) socket.destroy()
  }
  server.on('connection', onConnection).on('error', onError).on('close', end)

  return {
    async next() {
      const socket = sockets.shift()?.off('error', ignore)
      if (socket !== undefined) return { value: socket, done: false }
      if (failure !== null) {
        const error = failure
        failure = null
        throw error
      }
      if (ended) return { value: undefined, done: true }
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    async return() {
      leave()
      return { value: undefined, done: true }
    },
    async throw(error) {
      leave()
      throw error
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
