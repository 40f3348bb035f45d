// Hands out ferronet for `net`, and if asked for `tls`. In Node 22.15 and newer, one synchronous hook serves `require` and `import` alike.
// Before, `require` goes through `Module._load`, and `import` through a hook in a thread of its own. Node's internals
// use neither, so http, tls and the rest keep Node's `net`.

import Module = require('node:module')

import { realpathSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { chosen } from './chosen.js'
import { reachWorkers } from './inherit.js'
import { sendOurs } from './send.js'

interface Resolved {
  url: string
  format?: string | null | undefined
  shortCircuit?: boolean | undefined
}

interface Loader {
  _load(request: string, parent: { filename?: string | null } | undefined, isMain: boolean): unknown
}

/** By the URL of Node's module, our entry. */
const entries = new Map<string, string>()
for (const [name, file] of chosen() ?? []) entries.set(`node:${name}`, join(__dirname, '../..', file))

/** Where ferronet's own files are, which must go on getting Node's `net`. */
const home = real(join(__dirname, '../..')) + sep

/** Whether the loader lets anybody replace a builtin: Bun's (1.4) has no hooks, and its `_load` knows no builtins. */
export function canReplace(): boolean {
  if (typeof Module.registerHooks === 'function') return true
  return (Module as unknown as Loader)._load('module', undefined, false) === Module
}

export function redirect(): void {
  if (process.send !== undefined) sendOurs()
  const loader = Module as unknown as Loader
  if (typeof Module.registerHooks === 'function') {
    Module.registerHooks({
      resolve(specifier, context, nextResolve) {
        const resolved = nextResolve(specifier, context)
        if (resolved.url === 'node:worker_threads') reachWorkers()
        if (resolved.url === 'node:child_process' || resolved.url === 'node:cluster') sendOurs()
        return resolvedFor(context.parentURL, resolved)
      },
    })
    if (!schemeIsHooked(loader)) patchScheme(loader)
    return
  }
  patchLoad(loader)
  startThread()
  reachWorkers()
  sendOurs()
}

function startThread(): void {
  try {
    Module.register(pathToFileURL(join(__dirname, 'thread.js')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ACCESS_DENIED') throw error
    const message = 'ferronet/register needs --allow-worker here: before Node 22.15 its hook runs in a thread'
    throw new Error(message, { cause: error })
  }
}

/**
 * `resolved`, or ferronet in the place of a module of Node's. What others made of it stays (a mock, or another copy of
 * ferronet), and names that lead to it count (`"imports": { "#net": "net" }`): the result is looked at, not what was
 * asked for.
 */
export function resolvedFor<R extends Resolved>(parent: string | undefined, resolved: R): R {
  const entry = entries.get(resolved.url)
  if (entry === undefined || isOurs(parent)) return resolved
  return { ...resolved, url: pathToFileURL(entry).href, format: 'commonjs', shortCircuit: true }
}

/**
 * Whether `require` of a name that begins with `node:` does what a hook says. In 22.15 and for a year after, it looks
 * among the builtins whatever the name was resolved to; `require('net')` and `import` are right. Asked of the loader,
 * and not by `require`, because tracers that wrap `require` remember what a builtin was.
 */
function schemeIsHooked(loader: Loader): boolean {
  const probe = Module.registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier !== 'node:sea') return nextResolve(specifier, context)
      return { url: pathToFileURL(__filename).href, format: 'commonjs', shortCircuit: true }
    },
  })
  try {
    return loader._load('node:sea', module, false) === exports
  } catch {
    return false
  } finally {
    probe.deregister()
  }
}

function patchScheme(loader: Loader): void {
  const load = loader._load
  loader._load = function (request, parent, isMain) {
    return Reflect.apply(load, this, [entries.has(request) ? request.slice(5) : request, parent, isMain])
  }
}

function patchLoad(loader: Loader): void {
  const load = loader._load
  loader._load = function (request, parent, isMain) {
    const entry = entries.get(request) ?? entries.get(`node:${request}`)
    if (entry !== undefined && !isOurs(parent?.filename)) return require(entry)
    return Reflect.apply(load, this, [request, parent, isMain])
  }
}

/** By real path: who asks may be known by a link, an escaped URL or a path, or by none at all (`-e`, `data:`). */
function isOurs(parent: string | null | undefined): boolean {
  if (!parent) return false
  try {
    return real(parent.startsWith('file:') ? fileURLToPath(parent) : parent).startsWith(home)
  } catch {
    return false
  }
}

function real(path: string): string {
  try {
    return realpathSync.native(path)
  } catch {
    return path
  }
}
