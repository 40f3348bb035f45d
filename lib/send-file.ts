// `socket.sendFile()`: a file's bytes, in the order of the socket's writes, without passing through JavaScript.
//
// In the stream a file is a write of no bytes, which keeps its place among the others and holds up those behind it until
// the file is out. While there are files, `_write` and `_writev` look out for them.

import { type FileHandle, open } from 'node:fs/promises'
import { Duplex } from 'node:stream'
import type { Handle } from './engine/once.js'
import { aborted, errnoException, errnoOf, fileShrank, fromLoop, socketClosed } from './errors.js'
import { type ForeignHandle, isForeign } from './node/foreign-handle.js'
import type { Chunk } from './node/stream-state.js'
import { setImmediate } from './node/timers.js'
import { type Done, Request } from './request.js'
import { type Connection, type FilesToSend, kFiles, kHandle, kTls, kWriteRequest } from './state.js'
import { invalidArgType, outOfRange, validateAbortSignal, validateObject } from './validate.js'
import { callBackWhenSent, callbackOfWrite, canceled, writeChunk } from './write.js'

export interface SendFileOptions {
  start?: number | undefined
  end?: number | undefined
  signal?: AbortSignal | undefined
}

/** A Socket, as far as it is needed here. */
interface Sender extends Connection {
  _writeGeneric(
    writev: boolean,
    data: Buffer | string | Chunk[],
    encoding: BufferEncoding | '',
    done: Done,
  ): unknown
}

// What a socket gets in one turn of the loop: a file that is in memory is sent faster than a peer may take, and the other
// sockets have to have their turn.
const SHARE = 512 * 1024
/** What is read at once where the system does not send files. */
const PIECE = 64 * 1024

/**
 * What the system says to files that it cannot send, or read, or to sockets; what a sandbox says that has no sendfile(2)
 * or forbids it (ENOSYS, EPERM, EACCES); and a kernel without memory for the pipe that it needs inside. Copying finds out
 * whose fault it is.
 */
const REFUSALS = ['EINVAL', 'ENOTSUP', 'EBADF', 'EIO', 'ENOSYS', 'EPERM', 'EACCES', 'ENOMEM'].map(errnoOf)
const EOF = errnoOf('EOF')

export async function sendFile(
  socket: Sender,
  file: string | Buffer | URL | FileHandle,
  options: SendFileOptions = {},
): Promise<number> {
  const wanted = checked(file, options)
  if (wanted.signal?.aborted) throw aborted(wanted.signal)
  return await Files.of(socket).add(new Sending(socket, wanted))
}

interface Wanted {
  file: string | Buffer | URL | FileHandle
  start: number
  /** Behind the last byte; infinite: the end of the file. */
  end: number
  signal: AbortSignal | undefined
}

function checked(file: unknown, options: SendFileOptions): Wanted {
  const isPath = typeof file === 'string' || Buffer.isBuffer(file) || file instanceof URL
  if (!isPath && !isFileHandle(file)) {
    throw invalidArgType('file', 'of type string or an instance of Buffer, URL, or FileHandle', file)
  }
  validateObject(options, 'options')
  const { start = 0, end = Number.POSITIVE_INFINITY, signal } = options
  position(start, 'start')
  if (end !== Number.POSITIVE_INFINITY) position(end, 'end')
  if (end < start) throw outOfRange('start', `<= "end" (here: ${end})`, start)
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal')
  // The last byte, as in `createReadStream()`.
  return { file: file as Wanted['file'], start, end: end + 1, signal }
}

function isFileHandle(file: unknown): file is FileHandle {
  const { fd, stat, read } = (file ?? {}) as FileHandle
  return typeof fd === 'number' && typeof stat === 'function' && typeof read === 'function'
}

function position(value: unknown, name: string): void {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < 0 || value > Number.MAX_SAFE_INTEGER - 1) {
    throw outOfRange(name, `>= 0 && <= ${Number.MAX_SAFE_INTEGER - 1}`, value)
  }
}

// --- the order --------------------------------------------------------------------------------------------------

/** The files that a socket has to send, and where: each is a chunk of no bytes among the others. */
class Files implements FilesToSend {
  #socket: Sender
  #places = new Map<unknown, Sending>()

  static of(socket: Sender): Files {
    return (socket[kFiles] ??= new Files(socket)) as Files
  }

  constructor(socket: Sender) {
    this.#socket = socket
  }

  async add(sending: Sending): Promise<number> {
    const socket = this.#socket
    const place = Buffer.alloc(0)
    this.#places.set(place, sending)
    if (this.#places.size === 1) socket.once('close', this.#onClose)
    try {
      await new Promise<void>((resolve, reject) => {
        sending.giveUp = reject
        // The stream's own, because a tool that wraps `write` would see a write that is none.
        // With TLS what is under way is canceled before the socket's error gets here.
        const done: Done = error => (error ? reject(socket.errored ?? error) : resolve())
        Duplex.prototype.write.call(socket, place, 'utf8', done as () => void)
      })
    } finally {
      sending.release()
      // One that was given up keeps its place until it is its turn.
      if (sending.isOver || socket.destroyed) this.#drop(place)
    }
    const sent = sending.outcome()
    await sending.closed()
    return sent
  }

  #onClose = (): void => {
    for (const [place, sending] of this.#places) {
      if (sending.isGivenUp) this.#drop(place)
      else sending.giveUp(this.#socket.errored ?? canceled())
    }
  }

  #drop(place: unknown): void {
    this.#places.delete(place)
    if (this.#places.size > 0) return
    this.#socket.off('close', this.#onClose)
    this.#socket[kFiles] = null
  }

  #run(place: unknown, done: Done): void {
    const sending = this.#places.get(place)!
    if (!sending.isGivenUp) sending.run(done)
    else {
      this.#drop(place)
      done()
    }
  }

  write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void {
    if (this.#places.has(chunk)) this.#run(chunk, done)
    else this.#socket._writeGeneric(false, chunk, encoding, done)
  }

  writev(chunks: Chunk[], done: Done): void {
    const at = chunks.findIndex(({ chunk }) => this.#places.has(chunk))
    const before = at < 0 ? chunks : chunks.slice(0, at)
    if (before.length > 0) {
      const then: Done = error => (error ? done(error) : this.writev(chunks.slice(at), done))
      this.#socket._writeGeneric(true, before, '', at < 0 ? done : then)
      return
    }
    const after = chunks.slice(1)
    this.#run(chunks[0]!.chunk, error => {
      if (error || after.length === 0) done(error)
      else this.writev(after, done)
    })
  }
}

/** Out of the promise: what a handler of the program throws there is an exception, and no rejection. */
function outside<A>(run: (argument: A) => void): (argument: A) => void {
  return argument => process.nextTick(run, argument)
}

// --- one file ---------------------------------------------------------------------------------------------------

class Sending {
  #socket: Sender
  #wanted: Wanted
  #opened: Promise<FileHandle>
  #isOurs: boolean
  #file!: FileHandle
  #at: number
  #end = 0
  /** Why nothing of it was sent: not the socket's error. */
  #error: unknown
  #onAbort = (): void => this.#aborted()
  #hasBegun = false
  /** What stat says of pipes and of files that are made up while they are read, and of empty ones. */
  #hasNoSize = false
  /** It can only be read from where it stands. */
  #cannotSeek = false
  /** Rejects its promise. */
  giveUp: (reason: unknown) => void = () => {}
  /** The signal has fired before it was its turn. */
  isGivenUp = false
  /** It has had its turn. */
  isOver = false
  #closed = Promise.resolve()

  constructor(socket: Sender, wanted: Wanted) {
    this.#socket = socket
    this.#wanted = wanted
    this.#at = wanted.start
    this.#isOurs = !isFileHandle(wanted.file)
    // At once, so that there is no wait when it is the file's turn. What fails is told then.
    if (isFileHandle(wanted.file)) this.#opened = Promise.resolve(wanted.file)
    else this.#opened = socket.writable ? open(wanted.file) : Promise.reject(socketClosed())
    this.#opened.catch(() => {})
    wanted.signal?.addEventListener('abort', this.#onAbort)
  }

  /** The bytes that were sent. Throws what has kept it from being sent at all. */
  outcome(): number {
    if (this.#error !== undefined) throw this.#error
    return this.#at - this.#wanted.start
  }

  release(): void {
    this.#wanted.signal?.removeEventListener('abort', this.#onAbort)
    // What has failed to open is nothing to close.
    if (this.#isOurs) this.#closed = this.#opened.then(file => file.close()).catch(() => {})
  }

  /** After a file that was sent. On Windows the directory of one that is still open cannot be removed. */
  closed(): Promise<void> {
    return this.#closed
  }

  #aborted(): void {
    // The peer has part of a file, and nothing can tell it that the rest does not come.
    if (this.#hasBegun) this.#socket.destroy(aborted(this.#wanted.signal))
    else if (!this.isOver) {
      this.isGivenUp = true
      this.giveUp(aborted(this.#wanted.signal))
    }
  }

  /** It is the file's turn. `done` once it is out; an error destroys the socket. */
  run(done: Done): void {
    this.isOver = true
    this.#prepare().then(
      outside(() => this.#go(done)),
      outside((error: unknown) => {
        this.#error = error
        done()
      }),
    )
  }

  async #prepare(): Promise<void> {
    const { signal, end } = this.#wanted
    this.#file = await this.#opened
    const { size } = await this.#file.stat()
    if (signal?.aborted) throw aborted(signal)
    this.#hasNoSize = size === 0
    this.#end = this.#hasNoSize ? end : Math.min(end, size)
  }

  #go(done: Done): void {
    const { destroyed, connecting, [kHandle]: handle } = this.#socket
    if (destroyed) return
    if (connecting) {
      this.#socket.once('connect', () => this.#go(done))
      return
    }
    if (handle === null) {
      done(socketClosed())
      return
    }
    this.#hasBegun = true
    if (this.#at >= this.#end) {
      this.#isOut(handle, done)
      return
    }
    const isSealed = this.#socket[kTls] !== null
    if (isSealed || isForeign(handle) || this.#hasNoSize) {
      this.#copy(done)
      return
    }
    const { sent, blocked } = handle.sendFile(this.#file.fd, this.#at, Math.min(SHARE, this.#end - this.#at))
    if (REFUSALS.includes(sent)) this.#copy(done)
    else if (sent === EOF) done(this.#shrank())
    else if (sent < 0) done(fromLoop(() => errnoException(sent, 'write')))
    else {
      this.#at += sent
      this.#socket._unrefTimer()
      if (blocked) this.#wait(handle, done)
      else setImmediate(() => this.#go(done))
    }
  }

  /** Goes on when the kernel has room. */
  #wait(handle: Handle, done: Done): void {
    this.#socket[kWriteRequest] = new Request('WRITEWRAP', handle, error => {
      if (error) done(error)
      else this.#go(done)
    })
  }

  #isOut(handle: Handle | ForeignHandle, done: Done): void {
    // The last bytes may still wait for the end of the tick.
    const callback = callbackOfWrite(this.#socket)
    if (callback !== null && !isForeign(handle)) callBackWhenSent(this.#socket, handle, callback)
    done()
  }

  #shrank(): Error {
    return fileShrank(this.#at - this.#wanted.start, this.#end - this.#wanted.start)
  }

  /** The next piece through the process: with TLS, on other systems, and from what is not a plain file. */
  #copy(done: Done): void {
    const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE, this.#end - this.#at))
    this.#file.read(buffer, 0, buffer.length, this.#cannotSeek ? null : this.#at).then(
      outside(({ bytesRead }: { bytesRead: number }) => {
        const handle = this.#socket[kHandle]
        if (this.#socket.destroyed || handle === null) return
        if (bytesRead > 0) this.#put(handle, buffer.subarray(0, bytesRead), done)
        else if (this.#hasNoSize) this.#isOut(handle, done)
        else done(this.#shrank())
      }),
      outside((error: NodeJS.ErrnoException) => {
        if (error.code === 'ESPIPE' && this.#hasNoSize && !this.#cannotSeek) {
          this.#cannotSeek = true
          this.#copy(done)
          return
        }
        // The file's error. Before the first byte it is nobody else's.
        if (this.#at > this.#wanted.start) done(error)
        else {
          this.#error = error
          done()
        }
      }),
    )
  }

  #put(handle: Handle | ForeignHandle, piece: Buffer, done: Done): void {
    if (isForeign(handle)) {
      this.#socket._writeGeneric(false, piece, 'utf8', error => {
        if (error) done(error)
        else {
          this.#at += piece.length
          this.#go(done)
        }
      })
      return
    }
    const result = writeChunk(handle, piece, 'utf8')
    if (result < 0) {
      done(fromLoop(() => errnoException(result, 'write')))
      return
    }
    this.#at += piece.length
    this.#socket._unrefTimer()
    if (result > 0) this.#wait(handle, done)
    else setImmediate(() => this.#go(done))
  }
}
