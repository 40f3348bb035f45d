// Secure contexts for sessions of ours. Node makes them of its own options, errors included; the addon is told of the
// SSL_CTX behind one. A context that Node's tls has used cannot be used by us, and the other way round, because Node's
// callbacks on it take every SSL for one of Node's. So ours are made for us alone; twins.ts makes those for contexts that
// programs have.

import * as tls from 'node:tls'
import { captureContext, type TlsContext } from '../engine/once.js'
import { host, libuv } from '../node/host.js'

export interface Context {
  readonly native: TlsContext
  /** Its C++ side has the keys of tickets, which OpenSSL asks for while there are sessions. */
  readonly secureContext: tls.SecureContext
}

type Options = Record<string, unknown>

/** The options of `tls.createSecureContext()`, those that Node's servers add included. */
const CONTEXT_OPTIONS = [
  'allowPartialTrustChain',
  'ca',
  'cert',
  'certificateCompression',
  'ciphers',
  'clientCertEngine',
  'crl',
  'dhparam',
  'ecdhCurve',
  'honorCipherOrder',
  'key',
  'maxVersion',
  'minVersion',
  'passphrase',
  'pfx',
  'privateKeyEngine',
  'privateKeyIdentifier',
  'secureOptions',
  'secureProtocol',
  'sessionIdContext',
  'sessionTimeout',
  'sigalgs',
  'ticketKeys',
] as const

/** Why there are none: the TLS of the host is not OpenSSL, or a failure that was not about the options. */
let unavailable: string | undefined = libuv ? undefined : `the TLS of ${host}`

export function isUnavailable(): string | undefined {
  return unavailable
}

interface Entry {
  /** Copies of the values: a program may change its own. */
  values: unknown[]
  context: Context
}

// A handshake costs twice as much if its context is made for it (0.25 to 0.6 ms, 2026-11). The one used last comes first.
const cache: Entry[] = []
const MOST = 32

type Make = (options?: tls.SecureContextOptions) => tls.SecureContext

/** What makes secure contexts: Node's function, or what a program has put in its place in ferronet/tls. */
let make: Make = options => tls.createSecureContext(options)

export function makeContextsBy(other: Make): void {
  make = other
  cache.length = 0
}

/** Made as a program has asked for it: one of Node's, for its modules. */
export function secureContextOfNodes(options: Options): tls.SecureContext {
  return make(options as tls.SecureContextOptions)
}

// --- ours -----------------------------------------------------------------------------------------------------------

/**
 * A context for these options, maybe one that other sessions have too; a text is why there can be none. Sessions with the
 * same context can be resumed by each other, and a client that is resumed is not looked at again: `purpose` keeps those
 * apart that ask different things of their peers.
 */
export function contextFor(options: Options, purpose: string): Context | string {
  if (unavailable !== undefined) return unavailable
  const values = [purpose, ...valuesOf(options)]
  const found = cache.findIndex(entry => same(entry.values, values))
  if (found >= 0) {
    const entry = cache[found]!
    if (found > 0) cache.unshift(...cache.splice(found, 1))
    return entry.context
  }
  const context = newContext(options)
  const copied = typeof context === 'string' ? unknown : copy(values)
  if (copied !== unknown) {
    cache.unshift({ values: copied as unknown[], context: context as Context })
    if (cache.length > MOST) cache.pop()
  }
  return context
}

/** A context that nobody else has; a text is why there can be none. Throws what Node throws for the options. */
export function newContext(options: Options): Context | string {
  if (unavailable !== undefined) return unavailable
  let secureContext: tls.SecureContext | undefined
  const native = captureContext(() => {
    secureContext = secureContextOfNodes(options)
  })
  if (typeof native === 'string') return (unavailable = native)
  return { native, secureContext: secureContext! }
}

// The CA certificates that Node trusts can be set (Node 22.19 and 24.5); asking for them gives the same array until then.
const { getCACertificates } = tls as unknown as { getCACertificates?: (type: 'default') => unknown }

/** All that decides about a context. */
function valuesOf(options: Options): unknown[] {
  const { DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION, DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE } = tls
  const values: unknown[] = [DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION, DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE]
  // With a `ca` of its own a context has none of them; asking for them the first time takes 30 ms.
  values.push(options.ca ? undefined : getCACertificates?.('default'))
  for (const name of CONTEXT_OPTIONS) values.push(options[name])
  return values
}

const unknown = Symbol('not to be compared')

/** What `same` can compare with later values, or `unknown`. */
function copy(value: unknown, inArray = false): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') return unknown
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Object.isFrozen(value)) return value
  if (Array.isArray(value)) {
    const all = value.map(each => copy(each, true))
    return all.includes(unknown) ? unknown : all
  }
  // `{ pem, passphrase }` and `{ buf, passphrase }` in a list of keys.
  if (!inArray || Object.getPrototypeOf(value) !== Object.prototype) return unknown
  const entries = Object.entries(value).map(([name, each]) => [name, copy(each)] as const)
  return entries.some(([, each]) => each === unknown) ? unknown : Object.fromEntries(entries)
}

function same(one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (one instanceof Uint8Array) return other instanceof Uint8Array && Buffer.compare(one, other) === 0
  if (Array.isArray(one)) {
    if (!Array.isArray(other) || one.length !== other.length) return false
    return one.every((each, at) => same(each, other[at]))
  }
  if (Object.isFrozen(one) || Array.isArray(other) || other instanceof Uint8Array) return false
  const [names, others] = [Object.keys(one), Object.keys(other)]
  if (names.length !== others.length) return false
  return names.every(name => same((one as Options)[name], (other as Options)[name]))
}
