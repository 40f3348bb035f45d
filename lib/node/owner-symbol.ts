// The symbol under which Node's own code finds the Socket or Server that a libuv handle belongs to: the cluster module
// asks the server of a handle whether it is full, and closes it when the worker disconnects. The symbol is internal; a
// Socket of Node's puts it on whatever handle it is given. Seen in Node 20 to 26, and in Deno 2.9 under another name.

import type { SocketConstructorOpts } from 'node:net'
import { nodeNet } from './net.js'

// Taken at load, before anybody replaces it.
const NodeSocket = nodeNet.Socket
const names = ['owner_symbol', 'ownerSymbol']
let found: symbol | undefined

/** Node's `owner_symbol`, or undefined should Node give it up. */
export function ownerSymbol(): symbol | undefined {
  if (found === undefined) {
    const probe = {}
    void new NodeSocket({ handle: probe, readable: false } as SocketConstructorOpts)
    found = Object.getOwnPropertySymbols(probe).find(({ description }) => names.includes(description ?? ''))
  }
  return found
}
