// Node's own sockets and servers, and the members of theirs that are not documented: the libuv handle, the path, and
// the function that makes a handle. Seen in Node 20 to 26; node-insides.test.mjs and handover.test.mjs notice when they
// change.

import type * as net from 'node:net'
import { closeDescriptor } from '../engine/once.js'
import { errnoException, nodeError } from '../errors.js'
import type { Native } from './foreign.js'
import { host, libuv } from './host.js'
import { nodeNet } from './net.js'

// As they are now: tools, and the register hook, may replace them later.
export const NodeSocket = nodeNet.Socket
export const NodeServer = nodeNet.Server
const onWindows = process.platform === 'win32'
const { _createServerHandle } = nodeNet as unknown as {
  _createServerHandle(
    address: string | null,
    port: number | null,
    addressType: number | null,
    fd?: number,
  ): Native | number
}

/** Throws where the host's own sockets and servers have no descriptor that could change hands. */
export function needLibuv(name: string): void {
  if (libuv) return
  const message = `${name}() needs Node: the sockets of ${host}'s own net can neither be taken over nor be given a descriptor`
  throw nodeError(Error, 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM', message)
}

interface Internals {
  _handle?: Native | null
  _pipeName?: string
}

function internals(owner: net.Socket | net.Server): Internals {
  return owner as unknown as Internals
}

/** The handle of a socket or server; of Node's classes it is libuv's. */
export function handleOfNodes(owner: net.Socket | net.Server): Native | null {
  return internals(owner)._handle ?? null
}

/** The path that a server listens on. */
export function pathOfNodes(server: net.Server): string | undefined {
  return internals(server)._pipeName
}

/** A libuv handle that takes over a descriptor, or on Windows the SOCKET of this number. If it throws, that is closed. */
export function nodeHandle(fd: number): Native {
  let native: Native | number | undefined
  try {
    native = onWindows ? ofSocket(fd) : _createServerHandle(null, null, null, fd)
    return opened(native)
  } finally {
    if (typeof native !== 'object') closeDescriptor(fd)
  }
}

// Node's `_createServerHandle` would look for a file descriptor of this number. `open` goes to libuv's uv_tcp_open.
function ofSocket(socket: number): Native | number {
  const native = unopenedHandle('tcp') as Native & { open(socket: number): number }
  const status = native.open(socket)
  if (status === 0) return native
  native.close()
  return status
}

/** The type of handle that connects or is connected. */
const SOCKET = 0
type NativeClass = new (type: number) => Native
const classes: Partial<Record<'tcp' | 'pipe', NativeClass>> = {}

/** A handle of libuv's that is not open; `pipe` is for Windows. */
export function unopenedHandle(kind: 'tcp' | 'pipe'): Native {
  classes[kind] ??= classOf(kind)
  return new classes[kind](SOCKET)
}

// Node has no function that gives its classes away, but one that makes a handle.
function classOf(kind: 'tcp' | 'pipe'): NativeClass {
  const nobodys = `\\\\.\\pipe\\ferronet-${process.pid}-${process.hrtime.bigint()}`
  const bound = opened(
    kind === 'tcp' ? _createServerHandle('127.0.0.1', 0, 4) : _createServerHandle(nobodys, -1, -1),
  )
  bound.close()
  return bound.constructor as NativeClass
}

function opened(native: Native | number): Native {
  if (typeof native === 'number') throw errnoException(native, 'open')
  return native
}

/** A server of Node's that owns `handle` and accepts nothing. */
export function nodeServerOf(handle: Native): net.Server {
  const server = new NodeServer()
  internals(server)._handle = handle
  return server
}
