// The timers as they were when ferronet was loaded. Tests that put false ones in the place of the globals (Jest, Sinon,
// node:test) mean their own: Node's sockets go on with the real ones, and so do these.

import * as timers from 'node:timers'

export const { setTimeout, clearTimeout, setImmediate } = timers
export const queueMicrotask = globalThis.queueMicrotask
