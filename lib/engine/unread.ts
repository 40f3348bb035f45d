// What was read beyond the point where the reader stopped: chunks, and behind them the end or an error.

export class Unread {
  #chunks: Buffer[] = []
  /** 0 for the peer's FIN, an error number, or undefined: more may follow. */
  #end: number | undefined
  /** Whether its handle is among those that go on in the next batch. */
  resuming = false

  add(chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  end(status: number): void {
    this.#end ??= status
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0 && this.#end === undefined
  }

  get isAtEnd(): boolean {
    return this.#chunks.length === 0 && this.#end !== undefined
  }

  /** The error number behind the bytes, or 0. */
  get error(): number {
    return this.#end ?? 0
  }

  /** What is left of the bytes. */
  get chunks(): Buffer[] {
    return this.#chunks
  }

  /** The next chunk, or the status of the end. */
  next(): Buffer | number {
    return this.#chunks.shift() ?? this.#end ?? 0
  }
}
