// A handle that a program brings: `new Socket({ handle })` with an object that has libuv's verbs, as Node's tests and
// some tools make them, or one of Node's own handles that has no descriptor to adopt. To Socket it looks like a Handle;
// `socket._handle` shows the program's object. Which verbs are called, with what and in which order, is Node's (20 to
// 26, by observation); what throws in them throws out of here.

import type { AddressInfo } from '../address.js'
import type { Owner, SocketHandle } from '../engine/once.js'
import { errnoException, errnoOf } from '../errors.js'
import type { Done } from '../request.js'
import { kOnConnect, kOnRead, kOnReadEnd, kOnReadInto, kOnShutdown } from '../symbols.js'
import { isNative } from './foreign.js'
import { nodeNet } from './net.js'
import { ownerSymbol } from './owner-symbol.js'
import { connectRequest, type Request, streamBase } from './stream-base.js'
import type { Chunk } from './stream-state.js'

/** The program's object. None of it is certain to be there. */
interface Foreign {
  reading: boolean
  readonly fd: number
  readonly bytesRead: number
  readonly bytesWritten: number
  onread: (memory?: ArrayBuffer) => Uint8Array | undefined
  getAsyncId?(): number
  readStart(): number
  readStop(): number
  useUserBuffer(buffer: Uint8Array): void
  writeBuffer(request: Request | null, bytes: Uint8Array): number | Request
  writeLatin1String(request: Request | null, text: string): number | Request
  writeUtf8String(request: Request | null, text: string): number | Request
  writeAsciiString(request: Request | null, text: string): number | Request
  writeUcs2String(request: Request | null, text: string): number | Request
  writev(request: Request | null, chunks: unknown[], allBuffers: boolean): number | Request
  shutdown(request: Request): number
  close(callback?: () => void): void
  reset(callback?: () => void): number
  bind(address: string, port: number, flags?: number): number
  bind6(address: string, port: number, flags?: number): number
  connect(request: Request, address: string, port?: number): number
  connect6(request: Request, address: string, port: number): number
  setNoDelay?(enable: boolean): number
  setKeepAlive?(...args: unknown[]): number
  setTypeOfService?(tos: number): number
  getTypeOfService?(): number
  getsockname?(out: object): number
  getpeername?(out: object): number
  ref?(): void
  unref?(): void
  [owner: symbol]: unknown
}

const ENOTCONN = errnoOf('ENOTCONN')
const EINVAL = errnoOf('EINVAL')
const EOF = errnoOf('EOF')

const known = new WeakMap<object, ForeignHandle>()

/** The one for `foreign`; the same each time. */
export function foreignHandle(foreign: object): ForeignHandle {
  let handle = known.get(foreign)
  if (handle === undefined) {
    handle = new ForeignHandle(foreign as Foreign)
    known.set(foreign, handle)
  }
  return handle
}

/** Hot. The slot first: `instanceof` was 4 % of a server's time (2026-11). */
export function isForeign(handle: SocketHandle): handle is ForeignHandle {
  return handle.slot < 0 && handle instanceof ForeignHandle
}

export class ForeignHandle implements SocketHandle {
  /** What `socket._handle` shows. */
  readonly foreign: Foreign
  // It is asked for each verb whether it has it; nothing is kept from it for being of one kind.
  readonly kind = 'tcp'
  // Nothing of it is in the reactor, and it cannot be given away.
  readonly slot = -1
  // Never 0, so that `Socket#write` takes no short cut; never above or below anything, so that callbacks wait for the
  // handle's completion alone.
  readonly writeQueueSize = Number.NaN
  readonly writeErrno = 0
  /** Nothing passes it by. */
  readonly relays = false
  declare readonly onread?: undefined
  closed = false

  #owner: Owner | null = null
  #asyncId: number
  /** The program's buffer, with the option `onread`. */
  #into: Uint8Array | null = null
  /** In `onread`: the next buffer is its result. */
  #telling = false
  #tos = 0

  constructor(foreign: Foreign) {
    this.foreign = foreign
    this.#asyncId = this.#askAsyncId()
  }

  #askAsyncId(): number {
    return typeof this.foreign.getAsyncId === 'function' ? this.foreign.getAsyncId() : 0
  }

  get owner(): Owner | null {
    return this.#owner
  }
  set owner(owner: Owner | null) {
    this.#owner = owner
    if (owner === null) return
    const symbol = ownerSymbol()
    if (symbol !== undefined) this.foreign[symbol] = owner
    const onStreamRead: Foreign['onread'] = memory => this.#read(memory)
    this.foreign.onread = onStreamRead
    this.#asyncId = this.#askAsyncId()
  }

  asyncId(): number {
    return this.#asyncId
  }
  getAsyncId(): number {
    return this.#asyncId
  }

  // --- connect ------------------------------------------------------------------------------------------------

  bindTcp(address: string, port: number, flags?: number): number {
    return nodeNet.isIP(address) === 6
      ? this.foreign.bind6(address, port, flags) || 0
      : this.foreign.bind(address, port, flags) || 0
  }

  connect(address: string, port: number): number {
    const request = Object.assign(this.#connectRequest('tcp'), {
      address,
      port,
      addressType: nodeNet.isIP(address),
    })
    return nodeNet.isIP(address) === 6
      ? this.foreign.connect6(request, address, port) || 0
      : this.foreign.connect(request, address, port) || 0
  }

  connectPath(path: string): number {
    const request = Object.assign(this.#connectRequest('pipe'), { address: path })
    return this.foreign.connect(request, path) || 0
  }

  #connectRequest(kind: 'tcp' | 'pipe'): Request {
    const request = connectRequest(kind)
    const complete = (status: number): void => this.#owner?.[kOnConnect]?.(status)
    request.oncomplete = complete
    return request
  }

  // --- read ---------------------------------------------------------------------------------------------------

  get reading(): boolean {
    return this.foreign.reading
  }

  readStart(): number {
    this.foreign.reading = true
    return this.foreign.readStart() || 0
  }

  readStop(): number {
    this.foreign.reading = false
    return this.foreign.readStop() || 0
  }

  readInto(buffer: Uint8Array): void {
    this.#into = buffer
    if (!this.#telling) this.foreign.useUserBuffer(buffer)
  }

  // Chunks are the handle's own memory.
  shareChunks(): void {}

  /** `onread`: bytes, which lie in `memory` or in the program's buffer, the end, or an error. */
  #read(memory?: ArrayBuffer): Uint8Array | undefined {
    const { streamBaseState, kReadBytesOrError, kArrayBufferOffset } = streamBase()
    const nread = streamBaseState[kReadBytesOrError]!
    const owner = this.#owner
    if (nread > 0 && this.#into !== null) {
      const before = this.#into
      this.#telling = true
      try {
        owner?.[kOnReadInto]?.(nread)
      } finally {
        this.#telling = false
      }
      return this.#into === before ? undefined : this.#into
    }
    if (nread > 0) owner?.[kOnRead]?.(Buffer.from(memory!, streamBaseState[kArrayBufferOffset]!, nread))
    else if (nread < 0) owner?.[kOnReadEnd]?.(nread === EOF ? 0 : nread)
    return undefined
  }

  // --- write --------------------------------------------------------------------------------------------------

  flushSoon(): void {}

  flush(): number {
    return 0
  }

  /** `done` when the handle has sent it; the bytes that are under way after the call, or 0. */
  write(data: Buffer | string, encoding: string, done: Done): number {
    if (typeof data !== 'string') return this.#dispatch('writeBuffer', data, [data], done)
    switch (encoding) {
      case 'latin1':
      case 'binary':
        return this.#dispatch('writeLatin1String', null, [data], done)
      case 'utf8':
      case 'utf-8':
        return this.#dispatch('writeUtf8String', null, [data], done)
      case 'ascii':
        return this.#dispatch('writeAsciiString', null, [data], done)
      case 'ucs2':
      case 'ucs-2':
      case 'utf16le':
      case 'utf-16le':
        return this.#dispatch('writeUcs2String', null, [data], done)
      default: {
        const bytes = Buffer.from(data, encoding as BufferEncoding)
        return this.#dispatch('writeBuffer', bytes, [bytes], done)
      }
    }
  }

  writev(data: Chunk[], done: Done): number {
    const allBuffers = data.every(({ chunk }) => typeof chunk !== 'string')
    const chunks = data.flatMap(({ chunk, encoding }) => (allBuffers ? [chunk] : [chunk, encoding]))
    return this.#dispatch('writev', chunks, [chunks, allBuffers], done)
  }

  #dispatch(verb: `write${string}` & keyof Foreign, memory: unknown, args: unknown[], done: Done): number {
    const { WriteWrap, streamBaseState: state, kBytesWritten, ...slots } = streamBase()
    const { kLastWriteErr, kLastWriteWasAsync } = slots
    // From Node 26 on a write makes its request itself, if it needs one.
    const given = kLastWriteErr === undefined ? new WriteWrap() : null
    if (given !== null) this.#expect(given, memory, done)
    const write = this.foreign[verb] as (request: Request | null, ...args: unknown[]) => number | Request
    const result = write.call(this.foreign, given, ...args)
    const underWay = typeof result === 'object'
    const status = underWay ? state[kLastWriteErr ?? -1] || 0 : result || 0
    if (status !== 0) {
      done(errnoException(status, 'write'))
      return 0
    }
    if (!underWay && (given === null || state[kLastWriteWasAsync] === 0)) {
      done()
      return 0
    }
    const request = given ?? (result as Request)
    if (given === null) this.#expect(request, memory, done)
    request.async = true
    request.bytes = state[kBytesWritten]
    // It ended before anybody listened.
    const early = request.writeStatus
    if (typeof early === 'number') {
      request.writeStatus = null
      request.oncomplete!(early)
    }
    return state[kBytesWritten]!
  }

  #expect(request: Request, memory: unknown, done: Done): void {
    request.handle = this.foreign
    // In a variable first, see `callBackWhenSent`.
    const complete = (status: number): void => done(status < 0 ? errnoException(status, 'write') : null)
    request.oncomplete = complete
    request.async = false
    request.bytes = 0
    // Until then nobody may collect it.
    request.buffer = memory
    request.callback = done
  }

  // --- counters, which are up to date at all times -------------------------------------------------------------

  count(): this {
    return this
  }

  stopRelay(): void {}
  stopRelayTo(): void {}

  get bytesRead(): number {
    return this.foreign.bytesRead
  }
  get bytesWritten(): number {
    return this.foreign.bytesWritten
  }

  // --- close --------------------------------------------------------------------------------------------------

  /** ENOTCONN also when the handle says that there is nothing to wait for. */
  shutdown(): number {
    const request = new (streamBase().ShutdownWrap)()
    const complete = (status: number): void => this.#owner?.[kOnShutdown]?.(status)
    request.oncomplete = complete
    request.handle = this.foreign
    request.callback = request.oncomplete
    const status = this.foreign.shutdown(request) || 0
    return status === 1 ? ENOTCONN : status
  }

  close(callback?: () => void): void {
    this.foreign.close(callback)
    this.closed = true
    this.foreign.onread = noop
  }

  /** Whether this is libuv's own for TCP, which alone can be reset. */
  get isTcp(): boolean {
    return isNative(this.foreign) && this.foreign.constructor.name === 'TCP'
  }

  reset(callback?: () => void): number {
    const status = this.foreign.reset(callback) || 0
    if (status === 0) this.closed = true
    // As in Node, nobody hears of it any more, whatever comes of it.
    this.foreign.onread = noop
    return status
  }

  // --- options and facts ----------------------------------------------------------------------------------------

  setNoDelay(enable: boolean): number {
    return this.foreign.setNoDelay?.(enable) ?? 0
  }

  setKeepAlive(...args: unknown[]): number {
    return this.foreign.setKeepAlive?.(...args) ?? 0
  }

  setTypeOfService(tos: number): number {
    this.#tos = tos
    return this.foreign.setTypeOfService?.(tos) ?? 0
  }

  getTypeOfService(): number {
    return this.foreign.getTypeOfService?.() ?? this.#tos
  }

  /** Nothing can be asked of the system: what the Socket remembers is all there is. */
  setBusyPoll(_microseconds: number): number {
    return 0
  }

  getBusyPoll(): number {
    return EINVAL
  }

  getsockname(out: object): number {
    return this.foreign.getsockname === undefined ? EINVAL : this.foreign.getsockname(out) || 0
  }

  getpeername(out: object): number {
    return this.foreign.getpeername === undefined ? EINVAL : this.foreign.getpeername(out) || 0
  }

  sockname(): AddressInfo | number {
    const out = {}
    return this.getsockname(out) || out
  }

  peername(): AddressInfo | number {
    const out = {}
    return this.getpeername(out) || out
  }

  get fd(): number {
    return this.foreign.fd
  }

  ref(): void {
    this.foreign.ref?.()
  }

  unref(): void {
    this.foreign.unref?.()
  }
}

function noop(): undefined {}
