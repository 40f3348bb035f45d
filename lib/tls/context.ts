// Secure contexts for sessions of ours. Node makes them of its own options, errors included; the addon is told of the
// SSL_CTX behind one. A context that Node's tls has used cannot be used by us, and the other way round, because Node's
// callbacks on it take every SSL for one of Node's. So ours are made for us alone, and a `secureContext` of the program's
// stays Node's.

import { createHash } from 'node:crypto'
import * as tls from 'node:tls'
import { captureContext, type TlsContext } from '../engine/once.js'

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

/** Why there are none, after the first failure that is not about the options. */
let unavailable: string | undefined

// Those used last are at the end.
const cache = new Map<string, Context>()
const MOST = 64
/** What the cached ones were made with and their keys do not show. */
let defaultCa: unknown

/** A context for these options, maybe one that other sessions have too; a text is why there can be none. */
export function contextFor(options: Options): Context | string {
  if (unavailable !== undefined) return unavailable
  const key = keyOf(options)
  dropOutdated()
  const cached = key === undefined ? undefined : cache.get(key)
  if (cached !== undefined) {
    cache.delete(key!)
    cache.set(key!, cached)
    return cached
  }
  let secureContext: tls.SecureContext | undefined
  const native = captureContext(() => {
    secureContext = tls.createSecureContext(options as tls.SecureContextOptions)
  })
  if (typeof native === 'string') return (unavailable = native)
  const context = { native, secureContext: secureContext! }
  if (key !== undefined) {
    cache.set(key, context)
    if (cache.size > MOST) cache.delete(cache.keys().next().value!)
  }
  return context
}

// The CA certificates that Node trusts can be set (Node 22.19 and 24.5); asking for them gives the same array until then.
const { getCACertificates } = tls as unknown as { getCACertificates?: (type: 'default') => unknown }

function dropOutdated(): void {
  if (cache.size === 0 && defaultCa !== undefined) return
  const now = getCACertificates?.('default') ?? null
  if (now !== defaultCa) cache.clear()
  defaultCa = now
}

/** What decides about a context, as a text; undefined if some of it cannot be one. */
function keyOf(options: Options): string | undefined {
  const hash = createHash('sha256')
  const { DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION, DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE } = tls
  hash.update(`${DEFAULT_MIN_VERSION} ${DEFAULT_MAX_VERSION} ${DEFAULT_CIPHERS} ${DEFAULT_ECDH_CURVE}`)
  for (const name of CONTEXT_OPTIONS) {
    const value = options[name]
    if (value === undefined) continue
    hash.update(`\0${name}:`)
    if (!add(hash, value)) return undefined
  }
  return hash.digest('base64')
}

function add(hash: ReturnType<typeof createHash>, value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      hash.update(`s${value.length}:`).update(value)
      return true
    case 'number':
    case 'boolean':
    case 'undefined':
      hash.update(String(value))
      return true
    case 'object':
      break
    default:
      return false
  }
  if (value === null) {
    hash.update('null')
    return true
  }
  if (ArrayBuffer.isView(value)) {
    hash.update(`b${value.byteLength}:`).update(value as Uint8Array)
    return true
  }
  if (Array.isArray(value)) {
    hash.update(`[${value.length}:`)
    return value.every(each => add(hash, each))
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  return Object.entries(value).every(([name, each]) => {
    hash.update(`{${name}:`)
    return add(hash, each)
  })
}
