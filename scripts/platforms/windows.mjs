// The Windows leg: builds the addon for x86_64-pc-windows-gnu with mingw, and runs the JavaScript tests in Node for
// Windows under Wine, where each behaviour is compared with that Node's own net.
//
//   node scripts/platforms/windows.mjs                      Node 20 and 22, all tests that can run there
//   node scripts/platforms/windows.mjs __test__/pipes/*     some test files
//   --node 22        one Node
//   --shard 2/5      the second of five parts of the files, for a machine where all of them take too long
//   --no-build       with the addon that was built last
//   --verbose        the whole text of each failure
//
// Ends with `N passed, N failed`. What Wine itself lacks is listed by name in wine-lacks.mjs, and printed as
// `lacking: <test>: <reason seen>`. Any other test that fails runs once more, alone: a busy machine makes some late. If it
// passes then, it has passed, and a line `second try: <test>` says so.

import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { certificates } from '../../__test__/helpers/certificates.mjs'
import { compiled } from '../../__test__/helpers/native.mjs'
import { has, readTap, run, Wine } from './wine.mjs'
import { LACKING, NOT_HERE } from './wine-lacks.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
process.chdir(root)
const cache = resolve('.cache/windows')
const target = 'x86_64-pc-windows-gnu'
/**
 * How long one test file may take, and one scenario in it unless FERRONET_TEST_TIMEOUT says otherwise: Wine is slow, and
 * so are two busy cores.
 */
const PATIENCE = 20 * 60_000
const SCENARIO = process.env.FERRONET_TEST_TIMEOUT || `${5 * 60_000}`

const HELP = `node scripts/platforms/windows.mjs [--node 20|22] [--shard N/M] [--no-build] [--verbose] [FILE …]

  FILE …       these test files; without any, all that can run there
  --node N     one Node; may be given several times (20 and 22)
  --shard N/M  the Nth of M parts of the files: all of them take hours on a small machine
  --no-build   with the addon that was built last
  --verbose    the whole text of each failure
  --help       this text`

const { values, positionals } = parse()
if (values.help) {
  console.log(HELP)
  process.exit()
}

checkTools()
const addon = build()
// Where the loader, and the tests of it, look for a binary that has been built here.
const place = resolve('native/ferronet.win32-x64-msvc.node')
copyFileSync(addon, place)
process.on('exit', () => rmSync(place, { force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
compiled({ platform: 'win32', prefix: 'x86_64-w64-mingw32-' })
// Made here for all processes that inherit them: there is no openssl for Windows.
certificates()
if (!existsSync('dist/index.js')) run('npm', ['run', 'build:ts'])
const wine = new Wine(cache)
wine.prepare()

const all = readdirSync('__test__', { recursive: true }).map(file => `__test__/${file}`)
const files = part(
  positionals.length > 0 ? positionals : all.filter(file => file.endsWith('.test.mjs')).sort(),
  values.shard,
)
let [passed, failed] = [0, 0]
for (const major of values.node) await testWith(wine.node(major))
wine.stop()
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed ? 1 : 0

/** Says what to install, if anything is missing. */
function checkTools() {
  const needs = {
    wine: 'wine wine64',
    'x86_64-w64-mingw32-gcc': 'gcc-mingw-w64-x86-64',
    'x86_64-w64-mingw32-dlltool': 'binutils-mingw-w64-x86-64',
    '/usr/bin/rustc': 'rustc-web',
    '/usr/bin/cargo': 'cargo-web',
  }
  const missing = Object.entries(needs).filter(([program]) => !has(program))
  if (!missing.some(([program]) => program.startsWith('/usr')) && !existsSync(standardLibrary()))
    missing.push([standardLibrary(), 'rust-web-src'])
  if (missing.length === 0) return
  console.error(`The Windows leg needs ${missing.map(([program]) => program).join(', ')}. On Debian:`)
  console.error(`  apt-get install ${missing.map(([, packages]) => packages).join(' ')}`)
  process.exit(1)
}

function standardLibrary() {
  return join(run('/usr/bin/rustc', ['--print', 'sysroot']).trim(), 'lib/rustlib/src/rust/library')
}

/** Builds the addon; returns its path. */
function build() {
  const folder = resolve('target/windows')
  const addon = join(cache, 'ferronet.win32-x64.node')
  if (values['no-build'] && existsSync(addon)) return addon
  console.log(`> the addon for ${target}`)
  // napi's build script insists on a library of this name for mingw. With `dyn-symbols` nothing is taken from it.
  const stub = join(cache, 'libnode')
  mkdirSync(stub, { recursive: true })
  writeFileSync(join(stub, 'node.def'), 'LIBRARY node.exe\nEXPORTS\nnapi_get_version\n')
  for (const name of ['libnode.dll.a', 'libnode.dll']) {
    run('x86_64-w64-mingw32-dlltool', ['-d', 'node.def', '-D', 'node.exe', '-l', name], { cwd: stub })
  }
  // No standard library for Windows is packaged, so it is built as well, which is an unstable feature of cargo's.
  const args = ['build', '--release', '-p', 'ferronet-binding', '-Zbuild-std=std,panic_unwind']
  run('/usr/bin/cargo', [...args, '--target', target, '--target-dir', folder], {
    env: {
      ...process.env,
      RUSTC: '/usr/bin/rustc',
      RUSTC_BOOTSTRAP: '1',
      // Nothing of mingw's is to be found at run time.
      RUSTFLAGS: '-C target-feature=+crt-static -C link-arg=-static-libgcc',
      LIBNODE_PATH: stub,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  rmSync(addon, { force: true })
  run('cp', [join(folder, target, 'release/ferronet_binding.dll'), addon])
  return addon
}

async function testWith(node) {
  console.log(`\n> Node ${node.version} for Windows, under ${run('wine', ['--version']).trim()}`)
  const env = { FERRONET_TEST_TIMEOUT: SCENARIO }
  for (const file of files) {
    const without = NOT_HERE.find(({ files }) => files.test(file))
    if (without) {
      console.log(`lacking: ${file}: ${without.reason}`)
      continue
    }
    const { code, tests, stdout, stderr } = await ava(file)
    const counts = { passed: 0, failed: 0, lacking: 0 }
    const report = []
    for (const test of tests) {
      if (test.skipped || isNone(test)) continue
      const reason = test.passed ? undefined : lacks(file, test)
      if (test.passed) counts.passed++
      else if (reason !== undefined) {
        counts.lacking++
        report.push(`lacking: ${test.title}: ${reason}`)
      } else if (await ava(file, test.title).then(again => again.code === 0 && again.tests.some(passes))) {
        counts.passed++
        report.push(`second try: ${test.title}${values.verbose ? `\n${test.text}` : ''}`)
      } else {
        counts.failed++
        report.push(`not ok: ${test.title}${values.verbose ? `\n${test.text}` : ''}`)
      }
    }
    // A file that dies in the middle, or finds no test although it exists here.
    if (code === null || (code !== 0 && tests.every(test => test.passed || isNone(test)))) {
      if (tests.some(isNone)) report.push('none of its tests is for Windows')
      else {
        counts.failed++
        const what = code === null ? `not finished after ${PATIENCE} ms` : `ended with ${code}`
        report.push(`not ok: ${file} ${what}\n${stderr.slice(-2000)}${stdout.slice(-2000)}`)
      }
    }
    const { passed: good, failed: bad, lacking } = counts
    console.log(`${file}: ${good} passed, ${bad} failed${lacking ? `, ${lacking} lacking` : ''}`)
    for (const line of report) console.log(line.replace(/^/gm, '  ').trimEnd())
    passed += good
    failed += bad
  }

  /** Runs a test file, or one test of it. */
  async function ava(file, title) {
    // Of a title, what every code page of Windows' command line has; `*` and a first `!` mean something else to ava.
    const pattern = title?.replace(/^!|[*\\]/g, '\\$&').replace(/[^ -~]+/g, '*')
    const match = pattern === undefined ? [] : ['--match', pattern]
    const args = [
      'node_modules/ava/entrypoints/cli.mjs',
      '--tap',
      '--timeout',
      `${PATIENCE}ms`,
      ...match,
      file,
    ]
    const result = await wine.run(node, args, { timeout: PATIENCE, env, cwd: root })
    return { ...result, tests: readTap(result.stdout) }
  }
}

/** The files of a part such as `2/5`: every fifth, so that the parts take about as long as each other. */
function part(files, shard) {
  if (shard === undefined) return files
  const [, which, of] = /^(\d+)\/(\d+)$/.exec(shard) ?? []
  if (!(which >= 1 && Number(which) <= Number(of))) {
    console.error(`--shard takes a part such as 2/5, not '${shard}'`)
    process.exit(2)
  }
  return files.filter((_, at) => at % of === which - 1)
}

function passes(test) {
  return test.passed && !test.skipped && !isNone(test)
}

/** What ava reports for a file whose tests are all for other platforms. */
function isNone({ title }) {
  return title.startsWith('No tests found in ')
}

/** Why a test fails for Wine's sake, or undefined. */
function lacks(file, { title, text }) {
  const known = LACKING.find(
    each =>
      file.endsWith(each.file) && title.startsWith(each.title) && each.seen.test(text.replace(/\s+/g, ' ')),
  )
  return known?.reason
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        node: { type: 'string', multiple: true, default: ['20', '22'] },
        shard: { type: 'string' },
        'no-build': { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`)
    process.exit(2)
  }
}
