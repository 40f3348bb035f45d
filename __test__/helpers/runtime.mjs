// Another runtime in the place of Node for the processes in which scenarios run against ferronet (scripts/platforms/bun.mjs
// and deno.mjs): FERRONET_TEST_HOST is the path of its program. node:net still runs in Node.

import { basename } from 'node:path'

const starts = { bun: [], deno: ['run', '--allow-all', '--no-lock', '--quiet'] }

/** How to start a process: the program, and its arguments before those of the test. */
export const node = { program: process.execPath, flags: [] }

/** The same for ferronet's processes, with the scenarios that differ there, by test file and title. */
export const runtime = await chosen()

async function chosen() {
  const program = process.env.FERRONET_TEST_HOST
  if (!program) return undefined
  const name = basename(program).replace(/\.exe$/, '')
  if (!(name in starts)) throw new Error(`FERRONET_TEST_HOST is to be Bun or Deno, not ${program}`)
  const { differences } = await import(`../hosts/${name}.mjs`)
  return { name, program, flags: starts[name], differences }
}
