// The private vocabulary between the files of lib/. What a Handle calls on its owner is in engine/owner.ts.

export * from './engine/owner.js'

/** `server[kNewSocket](options)`: the Socket of an accepted connection; a subclass may make its own kind. */
export const kNewSocket = Symbol.for('ferronet.newSocket')
/** `socket[kBelow]()`: what a TLS or HTTP/2 session above the socket may ask of its connection. */
export const kBelow = Symbol.for('ferronet.below')
