// What Node's own code is given in the place of a Socket, a Server or a Handle of ours, when it wants libuv's handle:
// `subprocess.send()` and the `stdio` of `spawn()`. It sees the object itself, but as one of Node's class, and with a
// libuv handle on a copy of the descriptor, made when it is asked for. So what Node does in sending (it counts the
// connection as the child's, leaves the socket without a handle, waits for its turn) happens to our object.
//
// On Windows the copy is another SOCKET for the same socket. What libuv cannot send or pass on there, it refuses: it gets
// a handle of that kind which is not open, so that the program sees Node's error.

import { attemptEnded } from '../connect.js'
import { Handle } from '../engine/once.js'
import { errnoException, errnoOf } from '../errors.js'
import { isNative, type Native } from '../node/foreign.js'
import { isForeign } from '../node/foreign-handle.js'
import { isInstance } from '../node/instances.js'
import { NodeServer, NodeSocket, nodeHandle, unopenedHandle } from '../node/sockets.js'
import { Server } from '../server.js'
import { Socket } from '../socket.js'
import { kAttempt, kHandle, kHeld, kShutdownRequest, kWriteRequest } from '../state.js'

const EBADF = errnoOf('EBADF')
const ECANCELED = errnoOf('ECANCELED')
const onWindows = process.platform === 'win32'

type AnyHandle = NonNullable<Socket[typeof kHandle]> | NonNullable<Server['_handle']>

/** What is sent, and what is to be called when it has been. */
export interface Loan {
  handle: object
  done(): void
}

/** Null for what is not ours, which Node may judge. */
export function lend(ours: unknown, keepOpen: boolean): Loan | null {
  if (isInstance(Socket, ours)) return lendSocket(ours, keepOpen)
  if (isInstance(Server, ours)) return lendServer(ours)
  if (!(ours instanceof Handle)) return null
  const handle = nativeOf(ours)
  return { handle, done: () => handle.close() }
}

function lendSocket(socket: Socket, keepOpen: boolean): Loan {
  let native: Native | null = null
  const handle = new Proxy(socket, {
    getPrototypeOf: () => NodeSocket.prototype,
    // Getters and setters find our object, not the proxy.
    get(target, key) {
      if (key !== '_handle') return Reflect.get(target, key)
      if (target[kHandle] === null) return null
      native ??= nativeOf(target[kHandle])
      return native
    },
    set(target, key, value) {
      if (key !== '_handle') return Reflect.set(target, key, value)
      giveUp(target, native!)
      return true
    },
  })
  const lent = socket[kHandle]
  // Node closes its handle when the other process has the descriptor, unless both keep it.
  return { handle, done: () => keepOpen && native !== null && closeCopy(native, lent) }
}

function lendServer(server: Server): Loan {
  let native: Native | null = null
  const handle = new Proxy(server, {
    getPrototypeOf: () => NodeServer.prototype,
    get(target, key) {
      if (key !== '_handle') return Reflect.get(target, key)
      // In a cluster's round robin there is no socket here.
      if (target._handle === null || !hasSocket(target._handle)) return null
      native ??= nativeOf(target._handle)
      return native
    },
  })
  const lent = server._handle
  return { handle, done: () => native !== null && closeCopy(native, lent) }
}

function hasSocket(handle: AnyHandle): boolean {
  return handle instanceof Handle ? handle.slot >= 0 : handle.fd >= 0 || libuvs(handle) !== null
}

/** The libuv handle that ferronet itself uses, since it cannot take over what Node has opened on Windows. */
function libuvs(handle: AnyHandle): Native | null {
  return onWindows && 'foreign' in handle && isNative(handle.foreign) ? handle.foreign : null
}

function closeCopy(native: Native, lent: AnyHandle | null): void {
  if (lent === null || native !== libuvs(lent)) native.close()
}

/** A handle of libuv's on a copy of the descriptor; without a descriptor one that has none either. */
function nativeOf(handle: AnyHandle): Native {
  const native = libuvs(handle)
  if (native !== null) return native
  const own = handle instanceof Handle ? handle : Handle.adopt('tcp', 'TCPWRAP', handle.fd, true)
  if (typeof own === 'number') throw errnoException(own, 'open')
  try {
    own.flush()
    if (onWindows && own.kind === 'pipe') return unopenedHandle('pipe')
    const fd = own.copy()
    if (fd === EBADF) return unopenedHandle('tcp')
    if (fd < 0) throw errnoException(fd, 'open')
    return nodeHandle(fd)
  } finally {
    if (own !== handle) own.close()
  }
}

/**
 * Leaves the socket without a handle, as Node leaves its own: it is neither destroyed nor closed. What it has read stays
 * in it; what it has written and the system has not taken yet, `native` sends.
 */
function giveUp(socket: Socket, native: Native): void {
  const handle = socket[kHandle]!
  if (isForeign(handle)) {
    socket[kHandle] = null
    handle.owner = null
    if (handle.foreign !== native) handle.close()
    return
  }
  const { unread, unsent, ending } = handle.leave()
  const held = socket[kHeld]
  const write = socket[kWriteRequest]
  const shutdown = socket[kShutdownRequest]
  const attempt = socket[kAttempt]
  socket[kHeld] = null
  socket[kWriteRequest] = null
  socket[kShutdownRequest] = null
  socket[kHandle] = null
  handle.owner = null
  handle.close()
  if (unsent.length > 0 || ending) sendOn(native, unsent, ending)
  handle.runInAsyncScope(() => {
    process.nextTick(() => {
      for (const chunk of unread) socket.push(chunk)
      for (const { callback } of held ?? []) callback(null)
      write?.complete()
      shutdown?.complete()
      if (attempt === null) return
      if (attempt.series !== null) attempt.series.next = attempt.series.addresses.length
      attemptEnded(socket, ECANCELED)
    })
  })
}

function sendOn(native: Native, unsent: Uint8Array[], ending: boolean): void {
  const rest = new NodeSocket({ handle: native, manualStart: true } as object)
  // Node closes the handle when the child has it. What has not been sent by then is lost, as Node's would be.
  rest.on('error', () => {})
  for (const chunk of unsent) rest.write(chunk)
  if (ending) rest.end()
}

/**
 * `stdio` as `spawn()` takes it, with descriptors in the place of our sockets, or libuv's handles on Windows. `inherited`
 * are the sockets that the child reads from now on.
 */
export function lendStdio(stdio: unknown[]): { stdio: unknown[]; inherited: Socket[]; done(): void } {
  const inherited: Socket[] = []
  const made: Native[] = []
  const given = stdio.map(item => {
    const socket = isInstance(Socket, item) ? item : null
    const handle = socket?.[kHandle]
    if (!socket || !handle || !hasSocket(handle)) return item
    handle.flush()
    inherited.push(socket)
    if (!onWindows) return handle.fd
    const native = libuvs(handle)
    if (native !== null) return asStdio(native)
    // libuv passes on neither a socket nor a handle that is not its own.
    const unopened = unopenedHandle(handle.kind)
    made.push(unopened)
    return asStdio(unopened)
  })
  const done = (): void => {
    for (const native of made) native.close()
  }
  return { stdio: given, inherited, done }
}

/** What Node takes for a stream with this handle. */
function asStdio(native: Native): object {
  return { _handle: native, pause() {}, _readableState: {} }
}

/** As Node leaves a socket that a child has inherited: open, and not reading, since the child does. */
export function stopForChild(socket: Socket): void {
  socket[kHandle]?.readStop()
  socket.pause()
  const stopped = socket as unknown as { readableFlowing: boolean; _readableState: { reading: boolean } }
  stopped.readableFlowing = false
  stopped._readableState.reading = false
}
