// What a Socket keeps. A field that Node does not show either has a labelled symbol, so that a property dump says what
// it is, and in `Fields` its type and its first value. The first values are on the prototype: an idle connection pays
// only for the fields it uses.
//
// `Connection` is a Socket for the files that socket.ts is built on.

import type { AsyncResource } from 'node:async_hooks'
import type { BlockList } from 'node:net'
import type { Duplex } from 'node:stream'
import type { AddressInfo } from './address.js'
import type { Handle, SocketHandle } from './engine/once.js'
import type { ForeignHandle } from './node/foreign-handle.js'
import type { Chunk, StreamInternals } from './node/stream-state.js'
import { kRemembered, nothingRemembered, type Remembered } from './options.js'
import type { Done, Held, Request } from './request.js'
import type { kOnWritten } from './symbols.js'

export const kHandle = Symbol('ferronet.handle')
export const kAttempt = Symbol('ferronet.attempt')
export const kTimeout = Symbol('ferronet.timeout')
export const kLastWriteQueueSize = Symbol('ferronet.lastWriteQueueSize')
export const kOnread = Symbol('ferronet.onread')
export const kBoundSource = Symbol('ferronet.boundSource')
export const kBoundPath = Symbol('ferronet.boundPath')
export const kWriteRequest = Symbol('ferronet.writeRequest')
export const kHeld = Symbol('ferronet.heldCallbacks')
export const kShutdownRequest = Symbol('ferronet.shutdownRequest')
export const kFiles = Symbol('ferronet.files')
export const kRelay = Symbol('ferronet.relay')
export const kTls = Symbol('ferronet.tls')
export const kBytesRead = Symbol('ferronet.bytesRead')
export const kBytesWritten = Symbol('ferronet.bytesWritten')

/**
 * Never part of a Socket: an instance of it is the list of first values. Those of `declare`d fields the constructor
 * sets.
 */
export class Fields {
  /** The Handle, which `_handle` shows. */
  declare [kHandle]: Handle | ForeignHandle | null;
  /** The attempt to connect that is in flight. */
  [kAttempt]: Attempt | null = null;
  /** The idle timer, running or expired. */
  [kTimeout]: NodeJS.Timeout | null = null;
  /** What was queued in the handle when the idle timer last looked. */
  [kLastWriteQueueSize] = 0;
  /** The option `onread`. */
  [kOnread]: Onread | null = null;
  /** The options of the connection, also before there is one. Replaced as a whole, because sockets share it. */
  [kRemembered]: Remembered = nothingRemembered;
  /** Whether the Handle comes from a BoundSocket, and its path if that is a pipe. */
  [kBoundSource] = false;
  [kBoundPath]: string | undefined = undefined;
  /** The write that the handle has queued. */
  [kWriteRequest]: Request | null = null;
  /** Callbacks of writes that the stream has done with but the kernel has not taken yet. */
  [kHeld]: Held[] | null = null;
  /** The shutdown that is under way. */
  [kShutdownRequest]: Request | null = null;
  /** The files that are to be sent. */
  [kFiles]: FilesToSend | null = null;
  /** How `pipe` to another socket goes. */
  [kRelay]: Relaying | null = null;
  /** What does the TLS of this socket, from `startTLS()` on. */
  [kTls]: { canceled(): Error } | null = null;
  /** The counters of the last handle, for after `destroy()`. */
  [kBytesRead] = 0;
  [kBytesWritten] = 0

  /** Whether `connect()` has been called and its outcome is not known yet. */
  declare connecting: boolean
  /** The Server that accepted this connection, or null. */
  declare server: Acceptor | null
  /** The last value given to `setTimeout()`, in milliseconds. */
  declare timeout: number | undefined
  /** `address:port` of each address tried so far, when the host had several. */
  declare autoSelectFamilyAttemptedAddresses: string[] | undefined
  declare blockList: BlockList | undefined
  declare resetAndClosing: boolean | undefined
  declare _hadError: boolean
  declare _parent: Connection | null
  declare _host: string | null
  declare _closeAfterHandlingError: boolean
  declare _aborted: boolean | undefined
  declare _sockname: AddressInfo | null
  declare _peername: AddressInfo | null | undefined
  declare _pendingData: Buffer | string | Chunk[] | null
  declare _pendingEncoding: BufferEncoding | ''
  declare _server: Acceptor | null
}

/** The stream with these fields, which the class in socket.ts gives its methods. */
export interface SocketBase extends Duplex, StreamInternals, Fields {}

/** Called by connect.ts on the Socket whose attempt succeeded. */
export const kOpened = Symbol('ferronet.opened')
/** Called by connect.ts: give up the Handle of a failed attempt for a new one. */
export const kReplaceHandle = Symbol('ferronet.replaceHandle')
/** Called by `connect()` on a Socket that has been closed. */
export const kReconnects = Symbol('ferronet.reconnects')
/** Called when there is a connection, before 'connect'. */
export const kConnected = Symbol('ferronet.connected')

/** A Socket, with the methods that are called from the files below socket.ts. */
export interface Connection extends SocketBase {
  readonly _handle: Handle | null
  _onTimeout(): void
  _unrefTimer(): void
  [kOnWritten](status: number): void
  [kOpened](): void
  [kReplaceHandle](handle: Handle): void
}

/** What a Socket asks of the Server that accepted it; anything with its count will do. */
export interface Acceptor {
  _connections: number
  _emitCloseIfDrained?(): void
}

/** A connect in flight; what its outcome is reported with. */
export interface Attempt {
  handle: SocketHandle
  address: string
  port: number | undefined
  family: 4 | 6 | undefined
  localAddress: string | undefined
  localPort: number | undefined
  series: Series | null
  /** The async context of the attempt, or of the lookup's answer if there was one: its outcome is told in there. */
  request: AsyncResource
}

/** Where the writes go while there are files among them. */
export interface FilesToSend {
  write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void
  writev(chunks: Chunk[], done: Done): void
}

/** When the bytes that are piped to another socket, or from one, may go without JavaScript. */
export interface Relaying {
  /** How many chunks are to come before. */
  wait: number
  /** How many are to come after the next time that JavaScript has to do with them. */
  penalty: number
  /** Bytes waited for the destination after the last chunk: it is tried again when this socket resumes. */
  heldUp: boolean
  /** When bytes last passed by in a relay that has ended (performance.now()). */
  movedAt: number
  /** The idle timer, if it was set for less than the whole time because bytes have passed by since. */
  shortTimer: NodeJS.Timeout | null
  /** When 'timeout' was last emitted in a relay: once for each silence. */
  toldAt: number
}

/** The addresses of a host, tried one after the other. */
export interface Series {
  socket: Connection
  addresses: Address[]
  next: number
  to: Destination
  timeout: number
  timer: NodeJS.Timeout | undefined
  errors: (Error & { code?: string })[]
}

export type Address = { address: string; family: 4 | 6 }

export interface Destination {
  port: number
  localAddress: string | undefined
  localPort: number | undefined
}

/** The buffer to read into, null until `generate` has made one. Both functions are called on the Socket. */
export interface Onread {
  buffer: Uint8Array | null
  readonly generate: (() => unknown) | null
  /** `true` in place of the buffer: the program's function made none. */
  readonly callback: (nread: number, buffer: Uint8Array | true) => unknown
}

/** Of a socket that is a plain one again. */
export function forgetTls(socket: SocketBase): void {
  if (socket[kTls] === null) return
  socket[kTls] = null
  for (const fact of ['encrypted', 'authorized', 'authorizationError', 'alpnProtocol', 'tls']) {
    Reflect.deleteProperty(socket, fact)
  }
}
