// Scenarios for ferronet/tls: the same over node:tls, once for each engine of ferronet (OpenSSL of the process, and
// node:tls) and for each version of TLS that is asked for.
//
//   secured('a client …', async (t, { tls, listen, connect }) => { … })

import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { parity } from './parity.mjs'
import { runtime } from './runtime.mjs'
import { told } from './upgrade.mjs'

const versions = ['TLSv1.2', 'TLSv1.3']
/** Bun and Deno have no OpenSSL to offer, and ferronet uses their own node:tls. */
const engines = runtime ? ['node'] : ['openssl', 'node']

/** `both`: run for TLS 1.2 and 1.3. */
export function secured(title, options, scenario) {
  if (typeof options === 'function') [options, scenario] = [{}, options]
  const { both = false, engine: only, ...rest } = options
  for (const version of both ? versions : [undefined]) {
    for (const engine of engines) {
      if (only !== undefined && only !== engine) continue
      const name = [title, ...(version === undefined ? [] : [version]), engine].join(', ')
      parity(name, rest, async t => {
        process.env.FERRONET_TLS = engine
        t.cleanup(() => delete process.env.FERRONET_TLS)
        const { default: tls } = await import(t.moduleName === 'node:net' ? 'node:tls' : 'ferronet/tls')
        await scenario(t, new Kit(t, tls, engine, version))
      })
    }
  }
}

/** The set-up of these scenarios. */
class Kit {
  constructor(t, tls, engine, version) {
    this.t = t
    this.tls = tls
    this.engine = engine
    this.version = version
    this.limits = version === undefined ? {} : { minVersion: version, maxVersion: version }
    this.listen = this.listen.bind(this)
    this.connect = this.connect.bind(this)
    this.meet = this.meet.bind(this)
  }

  /** A server that listens; its errors with clients are ignored unless the scenario listens to them. */
  async listen(options = {}, onSecure) {
    const { t, tls } = this
    const server = t.own(tls.createServer({ ...identity, ...this.limits, ...options }, onSecure))
    server.on('secureConnection', socket => t.own(socket).on('error', () => {}))
    server.on('tlsClientError', (_error, socket) => socket.destroy())
    await new Promise(resolve => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
    t.alias(server.address().port, 'port')
    return server
  }

  connect(server, options = {}) {
    return this.t.own(this.tls.connect(this.t.to(server, { ...trust, ...this.limits, ...options })))
  }

  /** A secure connection with both its ends. `through`: the server that passes it on to `over`. */
  async meet({ server: serverOptions, client: clientOptions, over, through } = {}) {
    const { t } = this
    const server = over ?? (await this.listen(serverOptions))
    const accepted = first(server, 'secureConnection')
    const client = this.connect(through ?? server, clientOptions).on('error', () => {})
    const [peer] = await Promise.all([accepted, first(client, 'secureConnect')])
    if (t.moduleName !== 'node:net') {
      for (const end of [client, peer]) {
        if (end.tls.engine !== this.engine) throw new Error(`TLS by ${end.tls.engine}`)
      }
    }
    return { server, client, peer }
  }

  /** A session of a client's, once the server's tickets have come. */
  async earned(server, options) {
    const { client, peer } = await this.meet({ over: server, client: options })
    const session = client.getProtocol() === 'TLSv1.3' ? first(client, 'session') : client.getSession()
    client.resume()
    peer.write('bytes')
    const kept = await session
    peer.end()
    await this.t.closed(client)
    return kept
  }
}

/** The first argument of the event, when it is emitted. */
export function first(emitter, event) {
  return new Promise(resolve => emitter.once(event, resolve))
}

/** What becomes of a client: its facts, or its error. */
export function outcome(socket) {
  return new Promise(resolve => {
    socket.once('secureConnect', () =>
      resolve({ authorized: socket.authorized, why: socket.authorizationError }),
    )
    socket.once('error', error => resolve(told(error)))
    socket.once('close', () => resolve('closed'))
  })
}

/** The events beyond those of a Socket. */
export const also = ['secure', 'secureConnect', 'OCSPResponse']

export { identity, told, trust }
