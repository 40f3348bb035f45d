// What the sockets of ferronet/tls make of a handshake that is done: 'secure', and in the middle of it, before listeners
// of the program, the judgement on the peer's certificate.

import { errnoOf } from '../errors.js'
import { kOnread } from '../state.js'
import { kOnWritten } from '../symbols.js'
import { failedWrite } from './errors.js'
import { throwLater } from './later.js'
import type { Role, SecureSocket } from './types.js'

const judges = new WeakMap<object, () => void>()

/** A role's `shaken`. */
export function shaken(socket: SecureSocket, judge: () => void): void {
  socket.servername = socket.tls?.servername ?? false
  judges.set(socket, judge)
  try {
    socket.emit('secure')
  } finally {
    judges.delete(socket)
  }
}

/** The first listener of 'secure'. */
export function judge(this: object): void {
  judges.get(this)?.()
}

/** The handshake is done, and the peer is all right. */
export function told(socket: SecureSocket): void {
  socket.secureConnecting = false
}

/** Nobody looks at the certificate: as in Node, that is up to a program that makes a TLSSocket by itself. */
export const unjudged: Role = {
  shaken,
  secure(socket) {
    socket.authorized = false
    socket.authorizationError = null
    told(socket)
  },
  rejected: error => error,
}

/**
 * Reads what comes behind the handshake. A TLSSocket reads up to its high-water mark even while it is paused, as in Node:
 * so it hears of a peer that has gone. What is read into a buffer of the program's the program would get at once.
 */
export function readOn(socket: SecureSocket, role: Role): void {
  const { reading } = socket._readableState
  if (socket.isPaused() && (socket[kOnread] !== null || (role.shaken === undefined && !reading))) return
  // The stream asks only once, and may have asked before.
  if (reading) socket._read(0)
  else socket.read(0)
}

/** The handshake has failed, and writes wait for it: they hear of it first, and by the name of a failed write. */
export function failWrites(socket: SecureSocket, text: string): void {
  socket._writableState.errored ??= failedWrite(text)
  socket[kOnWritten](errnoOf('EPROTO'))
}

/** A key of Diffie-Hellman is too small, which has nothing to do with certificates: Node tells so before it destroys. */
export function refuseKey(socket: SecureSocket, error: Error): void {
  throwLater(() => socket.emit('error', error))
  socket.destroy()
}

/** The peer has hung up in the handshake, or does not go on with it, which is an error. */
export function endEarly(socket: SecureSocket, role: Role, error: Error): void {
  if (role.dropped !== undefined) {
    role.dropped(socket, error)
    return
  }
  if (!role.tellsEnd || socket.destroyed) {
    socket.destroy(error)
    return
  }
  socket.prependOnceListener('end', () => socket.destroy(error))
  socket.push(null)
  socket.read(0)
}
