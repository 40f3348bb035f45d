// What is made of OpenSSL's verdict on a certificate: Node's error codes, and the check of the server's name.

import type * as tls from 'node:tls'
import { fromLoop } from '../errors.js'

// X509_V_ERR_*: those that Node has names for.
const CODES: Record<number, string> = {
  2: 'UNABLE_TO_GET_ISSUER_CERT',
  3: 'UNABLE_TO_GET_CRL',
  4: 'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  5: 'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  6: 'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  7: 'CERT_SIGNATURE_FAILURE',
  8: 'CRL_SIGNATURE_FAILURE',
  9: 'CERT_NOT_YET_VALID',
  10: 'CERT_HAS_EXPIRED',
  11: 'CRL_NOT_YET_VALID',
  12: 'CRL_HAS_EXPIRED',
  13: 'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  14: 'ERROR_IN_CERT_NOT_AFTER_FIELD',
  15: 'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  16: 'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  17: 'OUT_OF_MEM',
  18: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  19: 'SELF_SIGNED_CERT_IN_CHAIN',
  20: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  21: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  22: 'CERT_CHAIN_TOO_LONG',
  23: 'CERT_REVOKED',
  24: 'INVALID_CA',
  25: 'PATH_LENGTH_EXCEEDED',
  26: 'INVALID_PURPOSE',
  27: 'CERT_UNTRUSTED',
  28: 'CERT_REJECTED',
  62: 'HOSTNAME_MISMATCH',
}

// What Node 24 and later add to the most frequent ones.
const ADVICE = '; if the root CA is installed locally, try running Node.js with --use-system-ca'
const ADVISED = Number.parseInt(process.versions.node, 10) >= 24 ? [2, 18, 21] : []

/** The error that Node makes of a verdict other than 0. `text`: in OpenSSL's words. */
export function verifyError(verdict: number, text: string): NodeJS.ErrnoException {
  const message = ADVISED.includes(verdict) ? text + ADVICE : text
  return fromLoop(() => Object.assign(new Error(message), { code: CODES[verdict] ?? 'UNSPECIFIED' }))
}

/** A server's, about a client of whom it has asked for one. */
export function noCertificate(): NodeJS.ErrnoException {
  return verifyError(2, 'unable to get issuer certificate')
}

export type CheckServerIdentity = typeof tls.checkServerIdentity

let warned = false

/** Whether peers are to be rejected that cannot be verified, when the options do not say. */
export function rejectsByDefault(): boolean {
  return process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0'
}

/** For clients of the addon; Node warns for its own, and of those whose options say something else, too. */
export function warnOfEnvironment(): void {
  if (warned || rejectsByDefault()) return
  warned = true
  process.emitWarning(
    "Setting the NODE_TLS_REJECT_UNAUTHORIZED environment variable to '0' makes TLS connections and HTTPS requests " +
      'insecure by disabling certificate verification.',
  )
}
