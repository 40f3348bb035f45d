// The functions of the module, as a user's compiler sees them.

import type { ListenOptions, NetConnectOpts, ServerOpts } from './options.js'
import type { Server } from './server.js'
import type { Socket } from './socket.js'
import type { StartTlsOptions } from './tls.js'

export interface CreateServer {
  /**
   * A Server that does not listen yet: call `listen()`. The listener is added to `'connection'`. Throws
   * ERR_INVALID_ARG_TYPE.
   */
  (connectionListener?: (socket: Socket) => void): Server
  /** A Server that does not listen yet, with options for it and its connections. Throws ERR_INVALID_ARG_TYPE. */
  (options?: ServerOpts | null, connectionListener?: (socket: Socket) => void): Server
}

export interface Connect {
  /**
   * A new Socket that connects. The options are those of `new Socket()` and of `socket.connect()`, and `timeout`; the
   * host is `'localhost'` unless given. The listener is added to `'connect'`. Wrong arguments throw; everything else
   * that fails comes as `'error'`.
   */
  (options: NetConnectOpts, connectionListener?: () => void): Socket
  /** A new Socket that connects over TCP; the host is `'localhost'` unless given. The listener is added to `'connect'`. */
  (port: number, host?: string, connectionListener?: () => void): Socket
  /** A new Socket that connects to the path of a Unix-domain socket. The listener is added to `'connect'`. */
  (path: string, connectionListener?: () => void): Socket
}

/** What `promises.connect()` takes: the options of `connect()`. `signal` destroys the socket, connected or not. */
export type ConnectOptions = NetConnectOpts

/** What `promises.listen()` takes: the options of `createServer()` and of `server.listen()`. */
export interface PromisesListenOptions extends ServerOpts, ListenOptions {
  /** Called with each connection, as a listener of `'connection'`. */
  connectionListener?: ((socket: Socket) => void) | undefined
}

export interface PromisedConnect {
  /**
   * A connected Socket. Takes the arguments of `connect()`, without the listener. Rejects with what `'error'` would
   * bring, and with an AbortError when `signal` is aborted; the socket is then destroyed. Wrong arguments reject too.
   */
  (options: ConnectOptions): Promise<Socket>
  /** A Socket connected over TCP; the host is `'localhost'` unless given. Rejects with what `'error'` would bring. */
  (port: number, host?: string): Promise<Socket>
  /** A Socket connected to the path of a Unix-domain socket. Rejects with what `'error'` would bring. */
  (path: string): Promise<Socket>
}

export interface PromisedListen {
  /**
   * A listening Server, on any free port unless the options say where. Rejects with what `'error'` would bring, and with
   * an AbortError when `signal` is aborted. Wrong arguments reject too.
   */
  (options?: PromisesListenOptions): Promise<Server>
}

export interface PromisedStartTls {
  /**
   * `socket.startTLS()` as a promise of the socket, fulfilled at `'secure'`. Rejects with what `'error'` would bring, the
   * socket destroyed. Wrong options reject too, and leave the socket as it is.
   */
  <S extends Socket>(socket: S, options?: StartTlsOptions): Promise<S>
}

export interface IsIP {
  /** 4 for an IPv4 address, 6 for an IPv6 address, 0 for anything else. */
  (input: string): number
}

export interface IsIPv4 {
  /** Whether it is an IPv4 address in dotted decimal notation, without leading zeroes. */
  (input: string): boolean
}

export interface IsIPv6 {
  /** Whether it is an IPv6 address. */
  (input: string): boolean
}

export interface GetDefaultAutoSelectFamily {
  /** The default of the option `autoSelectFamily`; one setting for node:net and ferronet. Since Node 19.4 and 18.18. */
  (): boolean
}

export interface SetDefaultAutoSelectFamily {
  /** Sets the default of the option `autoSelectFamily`, for node:net too. Since Node 19.4 and 18.18. */
  (value: boolean): void
}

export interface GetDefaultAutoSelectFamilyAttemptTimeout {
  /** The default of the option `autoSelectFamilyAttemptTimeout`, in milliseconds. Since Node 19.8 and 18.18. */
  (): number
}

export interface SetDefaultAutoSelectFamilyAttemptTimeout {
  /**
   * Sets the default of the option `autoSelectFamilyAttemptTimeout`, in milliseconds, for node:net too. Less than 10
   * counts as 10. Throws ERR_OUT_OF_RANGE for less than 1. Since Node 19.8 and 18.18.
   */
  (value: number): void
}

/** The options of `relay()`. */
export interface RelayOptions {
  /** Destroys both sockets when it fires; the promise is then rejected with its reason as `cause`. */
  signal?: AbortSignal | undefined
}

/** What `relay()` has carried. */
export interface Relayed {
  /** Bytes that came from `a` and went to `b`. */
  aToB: number
  /** Bytes that came from `b` and went to `a`. */
  bToA: number
}

export interface Relay {
  /**
   * Joins two sockets: each sends what the other receives, without JavaScript where the system and TLS allow it, until
   * both directions have ended. The end of one direction leaves the other open. Resolves with the bytes of both. An
   * error of either socket, or its early end by `destroy()` (ERR_STREAM_PREMATURE_CLOSE), destroys both and is what the
   * promise is rejected with. Wrong arguments reject with ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE, and destroy
   * nothing. Only ferronet has this function.
   */
  (a: Socket, b: Socket, options?: RelayOptions): Promise<Relayed>
}

export interface GetBusyPoll {
  /** What `setBusyPoll()` has set in this thread, in microseconds. Only ferronet has this function. */
  (): number
}

export interface SetBusyPoll {
  /**
   * For programs to which latency is worth CPU time: after an event of a socket the event loop of this thread goes on
   * polling for so many microseconds (up to 1,000,000) before it sleeps. 0, the default, turns that off. Timers and
   * everything else in the loop keep their turn; an idle process sleeps. The environment variable FERRONET_BUSY_POLL sets
   * it for all threads from the start. No effect on Bun and Deno. Throws ERR_INVALID_ARG_TYPE and ERR_OUT_OF_RANGE. Only
   * ferronet has this function.
   */
  (microseconds: number): void
}
