// The public types: all that a user's compiler reads of ferronet. They are ferronet's own, complete on every @types/node
// from 20 on, and do not mention what is inside.

export type * from './types/address.js'
export type * from './types/bound.js'
export type * from './types/functions.js'
export type * from './types/handover.js'
export type * from './types/options.js'
export type * from './types/server.js'
export type * from './types/socket.js'
export type * from './types/tls.js'
export type * from './types/tls-module.js'
