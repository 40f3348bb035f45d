// What is garbage at once does not get into V8's old generation, where it would stay, with all that it holds on to, until
// V8 collects the whole heap. It takes optimised code to hide that, so the programs run without it.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'

const program = fileURLToPath(new URL('../fixtures/robustness/old-generation.mjs', import.meta.url))
const operations = [
  'write',
  'write a text',
  'write with a callback',
  'write with a callback from an immediate',
  'write twice, corked',
  'setTimeout',
  'pause and resume',
]

for (const operation of operations) {
  test(operation, async t => {
    const flags = ['--expose-gc', '--no-opt', '--no-maglev']
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, program, 'ferronet', operation])
    // A single function is 64 bytes. Now and then something else grows, once.
    t.true(Number(stdout) < 50, `${stdout} bytes for each`)
  })
}
