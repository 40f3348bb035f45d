// `ferronet/promises`: what the next node:net/promises is to hold.

export { type ConnectOptions, connect, type ListenOptions, listen, startTLS } from './lib/promises.js'
