// `connect()` of ferronet/tls: a TLSSocket that connects, or that takes over the connection of another socket, and
// believes only the server that was asked for.

import nodeTls = require('node:tls')

import type * as tls from 'node:tls'
import { type AnyOptions, normalizeArgs } from '../arguments.js'
import { nodeNet } from '../node/net.js'
import { validateFunction, validateNumber, validateString } from '../validate.js'
import { assertName, takesAddresses } from './options.js'
import { judge, shaken, told } from './roles.js'
import { hasConnection, kRole, TLSSocket } from './socket.js'
import type { Role } from './types.js'

const role: Role = {
  shaken,
  secure(socket) {
    told(socket)
    socket.emit('secureConnect')
  },
  rejected: error => error,
  tellsEnd: true,
}

/**
 * `connect(options[, listener])`, `connect(port[, host][, options][, listener])`, `connect(path[, options][, listener])`.
 * The listener is added to `'secureConnect'`. Over a stream that is no ferronet socket, `options.socket`, Node's
 * TLSSocket is returned.
 */
export function connect(...args: unknown[]): TLSSocket | tls.TLSSocket {
  const [options, listener] = optionsOf(args)
  const { socket: lower, servername } = options
  if (lower && !hasConnection(lower)) {
    return nodeTls.connect(options as tls.ConnectionOptions, (listener ?? undefined) as () => void)
  }
  assertGiven(options)
  if (servername) {
    validateString(servername, 'name')
    assertName(servername)
  }
  if (options.pskCallback) validateFunction(options.pskCallback, 'pskCallback')
  const socket = new TLSSocket(lower || undefined, { ...options, [kRole]: role })
  socket.on('secure', judge)
  if (listener !== null) socket.once('secureConnect', listener)
  if ((options.signal as AbortSignal | undefined)?.aborted) {
    // The constructor has told it that it is destroyed, which net takes back until 'error' and 'close' have come.
    socket.once('close', () => socket.destroy())
    socket._releaseControl()
    return socket
  }
  if (!lower) {
    if (options.timeout) socket.setTimeout(options.timeout as number)
    socket.connect(options)
  }
  socket._releaseControl()
  if (servername) warnOfAddress(servername as string)
  // Over a connection that is there already, listeners of 'keylog' come first.
  if (lower) process.nextTick(() => socket._start())
  return socket
}

/** What is there and undefined is no default to Node. */
function assertGiven(options: AnyOptions): void {
  if ('checkServerIdentity' in options)
    validateFunction(options.checkServerIdentity, 'options.checkServerIdentity')
  if ('minDHSize' in options) validateNumber(options.minDHSize, 'options.minDHSize')
}

/** As Node reads the arguments: an object behind port, host or path has more options. */
function optionsOf(args: unknown[]): [options: AnyOptions, listener: (() => void) | null] {
  const [first, listener] = normalizeArgs(args)
  const [, second, third] = args
  const more = typeof second === 'object' && second !== null ? second : third
  const options = { ...first, ...(typeof more === 'object' ? more : {}) }
  return [options, listener]
}

let warned = false

function warnOfAddress(servername: string): void {
  if (warned || !takesAddresses || nodeNet.isIP(servername) === 0) return
  warned = true
  process.emitWarning(
    'Setting the TLS ServerName to an IP address is not permitted by RFC 6066. This will be ignored in a future version.',
    'DeprecationWarning',
    'DEP0123',
  )
}
