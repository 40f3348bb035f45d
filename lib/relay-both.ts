// `relay(a, b)`: two sockets joined in both directions until both have ended.

import { finished } from 'node:stream/promises'
import { aborted, writeAfterEnd } from './errors.js'
import { isInstance } from './node/instances.js'
import { setImmediate } from './node/timers.js'
import { relayPiped, relaysPipes, startsAtOnce } from './relay.js'
import { Socket } from './socket.js'
import { invalidArgValue, invalidInstance, validateAbortSignal, validateObject } from './validate.js'

export interface RelayOptions {
  signal?: AbortSignal | undefined
}

export interface Relayed {
  aToB: number
  bToA: number
}

export async function relay(a: Socket, b: Socket, options: RelayOptions = {}): Promise<Relayed> {
  checkSocket(a, 'a')
  checkSocket(b, 'b')
  if (a === b) throw invalidArgValue('b', b, 'must be another socket than "a"')
  validateObject(options, 'options')
  const { signal } = options
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal')

  // The end of one direction leaves the other open.
  a.allowHalfOpen = true
  b.allowHalfOpen = true
  const before = { a: a.bytesWritten ?? 0, b: b.bytesWritten ?? 0 }
  // Without their listeners: an error of a socket that connects again is none of ours.
  const over = Promise.all([finished(a, { cleanup: true }), finished(b, { cleanup: true })])
  const abort = (): void => destroyBoth(a, b, aborted(signal))
  let stopWatching: (() => void)[] = []
  signal?.addEventListener('abort', abort)
  try {
    if (signal?.aborted) abort()
    // Even one that has closed in good order: the other would wait for it.
    if (a.destroyed !== b.destroyed) destroyBoth(a, b)
    join(a, b)
    join(b, a)
    // Behind the listeners of `pipe()`.
    stopWatching = [watchFinish(a, b), watchFinish(b, a)]
    await over
  } catch (error) {
    destroyBoth(a, b)
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
    for (const stop of stopWatching) stop()
  }
  return { aToB: (b.bytesWritten ?? 0) - before.b, bToA: (a.bytesWritten ?? 0) - before.a }
}

function checkSocket(socket: unknown, name: string): void {
  if (!isInstance(Socket, socket)) throw invalidInstance(name, "an instance of ferronet's Socket", socket)
}

function join(from: Socket, to: Socket): void {
  if (from.destroyed || to.destroyed) return
  if (from.readableEnded) {
    to.end()
    return
  }
  // A second pipe to it would bring everything twice.
  if (from._readableState.pipes.includes(to)) from.unpipe(to)
  from.pipe(to)
  if (!relaysPipes) return
  startsAtOnce(from)
  // When the flow has begun, and what was buffered is out.
  setImmediate(() => {
    const piped = from._readableState.pipes
    if (piped.length === 1 && piped[0] === to && !from.connecting && !to.connecting) relayPiped(from)
  })
}

/** `pipe()` lets go of a socket that the program has ended, and nobody would read the other one. */
function watchFinish(from: Socket, to: Socket): () => void {
  const tooLate = (): void => void from.destroy(writeAfterEnd())
  const finish = (): void => {
    if (!from.readableEnded && !from.destroyed) from.on('data', tooLate).resume()
  }
  to.once('finish', finish)
  return () => {
    to.off('finish', finish)
    from.off('data', tooLate)
  }
}

function destroyBoth(a: Socket, b: Socket, error?: Error): void {
  a.destroy(error)
  b.destroy(error)
}
