// Under the register hook `subprocess.send()` and `process.send()` take ferronet's sockets and servers, and the `stdio`
// of `spawn()` its sockets, as the program expects of `net`. Node's own functions only know libuv's handles, so we
// give them what handover/lend.ts makes of ours. What arrives in the other process is a socket of Node's.

import { kindOfOurs } from '../node/instances.js'

type Lend = typeof import('../handover/lend.js')

interface Sender {
  send?: (...args: unknown[]) => unknown
}

interface SpawnOptions {
  stdio?: unknown
}

const kWrapped = Symbol('ferronet.sendsOurs')
let patched = false

/** For this process, and the children it starts from now on. */
export function sendOurs(): void {
  if (patched) return
  patched = true
  wrap(process as Sender)
  const { ChildProcess }: typeof import('node:child_process') = require('node:child_process')
  const prototype = ChildProcess.prototype as unknown as { spawn(...args: unknown[]): unknown }
  const { spawn } = prototype
  prototype.spawn = function (this: Sender, ...args) {
    const stdio = (args[0] as SpawnOptions | null | undefined)?.stdio
    if (!Array.isArray(stdio) || !stdio.some(item => kindOfOurs(item) !== null)) {
      const result = Reflect.apply(spawn, this, args)
      wrap(this)
      return result
    }
    const { lendStdio, stopForChild }: Lend = require('../handover/lend.js')
    const lent = lendStdio(stdio)
    args[0] = { ...(args[0] as SpawnOptions), stdio: lent.stdio }
    let result: unknown
    try {
      result = Reflect.apply(spawn, this, args)
    } finally {
      lent.done()
    }
    wrap(this)
    for (const socket of lent.inherited) stopForChild(socket)
    return result
  }
}

// Node gives each child that has a channel a `send` of its own.
function wrap(sender: Sender & { [kWrapped]?: true }): void {
  const { send } = sender
  if (send === undefined || sender[kWrapped]) return
  Object.defineProperty(sender, kWrapped, { value: true })
  sender.send = function (this: Sender, ...args) {
    const [message, given, options, last] = args
    if (!mayBeOurs(given)) return Reflect.apply(send, this, args)
    const { lend }: Lend = require('../handover/lend.js')
    const loan = lend(given, Boolean((options as { keepOpen?: unknown } | null | undefined)?.keepOpen))
    if (loan === null) return Reflect.apply(send, this, args)
    const callback = typeof options === 'function' ? options : last
    // Node may have to wait with it until other handles have been received.
    const sent = (error: Error | null): void => {
      loan.done()
      if (typeof callback === 'function') Reflect.apply(callback, this, [error])
      else if (error) (this as unknown as NodeJS.EventEmitter).emit('error', error)
    }
    const rest = typeof options === 'function' ? [undefined, sent] : [options, sent]
    try {
      return Reflect.apply(send, this, [message, loan.handle, ...rest])
    } catch (error) {
      loan.done()
      throw error
    }
  }
}

/** Whether it is worth loading what knows. (What a socket has as its `_handle` is sent too.) */
function mayBeOurs(given: unknown): boolean {
  return given !== null && typeof given === 'object' && (kindOfOurs(given) !== null || 'slot' in given)
}
