// One engine for a thread, however often ferronet is loaded there. handle.ts has an engine behind it: descriptors, a
// listener of 'exit', with the helper thread a thread. Test runners load modules anew for each file; the engine that
// is there serves them all. So who needs handle.ts at run time takes it from here, and nothing else loads it.
//
// Each installed copy of the package has an engine of its own, whatever its version: between copies nothing of the
// protocol between the files is promised.

import { nodeNet } from '../node/net.js'
import type * as seam from './handle.js'
import type { Owner as AnyOwner } from './owner.js'
import type { SocketHandle } from './socket-handle.js'

export { type Endpoint, spelled } from './endpoint.js'
export type { Facts } from './handle.js'
export type Owner = AnyOwner<SocketHandle>

export type { SocketHandle } from './socket-handle.js'
export type { Fact, TlsContext, TlsOwner, TlsStart } from './tls.js'

export const {
  Handle,
  MOST_BUSY_POLL,
  busyPoll,
  captureContext,
  closeDescriptor,
  kindOfDescriptor,
  openHandles,
  parts,
  setBusyPoll,
  TLS_ASK_CONTEXT,
  TLS_ASK_PROTOCOL,
  TLS_ASK_RESPONSE,
  TLS_ASK_RESUME,
  TLS_ASK_STATUS,
  TLS_ASK_STORE,
  TLS_CERTIFICATE,
  TLS_HELLO,
  TLS_KEYLOG,
  TLS_REQUEST_CERTIFICATE,
  TLS_REQUIRE_CERTIFICATE,
  TLS_SERVER,
  TLS_STORE,
} = engine()
export type Handle = seam.Handle

function engine(): typeof seam {
  return fromMainContext() ?? fromHere()
}

function fromHere(): typeof seam {
  const { version } = require('../../../package.json') as { version: string }
  // The version as well, for a copy that is replaced while the program runs.
  const key = Symbol.for(`ferronet.engine ${version} ${__dirname}`)
  const there = (globalThis as { [key: symbol]: unknown })[key] as typeof seam | undefined
  if (there !== undefined) return there
  const loaded = require('./handle.js') as typeof seam
  Object.defineProperty(globalThis, key, { value: loaded })
  return loaded
}

/**
 * What this file exports in the thread's main context, if it has been loaded in another: test runners give each file of
 * tests a context, with a module registry, a `process` and timers of its own, and take them down afterwards. Like Node's
 * own modules the engine must not be part of that.
 */
function fromMainContext(): typeof seam | null {
  // Node's functions are of the main context.
  if (nodeNet.connect instanceof Function) return null
  let load: NodeJS.Require
  try {
    // In a sandbox `process` and `module` may be imitations.
    const { runInThisContext }: typeof import('node:vm') = require('node:vm')
    const main = runInThisContext('process') as NodeJS.Process
    load = main.getBuiltinModule('node:module').createRequire(__filename)
    load.resolve(__filename)
  } catch {
    // A bundle, in which this file has no place that the loader knows.
    return null
  }
  return load(__filename) as typeof seam
}
