// Socket, as a user's compiler sees it.
//
// It extends the `net.Socket` of the program's @types/node, whichever version that is, so that a ferronet socket fits
// wherever one of node:net is expected. Its listeners are typed there too: what 'data' brings is a Buffer up to
// @types/node 24, and a Buffer or a string from 26. All other members are declared again, for their documentation and
// because older versions lack some.

import type { FileHandle } from 'node:fs/promises'
import type * as net from 'node:net'
import type { AddressInfo } from './address.js'
import type {
  SendFileOptions,
  SetKeepAliveOptions,
  SocketConnectOpts,
  SocketConstructorOpts,
} from './options.js'
import type { StartTlsOptions, TlsSession } from './tls.js'

/** A Buffer, which newer @types/node tell apart from one whose memory is shared with other threads. */
type Chunk = ReturnType<typeof Buffer.alloc>

/** What `socket.readyState` can be. */
export type SocketReadyState = 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed'

/** The events of a Socket and what their listeners are called with. */
export interface SocketEventMap {
  /** The socket is closed; `hadError` tells whether an error was the reason. Always the last event. */
  close: [hadError: boolean]
  /** The connection is open. Not for sockets that a server accepted, which are open from the beginning. */
  connect: []
  /** An address is about to be tried. Since Node 19.9. */
  connectionAttempt: [ip: string, port: number, family: number]
  /** An address could not be connected to. Since Node 19.9. */
  connectionAttemptFailed: [ip: string, port: number, family: number, error: Error]
  /** An address took too long, and the next one is tried. Since Node 19.9. */
  connectionAttemptTimeout: [ip: string, port: number, family: number]
  /** Bytes were received: a Buffer, or after `setEncoding()` a string. */
  data: [data: string | Chunk]
  /** What was written has been sent after a `write()` that returned false: go on. */
  drain: []
  /** The peer has ended its side. Comes after the last `'data'`. */
  end: []
  /** Something failed, as `code` and `syscall` tell; `'close'` follows. Without a listener the error is thrown. */
  error: [error: Error]
  /** `end()` was called and everything written has been sent, the FIN included. */
  finish: []
  /** `host` was looked up, before an address is tried. */
  lookup: [error: Error | null, address: string, family: number | null, host: string]
  /** `pause()` was called. */
  pause: []
  /** `source` is piped into this socket. */
  pipe: [source: NodeJS.ReadableStream]
  /** There is something for `read()`, or the end was reached. */
  readable: []
  /** Right after `'connect'`. */
  ready: []
  /** `resume()` was called. */
  resume: []
  /** No traffic for as long as `setTimeout()` said. The socket stays open: `end()` or `destroy()` it. */
  timeout: []
  /** `source` is not piped into this socket any more. */
  unpipe: [source: NodeJS.ReadableStream]
}

/**
 * One connection, as a `stream.Duplex`: a client's, made by `connect()` or `new Socket()`, or one that a Server
 * accepted. It has the members of `net.Socket` of Node 26 on every Node.
 *
 * Network errors never throw: the socket emits `'error'`, then `'close'`.
 */
export interface Socket extends net.Socket {
  // --- connect ------------------------------------------------------------------------------------------------------

  /**
   * Opens the connection, also again after `'close'`. `connectionListener` is added to `'connect'`. The host is
   * `'localhost'` unless given. Wrong arguments throw (ERR_MISSING_ARGS, ERR_SOCKET_BAD_PORT, ERR_INVALID_ARG_TYPE and
   * others); everything else that fails comes as `'error'`.
   */
  connect(options: SocketConnectOpts, connectionListener?: () => void): this
  /** Connects over TCP. The listener is added to `'connect'`. */
  connect(port: number, host: string, connectionListener?: () => void): this
  /** Connects over TCP, to `'localhost'`. The listener is added to `'connect'`. */
  connect(port: number, connectionListener?: () => void): this
  /** Connects to the path of a Unix-domain socket. The listener is added to `'connect'`. */
  connect(path: string, connectionListener?: () => void): this

  /** Whether `connect()` was called and there is no connection yet. Since Node 6.1. */
  readonly connecting: boolean

  /** Whether there is no connection yet: `connect()` was not called, or has not succeeded. Since Node 11.2. */
  readonly pending: boolean

  /** What can be done with the socket: `'opening'`, `'open'`, `'readOnly'`, `'writeOnly'` or `'closed'`. */
  readonly readyState: SocketReadyState

  /** The addresses tried, as `address:port`, if several were to be tried. Since Node 19.4 and 18.18. */
  readonly autoSelectFamilyAttemptedAddresses: string[]

  /** The server that accepted this socket; null for a client's. */
  readonly server: net.Server | null

  // --- read ---------------------------------------------------------------------------------------------------------

  /** `'data'` and `read()` give strings in this encoding (utf8 without an argument) instead of Buffers. */
  setEncoding(encoding?: BufferEncoding): this

  /** Stops `'data'`. The socket reads on until it has buffered `readableHighWaterMark` bytes, with `onread` not at all. */
  pause(): this

  /** Goes on after `pause()`. */
  resume(): this

  // --- write --------------------------------------------------------------------------------------------------------

  /**
   * Sends bytes, or a string in utf8. Returns false if more than `writableHighWaterMark` bytes now wait: better write
   * no more until `'drain'`. The callback is called when the system has taken the bytes, or with the error.
   *
   * What a handler writes is sent together when the handler returns.
   */
  write(buffer: Uint8Array | string, callback?: (error?: Error | null) => void): boolean
  /** Sends a string in the encoding; the rest is as with bytes. */
  write(
    text: Uint8Array | string,
    encoding?: BufferEncoding,
    callback?: (error?: Error | null) => void,
  ): boolean

  /**
   * Ends our side: sends what was written, then FIN. The peer may continue to send. The callback is called at
   * `'finish'`.
   */
  end(callback?: () => void): this
  /** Sends what was written and these last bytes, then FIN. The callback is called at `'finish'`. */
  end(buffer: Uint8Array | string, callback?: () => void): this
  /** Sends what was written and this last string, in the encoding, then FIN. The callback is called at `'finish'`. */
  end(text: Uint8Array | string, encoding?: BufferEncoding, callback?: () => void): this

  // --- close --------------------------------------------------------------------------------------------------------

  /** Whether `destroy()` was called, or an error or the end of both sides has closed the socket. */
  readonly destroyed: boolean

  /** Sends what was written, then closes. Since Node 0.3.4. */
  destroySoon(): void

  /**
   * Closes with RST instead of FIN; while connecting, as soon as connected. Throws ERR_INVALID_HANDLE_TYPE if this is
   * not TCP. Since Node 18.3 and 16.17.
   */
  resetAndDestroy(): this

  /**
   * Sends a file, or the part of it from `start` to `end`, after everything written before and before everything written
   * later. Resolves with the number of bytes when the kernel has them all. On Linux they do not pass through the process
   * (sendfile(2)); with TLS and on other systems they are read and written. Only ferronet has this method.
   *
   * Rejects with the file's error if it cannot be opened, and with an AbortError if `signal` is aborted before the file's
   * turn; then nothing of it was sent, and the socket goes on. What fails in the middle destroys the socket, because its
   * peer cannot know that the rest does not come: a file that has become shorter (ERR_FERRONET_FILE_SHRANK), an error of
   * the connection, an aborted `signal`. Wrong arguments reject with ERR_INVALID_ARG_TYPE and ERR_OUT_OF_RANGE.
   */
  sendFile(file: string | Buffer | URL | FileHandle, options?: SendFileOptions): Promise<number>

  // --- options ------------------------------------------------------------------------------------------------------

  /**
   * Emits `'timeout'` after so many milliseconds without traffic, and closes nothing; 0 turns it off. The callback is
   * added to the next `'timeout'`. Throws ERR_INVALID_ARG_TYPE and ERR_OUT_OF_RANGE.
   */
  setTimeout(timeout: number, callback?: () => void): this

  /** Milliseconds, as set by `setTimeout()`; undefined if never set. Since Node 10.7. */
  readonly timeout?: number

  /**
   * Sends small segments at once instead of waiting for the peer's acknowledgement (TCP_NODELAY). Without an argument
   * `true`. Before the connection it is remembered.
   */
  setNoDelay(noDelay?: boolean): this

  /** TCP keep-alive, with all its settings in one object. Since Node 26.4. */
  setKeepAlive(options: SetKeepAliveOptions): this
  /**
   * TCP keep-alive: off without an argument. `initialDelay` is the silence before the first probe, in milliseconds
   * (default 0, which leaves the system's setting), `interval` the time between probes, in milliseconds (1000),
   * `count` the number of probes without an answer after which the connection is given up (10). Less than a second
   * counts as 0. Before the connection it is remembered. `interval` and `count` since Node 26.4.
   */
  setKeepAlive(enable?: boolean, initialDelay?: number, interval?: number, count?: number): this

  /**
   * The type of service (IPv4) or traffic class (IPv6) of what is sent, 0–255. Before the connection it is remembered.
   * Throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE and, if the system refuses, its error. Since Node 25.6 and 24.15.
   */
  setTypeOfService(tos: number): this

  /** The type of service as the system has it; before the connection the one that was set, or 0. Since Node 25.6 and 24.15. */
  getTypeOfService(): number

  /**
   * For how many microseconds a call that finds nothing asks the network card itself (`SO_BUSY_POLL`). Before the
   * connection it is remembered; on a Unix socket it has no effect. Throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE and, if
   * the system refuses or has no such option, its error. Linux only, and only in ferronet.
   */
  setBusyPoll(microseconds: number): this

  /** The value of `setBusyPoll()` as the system has it; before the connection the one that was set, or 0. */
  getBusyPoll(): number

  /** An open connection keeps the process alive (the default). */
  ref(): this

  /** The process may end although the connection is open. */
  unref(): this

  // --- facts --------------------------------------------------------------------------------------------------------

  /** Our end: `{ address, family, port }`; empty without a connection, and for paths. */
  address(): AddressInfo | {}
  /** Our address; undefined without a connection, and for paths. */
  readonly localAddress?: string
  /** Our port. */
  readonly localPort?: number
  /** `'IPv4'` or `'IPv6'`. Since Node 18.8 and 16.18. */
  readonly localFamily?: string
  /** The peer's address; undefined without a connection, and for paths. Kept after `'close'` once it was read. */
  readonly remoteAddress: string | undefined
  /** `'IPv4'` or `'IPv6'`. */
  readonly remoteFamily: string | undefined
  /** The peer's port. */
  readonly remotePort: number | undefined
  /** Bytes received. */
  readonly bytesRead: number
  /** Bytes written, those that still wait to be sent included. */
  readonly bytesWritten: number
  /** @deprecated Use `writableLength`. */
  readonly bufferSize: number

  // --- TLS, which is ferronet's own -----------------------------------------------------------------------------------

  /** Goes on in TLS, as a client. The listener is added to `'secure'`. */
  startTLS(listener: () => void): this
  /**
   * Goes on in TLS, on the same socket: `'secure'` when the handshake is done and the peer is who it should be. What was
   * written before leaves first, unencrypted; what is written later waits. Throws for wrong options, and
   * ERR_TLS_CANNOT_START when it is too late for TLS, or too early, before `connect()`; what goes wrong after that
   * destroys the socket.
   */
  startTLS(options?: StartTlsOptions, listener?: () => void): this
  /** True from `startTLS()` on. */
  readonly encrypted?: true
  /** From `'secure'` on: whether the peer's certificate is trusted. */
  readonly authorized?: boolean
  /** Why it is not, as a code. */
  readonly authorizationError?: Error | string | null
  /** The application protocol that both ends have chosen, or false. */
  readonly alpnProtocol?: string | false | null
  /** What else there is to know of the session, from the beginning of the handshake on. */
  readonly tls?: TlsSession | null
}

/** `Socket`, which can be called without `new` and has the static members of `net.Socket`. */
export interface SocketConstructor extends Omit<typeof net.Socket, 'prototype'> {
  /**
   * A Socket that is not connected yet, or the connection of `options.fd` or `options.handle`. A number is a
   * descriptor. Throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE, and for a descriptor the error of
   * the system.
   */
  new (options?: SocketConstructorOpts | number): Socket
  /** `new Socket()`. */
  (options?: SocketConstructorOpts | number): Socket
  readonly prototype: Socket
}
