// The options of `startTLS()`: those of `tls.connect()`, and with `isServer` those of `tls.createServer()`. Here they are
// checked and sorted: what makes the context, what goes to the session, what we decide ourselves, and whether the host's
// OpenSSL can do all of it.

import * as tls from 'node:tls'
import { nodeError } from '../errors.js'
import { nodeNet } from '../node/net.js'
import type { Connection } from '../state.js'
import type { StartTlsOptions } from '../types.js'
import {
  invalidArgValue,
  validateBoolean,
  validateFunction,
  validateNumber,
  validateObject,
  validateString,
} from '../validate.js'
import type { Context } from './context.js'
import type { Hearer, NodeServer } from './node-server.js'
import { questionsOf } from './questions.js'
import { assertSecureContext } from './twins.js'
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
  /** What `setMaxSendFragment()` was given before the handshake. */
  maxSendFragment?: number
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

/**
 * Throws what Node throws for wrong options. `socket`: the one whose connection it is; null for those of a server, which
 * has many. `told`: the one that is told of answers.
 */
export function wanted(
  given: StartTlsOptions | Record<string, unknown> | undefined,
  socket: Connection | null,
  role: Role,
  told: Connection | null = socket,
): Wanted {
  if (given !== undefined) validateObject(given, 'options')
  const options = { ...given } as Record<string, unknown>
  const isServer = Boolean(options.isServer)
  const protocols: { ALPNProtocols?: Uint8Array } = {}
  if (options.ALPNProtocols) {
    convertALPNProtocols(options.ALPNProtocols, protocols)
    // As Node's own side of OpenSSL, which servers do not come to with it.
    if (socket !== null && protocols.ALPNProtocols === undefined)
      throw new TypeError('Must give a Buffer as first argument')
  }
  if (socket !== null && options.secureContext) assertSecureContext(options.secureContext)
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
    requireCloseNotify: requireCloseNotify(options.requireCloseNotify),
    questions: questionsOf(options, isServer, told),
    role,
    unsupported: unsupported && `the option ${unsupported}`,
  }
}

/** Whether Node's `connect()` takes an IP address for a name (SNI), with a warning. */
export const takesAddresses = Number.parseInt(process.versions.node, 10) < 26

/** What Node says to `servername` of a client that connects. */
export function assertName(given: unknown): void {
  if (takesAddresses || typeof given !== 'string' || nodeNet.isIP(given) === 0) return
  const reason = 'Setting the TLS ServerName to an IP address is not permitted.'
  throw invalidArgValue('options.servername', given, reason)
}

function servername(given: unknown): string {
  if (given === undefined || given === null || given === '') return ''
  validateString(given, 'options.servername')
  return given
}

export function sessionBytes(given: unknown): Uint8Array {
  if (!given) return nothing
  return typeof given === 'string' ? Buffer.from(given, 'latin1') : bytesOf(given, 'Session')
}

/** Throws as Node's own side of OpenSSL does, which takes any view. */
export function bytesOf(given: unknown, name: string): Uint8Array {
  if (given instanceof Uint8Array) return given
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
  throw nodeError(TypeError, 'ERR_INVALID_ARG_TYPE', `${name} must be a buffer`)
}

// Nothing but an explicit false, or Node's environment variable, turns it off.
function rejects(options: Record<string, unknown>, isServer: boolean): boolean {
  if (isServer) return options.rejectUnauthorized !== false
  if ('rejectUnauthorized' in options) return options.rejectUnauthorized !== false
  return rejectsByDefault()
}

function checker(given: unknown): CheckServerIdentity {
  if (given === undefined) return tls.checkServerIdentity
  validateFunction(given, 'options.checkServerIdentity')
  return given as CheckServerIdentity
}

// Who asks for it relies on it: what is not quite `true` is not left aside.
function requireCloseNotify(given: unknown): boolean {
  if (given === undefined) return false
  validateBoolean(given, 'options.requireCloseNotify')
  return given
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
  // A timer with more than this runs out at once.
  return Math.min(given, 2 ** 31 - 1)
}
