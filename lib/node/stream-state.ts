// The insides of Node's streams and emitters that ferronet reads or sets. Seen in Node 20 to 26;
// node-insides.test.mjs notices when a member goes.

/** An element of what `_writev` is given, and of what a stream holds for it. */
export interface Chunk {
  chunk: Buffer | string
  encoding: BufferEncoding
}

/** A StringDecoder, with the beginning of a character whose end has not arrived. */
export interface Decoder {
  lastChar: Buffer
  lastNeed: number
  lastTotal: number
}

export interface ReadableState {
  /** An array that begins at `bufferIndex`; before Node 20.20 it may be a list with `clear()`. */
  buffer: Iterable<Buffer | string> & { length: number; push(chunk: Buffer): void; clear?(): void }
  bufferIndex?: number
  length: number
  /** Whether the stream has called `_read` and nothing has come since. */
  reading: boolean
  flowing: boolean | null
  sync: boolean
  ended: boolean
  decoder: Decoder | null
  encoding: BufferEncoding | null
  awaitDrainWriters: object | null
  pipes: unknown[]
  objectMode: boolean
  readableListening: boolean
  dataEmitted: boolean
  endEmitted: boolean
  closeEmitted: boolean
  destroyed: boolean
  errored: Error | null
}

export interface WritableState {
  length: number
  ending: boolean
  destroyed: boolean
  errored: Error | null
  sync: boolean
  needDrain: boolean
  corked: number
  objectMode: boolean
  /** What is called after the write in progress; it may be replaced until then. */
  writecb: ((error?: Error | null) => void) | null
  getBuffer(): Chunk[]
}

/** What a Duplex has beyond its documented members. */
export interface StreamInternals {
  _readableState: ReadableState
  _writableState: WritableState
  /** Listeners by event: one function, or an array of several. */
  _events: Record<string, unknown>
  /** Makes a destroyed stream usable again. */
  _undestroy(): void
}

/** The bytes of a character that has arrived in part. */
export function partOfCharacter({ lastChar, lastNeed, lastTotal }: Decoder): Buffer {
  return Buffer.from(lastChar.subarray(0, lastTotal - lastNeed))
}

/** Takes the bytes out of a stream's read buffer; a stream that has turned them into text has none. */
export function takeBuffered(state: ReadableState): Buffer[] {
  const taken = [...state.buffer].slice(state.bufferIndex ?? 0).filter(chunk => typeof chunk !== 'string')
  if (state.buffer.clear) {
    state.buffer.clear()
  } else {
    state.buffer.length = 0
    state.bufferIndex = 0
  }
  state.length = 0
  return taken
}
