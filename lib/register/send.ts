// Under the register hook `subprocess.send(message, socket)` and `process.send(message, server)` take ferronet's
// sockets and servers, which the program knows as those of `net`. Node's `send` takes libuv's handles only, so it gets
// what `toNodeSocket` and `toNodeServer` make of ours. The other process receives a socket or server of Node's.

import { kindOfOurs } from '../node/instances.js'

interface Sender {
  send?: (...args: unknown[]) => unknown
}

const kWrapped = Symbol('ferronet.sendsOurs')
let patched = false

/** In this process, and for the children that it starts from now on. */
export function sendOurs(): void {
  if (patched) return
  patched = true
  wrap(process as Sender)
  const { ChildProcess }: typeof import('node:child_process') = require('node:child_process')
  const prototype = ChildProcess.prototype as unknown as { spawn(...args: unknown[]): unknown }
  const { spawn } = prototype
  prototype.spawn = function (this: Sender, ...args) {
    const result = Reflect.apply(spawn, this, args)
    wrap(this)
    return result
  }
}

// Each child with a channel gets a `send` of its own from Node.
function wrap(sender: Sender & { [kWrapped]?: true }): void {
  const { send } = sender
  if (send === undefined || sender[kWrapped]) return
  Object.defineProperty(sender, kWrapped, { value: true })
  sender.send = function (this: Sender, ...args) {
    const kind = kindOfOurs(args[1])
    if (kind === null) return Reflect.apply(send, this, args)
    const {
      toNodeServer,
      toNodeSocket,
    }: typeof import('../handover/node.js') = require('../handover/node.js')
    const ours = args[1] as never
    if (kind === 'Socket') {
      args[1] = connected(ours) ? toNodeSocket(ours) : undefined
      return Reflect.apply(send, this, args)
    }
    const copy = (ours as { listening: boolean }).listening ? toNodeServer(ours) : undefined
    args[1] = copy
    const last = args.at(-1)
    const callback = typeof last === 'function' ? args.pop() : undefined
    // Node may have to keep it until other handles have been received.
    args.push((error: Error | null) => {
      copy?.close()
      if (callback !== undefined) Reflect.apply(callback as () => void, this, [error])
      else if (error) process.nextTick(() => (this as unknown as NodeJS.EventEmitter).emit('error', error))
    })
    return Reflect.apply(send, this, args)
  }
}

/** For a closed socket Node sends the message alone. */
function connected(socket: { destroyed: boolean; connecting: boolean; _handle: unknown }): boolean {
  return !socket.destroyed && socket._handle !== null
}
