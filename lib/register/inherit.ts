// How the register hook reaches child processes and workers: through NODE_OPTIONS, with its absolute path, because a
// child may run in another directory. With `--require`, because `--import` would make each child start the ESM loader.

import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

type Threads = typeof import('node:worker_threads')

const name = 'ferronet/register'
const file = join(__dirname, '../../register.js')
const url = pathToFileURL(file).href
const flag = `--require=${file}`

/** Whether workers get the hook without our help, as they inherit their parent's flags. */
let workersReached = false

export function inherit(): void {
  const flags = absolute(process.execArgv)
  process.execArgv.splice(0, flags.length, ...flags)
  const { NODE_OPTIONS: text = '' } = process.env
  const given = split(text)
  const options = absolute(given)
  workersReached = requiresUs(flags) || requiresUs(options)
  if (!namesUs(options)) process.env.NODE_OPTIONS = text === '' ? quote(flag) : `${text} ${quote(flag)}`
  else if (options.some((option, index) => option !== given[index]))
    process.env.NODE_OPTIONS = options.map(quote).join(' ')
}

/** Whether the hook comes from a parent process, and not from this one's command line or code. */
export function isInherited(): boolean {
  return split(process.env.NODE_OPTIONS ?? '').includes(flag)
}

/**
 * A worker takes its parent's flags, but `--import` only if it runs a file (not with `eval`). It looks at NODE_OPTIONS
 * too, where they have changed, but only if it is given an `env` of its own or `execArgv`. So a worker with neither is
 * given a copy of `process.env`, which is what it would have had anyway.
 */
export function reachWorkers(): void {
  if (workersReached) return
  workersReached = true
  const threads: Threads = require('node:worker_threads')
  threads.Worker = new Proxy(threads.Worker, {
    construct(target, [filename, options, ...rest], newTarget) {
      const plain = options === undefined || (options !== null && typeof options === 'object')
      if (plain && options?.env == null && options?.execArgv == null)
        options = { ...options, env: { ...process.env } }
      return Reflect.construct(target, [filename, options, ...rest], newTarget)
    },
  })
  syncBuiltinESMExports()
}

function namesUs(options: string[]): boolean {
  return options.some(option => option === flag || option.endsWith(file) || option.endsWith(url))
}

function requiresUs(options: string[]): boolean {
  return options.some(
    (option, index) => option === flag || (option === file && options[index - 1] !== '--import'),
  )
}

/** `--import ferronet/register` and its kin, made independent of the current directory. */
function absolute(options: string[]): string[] {
  return options.map((option, index) => {
    if (option === `--import=${name}`) return `--import=${url}`
    if (option === `--require=${name}`) return flag
    if (option !== name) return option
    const before = options[index - 1]
    if (before === '--import') return url
    return before === '--require' || before === '-r' ? file : option
  })
}

/** As Node splits NODE_OPTIONS: at spaces, except between double quotes, where a backslash escapes. */
function split(text: string): string[] {
  const options: string[] = []
  for (const [part] of text.matchAll(/(?:"(?:\\.|[^"\\])*"|[^ "])+/gs)) {
    options.push(
      part.replace(/"((?:\\.|[^"\\])*)"/gs, (_, inside: string) => inside.replace(/\\(.)/gs, '$1')),
    )
  }
  return options
}

function quote(option: string): string {
  return /[ "\\]/.test(option) ? `"${option.replace(/["\\]/g, '\\$&')}"` : option
}
