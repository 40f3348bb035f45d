// `npm run platforms`: every platform that can be tried on this machine, one after the other, and a table of what came
// out. A leg is a script of this folder that also runs on its own; here only its output is read. Each writes
//
//   N passed, N failed                  the last line
//   lacking: TEST: REASON               what the emulation lacks, not ferronet
//   size: NAME: BYTES                   the size of a binary
//   missing: WHAT                       why it could not go on: something is not installed here
//
//   npm run platforms                            all of them
//   npm run platforms -- --only bun,deno         some
//   npm run platforms -- --list
//
// A leg whose script is not there has failed.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))

const leg = name => join('scripts', 'platforms', `${name}.mjs`)
/** What runs, in this order: the ordinary tests first, because nothing else is worth a look when they fail. */
export const legs = {
  'linux-x64': { what: 'all tests on this machine', script: join('scripts', 'test.mjs') },
  'linux-x64-gnu': { what: 'glibc 2.28, tried in Debian 11', script: leg('linux-x64-gnu') },
  'linux-arm64-gnu': { what: 'glibc 2.28, tests under qemu', script: leg('linux-arm64-gnu') },
  'linux-x64-musl': { what: "tests with PyPI's Node for musl", script: leg('linux-x64-musl') },
  'linux-arm64-musl': { what: 'the same under qemu', script: leg('linux-arm64-musl') },
  'win32-x64': { what: 'tests under Wine', script: leg('windows') },
  'darwin-x64': { what: 'linked, not run', script: leg('darwin-x64') },
  'darwin-arm64': { what: 'linked, not run', script: leg('darwin-arm64') },
  bun: { what: 'tests on Bun', script: leg('bun') },
  deno: { what: 'tests on Deno', script: leg('deno') },
  pack: { what: 'packed, installed and used', script: join('scripts', 'pack.mjs') },
  types: { what: 'types with each @types/node', script: leg('types') },
}

const usage = `npm run platforms [-- --only NAME,NAME] [--list]

${Object.entries(legs)
  .map(([name, { what }]) => `  ${name.padEnd(18)}${what}`)
  .join('\n')}`

/** The names of the legs to run. Throws a message for the user. */
export function chosen(only) {
  if (only === undefined) return Object.keys(legs)
  const names = only.split(',').filter(Boolean)
  const unknown = names.find(name => !Object.hasOwn(legs, name))
  if (unknown)
    throw new Error(`there is no platform '${unknown}'. There are: ${Object.keys(legs).join(', ')}`)
  if (names.length === 0) throw new Error('--only takes names, separated by commas')
  return names
}

/** What a leg's output says. Without the last line, or with exit code 0 and nothing passed, it has failed. */
export function outcome(text, code) {
  const counts = [...text.matchAll(/^(\d+) passed, (\d+) failed\s*$/gm)].at(-1)
  const [passed, failed] = counts ? counts.slice(1).map(Number) : [0, 0]
  return {
    passed,
    failed,
    ok: code === 0 && passed > 0 && failed === 0,
    why: /^missing: (.*?)\s*$/m.exec(text)?.[1],
    lacking: [...text.matchAll(/^lacking: (.*?)\s*$/gm)].map(match => match[1]),
    sizes: [...text.matchAll(/^size: (.*): (\d+)\s*$/gm)].map(match => Number(match[2])),
  }
}

/** The table, as text. `results`: [name, outcome and seconds]. */
export function table(results) {
  const rows = [
    ['platform', 'result', 'passed', 'failed', 'lacking', 'time', 'binary'],
    ...results.map(([name, { ok, passed, failed, lacking, seconds, sizes, why }]) => [
      name,
      ok ? 'ok' : why ? `FAILED: ${why}` : 'FAILED',
      `${passed}`,
      `${failed}`,
      `${lacking.length}`,
      `${Math.floor(seconds / 60)}:${String(Math.round(seconds) % 60).padStart(2, '0')}`,
      sizes.map(bytes => `${Math.round(bytes / 1024)} KiB`).join(' '),
    ]),
  ]
  const numeric = at => at >= 2 && at <= 5
  const widths = rows[0].map((_, at) => Math.max(...rows.map(row => row[at].length)))
  return rows
    .map(row =>
      row
        .map((cell, at) => (numeric(at) ? cell.padStart(widths[at]) : cell.padEnd(widths[at])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

async function run(name) {
  const { script } = legs[name]
  const start = performance.now()
  const result = existsSync(join(root, script))
    ? await output(script).then(({ text, code }) => outcome(text, code))
    : { ...outcome('', 1), why: `there is no ${script}` }
  return [name, { ...result, seconds: (performance.now() - start) / 1000 }]
}

/** Runs a script and passes its output on as it comes. */
async function output(script) {
  const child = spawn(process.execPath, [script], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8')
    child[name].on('data', chunk => {
      process[name].write(chunk)
      if (name === 'stdout') text += chunk
    })
  }
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return { text, code }
}

async function main() {
  let names
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help || values.list) {
      console.log(values.help ? usage : Object.keys(legs).join('\n'))
      return
    }
    names = chosen(values.only)
  } catch (error) {
    console.error(error.message)
    process.exitCode = 2
    return
  }
  const results = []
  for (const name of names) {
    console.log(`\n##### ${name}: ${legs[name].what}\n`)
    results.push(await run(name))
  }
  console.log(`\n${table(results)}`)
  for (const [name, { lacking }] of results) for (const what of lacking) console.log(`${name} lacks ${what}`)
  process.exitCode = results.every(([, { ok }]) => ok) ? 0 : 1
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main()
