// The entry `ferronet/tls`: the module `tls` of the running Node, with connect(), createServer(), Server and TLSSocket
// on ferronet's sockets.

import type * as tls from 'node:tls'
import { connect as connectFunction } from './lib/tls/connect.js'
import { asInNode } from './lib/tls/module.js'
import { createServer as createServerFunction, Server as ServerFunction } from './lib/tls/server.js'
import { TLSSocket as TLSSocketFunction } from './lib/tls/socket.js'
import { createSecureContext as createSecureContextFunction } from './lib/tls/twins.js'
import type * as types from './lib/types.js'

export type {
  Certificate,
  CipherNameAndProtocol,
  CommonConnectionOptions,
  DetailedPeerCertificate,
  EphemeralKeyInfo,
  KeyObject,
  PeerCertificate,
  PSKCallbackNegotation,
  PxfObject,
  SecureContextOptions,
  SecureVersion,
} from 'node:tls'
export type {
  TLSConnectionOptions as ConnectionOptions,
  TLSServerOptions as TlsOptions,
  TLSSocketOptions,
  TlsSession,
} from './lib/types.js'

/** A secure connection. */
export interface TLSSocket extends types.TLSSocket {}
export const TLSSocket = TLSSocketFunction as unknown as types.TLSSocketConstructor

/** Accepts secure connections. */
export interface Server extends types.TLSServer {}
export const Server = ServerFunction as unknown as types.TLSServerConstructor

export const createServer = createServerFunction as unknown as types.CreateTLSServer
export const connect = connectFunction as unknown as types.ConnectTLS

/** Node's own; ferronet remembers what it was made of, and makes a context of its own of that when it needs one. */
export let createSecureContext: types.CreateSecureContext
export type SecureContext = tls.SecureContext
export let SecureContext: new (
  protocol?: string,
  flags?: number,
  minVersion?: number,
  maxVersion?: number,
) => tls.SecureContext

// Node's own. What can be set there is set for both modules.
export let CLIENT_RENEG_LIMIT: number
export let CLIENT_RENEG_WINDOW: number
export let DEFAULT_CIPHERS: string
export let DEFAULT_ECDH_CURVE: string
export let DEFAULT_MIN_VERSION: tls.SecureVersion
export let DEFAULT_MAX_VERSION: tls.SecureVersion
export let getCiphers: typeof tls.getCiphers
export let rootCertificates: typeof tls.rootCertificates
export let checkServerIdentity: typeof tls.checkServerIdentity
/** The protocols in the form that goes over the wire, as the property `ALPNProtocols` of `out`. */
export let convertALPNProtocols: (
  protocols: string[] | Uint8Array | NodeJS.ArrayBufferView,
  out: { ALPNProtocols?: Uint8Array },
) => void
/** The CA certificates of a kind that are in use now. Since Node 22.15 and 23.10. */
export let getCACertificates: (type?: 'default' | 'system' | 'bundled' | 'extra') => string[]
/** Other CA certificates by default. Since Node 22.19 and 24.5. */
export let setDefaultCACertificates: (certs: readonly (string | NodeJS.ArrayBufferView)[]) => void
/** Since Node 24.17 and 26. */
export let getCertificateCompressionAlgorithms: () => string[]
/** @deprecated Up to Node 23. */
export let createSecurePair: (...args: unknown[]) => unknown

asInNode(exports, createSecureContextFunction)
