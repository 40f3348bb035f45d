// `npm test`: the Rust tests, the JavaScript tests and the type tests, one after the other. The last line counts them
// all: `N passed, N failed`. Left out are the tests of the benchmark's load generator, which takes more crates to build
// than ferronet does: `--only bench`.
//
//   npm test                                     everything
//   npm test -- __test__/socket/write.test.mjs   only these files
//   npm test -- --match '*telnet*'               only JavaScript tests whose title matches
//   npm test -- --only js                        one of rust, js, types, bench
//   npm test -- --node /path/to/node             the JavaScript tests, under another Node

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { certificates } from '../__test__/helpers/certificates.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const { values, positionals: files } = parseOptions()
const kinds = { rust, js, types, bench }
if (values.only && !kinds[values.only]) {
  console.error(`--only takes ${Object.keys(kinds).join(', ')}, not '${values.only}'`)
  process.exit(2)
}
const narrowed = files.length > 0 || values.match.length > 0 || values.node !== process.execPath
const chosen = values.only ? [values.only] : narrowed ? ['js'] : ['rust', 'js', 'types']

const total = { passed: 0, failed: 0, skipped: 0 }
for (const kind of chosen) {
  const counts = await kinds[kind]()
  for (const key of Object.keys(total)) total[key] += counts[key]
}
if (total.skipped) console.log(`\n${total.skipped} skipped`)
console.log(`\n${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed ? 1 : 0

function parseOptions() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        node: { type: 'string', default: process.execPath },
        match: { type: 'string', multiple: true, default: [] },
        only: { type: 'string' },
      },
    })
  } catch (error) {
    console.error(
      `${error.message}\nThere are --match PATTERN, --only KIND, --node PATH, and files: CONTRIBUTING.md`,
    )
    process.exit(2)
  }
}

function rust() {
  return cargo('Rust tests', ['ferronet-core', 'ferronet-binding'])
}

/** Only Linux has any: the load generator uses epoll. */
function bench() {
  return cargo("tests of the benchmark's load generator", ['ferronet-load'])
}

async function cargo(what, packages) {
  const chosen = packages.flatMap(name => ['-p', name])
  const output = await run(what, 'cargo', ['test', ...chosen, '--quiet', '--no-fail-fast'])
  const results = [...output.text.matchAll(/^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored;/gm)]
  const sum = index => results.reduce((total, match) => total + Number(match[index]), 0)
  return verdict(output, { passed: sum(1), failed: sum(2), skipped: sum(3) })
}

async function js() {
  if (files.length === 0) makeCertificates()
  // TAP, because once a test failed, ava's other reporter no longer counts those that passed.
  const args = ['node_modules/ava/entrypoints/cli.mjs', '--tap']
  for (const title of values.match) args.push('--match', title)
  const output = await run('JavaScript tests', values.node, [...args, ...files])
  const failures = output.text.match(/^not ok .*$/gm)
  if (failures) console.log(`\n> JavaScript tests that failed\n${failures.join('\n')}`)
  const count = name =>
    Number(
      output.text
        .match(new RegExp(`^# ${name} (\\d+)$`, 'gm'))
        ?.at(-1)
        .split(' ')[2] ?? 0,
    )
  return verdict(output, { passed: count('pass'), failed: count('fail'), skipped: count('skip') })
}

/** Once for all files, by the environment. Without openssl those that need them say so. */
function makeCertificates() {
  try {
    certificates()
  } catch (error) {
    console.log(`\n> no certificates for the TLS tests: ${error.message}`)
  }
}

async function types() {
  const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.types.json']
  const output = await run('type tests', process.execPath, tsc)
  return { passed: output.ok ? 1 : 0, failed: output.ok ? 0 : 1, skipped: 0 }
}

/** A run that fails without a failed test (a compile error, a process that died) counts as one failure. */
function verdict(output, counts) {
  return output.ok || counts.failed ? counts : { ...counts, failed: 1 }
}

/** Passes on the command's output as it comes, and keeps the text without colours. */
async function run(what, command, args) {
  console.log(`\n> ${what}`)
  const colours =
    process.stdout.isTTY && !process.env.NO_COLOR ? { FORCE_COLOR: '1', CARGO_TERM_COLOR: 'always' } : {}
  const child = spawn(command, args, {
    env: { ...process.env, ...colours },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8')
    child[name].on('data', chunk => {
      process[name].write(chunk)
      text += chunk
    })
  }
  const code = await new Promise(resolve => {
    child.on('error', err => {
      console.error(err.message)
      resolve(1)
    })
    child.on('close', resolve)
  })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence starts with a control character
  return { ok: code === 0, text: text.replace(/\u001b\[[\d;]*m/g, '') }
}
