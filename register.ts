// `ferronet/register`, for --import, --require or the first line of a program: from here on `net` is ferronet for
// everything but Node itself, in this thread, in its workers and in the processes it starts. With FERRONET_REGISTER=net,tls
// so is `tls`.
//
// It loads nothing of ferronet that has to do with sockets: a process that never asks for `net` pays for a hook, not
// for the addon and its JavaScript. A child may run any Node that honours NODE_OPTIONS, so this file and what it always
// loads must run in Node 14.18.

import { acceptNodeInstances } from './lib/node/instances.js'
import { chosen } from './lib/register/chosen.js'
import { inherit, isInherited } from './lib/register/inherit.js'
import { canReplace, redirect } from './lib/register/redirect.js'

/** On the global object of a thread: some copy of ferronet has been registered here. */
const kRegistered = Symbol.for('ferronet.registered')

register()

function register(): void {
  if (chosen() === null || kRegistered in globalThis || isHooksThread()) return
  if (!canRedirect()) {
    // A parent that passes the hook on may not know which Node its child runs. Only code that names the hook does.
    if (isInherited()) return
    throw new Error(`ferronet/register needs Node 20.19 or newer; this is ${process.version}`)
  }
  if (!canReplace()) {
    if (isInherited()) return
    const { bun } = process.versions
    throw new Error(
      `ferronet/register does not work ${bun === undefined ? 'here' : `in Bun ${bun}`}: its loader lets nobody replace ` +
        "'net'. Import 'ferronet' itself where you need it",
    )
  }
  Object.defineProperty(globalThis, kRegistered, { value: true })
  acceptNodeInstances()
  inherit()
  redirect()
}

function canRedirect(): boolean {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major! > 20 || (major === 20 && minor! >= 19)
}

/**
 * Node runs asynchronous hooks, ours before 22.15 and other people's, in a thread that loads what its parent was told
 * to require. It has no `net` to give, and on Node 22 fails with synchronous hooks inside it. Looking at `chdir`, which
 * is disabled in threads, spares the main thread the 2 ms of loading `worker_threads`.
 */
function isHooksThread(): boolean {
  if (!(process.chdir as { disabled?: boolean }).disabled) return false
  const { parentPort }: typeof import('node:worker_threads') = require('node:worker_threads')
  return parentPort === null
}
