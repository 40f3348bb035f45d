// What the options of a session say about questions: whom it asks for a context, a protocol, and whom it tells of an
// OCSP response. What a server's listeners add is in server.ts.

import type * as tls from 'node:tls'
import { nodeError } from '../errors.js'
import type { Connection } from '../state.js'
import { validateFunction } from '../validate.js'
import type { Questions } from './types.js'

type Context = NonNullable<Questions['context']>
type Protocol = NonNullable<Questions['protocol']>

/** `socket`: the one that has the session; a server's options are for many. */
export function questionsOf(
  options: Record<string, unknown>,
  isServer: boolean,
  socket: Connection | null,
): Questions {
  const questions: Questions = {}
  const { SNICallback, ALPNCallback, ALPNProtocols, requestOCSP } = options
  if (!isServer) {
    const response: typeof questions.response = bytes => void socket?.emit('OCSPResponse', bytes)
    if (requestOCSP && socket !== null) questions.response = response
    return questions
  }
  if (ALPNCallback) {
    validateFunction(ALPNCallback, 'options.ALPNCallback')
    if (ALPNProtocols) throw twoWays()
  }
  if (SNICallback) {
    validateFunction(SNICallback, 'options.SNICallback')
    questions.context = SNICallback as Context
  }
  if (ALPNCallback) questions.protocol = ALPNCallback as Protocol
  return questions
}

/** The contexts of `server.addContext()`, the last one first. */
export function contextAmong(
  contexts: [name: RegExp, context: tls.SecureContext][],
): NonNullable<Questions['context']> {
  return (servername, done) => {
    const found = contexts.findLast(([name]) => name.test(servername))
    done(null, found?.[1])
  }
}

/** A name of `server.addContext()`, in which a star stands for anything but a dot. Names have no case. */
export function patternOf(servername: string): RegExp {
  const quoted = servername.split('*').map(part => part.replace(/[\\^$.+?()[\]{}|/-]/g, '\\$&'))
  return new RegExp(`^${quoted.join('[^.]*')}$`, 'i')
}

function twoWays(): Error {
  const message = 'The ALPNCallback and ALPNProtocols TLS options are mutually exclusive'
  return nodeError(TypeError, 'ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS', message)
}
