// How to run the tick queue and the microtasks now, as Node does after each callback from its own loop. Node has a
// function for it that is not documented (seen in Node 20 to 26; node-insides.test.mjs notices when it goes). Bun 1.4 has
// one of that name which does nothing, and another one; Deno 2.9 has its own only.

import { host } from './host.js'

type Drain = () => void

interface Globals {
  Deno?: { internal?: symbol; [internals: symbol]: { core?: { runNextTicks?: Drain } } | undefined }
}

/** Without any of them ticks run when the callback from the loop returns: later than in Node, but in order. */
export const drainTicks: Drain = ofDeno() ?? ofBun() ?? ofNode() ?? (() => {})

function ofNode(): Drain | undefined {
  const { _tickCallback: drain } = process as unknown as { _tickCallback?: Drain }
  // With `--pending-deprecation` it warns, and `--throw-deprecation` makes an exception of that. The program cannot do
  // anything about it. What is deprecated is the prototype of the function that warns.
  return drain?.name === 'deprecated' ? (Object.getPrototypeOf(drain) as Drain) : drain
}

function ofBun(): Drain | undefined {
  if (host !== 'Bun') return undefined
  const jsc = process.getBuiltinModule('bun:jsc') as { drainMicrotasks?: Drain } | undefined
  return jsc?.drainMicrotasks
}

function ofDeno(): Drain | undefined {
  const { Deno } = globalThis as Globals
  return Deno?.internal === undefined ? undefined : Deno[Deno.internal]?.core?.runNextTicks
}
