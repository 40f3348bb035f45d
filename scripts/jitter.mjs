// The JavaScript tests on a system whose timing is bad: system calls about sockets take irregularly long, and events of
// different sockets come in any order. A test that relies on an order that nobody promises fails here within a few runs,
// instead of once in a while on a busy machine. Linux with glibc, and gcc.
//
//   node scripts/jitter.mjs                                 all tests
//   node scripts/jitter.mjs __test__/connect/*.test.mjs     some files
//   --node 26       under another Node: a path, or a version
//   --match TITLE   only tests with such a title, as ava takes it
//   --delay 8000    the longest delay, in microseconds (2000)
//   --rounds 5      so many times (1)

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { node } from './node.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const HELP =
  'node scripts/jitter.mjs [--node WHICH] [--match TITLE] [--delay MICROSECONDS] [--rounds N] [FILE …]'
const { values, positionals: files } = options()
if (values.help) {
  console.log(HELP)
  process.exit()
}
const [delay, rounds] = ['delay', 'rounds'].map(name => {
  const number = Number(values[name])
  if (!Number.isSafeInteger(number) || number < 1)
    fail(`--${name} takes a positive integer, not '${values[name]}'`)
  return number
})

const library = build()
const which = values.node ?? process.execPath
const binary = /^\d+(\.\d+){0,2}$/.test(which) ? node(which) : which
const args = ['scripts/test.mjs', '--only', 'js', '--node', binary]
for (const title of values.match) args.push('--match', title)
const env = { ...process.env, LD_PRELOAD: library, FERRONET_JITTER: String(delay) }
for (let round = 1; round <= rounds; round++) {
  if (rounds > 1) console.log(`\n# round ${round} of ${rounds}`)
  const { status } = spawnSync(process.execPath, [...args, ...files], { cwd: root, env, stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}

/** Compiles what is loaded into the processes; returns its path. */
function build() {
  if (process.platform !== 'linux' || !process.report.getReport().header.glibcVersionRuntime) {
    fail('this needs Linux with glibc')
  }
  const folder = join(root, 'target')
  mkdirSync(folder, { recursive: true })
  const library = join(folder, 'jitter.so')
  const flags = [
    '-O2',
    '-Wall',
    '-Wextra',
    '-shared',
    '-fPIC',
    '-o',
    library,
    join(root, 'scripts/jitter.c'),
    '-ldl',
  ]
  const { error, status } = spawnSync('gcc', flags, { stdio: 'inherit' })
  if (error) fail(`this needs gcc (apt-get install gcc): ${error.message}`)
  if (status !== 0) fail('gcc failed')
  return library
}

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        node: { type: 'string' },
        match: { type: 'string', multiple: true, default: [] },
        delay: { type: 'string', default: '2000' },
        rounds: { type: 'string', default: '1' },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    fail(`${error.message}\n\n${HELP}`)
  }
}

function fail(message) {
  console.error(message)
  process.exit(2)
}
