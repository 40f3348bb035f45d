// The options of `startTLS()`: those of `tls.connect()`, and with `isServer` those of `tls.createServer()`. Here they are
// checked and sorted: what makes the context, what goes to the session, what we decide ourselves, and whether the host's
// OpenSSL can do all of it.

import * as tls from 'node:tls'
import { nodeError } from '../errors.js'
import type { Connection } from '../state.js'
import type { StartTlsOptions } from '../types.js'
import { validateFunction, validateNumber, validateObject, validateString } from '../validate.js'
import type { Context } from './context.js'
import type { Hearer, NodeServer } from './node-server.js'
import { questionsOf } from './questions.js'
import type { Questions, Role } from './types.js'
import { type CheckServerIdentity, rejectsByDefault } from './verify.js'

export interface Wanted {
  options: Record<string, unknown>
  isServer: boolean
  /** The name whose certificate is wanted; for errors and `checkServerIdentity`. */
  host: string
  servername: string
  /** Each behind its length. */
  protocols: Uint8Array
  session: Uint8Array
  rejectUnauthorized: boolean
  requestCert: boolean
  checkServerIdentity: CheckServerIdentity
  minDHSize: number
  handshakeTimeout: number
  requireCloseNotify: boolean
  questions: Questions
  role: Role
  /** The context of a server that has one for all its connections. */
  context?: Context | string | undefined
  /** The server that has accepted the connection, and Node's with the same options. */
  server?: Hearer | undefined
  nodeServer?: NodeServer | undefined
  /** Why it takes Node's tls. */
  unsupported: string | undefined
}

const nothing = new Uint8Array(0)
const { convertALPNProtocols } = tls as unknown as {
  convertALPNProtocols(protocols: unknown, out: { ALPNProtocols?: Uint8Array }): void
}

// What the host's OpenSSL could do and the engine does not yet.
const ONLY_NODE = ['pskCallback', 'pskIdentityHint', 'enableTrace'] as const

/** Throws what Node throws for wrong options. `socket`: null for those of a server, which has many. */
export function wanted(
  given: StartTlsOptions | Record<string, unknown> | undefined,
  socket: Connection | null,
  role: Role,
): Wanted {
  if (given !== undefined) validateObject(given, 'options')
  const options = { ...given } as Record<string, unknown>
  const isServer = options.isServer === true
  const protocols: { ALPNProtocols?: Uint8Array } = {}
  if (options.ALPNProtocols) convertALPNProtocols(options.ALPNProtocols, protocols)
  const unsupported = ONLY_NODE.find(name => options[name])
  return {
    options,
    isServer,
    host: String(options.servername || options.host || socket?._host || 'localhost'),
    servername: isServer ? '' : servername(options.servername),
    protocols: protocols.ALPNProtocols ?? nothing,
    session: sessionBytes(options.session),
    rejectUnauthorized: rejects(options, isServer),
    requestCert: options.requestCert === true,
    checkServerIdentity: checker(options.checkServerIdentity),
    minDHSize: minDHSize(options.minDHSize),
    handshakeTimeout: handshakeTimeout(options.handshakeTimeout, isServer),
    requireCloseNotify: options.requireCloseNotify === true,
    questions: questionsOf(options, isServer, socket),
    role,
    unsupported: unsupported && `the option ${unsupported}`,
  }
}

function servername(given: unknown): string {
  if (given === undefined || given === null || given === '') return ''
  validateString(given, 'options.servername')
  return given
}

function sessionBytes(given: unknown): Uint8Array {
  if (!given) return nothing
  if (typeof given === 'string') return Buffer.from(given, 'latin1')
  if (given instanceof Uint8Array) return given
  throw nodeError(TypeError, 'ERR_INVALID_ARG_TYPE', 'Session must be a buffer')
}

// Nothing but an explicit false, or Node's environment variable, turns it off.
function rejects(options: Record<string, unknown>, isServer: boolean): boolean {
  if (isServer) return options.rejectUnauthorized !== false
  if (options.rejectUnauthorized !== undefined) return options.rejectUnauthorized !== false
  return rejectsByDefault()
}

function checker(given: unknown): CheckServerIdentity {
  if (given === undefined) return tls.checkServerIdentity
  validateFunction(given, 'options.checkServerIdentity')
  return given as CheckServerIdentity
}

function minDHSize(given: unknown): number {
  if (given === undefined) return 1024
  validateNumber(given, 'options.minDHSize')
  if (given < 1) {
    const message = `The value of "options.minDHSize" is out of range. It must be >= 1. Received ${given}`
    throw nodeError(RangeError, 'ERR_OUT_OF_RANGE', message)
  }
  return given
}

function handshakeTimeout(given: unknown, isServer: boolean): number {
  if (given === undefined) return isServer ? 120_000 : 0
  validateNumber(given, 'options.handshakeTimeout')
  return given
}
