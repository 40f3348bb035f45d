// What programs find on `socket._handle` and `server._handle` beside the verbs that ferronet itself uses: the names
// and arguments of libuv's handles in Node 20 to 26. handle.ts builds on it. Tools replace these functions on one
// handle or on the prototype and expect Socket and Server to go through theirs, so lib/ calls them here and nowhere else.

import { AsyncResource } from 'node:async_hooks'

interface End {
  address: string
  family: 'IPv4' | 'IPv6'
  port: number
}

/** Fills in `address`, `family` and `port`; 0 or a negative error number. */
type Getname = (out: object) => number

export abstract class HandleSurface extends AsyncResource {
  abstract readonly kind: 'tcp' | 'pipe'
  abstract sockname(): End | string | number
  abstract peername(): End | string | number
  abstract readInto(buffer: Uint8Array): void
  abstract readonly reading: boolean

  /** As Node's handle looks in JSON. The owner would close a circle: programs log servers, and sockets with theirs. */
  toJSON(): object {
    return { reading: this.reading }
  }

  // Only TCP handles have these two in Node, and programs tell the kinds apart by them.
  /** `getsockname(out)`: where the local end is; TCP only. */
  get getsockname(): Getname | undefined {
    return this.kind === 'tcp' ? getsockname : undefined
  }
  set getsockname(replacement: Getname | undefined) {
    replace(this, 'getsockname', replacement)
  }

  /** `getpeername(out)`: where the other end is; TCP only. */
  get getpeername(): Getname | undefined {
    return this.kind === 'tcp' ? getpeername : undefined
  }
  set getpeername(replacement: Getname | undefined) {
    replace(this, 'getpeername', replacement)
  }

  /** From now on bytes are read straight into `buffer`. */
  useUserBuffer(buffer: Uint8Array): void {
    this.readInto(buffer)
  }
}

// In Node it is there on Windows only, where it has had no effect for years.
if (process.platform === 'win32') {
  Object.defineProperty(HandleSurface.prototype, 'setSimultaneousAccepts', {
    value: function setSimultaneousAccepts(): number {
      return 0
    },
    writable: true,
    configurable: true,
  })
}

function getsockname(this: HandleSurface, out: object): number {
  return tell(this.sockname(), out)
}

function getpeername(this: HandleSurface, out: object): number {
  return tell(this.peername(), out)
}

function tell(end: End | string | number, out: object): number {
  if (typeof end === 'number') return end
  if (typeof end === 'object') {
    const { address, family, port } = end
    Object.assign(out, { address, family, port })
  }
  return 0
}

function replace(handle: object, name: string, value: unknown): void {
  Object.defineProperty(handle, name, { value, writable: true, enumerable: true, configurable: true })
}

/**
 * The arguments of libuv's `setKeepAlive(enable, delay[, interval, count])`, in seconds, with what Node and libuv make
 * of those that are missing or wrong: they check nothing.
 */
export function keepAliveArguments(
  enable: unknown,
  delay: unknown,
  interval: unknown,
  count: unknown,
): [enable: boolean, delay: number, interval: number, count: number] {
  const after = wholeNumber(delay)
  // Without a delay Node touches none of the three, with one it sets all.
  const [every, times] = after === 0 ? [0, 0] : [1, 10]
  return [
    Boolean(enable),
    after,
    interval === undefined ? every : wholeNumber(interval),
    count === undefined ? times : wholeNumber(count),
  ]
}

function wholeNumber(value: unknown): number {
  return typeof value === 'number' && value > 0 ? value | 0 : 0
}
