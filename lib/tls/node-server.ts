// A server of Node's tls that listens on nothing: it is given its connections one by one. For each it sees the same
// context, and tells whoever has brought the connection, and nobody else.

import type { Duplex } from 'node:stream'
import * as tls from 'node:tls'
import { host } from '../node/host.js'
import { override } from '../override.js'

/** What Node's code asks of the server of a connection. Its events go here instead. */
export interface Hearer {
  emit(event: string, ...args: unknown[]): boolean
  listenerCount(event: string): number
}

export interface Own {
  requestCert: boolean
  rejectUnauthorized: boolean
  secureContext?: tls.SecureContext | undefined
  /** Whose key and certificate are shown in the place of the context's own. */
  shown?: tls.SecureContext | undefined
}

type Made = tls.TLSSocket & { setKeyCert?(context: tls.SecureContext): void }

export class NodeServer {
  readonly server: tls.Server
  #options: tls.TlsOptions
  readonly #contexts: [string, tls.SecureContextOptions][] = []

  /** Throws what Node throws for the options. */
  constructor(options: tls.TlsOptions) {
    this.#options = options
    this.server = new tls.Server(options)
  }

  setSecureContext(options: tls.SecureContextOptions): void {
    this.server.setSecureContext(options)
    this.#options = { ...this.#options, ...options }
  }

  addContext(servername: string, context: tls.SecureContextOptions): void {
    this.server.addContext(servername, context)
    this.#contexts.push([servername, context])
  }

  /** Lets Node's code accept a connection, with `hearer` in the place of the server. `own`: what is different for it. */
  accept(stream: Duplex, hearer: Hearer, own: Own): void {
    const { requestCert, rejectUnauthorized, shown } = own
    const secureContext = own.secureContext ?? (host === 'Node' ? undefined : shown)
    const events = {
      emit: { value: hearer.emit.bind(hearer) },
      listenerCount: { value: hearer.listenerCount.bind(hearer) },
    }
    if (host === 'Bun') {
      // Its server hears of connections in a function that knows the server by itself, so each has one of its own.
      const server = new tls.Server({ ...this.#options, requestCert, rejectUnauthorized })
      for (const each of this.#contexts) server.addContext(...each)
      if (secureContext !== undefined) server.setSecureContext(secureContext as tls.SecureContextOptions)
      Object.defineProperties(server, events)
      tls.Server.prototype.emit.call(server, 'connection', stream)
      return
    }
    // All the rest is the server's own, as it is when Node looks.
    const face: tls.Server = Object.create(this.server, {
      ...events,
      requestCert: { value: requestCert },
      rejectUnauthorized: { value: rejectUnauthorized },
      // A server has no option for it.
      ...(secureContext === undefined ? {} : { _sharedCreds: { value: secureContext } }),
    })
    const accept = (): void => void tls.Server.prototype.emit.call(face, 'connection', stream)
    if (shown === undefined || host !== 'Node') accept()
    else madeBy(accept)?.setKeyCert?.(shown)
  }
}

/** The socket that Node's server makes in this call; it tells nobody before the handshake is done. */
function madeBy(accept: () => void): Made | undefined {
  const { _init } = tls.TLSSocket.prototype as unknown as { _init(...args: unknown[]): void }
  let made: Made | undefined
  const restore = override(tls.TLSSocket.prototype, {
    _init(this: Made, ...args: unknown[]): void {
      made = this
      _init.apply(this, args)
    },
  })
  try {
    accept()
  } finally {
    restore()
  }
  return made
}

/** The context of a server of Node's. */
export function sharedBy(node: NodeServer): tls.SecureContext | undefined {
  return (node.server as unknown as { _sharedCreds?: tls.SecureContext })._sharedCreds
}
