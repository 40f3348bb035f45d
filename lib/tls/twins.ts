// What ferronet/tls's `createSecureContext()` returns is Node's, for Node's modules take it too. When a session of ours
// is to use one, a twin of it is made, of the same options; and what a program changes about the one later, by the methods
// of its C++ side (`secureContext.context.addCRL(…)`), is done to the other.

import * as tls from 'node:tls'
import { host } from '../node/host.js'
import { type Native, nativeOf } from './borrow.js'
import { type Context, newContext } from './context.js'
import { invalidContext } from './errors.js'

type Options = Record<string, unknown>
type Method = (this: Native, ...args: unknown[]) => unknown

interface Pair {
  options: Options
  /** Undefined until a session needs it; a text is why there is none. */
  twin: Context | string | undefined
  /** What has been changed, in order, for a twin that is not there yet. */
  changes: { name: string; args: unknown[] }[]
}

const pairs = new WeakMap<Native, Pair>()

/** Of Node's class, which Deno has without naming it. */
export function isSecureContext(value: unknown): value is tls.SecureContext {
  const { SecureContext } = tls as unknown as { SecureContext?: new () => tls.SecureContext }
  return value instanceof (SecureContext ?? tls.createSecureContext().constructor)
}

let NativeContext: (new () => unknown) | undefined

/** Throws for an option `secureContext` that is none to Node, which only looks at its C++ side. */
export function assertSecureContext(value: unknown): void {
  const { context } = value as tls.SecureContext
  if (pairs.has(context as Native) || host !== 'Node') return
  NativeContext ??= tls.createSecureContext({ ca: [] }).context.constructor as new () => unknown
  if (!(context instanceof NativeContext)) throw invalidContext()
}

/** Node's function, whose contexts ferronet can use as well: it remembers what they were made of. */
export function createSecureContext(options?: tls.SecureContextOptions): tls.SecureContext {
  const context = tls.createSecureContext(options)
  const { DEFAULT_CIPHERS: ciphers, DEFAULT_ECDH_CURVE: ecdhCurve } = tls
  const { DEFAULT_MIN_VERSION: minVersion, DEFAULT_MAX_VERSION: maxVersion } = tls
  // What it is made of today, if a program changes the defaults before there is a twin.
  const versions = options?.secureProtocol ? {} : { minVersion, maxVersion }
  pair(context, { options: { ciphers, ecdhCurve, ...versions, ...options }, twin: undefined, changes: [] })
  return context
}

/** From now on what is changed about a context of Node's is changed about ours, too. */
export function pairWith(context: tls.SecureContext, twin: Context | string): void {
  pair(context, { options: {}, twin, changes: [] })
}

function pair(context: tls.SecureContext, made: Pair): void {
  const native = nativeOf(context)
  if (host === 'Node' && !pairs.has(native)) Object.setPrototypeOf(native, watching(native))
  pairs.set(native, made)
}

/** Our own context of the same options as one of `createSecureContext()`; a text is why there is none. */
export function twinOf(context: tls.SecureContext): Context | string {
  const known = pairs.get(nativeOf(context))
  if (known === undefined) return 'a secure context that ferronet/tls has not made'
  if (known.twin === undefined) {
    known.twin = newContext(known.options)
    for (const { name, args } of known.changes.splice(0)) repeat(known.twin, name, args)
  }
  return known.twin
}

// --- changes --------------------------------------------------------------------------------------------------------

let watchful: Native | undefined

/** The prototype of a context's C++ side, whose methods tell the twin. */
function watching(native: Native): Native {
  if (watchful !== undefined) return watchful
  const prototype = Object.getPrototypeOf(native) as Record<string, Method>
  watchful = Object.create(prototype) as Native
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (!/^(add|set|load|enable)/.test(name)) continue
    const value: Method = function (...args) {
      const result = prototype[name]!.apply(this, args)
      const known = pairs.get(this)
      if (known?.twin !== undefined) repeat(known.twin, name, args)
      else known?.changes.push({ name, args: args.map(kept) })
      return result
    }
    Object.defineProperty(watchful, name, { value, writable: true, configurable: true })
  }
  return watchful
}

function repeat(twin: Context | string, name: string, args: unknown[]): void {
  if (typeof twin === 'string') return
  const native = nativeOf(twin.secureContext) as unknown as Record<string, Method>
  native[name]!.apply(native as never, args)
}

/** A program may use its buffer for something else. */
function kept(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value) : value
}
