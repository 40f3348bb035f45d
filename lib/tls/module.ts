// What makes the exports of ferronet/tls those of the running Node: what ferronet does not do itself is Node's, and what
// Node does not have is not there.

import nodeTls = require('node:tls')

import { makeContextsBy } from './context.js'

type Make = Parameters<typeof makeContextsBy>[0]

/** `exports`: the module, with ferronet's functions where it has them. */
export function asInNode(exports: Record<string, unknown>, createSecureContext: Make): void {
  const node = nodeTls as unknown as Record<string, unknown>
  for (const name of Object.keys(exports)) {
    if (!(name in node)) delete exports[name]
  }
  for (const name of Object.keys(node)) {
    if (exports[name] !== undefined) continue
    Object.defineProperty(exports, name, {
      get: () => node[name],
      // A default that a program sets holds in both modules. So does checkServerIdentity().
      set: value => {
        node[name] = value
      },
      enumerable: true,
      configurable: true,
    })
  }
  // Programs put a function of their own in its place, which adds certificates to all contexts.
  let current = createSecureContext
  Object.defineProperty(exports, 'createSecureContext', {
    get: () => current,
    set(value: Make) {
      current = value
      makeContextsBy(value)
    },
    enumerable: true,
    configurable: true,
  })
}
