// A server of Node's tls that listens on nothing: it is given its connections one by one. For each it sees the same
// context, and tells whoever has brought the connection, and nobody else.

import * as tls from 'node:tls'

/** What Node's code asks of the server of a connection. Its events go here instead. */
export interface Hearer {
  emit(event: string, ...args: unknown[]): boolean
  listenerCount(event: string): number
}

export class NodeServer {
  readonly server: tls.Server

  /** Throws what Node throws for the options. */
  constructor(options: tls.TlsOptions) {
    this.server = new tls.Server(options)
  }

  /** Lets Node's code accept a connection, with `hearer` in the place of the server. */
  accept(stream: NodeJS.ReadWriteStream, hearer: Hearer): void {
    // All but the two is the server's own, as it is when Node looks.
    const face: tls.Server = Object.create(this.server, {
      emit: { value: hearer.emit.bind(hearer) },
      listenerCount: { value: hearer.listenerCount.bind(hearer) },
    })
    tls.Server.prototype.emit.call(face, 'connection', stream)
  }
}
