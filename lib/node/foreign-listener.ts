// What a Server is given to listen on that is not ferronet's: what Node's servers listen on, or Bun's. ferronet takes the
// descriptor. On Windows a libuv handle has none: libuv goes on accepting there, and its connections stay libuv's
// (foreign-handle.ts).

import { type Endpoint, Handle, type Owner } from '../engine/once.js'
import { errnoOf } from '../errors.js'
import { kOnConnection } from '../symbols.js'
import { setOwner } from './cluster.js'
import { adoptNative, copyNative, isNative, isPipe, type Native } from './foreign.js'
import { foreignHandle } from './foreign-handle.js'
import { host } from './host.js'

/** What a Server listens on, given what Node's servers listen on, or Bun's; undefined for anything else. */
export function listenOnForeign(value: unknown): Handle | ForeignListener | number | undefined {
  if (isNative(value))
    return process.platform === 'win32' ? new ForeignListener(value) : listenOnNative(value)
  return isOfBun(value) ? listenOnBuns(value) : undefined
}

/** A path is removed when the handle that bound it closes, so that handle stays open. Node too takes the descriptor only. */
function listenOnNative(native: Native): Handle | number {
  return isPipe(native) ? copyNative(native, 'SERVERWRAP') : adoptNative(native, 'SERVERWRAP')
}

/** What Bun's own servers listen on (1.4) is no handle of libuv's, and has a descriptor too. */
interface BunListener {
  readonly fd: number
  /** The path, if it is no port. */
  readonly unix?: string
  stop(): void
}

function isOfBun(value: unknown): value is BunListener {
  if (host !== 'Bun' || value === null || typeof value !== 'object') return false
  const { fd, stop } = value as Partial<BunListener>
  return typeof fd === 'number' && typeof stop === 'function'
}

/** With the descriptor itself both of us would accept from it, and close it. */
function listenOnBuns(listener: BunListener): Handle | number {
  const pipe = listener.unix !== undefined
  const handle = Handle.adopt(pipe ? 'pipe' : 'tcp', `${pipe ? 'PIPE' : 'TCP'}SERVERWRAP`, listener.fd, true)
  if (!pipe && typeof handle !== 'number') listener.stop()
  return handle
}

/** The members of libuv's handles that listening takes. */
interface NativeListener extends Native {
  onconnection: (status: number, client?: Native) => void
  listen(backlog: number): number
  getsockname?(out: object): number
  ref(): void
  unref(): void
  hasRef(): boolean
  getAsyncId(): number
}

/** The libuv handle, as a Server's listener. */
export class ForeignListener {
  readonly kind: 'tcp' | 'pipe'
  /** The handle itself. */
  readonly foreign: NativeListener
  #owner: Owner | null = null

  constructor(native: Native) {
    this.foreign = native as NativeListener
    this.kind = isPipe(native) ? 'pipe' : 'tcp'
  }

  get fd(): number {
    return this.foreign.fd
  }
  get owner(): Owner | null {
    return this.#owner
  }
  set owner(owner: Owner | null) {
    this.#owner = owner
    setOwner(this.foreign, owner)
    this.foreign.onconnection = (status, client) => this.#connected(status, client)
  }

  #connected(status: number, client?: Native): void {
    if (status !== 0 || client === undefined) {
      this.#owner?.[kOnConnection]?.(status)
      return
    }
    this.#owner?.[kOnConnection]?.(0, foreignHandle(client))
  }

  listen(backlog: number): number {
    return this.foreign.listen(backlog)
  }
  sockname(): Endpoint | string | number {
    const found = {} as Endpoint
    return this.getsockname(found) || found
  }
  getsockname(out: object): number {
    return this.foreign.getsockname?.(out) ?? errnoOf('EBADF')
  }
  ref(): void {
    this.foreign.ref()
  }
  unref(): void {
    this.foreign.unref()
  }
  hasRef(): boolean {
    return this.foreign.hasRef()
  }
  getAsyncId(): number {
    return this.foreign.getAsyncId()
  }
  close(callback?: () => void): void {
    this.foreign.close(callback)
  }
}
