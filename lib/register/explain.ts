// Without the register hook Node's `send()` refuses our sockets with "This handle type cannot be sent". This adds to
// that error what to do about it, for this process and for the children it starts. Nothing else changes.

import { subscribe } from 'node:diagnostics_channel'
import { kindOfOurs } from '../node/instances.js'

type Send = (...args: unknown[]) => unknown

interface Sender {
  send?: Send
}

const kExplained = Symbol.for('ferronet.explainsSend')

export function explainSend(): void {
  const marked = process as NodeJS.Process & { [kExplained]?: true }
  // The hook makes `send()` take them. Loaded again in this thread, we are there already.
  if (Symbol.for('ferronet.registered') in globalThis || marked[kExplained]) return
  Object.defineProperty(marked, kExplained, { value: true })
  if (process.send !== undefined) process.send = explaining(process.send as Send) as typeof process.send
  // Node tells of a child when it has made the object, and gives it `send` only then.
  subscribe('child_process', message => {
    const child = (message as { process: Sender }).process
    Object.defineProperty(child, 'send', {
      get: () => undefined,
      set: (send: Send) => define(child, explaining(send)),
      configurable: true,
    })
  })
}

function define(child: Sender, send: Send): void {
  Object.defineProperty(child, 'send', { value: send, writable: true, configurable: true, enumerable: true })
}

function explaining(send: Send): Send {
  return function (this: unknown, ...args) {
    try {
      return Reflect.apply(send, this, args)
    } catch (error) {
      const kind = kindOfOurs(args[1])
      if (kind !== null && (error as NodeJS.ErrnoException).code === 'ERR_INVALID_HANDLE_TYPE')
        explain(error as Error, kind)
      throw error
    }
  }
}

function explain(error: Error, kind: string): void {
  const { message, stack } = error
  error.message =
    `${message}: Node sends sockets and servers of node:net only, and this is a ${kind} of ferronet. Import ` +
    "'ferronet/register' before anything else (node --import ferronet/register), or send what " +
    `toNode${kind}() makes of it`
  // It says what the message was when the error was made.
  if (stack !== undefined) error.stack = stack.replace(message, () => error.message)
}
