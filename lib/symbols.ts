// The private vocabulary between the files of lib/. What a Handle calls on its owner is in engine/owner.ts.

export * from './engine/owner.js'

/** `server[kNewSocket](options)`: the Socket of an accepted connection; a subclass may make its own kind. */
export const kNewSocket = Symbol.for('ferronet.newSocket')
