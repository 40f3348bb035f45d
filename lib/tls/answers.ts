// What a session of the host's OpenSSL asks in the middle of its handshake, and what it is answered. The handshake waits
// meanwhile. An answer that comes twice is an error; one that comes when the socket is gone makes no difference.

import type * as tls from 'node:tls'
import { type Handle, parts, TLS_CERTIFICATE, TLS_HELLO, TLS_STORE } from '../engine/once.js'
import { type Borrowed, borrow, isSecureContext, nativeOf } from './borrow.js'
import type { Context } from './context.js'
import * as errors from './errors.js'
import { throwLater } from './later.js'
import { bytesOf } from './options.js'
import type { Questions } from './types.js'

const nothing = new Uint8Array(0)

export class Answers {
  #socket: object
  #handle: Handle
  /** The session's own. */
  #context: Context
  #questions: Questions
  #fail: (error: Error) => void

  constructor(
    socket: object,
    handle: Handle,
    context: Context,
    questions: Questions,
    fail: (error: Error) => void,
  ) {
    this.#socket = socket
    this.#handle = handle
    this.#context = context
    this.#questions = questions
    this.#fail = fail
  }

  asked(question: number): void {
    const given = parts(this.#handle.tlsFact('question'))
    if (question === TLS_HELLO) this.#resume(given)
    else if (question === TLS_CERTIFICATE) this.#findContext(given)
    else this.#store(given)
  }

  /** A callback for the program. */
  #once<T extends unknown[]>(goOn: (...args: T) => void): (...args: T) => void {
    let called = false
    return (...args) => {
      if (called) this.#fail(errors.calledTwice())
      else {
        called = true
        goOn(...args)
      }
    }
  }

  // --- the hello ----------------------------------------------------------------------------------------------

  #resume([id, servername, protocols]: Buffer[]): void {
    const go = (session: unknown): void =>
      this.#chooseProtocol(
        ArrayBuffer.isView(session) ? bytesOf(session, 'Session') : nothing,
        servername!,
        protocols!,
      )
    if (id!.length === 0) {
      go(nothing)
      return
    }
    const done = this.#once((error?: Error | null, session?: unknown) =>
      error ? this.#fail(error) : go(session),
    )
    try {
      this.#questions.resume!(id!, done)
    } catch (error) {
      // As Node does from version 24 on: the client would wait for nothing.
      done(error as Error)
    }
  }

  #chooseProtocol(session: Uint8Array, servername: Buffer, offered: Buffer): void {
    let protocol: Uint8Array = nothing
    if (offered.length > 0) {
      const bytes = split(offered)
      const protocols = bytes.map(each => each.toString('ascii'))
      // Node says false where there is no name.
      const name = (servername.length > 0 ? servername.toString('latin1') : false) as string
      try {
        const chosen = this.#questions.protocol!.call(this.#socket, { servername: name, protocols })
        const at = protocols.indexOf(chosen as string)
        if (chosen !== undefined && at < 0) throw errors.protocolNotOffered(chosen, protocols)
        if (at >= 0) protocol = bytes[at]!
      } catch (error) {
        this.#fail(error as Error)
        return
      }
    }
    this.#handle.answerTls(TLS_HELLO, session, protocol)
  }

  // --- the certificate ----------------------------------------------------------------------------------------

  #findContext([servername, status]: Buffer[]): void {
    const wantsStatus = status!.length > 0
    if (servername!.length === 0) {
      this.#show(undefined, wantsStatus)
      return
    }
    try {
      this.#questions.context!.call(
        this.#socket,
        servername!.toString('latin1'),
        this.#once((error, context) => (error ? this.#fail(error) : this.#show(context, wantsStatus))),
      )
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #show(context: tls.SecureContext | null | undefined, wantsStatus: boolean): void {
    const own = nativeOf(this.#context.secureContext)
    let other: Borrowed | undefined
    // What is neither an object nor a function Node takes for nothing.
    if (context && (typeof context === 'object' || typeof context === 'function')) {
      const native = nativeOf(context)
      const borrowed = isSecureContext(native, own) ? borrow(native) : errors.invalidSniContext()
      if (borrowed instanceof Error) {
        this.#fail(borrowed)
        return
      }
      other = borrowed
    }
    const answer = (response: Uint8Array): void => {
      if (
        this.#handle.answerTls(TLS_CERTIFICATE, response, nothing, other?.native) < 0 &&
        !this.#handle.closed
      )
        this.#fail(errors.invalidSniContext())
    }
    if (!wantsStatus || this.#handle.closed) {
      answer(nothing)
      return
    }
    const shown = other?.of ?? own
    const done = this.#once((error: Error | null, response?: Buffer) => {
      if (error) this.#fail(error)
      else if (!response) answer(nothing)
      else answer(bytesOf(response, 'OCSP response'))
    })
    try {
      this.#questions.status!(shown.getCertificate()!, shown.getIssuer(), done)
    } catch (error) {
      // As Node does from version 24 on: the client would wait for nothing.
      this.#fail(error as Error)
    }
  }

  // --- sessions to keep ---------------------------------------------------------------------------------------

  #store(given: Buffer[]): void {
    let left = given.length / 2
    for (let at = 0; at < given.length; at += 2) {
      let isStored = false
      const stored = (): void => {
        if (isStored) return
        isStored = true
        if (--left === 0) this.#handle.answerTls(TLS_STORE)
      }
      throwLater(() => this.#questions.store!(given[at]!, given[at + 1]!, stored))
    }
  }
}

/** Protocols that stand each behind its length. */
function split(list: Buffer): Buffer[] {
  const all: Buffer[] = []
  for (let at = 0; at < list.length; at += 1 + list[at]!) all.push(list.subarray(at + 1, at + 1 + list[at]!))
  return all
}
