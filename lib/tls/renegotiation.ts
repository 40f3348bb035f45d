// Further handshakes on an open connection, which TLS 1.2 and its predecessors have: who may begin them, and how often.

import * as tls from 'node:tls'
import { type Handle, TLS_REQUEST_CERTIFICATE, TLS_REQUIRE_CERTIFICATE } from '../engine/once.js'
import { validateFunction, validateObject } from '../validate.js'
import * as errors from './errors.js'
import { throwLater } from './later.js'
import type { Wanted } from './options.js'

export interface RenegotiateOptions {
  rejectUnauthorized?: boolean | undefined
  requestCert?: boolean | undefined
}

type Callback = (error: Error | null) => void

export class Renegotiation {
  #handle: Handle
  #isServer: boolean
  requestCert: boolean
  rejectUnauthorized: boolean
  #disabled = false
  /** In the present window, the first handshake left out as in Node. */
  #handshakes = 0
  #last = performance.now()
  #callbacks: Callback[] = []

  constructor(handle: Handle, { isServer, requestCert, rejectUnauthorized }: Wanted) {
    this.#handle = handle
    this.#isServer = isServer
    this.requestCert = requestCert
    this.rejectUnauthorized = rejectUnauthorized
  }

  /** As `tlsSocket.renegotiate()`. */
  begin(options: RenegotiateOptions, callback: Callback | undefined): boolean | undefined {
    validateObject(options, 'options')
    if (callback !== undefined) validateFunction(callback, 'callback')
    if (this.#handle.closed) return undefined
    const failure = this.#handle.tlsRenegotiate(this.#verifyAs(options))
    if (failure !== undefined) {
      if (callback !== undefined) process.nextTick(callback, errors.refusedRenegotiation(failure))
      return false
    }
    if (callback !== undefined) this.#callbacks.push(callback)
    return true
  }

  /** The flags if they change; a client's make no difference to OpenSSL. */
  #verifyAs(options: RenegotiateOptions): number | undefined {
    const { requestCert = this.requestCert, rejectUnauthorized = this.rejectUnauthorized } = options
    if (requestCert === this.requestCert && rejectUnauthorized === this.rejectUnauthorized) return undefined
    this.requestCert = requestCert
    this.rejectUnauthorized = rejectUnauthorized
    if (!requestCert) return 0
    return TLS_REQUEST_CERTIFICATE | (rejectUnauthorized ? TLS_REQUIRE_CERTIFICATE : 0)
  }

  disable(): void {
    this.#disabled = true
  }

  /** One begins. What is wrong with that, if so: a client that begins too many keeps its server busy. */
  begins(): Error | undefined {
    if (!this.#isServer) return undefined
    const now = performance.now()
    if (now - this.#last >= tls.CLIENT_RENEG_WINDOW * 1000) this.#handshakes = 1
    else this.#handshakes++
    this.#last = now
    if (this.#handshakes > tls.CLIENT_RENEG_LIMIT) return errors.sessionAttack()
    return this.#disabled ? errors.renegotiationDisabled() : undefined
  }

  ended(): void {
    for (const callback of this.#callbacks.splice(0)) throwLater(() => callback(null))
  }
}
