// Another runtime in the place of Node for the processes in which scenarios run against ferronet: FERRONET_TEST_HOST is
// the path of Bun or Deno (scripts/platforms/bun.mjs, deno.mjs). node:net still runs in Node, and its traces are what
// ferronet's are compared with. Scenarios that differ there for a reason of the runtime's are listed in hosts/.

import { basename, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const testDirectory = fileURLToPath(new URL('..', import.meta.url))
const starts = { bun: [], deno: ['run', '--allow-all', '--no-lock', '--quiet'] }

/** Node, for what a scenario starts beside ferronet. */
export const nodeProgram = process.env.FERRONET_TEST_NODE ?? process.execPath

/** The program of a process, and its arguments before those of the test. */
export const node = { program: process.execPath, flags: [] }

/** The same for ferronet's processes; undefined if they run in Node too. */
export const runtime = await chosen()

async function chosen() {
  const program = process.env.FERRONET_TEST_HOST
  if (!program) return undefined
  const name = basename(program).replace(/\.exe$/, '')
  if (!(name in starts)) throw new Error(`FERRONET_TEST_HOST is to be Bun or Deno, not ${program}`)
  const { differences } = await import(`../hosts/${name}.mjs`)
  return { name, program, flags: starts[name], differences }
}

/** Why a scenario is expected to differ in this runtime: `{ because, sometimes }`, or undefined. */
export function difference(file, title) {
  const name = relative(testDirectory, file)
    .replace(/\.test\.mjs$/, '')
    .replaceAll(sep, '/')
  const fits = entry => (entry.endsWith('*') ? title.startsWith(entry.slice(0, -1)) : title === entry)
  return runtime?.differences.find(({ scenarios }) => scenarios[name]?.some(fits))
}

/** Where an error was made, as JavaScriptCore notes it on the error. */
export const positions = ['line', 'column', 'sourceURL', 'originalLine', 'originalColumn']

/** Whether a JavaScript engine puts a property of this name on every error. */
export function isOfEngine(name) {
  return name === 'stack' || positions.includes(name)
}
