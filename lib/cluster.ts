// Listening in a cluster worker: the primary has the address. Under round robin it accepts the connections and sends
// them to the workers on its list; otherwise it sends a copy of its listening descriptor, and each worker accepts for
// itself. What it sends has no descriptor on Windows: libuv reads, writes and accepts there.

import type { Endpoint, Handle, Owner } from './engine/once.js'
import { endpointException, errnoOf } from './errors.js'
import { argumentsOf, EVERYBODY_READS, EVERYBODY_WRITES, type Listener, type Plan } from './listen.js'
import { type Cluster, type Query, type Subscription, setOwner } from './node/cluster.js'
import { adoptNative, copyNative, hasDescriptor, isNative, type Native } from './node/foreign.js'
import { foreignHandle } from './node/foreign-handle.js'
import { ForeignListener } from './node/foreign-listener.js'
import { setImmediate } from './node/timers.js'
import { kOnConnection } from './symbols.js'

/** Asks the primary; `done` gets the listener, or the error that Node's `listen` would emit. */
export function listenThroughPrimary(
  cluster: Cluster,
  server: Owner,
  plan: Plan,
  wanted: () => boolean,
  done: (error: Error | null, listener: Listener | null) => void,
): void {
  const query = queryOf(plan)
  cluster._getServer!(server, query, (status, handle) => {
    if (!wanted()) {
      handle?.close()
      return
    }
    if (status === 0 && handle !== null) {
      const listener = isNative(handle) ? share(handle) : new Subscribed(handle, server)
      // The primary also says that it has the port when another socket of its own has it.
      status = typeof listener === 'number' ? listener : portTaken(listener, query.port)
      if (status === 0) {
        done(null, listener as Listener)
        return
      }
      handle.close()
    }
    done(endpointException(status, 'bind', query.address as string, query.port ?? undefined), null)
  })
}

function queryOf(plan: Plan): Query {
  const [address, port, addressType, backlog, fd, flags] = argumentsOf(plan)
  const query = { address, port, addressType, fd, flags, backlog }
  if (plan.kind !== 'path') return query
  const readableAll = (plan.mode & EVERYBODY_READS) !== 0
  return { ...query, readableAll, writableAll: (plan.mode & EVERYBODY_WRITES) !== 0 }
}

function portTaken(listener: Listener, port: number | null): number {
  if (listener.kind !== 'tcp' || port === null || port <= 0) return 0
  const found = listener.sockname()
  if (typeof found === 'number') return found
  return typeof found === 'object' && found.port !== port ? errnoOf('EADDRINUSE') : 0
}

function share(native: Native): Listener | number {
  return hasDescriptor(native) ? Shared.of(native) : new ForeignListener(native)
}

/** The primary's listening socket, on which we accept through a descriptor of our own. */
class Shared implements Listener {
  readonly #native: Native
  readonly #handle: Handle

  private constructor(native: Native, handle: Handle) {
    this.#native = native
    this.#handle = handle
  }

  static of(native: Native): Shared | number {
    const handle = copyNative(native, 'SERVERWRAP')
    return typeof handle === 'number' ? handle : new Shared(native, handle)
  }

  get kind(): 'tcp' | 'pipe' {
    return this.#handle.kind
  }
  get fd(): number {
    return this.#handle.fd
  }
  get owner(): Owner | null {
    return this.#handle.owner
  }
  set owner(owner: Owner | null) {
    this.#handle.owner = owner
    setOwner(this.#native, owner)
  }
  listen(backlog: number): number {
    return this.#handle.listen(backlog)
  }
  sockname(): Endpoint | string | number {
    return this.#handle.sockname()
  }
  getsockname(out: object): number {
    return this.#handle.getsockname!(out)
  }
  ref(): void {
    this.#handle.ref()
  }
  unref(): void {
    this.#handle.unref()
  }
  hasRef(): boolean {
    return this.#handle.hasRef()
  }
  getAsyncId(): number {
    return this.#handle.getAsyncId()
  }
  /** The primary notices through its own handle. */
  close(...callbacks: Parameters<Handle['close']>): void {
    this.#handle.close(...callbacks)
    this.#native.close()
  }
}

/** Our place in the primary's round robin. */
class Subscribed implements Listener {
  readonly kind: 'tcp' | 'pipe'
  readonly fd = -1
  readonly #subscription: Subscription
  #owner: Owner | null = null

  constructor(subscription: Subscription, owner: Owner) {
    this.#subscription = subscription
    this.kind = subscription.getsockname === undefined ? 'pipe' : 'tcp'
    this.owner = owner
    subscription.onconnection = (status, client) => this.#connected(status, client)
  }

  #connected(status: number, client?: Native): void {
    if (status !== 0 || client === undefined) {
      this.#owner?.[kOnConnection]?.(status)
      return
    }
    const handle = hasDescriptor(client) ? adoptNative(client) : foreignHandle(client)
    if (typeof handle !== 'number') this.#owner?.[kOnConnection]?.(0, handle)
    else {
      client.close()
      this.#owner?.[kOnConnection]?.(handle)
    }
  }

  get owner(): Owner | null {
    return this.#owner
  }
  set owner(owner: Owner | null) {
    this.#owner = owner
    setOwner(this.#subscription, owner)
  }
  /** The primary listens. */
  listen(backlog: number): number {
    return this.#subscription.listen(backlog)
  }
  sockname(): Endpoint | string | number {
    const found = {} as Endpoint
    const status = this.#subscription.getsockname?.(found) ?? errnoOf('EBADF')
    return status === 0 ? found : status
  }
  getsockname(out: object): number {
    return this.#subscription.getsockname!(out)
  }
  ref(): void {
    this.#subscription.ref()
  }
  unref(): void {
    this.#subscription.unref()
  }
  hasRef(): boolean {
    return true
  }
  getAsyncId(): number {
    return -1
  }
  close(callback?: () => void): void {
    this.#subscription.close()
    if (callback !== undefined) setImmediate(callback)
  }
}
