// The certificate of a secure context that stays its owner's: what SNICallback gives may be any that node:tls has made.
// Sessions of ours cannot be made from it (context.ts), but what a server shows of it can be read.

import * as tls from 'node:tls'
import { captureContext, type TlsContext } from '../engine/once.js'
import { cannotUseContext } from './errors.js'

/** The C++ side of a SecureContext, as far as it is known. */
export interface Native {
  getCertificate(): Buffer | null
  getIssuer(): Buffer | null
}

export interface Borrowed {
  native: TlsContext
  of: Native
}

const borrowed = new WeakMap<Native, Borrowed>()

/** Programs may give a SecureContext, or its C++ side. */
export function nativeOf(context: tls.SecureContext): Native {
  return ((context as { context?: unknown }).context ?? context) as Native
}

/** What it shows as DER, null for nothing; undefined where the host does not tell (Bun, Deno). */
export function certificateOf(context: tls.SecureContext): Buffer | null | undefined {
  return (nativeOf(context) as Partial<Native>).getCertificate?.()
}

/** Whether it is of the kind that `own` is. */
export function isSecureContext(native: Native, own: Native): boolean {
  return native instanceof (own.constructor as new () => Native)
}

/** Node does not tell which SSL_CTX belongs to a context. OpenSSL does, when a session of Node's is made from it. */
export function borrow(of: Native): Borrowed | Error {
  const known = borrowed.get(of)
  if (known !== undefined) return known
  let session: tls.TLSSocket | undefined
  let native: TlsContext | string
  try {
    native = captureContext(() => {
      const secureContext = { context: of } as tls.SecureContext
      session = new tls.TLSSocket(undefined as never, { secureContext, isServer: true })
    })
  } finally {
    session?.destroy()
  }
  if (typeof native === 'string') return cannotUseContext(native)
  const found = { native, of }
  borrowed.set(of, found)
  return found
}
