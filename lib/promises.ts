// connect() and listen() as promises, as the Node after 26.10 documents them (nodejs/node#63965). The first event that
// decides settles the promise; from then on the caller handles the socket or server, its errors included.

import type { EventEmitter } from 'node:events'
import { aborted, socketClosed } from './errors.js'
import { isInstance } from './node/instances.js'
import { createServer, type ServerOptions } from './server.js'
import { connect as connectNow, Socket } from './socket.js'
import type * as types from './types.js'
import { invalidInstance, validateAbortSignal, validateFunction, validateObject } from './validate.js'

export type { ConnectOptions, PromisesListenOptions as ListenOptions } from './types.js'

export const connect = async function connect(...args: unknown[]): Promise<Socket> {
  const signal = (args[0] as types.ConnectOptions | undefined)?.signal
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
} as unknown as types.PromisedConnect

export const listen: types.PromisedListen = async function listen(options) {
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

export const startTLS = async function startTLS(
  socket: Socket,
  options?: types.StartTlsOptions,
): Promise<Socket> {
  if (!isInstance(Socket, socket)) throw invalidInstance('socket', "an instance of ferronet's Socket", socket)
  if (socket.destroyed) throw socketClosed()
  socket.startTLS(options)
  await settled(socket, 'secure')
  return socket
} as unknown as types.PromisedStartTls

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
