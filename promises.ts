// `ferronet/promises`: what the next node:net/promises is to hold.

export { type ConnectOptions, connect, type ListenOptions, listen } from './lib/promises.js'
