// What the functions and constructors take. Declared here rather than taken from node:net, because a program's
// @types/node may be older than the options: ferronet has those of Node 26 on every Node.

/// <reference types="node" preserve="true" />

import type { LookupAddress, LookupOptions } from 'node:dns'
import type * as net from 'node:net'
import type { BoundSocket, NodeBoundSocket } from './bound.js'

// --- sockets ------------------------------------------------------------------------------------------------------

/** An option that only ferronet has. */
export interface SharedChunks {
  /**
   * Whether a chunk of `'data'` may be a view of memory that it shares with chunks of other sockets. That is faster,
   * but `chunk.buffer` then holds other connections' bytes, and a chunk that is kept pins up to 256 KiB; docs/api.md
   * describes it. Only ferronet has this option.
   * @default false
   */
  sharedChunks?: boolean | undefined
}

/** Another one. */
export interface BusyPoll {
  /**
   * For how many microseconds a call that finds nothing asks the network card itself (`SO_BUSY_POLL`); docs/api.md says
   * when that helps. A whole number from 0 to 2147483647. Linux and TCP only; elsewhere, and where the system refuses it, it
   * has no effect. Only ferronet has this option.
   * @default 0: what the system has
   */
  busyPoll?: number | undefined
}

/** What `onread` takes: received bytes go straight into the program's own memory, and there is no `'data'`. */
export interface OnReadOpts {
  /** The memory to read into, or a function that returns it for each read. */
  buffer: Uint8Array | (() => Uint8Array)
  /**
   * Called when bytes have been received, with their number and the buffer they are in. Return `false` to pause the
   * socket.
   */
  callback(bytesWritten: number, buffer: Uint8Array): boolean
}

/** What `new Socket()` takes. */
export interface SocketConstructorOpts extends SharedChunks, BusyPoll {
  /**
   * Takes over this descriptor: a connected socket of TCP or of the Unix domain, or a FIFO. It belongs to the Socket
   * from then on.
   */
  fd?: number | undefined
  /**
   * Takes over a BoundSocket, ferronet's or Node's: `connect()` then connects from its address. (An object with the
   * functions of libuv's handles works too; it has no type of its own.) Since Node 26.4 and 24.19.
   */
  handle?: BoundSocket | NodeBoundSocket | undefined
  /**
   * Whether our side stays open when the peer has ended its own. If not, the socket ends by itself after `'end'`.
   * @default false
   */
  allowHalfOpen?: boolean | undefined
  /** Reads into memory of the program instead of emitting `'data'`. */
  onread?: OnReadOpts | undefined
  /**
   * Whether a socket made from `fd` can be read.
   * @default true
   */
  readable?: boolean | undefined
  /**
   * Whether a socket made from `fd` can be written.
   * @default true
   */
  writable?: boolean | undefined
  /** Destroys the socket with an `AbortError` when it is aborted. */
  signal?: AbortSignal | undefined
  /**
   * Sends small segments at once instead of waiting for the peer's acknowledgement (TCP_NODELAY).
   * @default false
   */
  noDelay?: boolean | undefined
  /**
   * Turns TCP keep-alive on when the socket is connected.
   * @default false
   */
  keepAlive?: boolean | undefined
  /**
   * Milliseconds of silence before the first keep-alive probe, rounded down to seconds; 0 leaves the system's setting.
   * @default 0
   */
  keepAliveInitialDelay?: number | undefined
  /** Addresses that `connect()` refuses, with ERR_IP_BLOCKED. Since Node 22.13. */
  blockList?: net.BlockList | undefined
  /** The type of service (IPv4) or traffic class (IPv6) of what is sent, 0–255. Since Node 25.6 and 24.15. */
  typeOfService?: number | undefined
  /**
   * Bytes that the stream buffers in either direction before it asks the program, or the peer, to slow down.
   * @default stream.getDefaultHighWaterMark(): 65536, on Node 20 16384
   */
  highWaterMark?: number | undefined
  /** `highWaterMark` for what is received alone. */
  readableHighWaterMark?: number | undefined
  /** `highWaterMark` for what is written alone. */
  writableHighWaterMark?: number | undefined
}

// --- connecting ---------------------------------------------------------------------------------------------------

/** A replacement for `dns.lookup`. With `options.all` it calls back with an array of addresses. */
export type LookupFunction = (
  hostname: string,
  options: LookupOptions,
  callback: (err: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void,
) => void

/** Where `socket.connect()` connects to over TCP. */
export interface TcpSocketConnectOpts {
  /** 0–65535. */
  port: number
  /**
   * A name or an address.
   * @default 'localhost'
   */
  host?: string | undefined
  /** The address to connect from. */
  localAddress?: string | undefined
  /** The port to connect from. */
  localPort?: number | undefined
  /** Flags for the lookup of `host`, such as `dns.ADDRCONFIG`. */
  hints?: number | undefined
  /**
   * 4 or 6 looks up addresses of that family only, 0 both.
   * @default 0
   */
  family?: number | undefined
  /**
   * Looks up `host`.
   * @default dns.lookup
   */
  lookup?: LookupFunction | undefined
  /**
   * Tries the addresses of `host` one after the other, alternating between IPv6 and IPv4, until one connects. Since
   * Node 18.13.
   * @default getDefaultAutoSelectFamily()
   */
  autoSelectFamily?: boolean | undefined
  /**
   * Milliseconds to wait for one address before the next is tried; less than 10 counts as 10. Since Node 18.13.
   * @default getDefaultAutoSelectFamilyAttemptTimeout()
   */
  autoSelectFamilyAttemptTimeout?: number | undefined
}

/** Where `socket.connect()` connects to within the machine. */
export interface IpcSocketConnectOpts {
  /** The path of a Unix-domain socket. On Linux a leading NUL names the abstract namespace. */
  path: string
}

/** What `socket.connect()` takes. */
export type SocketConnectOpts = TcpSocketConnectOpts | IpcSocketConnectOpts

interface IdleTimeout {
  /** Milliseconds without traffic after which `'timeout'` is emitted, as with `socket.setTimeout()`; 0 is never. */
  timeout?: number | undefined
}

/** What `connect()` takes for TCP: the options of `new Socket()` and of `socket.connect()`. */
export interface TcpNetConnectOpts extends TcpSocketConnectOpts, SocketConstructorOpts, IdleTimeout {}

/** What `connect()` takes for a path: the options of `new Socket()` and of `socket.connect()`. */
export interface IpcNetConnectOpts extends IpcSocketConnectOpts, SocketConstructorOpts, IdleTimeout {}

/** What `connect()` and `createConnection()` take. */
export type NetConnectOpts = TcpNetConnectOpts | IpcNetConnectOpts

/** What `socket.setKeepAlive()` takes as one object. Since Node 26.4. */
export interface SetKeepAliveOptions {
  /**
   * Whether keep-alive is on.
   * @default false
   */
  enable?: boolean | undefined
  /**
   * Milliseconds of silence before the first probe, rounded down to seconds; 0 leaves the system's setting.
   * @default 0
   */
  initialDelay?: number | undefined
  /**
   * Milliseconds between probes, rounded down to seconds.
   * @default 1000
   */
  interval?: number | undefined
  /**
   * Probes without an answer after which the connection is given up.
   * @default 10
   */
  count?: number | undefined
}

// --- servers ------------------------------------------------------------------------------------------------------

/** What `createServer()` and `new Server()` take; most of it is for the sockets of the connections. */
export interface ServerOpts extends SharedChunks, BusyPoll {
  /**
   * Whether our side of a connection stays open when the peer has ended its own.
   * @default false
   */
  allowHalfOpen?: boolean | undefined
  /**
   * Whether nothing is read from a new connection until `socket.resume()` or `socket.read()`.
   * @default false
   */
  pauseOnConnect?: boolean | undefined
  /**
   * Sends small segments at once instead of waiting for the peer's acknowledgement (TCP_NODELAY).
   * @default false
   */
  noDelay?: boolean | undefined
  /**
   * Turns TCP keep-alive on for each connection.
   * @default false
   */
  keepAlive?: boolean | undefined
  /**
   * Milliseconds of silence before the first keep-alive probe, rounded down to seconds; 0 leaves the system's setting.
   * @default 0
   */
  keepAliveInitialDelay?: number | undefined
  /**
   * Bytes that each connection's stream buffers in either direction before it asks the program, or the peer, to slow
   * down. Since Node 20.1.
   * @default stream.getDefaultHighWaterMark(): 65536, on Node 20 16384
   */
  highWaterMark?: number | undefined
  /** Connections from these addresses are closed at once, without an event. Since Node 22.13. */
  blockList?: net.BlockList | undefined
}

/** What Windows lets a server say about its named pipe. Elsewhere any of it is ENOTSUP. */
export interface PipeOptions {
  /**
   * The name must be new. With false, other servers may listen on pipes of this name too, in this process or another,
   * and clients reach any of them.
   * @default true
   */
  firstInstance?: boolean | undefined
  /**
   * Turns away clients on other machines.
   * @default false
   */
  rejectRemoteClients?: boolean | undefined
  /**
   * The directions in which bytes can go, as the server sees them.
   * @default 'duplex'
   */
  access?: 'duplex' | 'inbound' | 'outbound' | undefined
  /**
   * Who may do what with the pipe, in the security descriptor definition language (SDDL).
   * @default the system's
   */
  securityDescriptor?: string | undefined
}

/** What `server.listen()` takes as one object: `port` and `host`, or `path`, or `handle`, or `fd`. */
export interface ListenOptions {
  /**
   * 0–65535; 0 is any free port, which `server.address()` then tells.
   * @default 0
   */
  port?: number | undefined
  /**
   * A name or an address to listen on.
   * @default all addresses: '::', or '0.0.0.0' where there is no IPv6
   */
  host?: string | undefined
  /** The path of a Unix-domain socket. On Linux a leading NUL names the abstract namespace. */
  path?: string | undefined
  /** For a named pipe of Windows. */
  pipe?: PipeOptions | undefined
  /** Listens on a BoundSocket, ferronet's or Node's. Since Node 26.4 and 24.19. */
  handle?: BoundSocket | NodeBoundSocket | undefined
  /** Listens on this descriptor: a socket of TCP or of the Unix domain that is bound, or listens already. */
  fd?: number | undefined
  /**
   * Connections that may wait to be accepted; the system has a limit of its own.
   * @default 511
   */
  backlog?: number | undefined
  /**
   * In a cluster worker: listens in this process alone instead of through the primary.
   * @default false
   */
  exclusive?: boolean | undefined
  /**
   * For a path: lets all users of the machine read from it.
   * @default false
   */
  readableAll?: boolean | undefined
  /**
   * For a path: lets all users of the machine write to it.
   * @default false
   */
  writableAll?: boolean | undefined
  /**
   * Listening on `::` does not accept IPv4.
   * @default false
   */
  ipv6Only?: boolean | undefined
  /**
   * Lets several sockets listen on the same port; the system distributes the connections (SO_REUSEPORT). Where it
   * cannot, `'error'` is emitted. Since Node 23.1 and 22.12.
   * @default false
   */
  reusePort?: boolean | undefined
  /** Closes the server when it is aborted. */
  signal?: AbortSignal | undefined
}

/** What `socket.sendFile()` takes. */
export interface SendFileOptions {
  /**
   * The first byte to send, counted from 0.
   * @default 0
   */
  start?: number | undefined
  /**
   * The last byte to send, inclusive as in `fs.createReadStream()`.
   * @default the last one that the file has when its turn comes
   */
  end?: number | undefined
  /** Before the file's turn: nothing of it is sent. In the middle: destroys the socket with an `AbortError`. */
  signal?: AbortSignal | undefined
}
