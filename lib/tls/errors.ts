// The errors of TLS, in Node's shapes.

import { errnoException, errnoOf, fromLoop, nodeError } from '../errors.js'

/** OpenSSL's error: its text, and the code that Node makes of the reason. */
export function opensslError(library: string, reason: string, text: string): NodeJS.ErrnoException {
  return fromLoop(() => {
    const error: NodeJS.ErrnoException & { library?: string; reason?: string } = new Error(text)
    if (library !== '') error.library = library
    if (reason === '') return error
    error.reason = reason
    error.code = `ERR_SSL_${reason.replaceAll(' ', '_').toUpperCase()}`
    return error
  })
}

/** The same for a write that waited for the handshake. */
export function failedWrite(text: string): NodeJS.ErrnoException {
  return fromLoop(() => {
    const error = errnoException(errnoOf('EPROTO'), 'write')
    error.message += ` ${text}`
    return error
  })
}

/** A write has waited for the handshake of a socket that is closed. */
export function canceledInHandshake(): NodeJS.ErrnoException {
  return fromLoop(() => {
    const error = errnoException(errnoOf('ECANCELED'), 'write')
    error.message += ' Canceled because of SSL destruction'
    return error
  })
}

/** The same of one that is closed by what comes of its handshake. */
export function closedByVerdict(): NodeJS.ErrnoException {
  return fromLoop(() => errnoException(errnoOf('EBADF'), 'write'))
}

/** The connection has ended in the middle of the handshake. */
export function disconnected(isServer: boolean, options: Record<string, unknown>): NodeJS.ErrnoException {
  if (isServer) return reset('socket hang up')
  const { path, host, port, localAddress } = options
  const message = 'Client network socket disconnected before secure TLS connection was established'
  return Object.assign(reset(message), { path, host, port, localAddress })
}

function reset(message: string): NodeJS.ErrnoException {
  return fromLoop(() => Object.assign(new Error(message), { code: 'ECONNRESET' }))
}

export function readFailed(status: number): Error {
  return fromLoop(() => errnoException(status, 'read'))
}

export function truncated(): Error {
  const message = 'The connection has ended without close_notify: bytes may be missing'
  return nodeError(Error, 'ERR_TLS_TRUNCATED', message)
}

export function handshakeTimeout(): Error {
  return nodeError(Error, 'ERR_TLS_HANDSHAKE_TIMEOUT', 'TLS handshake timeout')
}

export function weakDhKey(size: number): Error {
  return nodeError(Error, 'ERR_TLS_DH_PARAM_SIZE', `DH parameter size ${size} is less than 2048`)
}

export function calledTwice(): Error {
  return nodeError(Error, 'ERR_MULTIPLE_CALLBACK', 'Callback called multiple times')
}

export function protocolNotOffered(chosen: unknown, offered: string[]): Error {
  const message = `ALPN callback returned a value (${chosen}) that did not match any of the client's offered protocols (${offered.join(', ')})`
  return nodeError(TypeError, 'ERR_TLS_ALPN_CALLBACK_INVALID_RESULT', message)
}

export function invalidSniContext(): Error {
  return fromLoop(() => new TypeError('Invalid SNI context'))
}

/** Node's own side of OpenSSL, of a context without a certificate. */
export function noKeyCert(): Error {
  // Node 20 asks OpenSSL to try.
  if (Number.parseInt(process.versions.node, 10) < 22) return nullParameter()
  return fromLoop(() => new Error('SetKeyCert'))
}

/** The same of one without a key. */
export function nullParameter(): Error {
  const reason = 'passed a null parameter'
  return opensslError('SSL routines', reason, `error:0A0C0102:SSL routines::${reason}`)
}

/** Node's own side of OpenSSL, of more keying material than there can be. */
export function notExported(): Error {
  const reason = 'internal error'
  return opensslError('SSL routines', reason, `error:0A0C0103:SSL routines::${reason}`)
}

export function invalidContext(): Error {
  return nodeError(TypeError, 'ERR_TLS_INVALID_CONTEXT', 'context must be a SecureContext')
}

export function cannotUseContext(why: string): Error {
  return nodeError(Error, 'ERR_TLS_INVALID_CONTEXT', `This secure context cannot be used: ${why}`)
}

export function sessionAttack(): Error {
  return nodeError(Error, 'ERR_TLS_SESSION_ATTACK', 'TLS session renegotiation attack detected')
}

export function renegotiationDisabled(): Error {
  const message = 'TLS session renegotiation disabled for this socket'
  return nodeError(Error, 'ERR_TLS_RENEGOTIATION_DISABLED', message)
}

/** OpenSSL does not begin another handshake. The failure is as the fact has it. */
export function refusedRenegotiation(failure: Uint8Array): Error {
  const [library = '', reason = '', text = ''] = Buffer.from(failure).toString('latin1').split('\0')
  if (reason === '') return invalidState()
  // In the short form of a call that throws.
  const number = /error:[0-9A-F]+:/.exec(text)?.[0] ?? 'error:'
  return opensslError(library, reason, `${number}${library}::${reason}`)
}

export function cannotStart(why: string): Error {
  return nodeError(Error, 'ERR_TLS_CANNOT_START', `startTLS() cannot begin: ${why}`)
}

/** A write to a socket whose connection is a TLSSocket's by now. */
export function takenOver(): Error {
  return nodeError(Error, 'ERR_TLS_INVALID_STATE', 'This connection is secure now: write to its TLSSocket')
}

export function sniFromServer(): Error {
  return nodeError(Error, 'ERR_TLS_SNI_FROM_SERVER', 'Cannot issue SNI from a TLS server-side socket')
}

export function invalidState(): Error {
  const message = 'TLS socket connection must be securely established'
  return nodeError(Error, 'ERR_TLS_INVALID_STATE', message)
}

/** Node ends the process here. */
export function setAfterStart(method: string): Error {
  const message = `${method}() comes too late: the handshake has begun`
  return nodeError(Error, 'ERR_TLS_INVALID_STATE', message)
}
