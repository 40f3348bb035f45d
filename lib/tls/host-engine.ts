// TLS by the OpenSSL of the process: the addon does the handshake and the records, here it is decided what they mean.

import { AsyncResource } from 'node:async_hooks'
import type * as tls from 'node:tls'
import {
  type Handle,
  TLS_ASK_CONTEXT,
  TLS_ASK_PROTOCOL,
  TLS_ASK_RESPONSE,
  TLS_ASK_RESUME,
  TLS_ASK_STATUS,
  TLS_ASK_STORE,
  TLS_KEYLOG,
  TLS_REQUEST_CERTIFICATE,
  TLS_REQUIRE_CERTIFICATE,
  TLS_SERVER,
  type TlsOwner,
} from '../engine/once.js'
import { clearTimeout, setTimeout } from '../node/timers.js'
import { canceled } from '../write.js'
import { Answers } from './answers.js'
import { type Borrowed, borrow, certificateOf, nativeOf } from './borrow.js'
import { bound, unbound } from './bound-session.js'
import type { Context } from './context.js'
import * as errors from './errors.js'
import { logKeys } from './keylog.js'
import { throwLater } from './later.js'
import type { Wanted } from './options.js'
import { Renegotiation } from './renegotiation.js'
import { endEarly, failWrites, readOn, refuseKey } from './roles.js'
import { HostSession } from './session.js'
import type { Engine, SecureSocket } from './types.js'
import { noCertificate, verifyError } from './verify.js'

const nothing = new Uint8Array(0)

export class HostEngine extends AsyncResource implements Engine, TlsOwner {
  #wanted: Wanted
  // Its keys are needed for as long as there are sessions; behind that a program may keep the socket.
  #context: Context | undefined
  #socket!: SecureSocket
  #handle!: Handle
  #session!: HostSession
  #answers: Answers | undefined
  #renegotiation!: Renegotiation
  #isSecure = false
  #isJudged = false
  /** Writes have no longer to wait for the handshake. */
  #isOpen = false
  /** The program's check of the peer has thrown: nobody knows whether it is all right. */
  #isUnjudged = false
  /** Sessions that came before the server was checked. */
  #sessions: Buffer[] = []
  #timer: NodeJS.Timeout | undefined
  /** Whose certificate is shown, if that is said before the handshake. */
  #shown: Borrowed | undefined

  constructor(options: Wanted, context: Context) {
    // As Node's: a session has the context in which it was made, which for a server's is not the connection's own.
    super('TLSWRAP')
    this.#wanted = options
    this.#context = context
  }

  start(socket: SecureSocket, handle: Handle, unread: Buffer): void {
    const { isServer, servername, protocols, host, requestCert, rejectUnauthorized } = this.#wanted
    this.#socket = socket
    this.#handle = handle
    this.#renegotiation = new Renegotiation(handle, this.#wanted)
    this.#session = new HostSession(handle, isServer ? undefined : host, this.#renegotiation)
    socket.tls = this.#session
    let flags = 0
    if (isServer) flags |= TLS_SERVER
    if (isServer && requestCert) flags |= TLS_REQUEST_CERTIFICATE
    if (isServer && requestCert && rejectUnauthorized) flags |= TLS_REQUIRE_CERTIFICATE
    flags |= this.#ask()
    logKeys(socket)
    if (socket.listenerCount('keylog') > 0) flags |= TLS_KEYLOG
    else socket.on('newListener', event => event === 'keylog' && handle.tlsKeylog())
    const session = isServer ? nothing : unbound(this.#wanted.session, host, rejectUnauthorized)
    const context = this.#context!.native
    const shown = this.#shown?.native
    const status = handle.startTls(this, { context, flags, servername, protocols, session, unread, shown })
    if (status !== 0) {
      socket.destroy(errors.cannotStart('OpenSSL refuses the options'))
      return
    }
    if (this.#wanted.handshakeTimeout > 0) {
      this.#timer = setTimeout(() => this.#late(), this.#wanted.handshakeTimeout)
      this.#timer.unref()
    }
  }

  /** What the program wants to be asked, as flags. */
  #ask(): number {
    const { questions, isServer } = this.#wanted
    if (!isServer) return questions.response === undefined ? 0 : TLS_ASK_RESPONSE
    let flags = 0
    for (const name in ASKED)
      if (questions[name as keyof typeof ASKED]) flags |= ASKED[name as keyof typeof ASKED]
    if (flags !== 0)
      this.#answers = new Answers(this.#socket, this.#handle, this.#context!, questions, error =>
        this.#fail(error),
      )
    return flags
  }

  canceled(): Error {
    if (!this.#isSecure) return errors.canceledInHandshake()
    return this.#isOpen ? canceled() : errors.closedByVerdict()
  }

  ownCertificate(): Buffer | null {
    return certificateOf(this.#context!.secureContext) ?? null
  }

  show(context: tls.SecureContext): void {
    const native = nativeOf(context)
    if (native.getCertificate() === null) throw errors.noKeyCert()
    const borrowed = borrow(native)
    if (borrowed instanceof Error) throw borrowed
    if (this.#session === undefined) this.#shown = borrowed
    else if (this.#handle.tlsShow(borrowed.native) < 0 && !this.#handle.closed) throw errors.nullParameter()
  }

  asked(question: number): void {
    this.#answers!.asked(question)
  }

  secure(verdict: number, reused: boolean): void {
    clearTimeout(this.#timer)
    this.#isSecure = true
    this.#socket.alpnProtocol = this.#session.alpnProtocol
    let judged = false
    const judge = (): void => {
      if (judged || this.#socket.destroyed) return
      judged = true
      this.#judge(verdict, reused)
    }
    throwLater(() => this.#wanted.role.shaken?.(this.#socket, judge))
    judge()
  }

  #judge(verdict: number, reused: boolean): void {
    const socket = this.#socket
    const { isServer, requestCert, rejectUnauthorized, role } = this.#wanted
    const weak = isServer ? undefined : this.#weakKey()
    if (weak !== undefined) {
      refuseKey(socket, weak)
      return
    }
    let error: Error | undefined
    try {
      error = isServer ? this.#clientError(verdict, reused) : this.#serverError(verdict, reused)
    } catch (thrown) {
      // Its handshake is done, as in Node; but nothing goes to it, and nothing of it is believed.
      this.#isUnjudged = true
      this.#handle.partTls()
      throw thrown
    }
    if (error !== undefined) socket.authorizationError = codeOf(error)
    if (error !== undefined && rejectUnauthorized) {
      socket.destroy(role.rejected(error))
      return
    }
    // A client that was not asked for its certificate is nobody in particular.
    socket.authorized = error === undefined && (!isServer || requestCert)
    // What a listener writes and then destroys is sent, as in Node. What has been written before comes behind its
    // listeners, and so do its callbacks.
    this.#handle.openTls()
    throwLater(() => role.secure(socket))
    this.#isJudged = true
    for (const each of this.#sessions.splice(0)) this.#tell('session', each)
    // With TLS 1.2 there is one by now.
    this.news()
    if (socket.destroyed) return
    this.#isOpen = true
    this.#goOn()
  }

  #goOn(): void {
    // Writes have waited for it, whose callbacks are called here.
    throwLater(() => this.#handle.goOnTls())
    readOn(this.#socket, this.#wanted.role)
  }

  #weakKey(): Error | undefined {
    const key = this.#session.getEphemeralKeyInfo() as { type?: string; size?: number } | null
    return key?.type === 'DH' && key.size! < this.#wanted.minDHSize ? errors.weakDhKey(key.size!) : undefined
  }

  #serverError(verdict: number, reused: boolean): Error | undefined {
    const { checkServerIdentity, host, options } = this.#wanted
    if (verdict !== 0) return verifyError(verdict, this.#verdict())
    // A resumed session is one whose server has been checked.
    if (reused) return undefined
    // Whatever is false is no error.
    return checkServerIdentity.call(options, host, this.#session.getPeerCertificate(true)) || undefined
  }

  #clientError(verdict: number, reused: boolean): Error | undefined {
    if (!this.#renegotiation.requestCert) return undefined
    if (verdict !== 0) return verifyError(verdict, this.#verdict())
    // A session that goes on is all right by itself, also one of a client that has no certificate.
    return reused && !this.#session.hasPeerCertificate ? noCertificate() : undefined
  }

  /** In OpenSSL's words. */
  #verdict(): string {
    return this.#handle.tlsFact('verdict')?.toString('latin1').split('\0')[1] ?? ''
  }

  failed(): void {
    const [library, reason, text] = this.#handle.tlsFact('failure')?.toString('latin1').split('\0') ?? []
    clearTimeout(this.#timer)
    if (!this.#isSecure && this.#handle.holdsBytes) failWrites(this.#socket, text ?? '')
    else this.#fail(errors.opensslError(library ?? '', reason ?? '', text ?? ''))
  }

  ended(status: number): boolean {
    if (!this.#isSecure || this.#isUnjudged) {
      if (status !== 0) return this.#fail(errors.readFailed(status))
      clearTimeout(this.#timer)
      const { isServer, options, role } = this.#wanted
      endEarly(this.#socket, role, errors.disconnected(isServer, options))
      return true
    }
    if (this.#handle.tlsFact('failure') !== undefined) {
      this.failed()
      return true
    }
    if (status === 0 && this.#wanted.requireCloseNotify && !this.#session.closeNotify)
      return this.#fail(errors.truncated())
    return false
  }

  closed(): void {
    clearTimeout(this.#timer)
    this.#context = undefined
    this.#answers = undefined
  }

  #late(): void {
    const { role } = this.#wanted
    if (role.dropped !== undefined) role.dropped(this.#socket, errors.handshakeTimeout())
    else this.#fail(errors.handshakeTimeout())
  }

  #fail(error: Error): true {
    clearTimeout(this.#timer)
    this.#socket.destroy(error)
    return true
  }

  // A session that is new is told of behind `secure`, when its server has been checked.
  news(): void {
    for (;;) {
      const news = this.#socket.destroyed ? undefined : this.#handle.tlsNews()
      if (news === undefined) return
      switch (news.kind) {
        case 'keylog':
          this.#tell('keylog', Buffer.concat([news.bytes, Buffer.from('\n')]))
          break
        case 'session':
          if (this.#isJudged) this.#tell('session', bound(news.bytes, this.#wanted.host))
          else this.#sessions.push(bound(news.bytes, this.#wanted.host))
          break
        case 'response':
          throwLater(() => this.#wanted.questions.response!(news.bytes.length > 0 ? news.bytes : null))
          break
        case 'renegotiating': {
          const error = this.#renegotiation.begins()
          if (error !== undefined) this.#fail(error)
          break
        }
        case 'renegotiated':
          this.#judgeAgain()
          break
      }
    }
  }

  /** One of several: what a handler throws does not keep the others from being told. */
  #tell(event: string, value: Buffer): void {
    throwLater(() => {
      if (!this.#socket.destroyed) this.#socket.emit(event, value)
    })
  }

  // The server may have shown another certificate.
  #judgeAgain(): void {
    const socket = this.#socket
    const verdict = Number(this.#handle.tlsFact('verdict')?.toString('latin1').split('\0')[0])
    const { isServer, role } = this.#wanted
    const { requestCert, rejectUnauthorized } = this.#renegotiation
    const reused = this.#session.isSessionReused()
    const weak = isServer ? undefined : this.#weakKey()
    if (weak !== undefined) {
      refuseKey(socket, weak)
      return
    }
    let error: Error | undefined
    try {
      error = isServer ? this.#clientError(verdict, reused) : this.#serverError(verdict, reused)
    } catch (thrown) {
      // Bytes come and go already.
      socket.destroy()
      throw thrown
    }
    socket.authorizationError = error === undefined ? null : codeOf(error)
    socket.authorized = error === undefined && (!isServer || requestCert)
    if (error !== undefined && rejectUnauthorized) socket.destroy(role.rejected(error))
    else this.#renegotiation.ended()
  }
}

/** Of a server. */
const ASKED = {
  context: TLS_ASK_CONTEXT,
  protocol: TLS_ASK_PROTOCOL,
  resume: TLS_ASK_RESUME,
  store: TLS_ASK_STORE,
  status: TLS_ASK_STATUS,
}

/** As `authorizationError` has it. */
function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.message
}
