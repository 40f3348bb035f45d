// The event loop as the sockets see it: what keeps the process alive, and the callbacks that Node runs from other phases
// than the poll. The other side is crates/binding/src/event_loop.rs.

import type { AsyncResource } from 'node:async_hooks'
import { libuv } from '../node/host.js'
import { drainTicks } from '../node/ticks.js'
import { setImmediate, setTimeout } from '../node/timers.js'
import { engine } from './engine.js'
import { beginHandler, endHandler, enterCallback, flushWaiting, isNested, leaveCallback } from './outbox.js'

// --- keeping the process alive ----------------------------------------------------------------------------------------
// As in libuv: a handle counts while it is referenced and active (reading, listening), a request (connect, write,
// shutdown, close) while it is under way.

let alive = 0

export function hold(): void {
  if (alive++ === 0) engine.setRef(true)
}

export function release(): void {
  if (--alive === 0) engine.setRef(false)
}

// --- callbacks --------------------------------------------------------------------------------------------------------

/**
 * Runs Node's tick queue and microtasks, as Node does after each callback from its own loop. Leaving the last callback
 * would drain as well, but not under the helper thread, whose call has a scope of its own around ours. A callback within
 * another one drains nothing, as in Node: the ticks wait for the end of the outer one.
 */
export function drain(): void {
  if (isNested()) return
  try {
    drainTicks()
  } catch (error) {
    // An exception of a tick leaves async_hooks' stack as it was. Giving it to 'uncaughtException' right here clears
    // that, before anything of ours on the stack looks at it.
    engine.fatal(error)
  }
}

/**
 * An entry as the addon calls it. Node runs ticks and microtasks when its call returns; other hosts may call several times
 * before they do (Deno does).
 */
export function thenDrain<A extends unknown[]>(entry: (...args: A) => void): (...args: A) => void {
  if (libuv) return entry
  return (...args) => {
    entry(...args)
    drain()
  }
}

/** Runs a handle's function as a callback from the loop, and the ticks behind it. */
function enter<H extends AsyncResource>(handle: H, run: (this: H) => void): void {
  enterCallback()
  beginHandler()
  try {
    handle.runInAsyncScope(run, handle)
  } catch (error) {
    engine.fatal(error)
  }
  endHandler(false)
  drain()
  leaveCallback()
  flushWaiting()
}

// --- the pending phase ------------------------------------------------------------------------------------------------

interface Completion {
  handle: AsyncResource
  complete: () => void
}

let completions: Completion[] = []
let completing: Completion[] = []
let completingNext = 0

/** Has `complete` called from the loop's pending phase: never inside the call that asked. */
export function post<H extends AsyncResource>(handle: H, complete: (this: H) => void): void {
  hold()
  completions.push({ handle, complete })
  if (completions.length === 1) engine.post()
}

/** What has been posted and not called yet. */
export function uncompleted(): Completion[] {
  return [...completing.slice(completingNext), ...completions]
}

export function posted(): void {
  // What a completion posts waits for the next call. A completion that runs the loop has the others called in there.
  if (completingNext === completing.length) {
    completing = completions
    completingNext = 0
    completions = []
  }
  while (completingNext < completing.length) {
    const { handle, complete } = completing[completingNext++]!
    release()
    enter(handle, complete)
  }
  completing = []
  completingNext = 0
  if (completions.length > 0) engine.post()
}

// --- the closing phase ------------------------------------------------------------------------------------------------

interface Closing<H extends AsyncResource = AsyncResource> {
  handle: H
  callbacks: ((() => void) | undefined)[]
}

// The last one closed is the first to be told, as in libuv.
let closing: Closing[] = []
let closingNow: Closing[] = []
/** Those of `closeLater` whose iteration has not come. */
const closingLater = new Set<AsyncResource>()

/** Has the callbacks called in the closing phase, each by itself. */
export function closeSoon(handle: AsyncResource, callbacks: Closing['callbacks']): void {
  hold()
  closing.push({ handle, callbacks })
  if (closing.length === 1) engine.closeSoon()
}

/** The same an iteration later, as libuv does on Windows with a handle that has something under way. */
export function closeLater(handle: AsyncResource, callbacks: Closing['callbacks']): void {
  closingLater.add(handle)
  setImmediate(() => {
    closingLater.delete(handle)
    closeSoon(handle, callbacks)
  })
}

/** The handles whose close callbacks have not been called. */
export function uncalled(): AsyncResource[] {
  return [...[...closing, ...closingNow].map(({ handle }) => handle), ...closingLater]
}

export function closed(): void {
  if (closingNow.length === 0) {
    closingNow = closing
    closing = []
  }
  while (closingNow.length > 0) {
    const { handle, callbacks } = closingNow.pop()!
    release()
    for (const callback of callbacks) if (callback !== undefined) enter(handle, callback)
    // async_hooks would otherwise hear of it only when the handle is collected.
    handle.emitDestroy()
  }
}

// --- a full descriptor table ------------------------------------------------------------------------------------------

// Pending clients stay in the backlog. We retry when one of our sockets closes, and every 100 ms, since other closes are
// not reported.
const ACCEPT_PAUSE = 100
let acceptTimer: NodeJS.Timeout | undefined

export function retryAcceptLater(): void {
  if (acceptTimer !== undefined) return
  acceptTimer = setTimeout(() => {
    acceptTimer = undefined
    engine.retryAccept()
  }, ACCEPT_PAUSE).unref()
}
