// Runs the JavaScript tests on every supported line of Node, one after the other, with the same build:
//
//   node scripts/test-nodes.mjs                20, 22, 24 and 26
//   node scripts/test-nodes.mjs 20.19.0 26     these
//   node scripts/test-nodes.mjs 22 -- FILE …   these, and these tests only

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { node } from './node.mjs'

const args = process.argv.slice(2)
const dashes = args.indexOf('--')
const versions = dashes === -1 ? args : args.slice(0, dashes)
const rest = dashes === -1 ? [] : args.slice(dashes + 1)
if (versions.length === 0) versions.push('20', '22', '24', '26')

const results = []
for (const version of versions) {
  const binary = node(version)
  const exact = spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout.trim()
  console.log(`\n=== Node ${exact} ===`)
  const script = fileURLToPath(new URL('test.mjs', import.meta.url))
  const { status } = spawnSync(process.execPath, [script, '--node', binary, ...rest], { stdio: 'inherit' })
  results.push({ exact, ok: status === 0 })
}

console.log('')
for (const { exact, ok } of results) console.log(`${ok ? 'ok    ' : 'FAILED'} Node ${exact}`)
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1
