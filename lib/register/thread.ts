// The hook for `import` on Node before 22.15, run by Node in a thread for hooks. See redirect.ts.

import { resolvedFor } from './redirect.js'

type Next = (specifier: string, context: object) => Promise<{ url: string }>

export async function resolve(specifier: string, context: { parentURL?: string }, nextResolve: Next) {
  return resolvedFor(context.parentURL, await nextResolve(specifier, context))
}
