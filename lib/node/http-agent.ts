// Is a socket idle in the pool of a node:http Agent? There the Agent replaces the handle's `onread` by a guard against
// unexpected bytes, which could otherwise become the answer to the next request. The guard cannot work on a
// Handle of ours, so the Socket asks here whether it has been set, and closes itself as the guard would.
//
// The function is `freeSocketOnReadGuard` of lib/_http_agent.js. Seen in Node 22.23, 24.21 and 26.10; Node 20 has none.
// node-insides.test.mjs notices when it changes.

export function isPooled({ onread }: { onread?: unknown }): boolean {
  return typeof onread === 'function' && onread.name === 'freeSocketOnReadGuard'
}
