// What Node's TLSSocket stands on where it does our TLS: the socket's former handle, as a stream.

import { Duplex } from 'node:stream'
import type { Handle } from '../engine/once.js'
import { errnoException, fromLoop } from '../errors.js'
import type { Done } from '../request.js'
import { kOnRead, kOnReadEnd, kOnShutdown, kOnWriteFailed, kOnWritten } from '../symbols.js'

export class Carrier extends Duplex {
  readonly below: Handle
  #done: Done | null = null
  #final: Done | null = null
  /** Called when the connection ends, before the stream does. */
  onEnd: ((status: number) => void) | undefined
  /** From the first write of the program on. What Node's TLS sends by itself may fail: the program is told when it writes. */
  isWritten = false
  /** The status of a write that has failed and of which nobody has been told. */
  #failed = 0

  constructor(below: Handle, unread: Buffer) {
    super({ allowHalfOpen: true, autoDestroy: false, decodeStrings: true })
    this.below = below
    below.owner = this as unknown as Handle['owner']
    if (unread.length > 0) this.push(unread)
  }

  override _read(): void {
    const status = this.below.readStart()
    if (status !== 0) this.destroy(errnoException(status, 'read'))
  }

  [kOnRead](chunk: Buffer): void {
    if (!this.push(chunk)) this.below.readStop()
  }

  [kOnReadEnd](status: number): void {
    this.onEnd?.(status)
    if (status !== 0) this.destroy(fromLoop(() => errnoException(status, 'read')))
    else this.push(null)
  }

  // Behind the end of a client that has not waited for its handshake comes the rest of that, which nobody reads.
  override write(...args: unknown[]): boolean {
    const write = super.write as (...args: unknown[]) => boolean
    if (!this.writableEnded) return write.apply(this, args)
    const done = args.findLast(each => typeof each === 'function') as Done | undefined
    if (done !== undefined) process.nextTick(done)
    return true
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#sent(this.below.write(chunk), done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#sent(this.below.writev(chunks.map(({ chunk }) => chunk)), done)
  }

  #sent(result: number, done: Done): void {
    const status = this.#failed || result
    if (status > 0) this.#done = done
    else if (status === 0 || this.#keeps(status)) done()
    else done(errnoException(status, 'write'))
  }

  /** Whether nobody is told of a failure now. As in Node, reading goes on and finds what has become of the connection. */
  #keeps(status: number): boolean {
    if (this.isWritten) return false
    this.#failed = status
    return true
  }

  [kOnWritten](status: number): void {
    const done = this.#done
    this.#done = null
    done?.(status < 0 && !this.#keeps(status) ? fromLoop(() => errnoException(status, 'write')) : null)
  }

  [kOnWriteFailed](status: number): void {
    if (!this.#keeps(status)) this.destroy(fromLoop(() => errnoException(status, 'write')))
  }

  override _final(done: Done): void {
    const status = this.below.shutdown()
    if (status === 0) this.#final = done
    else done()
  }

  [kOnShutdown](): void {
    const done = this.#final
    this.#final = null
    done?.()
  }
}
