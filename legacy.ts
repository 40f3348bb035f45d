// The entry `ferronet/legacy`: the module `net` as programs for Node 0.1 and 0.2 know it, and exports only. What those
// programs would notice is in lib/legacy.ts; all the rest is what `ferronet` exports.

import * as legacy from './lib/legacy.js'

export * from './index.js'

export interface Stream extends legacy.Stream {}
export const Stream = legacy.Stream
export interface Socket extends legacy.Stream {}
export const Socket = Stream

export interface Server extends legacy.Server {}
export const Server = legacy.Server

export const createServer = legacy.createServer
export const createConnection = legacy.createConnection
export const connect = createConnection
export const createCredentials = legacy.createCredentials
export type Credentials = legacy.Credentials

export const getDefaultEncoding = legacy.getDefaultEncoding
export const setDefaultEncoding = legacy.setDefaultEncoding
