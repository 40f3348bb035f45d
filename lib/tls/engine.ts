// Which engine does the TLS of a socket: the OpenSSL of the process through the addon, or Node's own tls. NODE_DEBUG=
// ferronet tells which, and why.

import { createHash } from 'node:crypto'
import type * as tls from 'node:tls'
import { debug, debugging } from '../debug.js'
import { type Context, contextFor } from './context.js'
import { HostEngine } from './host-engine.js'
import { NodeEngine } from './node-engine.js'
import type { Wanted } from './options.js'
import { twinOf } from './twins.js'
import type { Engine } from './types.js'
import { warnOfEnvironment } from './verify.js'

/** What FERRONET_TLS says. A server asks early, for it cannot throw when there is a connection. */
export function forcedEngine(): 'openssl' | 'node' | undefined {
  const forced = process.env.FERRONET_TLS || undefined
  if (forced === undefined || forced === 'openssl' || forced === 'node') return forced
  throw new TypeError(`FERRONET_TLS must be 'openssl' or 'node', not '${forced}'`)
}

/** Throws what Node throws for options that make no context. */
export function chooseEngine(options: Wanted): Engine {
  const forced = forcedEngine()
  const why = forced === 'node' ? 'FERRONET_TLS' : options.unsupported
  if (why !== undefined) return byNode(options, why)
  const context = contextOf(options)
  if (typeof context === 'string') return byNode(options, context)
  if (!options.isServer) warnOfEnvironment()
  if (debugging) debug('tls: OpenSSL of the process, %s', options.isServer ? 'server' : 'client')
  return new HostEngine(options, context)
}

function byNode(options: Wanted, why: string): Engine {
  if (debugging) debug('tls: node:tls, because of %s', why)
  return new NodeEngine(options)
}

function contextOf(wanted: Wanted): Context | string {
  const { context, options, isServer, requestCert, rejectUnauthorized } = wanted
  if (context !== undefined) return context
  if (options.secureContext) return twinOf(options.secureContext as tls.SecureContext)
  if (!isServer) return contextFor(options, 'client')
  // A ticket from a side that asks for no certificate must not open one that does.
  return contextFor(serverOptions(options), `server ${requestCert} ${rejectUnauthorized}`)
}

/** What a server of Node's adds to the options of its context. */
export function serverOptions(options: Record<string, unknown>): Record<string, unknown> {
  // Without a sessionIdContext OpenSSL resumes no session of a client that has a certificate.
  const { sessionIdContext = sessionIdOfProgram, honorCipherOrder = true } = options
  return { ...options, sessionIdContext, honorCipherOrder: Boolean(honorCipherOrder) }
}

/** The same for all servers of the program, as in Node. */
const sessionIdOfProgram = createHash('sha1').update(process.argv.join(' ')).digest('hex').slice(0, 32)
