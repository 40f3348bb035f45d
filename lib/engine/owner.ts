// What a Handle calls on the object it belongs to, a Socket or a Server. The symbols are labelled, so that a property
// dump says what each one is, and registered, because a copy of ferronet that is loaded later works with the Handle of
// the first (once.ts).

/** `owner[kOnConnect](status)`: the connect attempt ended; 0, or a negative libuv error number. */
export const kOnConnect = Symbol.for('ferronet.onConnect')
/** `owner[kOnRead](chunk)`: bytes arrived, in order; the chunk belongs to the receiver. */
export const kOnRead = Symbol.for('ferronet.onRead')
/** `owner[kOnReadInto](nread)`: bytes were put in the buffer that `handle.readInto` named. */
export const kOnReadInto = Symbol.for('ferronet.onReadInto')
/** `owner[kOnReadEnd](status)`: no more bytes will come; 0 for the peer's FIN, else a negative error number. */
export const kOnReadEnd = Symbol.for('ferronet.onReadEnd')
/** `owner[kOnWritten](status)`: the write that returned 1 is complete, or failed. */
export const kOnWritten = Symbol.for('ferronet.onWritten')
/** `owner[kOnWriteFailed](status)`: bytes reported as written (coalesced) could not be sent after all. */
export const kOnWriteFailed = Symbol.for('ferronet.onWriteFailed')
/** `owner[kOnShutdown](status)`: our FIN is on its way, after everything written before it. */
export const kOnShutdown = Symbol.for('ferronet.onShutdown')
/**
 * `owner[kOnRelayRest](bytes, to)`: a relay has stopped, and so much of what it has read is not sent. Returns whether
 * the stream of `to` has it; otherwise the handle sends it by itself.
 */
export const kOnRelayRest = Symbol.for('ferronet.onRelayRest')
/** `owner[kOnRelayStopped](idle)`: bytes that come, or go, are JavaScript's again; the last moved `idle` ms ago. */
export const kOnRelayStopped = Symbol.for('ferronet.onRelayStopped')
/** `owner[kOnConnection](status, client)`: a Server's accept succeeded (status 0) or failed. */
export const kOnConnection = Symbol.for('ferronet.onConnection')

/** Each call runs in the handle's async context. */
export interface Owner<Client> {
  [kOnConnect]?(status: number): void
  [kOnRead]?(chunk: Buffer): void
  [kOnReadInto]?(nread: number): void
  [kOnReadEnd]?(status: number): void
  [kOnWritten]?(status: number): void
  [kOnWriteFailed]?(status: number): void
  [kOnShutdown]?(status: number): void
  [kOnRelayRest]?(bytes: Buffer, to: object | null): boolean
  [kOnRelayStopped]?(idle: number): void
  [kOnConnection]?(status: number, client?: Client): void
}
