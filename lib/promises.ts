// connect() and listen() as promises, as the Node after 26.10 documents them (nodejs/node#63965). The first event that
// decides settles the promise; from then on the caller handles the socket or server, its errors included.

import type { EventEmitter } from 'node:events'
import { aborted, socketClosed } from './errors.js'
import { createServer, type ServerOptions } from './server.js'
import { connect as connectNow, type Socket } from './socket.js'
import type * as types from './types.js'
import { validateAbortSignal, validateFunction, validateObject } from './validate.js'

/** Those of `connect()`; `signal` destroys the socket, connected or not. */
export type ConnectOptions = types.NetConnectOpts

/** Those of `createServer()` and of `server.listen()`; `signal` closes the server. */
export interface ListenOptions extends types.ServerOpts, types.ListenOptions {
  /** Called with each connection, as a listener of `'connection'`. */
  connectionListener?: ((socket: types.Socket) => void) | undefined
}

export interface PromisedConnect {
  (options: ConnectOptions): Promise<types.OwnSocket>
  (port: number, host?: string): Promise<types.OwnSocket>
  (path: string): Promise<types.OwnSocket>
}

/**
 * A connected Socket. Takes the arguments of `connect()`, without the listener. Rejects with what `'error'` would
 * bring, the socket destroyed: an AbortError when `signal` fires first. Wrong arguments reject too.
 */
export const connect = async function connect(...args: unknown[]): Promise<Socket> {
  const signal = (args[0] as ConnectOptions | undefined)?.signal
  // A Socket would connect first, and be destroyed afterwards.
  if (signal?.aborted) throw aborted(signal)
  const socket = connectNow(...args)
  try {
    await settled(socket, 'connect')
  } catch (error) {
    socket.destroy()
    throw error
  }
  return socket
} as unknown as PromisedConnect

/**
 * A listening Server; without options, on any free port. Rejects with what `'error'` would bring: an AbortError when
 * `signal` fires first. Wrong arguments reject too.
 */
export async function listen(options?: ListenOptions): Promise<types.Server> {
  if (options !== undefined) validateObject(options, 'options')
  const { connectionListener, signal } = options ?? {}
  if (connectionListener !== undefined) validateFunction(connectionListener, 'options.connectionListener')
  if (signal !== undefined) {
    validateAbortSignal(signal, 'options.signal')
    if (signal.aborted) throw aborted(signal)
  }
  const server = createServer(options as ServerOptions, connectionListener as never)
  try {
    if (options === undefined) server.listen()
    else server.listen(options)
    await settled(server, 'listening', signal)
  } catch (error) {
    // In 'close' it stops listening to the signal.
    if (signal !== undefined) server.close()
    throw error
  }
  return server as unknown as types.Server
}

/**
 * Turns a socket secure, as its `startTLS()`: resolves at `'secure'`, with the socket. Rejects with what `'error'` would
 * bring, the socket destroyed; wrong options reject too, and leave it as it is.
 */
export const startTLS = async function startTLS(
  socket: Socket,
  options?: types.StartTlsOptions,
): Promise<Socket> {
  if (socket.destroyed) throw socketClosed()
  socket.startTLS(options)
  await settled(socket, 'secure')
  return socket
} as unknown as <S extends types.OwnSocket>(socket: S, options?: types.StartTlsOptions) => Promise<S>

function settled(emitter: EventEmitter, event: string, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    function end(): void {
      emitter.off(event, onEvent).off('error', onError).off('close', onClose)
    }
    function onEvent(): void {
      end()
      resolve()
    }
    function onError(error: Error): void {
      end()
      reject(error)
    }
    // The only event of a server that is closed before it listens.
    function onClose(): void {
      onError(aborted(signal))
    }
    emitter.on(event, onEvent).on('error', onError).on('close', onClose)
  })
}
