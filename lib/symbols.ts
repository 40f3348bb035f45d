// The private vocabulary between the files of lib/: what a Handle calls on its owner (a Socket or a Server), and what
// a Server asks of its subclass. Labelled symbols, so that a property dump of a socket says what each one is; registered, because
// a copy of this file that is loaded later works with the Handle of the first (handle-once.ts).

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
/** `owner[kOnConnection](status, client)`: a Server's accept succeeded (status 0) or failed. */
export const kOnConnection = Symbol.for('ferronet.onConnection')
/** `server[kNewSocket](options)`: the Socket of an accepted connection; a subclass may make its own kind. */
export const kNewSocket = Symbol.for('ferronet.newSocket')
/** `socket[kBelow]()`: what a TLS or HTTP/2 session above the socket may ask of its connection. */
export const kBelow = Symbol.for('ferronet.below')
