// Sockets and servers to and from Node's own net, and so to and from another process. What goes is the descriptor, with
// what estate.ts takes out of the socket.

import { existsSync, linkSync, renameSync, unlinkSync } from 'node:fs'
import type * as net from 'node:net'
import { closeDescriptor, Handle } from '../engine/once.js'
import { errnoException, errnoOf, nodeError, notRunning } from '../errors.js'
import { hold } from '../hold.js'
import { copyNative, hasDescriptor, isNative, type Native } from '../node/foreign.js'
import { isInstance } from '../node/instances.js'
import {
  handleOfNodes,
  NodeServer,
  NodeSocket,
  needLibuv,
  nodeHandle,
  nodeServerOf,
  pathOfNodes,
} from '../node/sockets.js'
import { kRemembered, nodeOptions } from '../options.js'
import { Server, type ServerOptions } from '../server.js'
import { Socket } from '../socket.js'
import { invalidInstance } from '../validate.js'
import {
  behindNode,
  clear,
  inherit,
  isPaused,
  movable,
  notTransferable,
  retire,
  takeReadable,
} from './estate.js'

const onWindows = process.platform === 'win32'

/**
 * Gives a connected Socket's descriptor to a new `net.Socket` of Node's, which goes on where this one stood; this one
 * closes without the peer noticing. For `subprocess.send()`, and for code that insists on Node's class. Throws
 * ERR_INVALID_ARG_TYPE, and ERR_WORKER_HANDLE_NOT_TRANSFERABLE while the socket is not connected.
 */
export function toNodeSocket(socket: Socket): net.Socket {
  needLibuv('toNodeSocket')
  if (!isInstance(Socket, socket)) throw invalidInstance('socket', "an instance of ferronet's Socket", socket)
  const handle = movable(socket)
  // If libuv cannot open a copy, the socket has lost nothing yet.
  const native = onWindows ? nodeCopy(handle) : null
  const estate = clear(socket, handle)
  // On Windows `fd` would be a file's.
  const from: { fd: number } | { handle: Native } =
    native === null ? { fd: handle.release() } : { handle: native }
  if ('fd' in from && from.fd < 0) {
    retire(socket, errnoException(from.fd, 'open'))
    throw errnoException(from.fd, 'open')
  }
  retire(socket)
  const options = {
    ...from,
    allowHalfOpen: socket.allowHalfOpen,
    readableHighWaterMark: socket.readableHighWaterMark,
    writableHighWaterMark: socket.writableHighWaterMark,
    pauseOnCreate: estate.paused,
    // They are set already; Node remembers them, to see what changes.
    ...nodeOptions(socket[kRemembered]),
  }
  let taken: net.Socket
  try {
    taken = new NodeSocket(options as net.SocketConstructorOpts)
  } catch (error) {
    if ('fd' in from) closeDescriptor(from.fd)
    else from.handle.close()
    throw error
  }
  inherit(taken, estate)
  return taken
}

/**
 * Takes over the connection of one of Node's own sockets, which closes: the counterpart of `toNodeSocket`. What Node's
 * socket has written and not sent goes first; until then the new socket cannot be given away. Throws
 * ERR_INVALID_ARG_TYPE, ERR_INVALID_HANDLE_TYPE for what is not plain TCP or a pipe, and
 * ERR_WORKER_HANDLE_NOT_TRANSFERABLE while it is not connected.
 */
export function fromNodeSocket(from: net.Socket): Socket {
  needLibuv('fromNodeSocket')
  // While it connects there may be a handle without a descriptor.
  const native = isInstance(NodeSocket, from) && from.connecting ? null : nativeOf(from, NodeSocket, 'socket')
  if (native === null || from.destroyed) {
    throw notTransferable('net.Socket', 'it must be connected and not destroyed')
  }
  const paused = isPaused(from)
  const handle = copyNative(native)
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  const socket = new Socket({
    handle,
    allowHalfOpen: from.allowHalfOpen,
    readableHighWaterMark: from.readableHighWaterMark,
    writableHighWaterMark: from.writableHighWaterMark,
    pauseOnCreate: paused,
  })
  const unread = takeReadable(from)
  // Taking the bytes out made the stream ask for more, and its reader may do so again.
  native.readStop?.()
  native.readStart = () => 0
  const ended = from.writableEnded
  inherit(socket, { unread, unsent: [], ended: false, readErrno: 0 })
  if (from.writableLength === 0 && (!ended || from.writableFinished)) {
    from.destroy()
    if (ended) socket.end()
    return socket
  }
  // libuv cannot give back bytes that it has: it sends them first, then come ours.
  const letWrite = keepFromWriting(socket)
  let sending = true
  const fail = (error?: Error): void => {
    if (sending) socket.destroy(error)
  }
  const sent = (): void => {
    sending = false
    from.destroy()
    letWrite()
    if (ended) socket.end()
  }
  from.once('error', fail)
  from.once('close', () => fail())
  socket.once('close', () => from.destroy())
  while (from.writableCorked > 0) from.uncork()
  if (ended) from.once('finish', sent)
  else from.write('', error => error || sent())
  return socket
}

/** Holds back what is written, and the socket from being given away, until the result is called. */
function keepFromWriting(socket: Socket): () => void {
  const letGo = hold(socket)
  behindNode.add(socket)
  return () => {
    behindNode.delete(socket)
    letGo()
  }
}

/**
 * A `net.Server` of Node's on a copy of the listening descriptor, for `subprocess.send()`. It accepts nothing in this
 * process, whose Server goes on as before; `close()` it when it has been sent. Throws ERR_INVALID_ARG_TYPE, and
 * ERR_SERVER_NOT_RUNNING when the Server does not listen.
 */
export function toNodeServer(server: Server): net.Server {
  needLibuv('toNodeServer')
  if (!isInstance(Server, server)) throw invalidInstance('server', "an instance of ferronet's Server", server)
  const handle = server._handle
  if (handle === null) throw notRunning()
  if (!(handle instanceof Handle)) throw notTransferable('net.Server', 'a cluster shares it already')
  return nodeServerOf(nodeCopy(handle))
}

/** A handle of libuv's on a copy of the descriptor. Windows' libuv opens no named pipe by a number. */
function nodeCopy(handle: Handle): Native {
  const fd = onWindows && handle.kind === 'pipe' ? errnoOf('ENOTSUP') : handle.copy()
  if (fd < 0) throw errnoException(fd, 'open')
  return nodeHandle(fd)
}

/**
 * A Server that takes over what one of Node's own servers listens on (one that `process.on('message')` brought, for
 * instance), which closes. Options and listener are those of `createServer`. Throws ERR_INVALID_ARG_TYPE,
 * ERR_INVALID_HANDLE_TYPE and ERR_SERVER_NOT_RUNNING.
 */
export function fromNodeServer(
  from: net.Server,
  options?: ServerOptions | ((socket: Socket) => void) | null,
  listener?: (socket: Socket) => void,
): Server {
  needLibuv('fromNodeServer')
  const native = nativeOf(from, NodeServer, 'server')
  if (native === null) throw notRunning()
  const server = new Server(options, listener)
  const path = pathOfNodes(from)
  const handle = copyNative(native, 'SERVERWRAP')
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  if (path === undefined) from.close()
  else {
    server._pipeName = path
    if (closeButForName(from, path)) handle.removeOnClose(path)
  }
  return server.listen({ _handle: handle })
}

/**
 * Closes Node's server and keeps its path. Returns whether the engine has to remove the path later: libuv removes what it has
 * bound, so we put it back. (Where there are no hard links it is gone.)
 */
function closeButForName(from: net.Server, path: string): boolean {
  const spare = `${path}~${process.hrtime.bigint()}`
  try {
    linkSync(path, spare)
  } catch {
    from.close()
    return false
  }
  from.close()
  if (!existsSync(path)) {
    renameSync(spare, path)
    return true
  }
  // Node's server got its socket from another process, which removes it.
  unlinkSync(spare)
  return false
}

function nativeOf(
  from: net.Socket | net.Server,
  Class: { name: string; prototype: net.Socket | net.Server },
  name: string,
): Native | null {
  if (!isInstance(Class, from)) {
    throw invalidInstance(name, `an instance of node:net's ${Class.name}`, from)
  }
  const native = handleOfNodes(from)
  if (native === null) return null
  if (!isNative(native) || !hasDescriptor(native)) {
    throw nodeError(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent')
  }
  return native
}
