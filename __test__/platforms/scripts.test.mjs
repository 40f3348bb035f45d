// The scripts that build and try other platforms: what they make of a leg's output, and of wrong arguments.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { highest, inspect } from '../../scripts/platforms/binary.mjs'
import { chosen, legs, outcome, table } from '../../scripts/platforms/run.mjs'
import { launcher, Missing, need, needFile, rust, targets } from '../../scripts/platforms/tools.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('a leg that says what it has counted is believed', t => {
  const text = 'ok   one\nlacking: a test: no such call\nsize: linux-x64: 204800\n12 passed, 0 failed\n'
  t.like(outcome(text, 0), {
    ok: true,
    passed: 12,
    failed: 0,
    lacking: ['a test: no such call'],
    sizes: [204800],
  })
})

for (const [title, text, code] of [
  ['with a failed test', '11 passed, 1 failed', 1],
  ['with a failed test, whatever its exit code', '11 passed, 1 failed', 0],
  ['whose exit code is not 0', '11 passed, 0 failed', 1],
  ['that passed nothing', '0 passed, 0 failed', 0],
  ['that ended before it had counted', 'ok   one', 0],
  ['that was killed', '11 passed, 0 failed', null],
]) {
  test(`a leg ${title} has failed`, t => t.false(outcome(text, code).ok))
}

test('of several counts the last one is the sum', t => {
  t.like(outcome('3 passed, 1 failed\n20 passed, 0 failed\n', 0), { passed: 20, failed: 0, ok: true })
})

test('the table shows every platform, and why one could not be tried', t => {
  const ok = { ...outcome('size: a: 2048\nlacking: x: y\n100 passed, 0 failed', 0), seconds: 61.2 }
  const lost = { ...outcome('missing: there is no wine here.\n0 passed, 1 failed', 1), seconds: 0.1 }
  const lines = table([
    ['linux-x64', ok],
    ['win32-x64', lost],
  ]).split('\n')
  t.deepEqual(
    lines.map(line => line.split(/ {2,}/)),
    [
      ['platform', 'result', 'passed', 'failed', 'lacking', 'time', 'binary'],
      ['linux-x64', 'ok', '100', '0', '1', '1:01', '2 KiB'],
      ['win32-x64', 'FAILED: there is no wine here.', '0', '1', '0', '0:00'],
    ],
  )
  t.deepEqual(
    lines.map(line => line.search(/(passed|100|0) /)),
    [lines[0].indexOf('passed'), lines[0].indexOf('passed') + 3, lines[0].indexOf('passed') + 5],
  )
})

test('without --only every platform is chosen', t => {
  t.deepEqual(chosen(undefined), Object.keys(legs))
  t.deepEqual(chosen('deno,bun'), ['deno', 'bun'])
})

test('every binary that is released has a leg', t => {
  for (const platform of Object.keys(targets).filter(name => !name.startsWith('win32')))
    t.true(Object.hasOwn(legs, platform), platform)
})

for (const [script, args, message] of [
  ['platforms/run.mjs', ['--only', 'amiga'], /there is no platform 'amiga'\. There are: linux-x64, /],
  ['platforms/run.mjs', ['--only', ','], /--only takes names/],
  ['platforms/run.mjs', ['--fast'], /Unknown option '--fast'/],
  ['build.mjs', [], /--target TARGET/],
  ['build.mjs', ['--target', 'm68k-amiga'], /there is no target 'm68k-amiga'/],
  ['build.mjs', ['--fast'], /Unknown option '--fast'/],
]) {
  test(`scripts/${script} ${args.join(' ')}: one message, exit code 2`, t => {
    const { status, stderr } = spawnSync(process.execPath, [join('scripts', script), ...args], {
      cwd: root,
      encoding: 'utf8',
    })
    t.is(status, 2)
    t.regex(stderr, message)
    t.notRegex(stderr, /^ {4}at /m)
  })
}

test('what is missing is named together with the remedy', t => {
  t.throws(() => need('no-such-program', 'apt-get install it.'), {
    instanceOf: Missing,
    message: 'there is no no-such-program here. apt-get install it.',
  })
  t.throws(() => needFile('/no/such/file', 'Build it.'), { instanceOf: Missing, message: /Build it/ })
})

test('a Rust that can build for this machine is found', t => {
  const host = /^host: (.*)$/m.exec(spawnSync('rustc', ['-vV'], { encoding: 'utf8' }).stdout)[1]
  t.deepEqual(rust(host).args, [])
})

test('versions are compared as versions', t => {
  t.is(highest(['GLIBC_2.9', 'GLIBC_2.28', 'GLIBC_2.3.4', 'GLIBC_PRIVATE', 'GCC_4.2.0']), '2.28')
  t.is(highest([]), undefined)
})

if (process.platform !== 'win32') {
  test('an addon exports what Node looks for, and is for this machine', t => {
    const native = join(root, 'native')
    const name = readdirSync(native).find(file =>
      file.startsWith(`ferronet.${process.platform}-${process.arch}`),
    )
    const found = inspect(join(native, name))
    t.is(found.arch, process.arch)
    t.true(found.exports.includes('napi_register_module_v1'))
    t.true(found.needed.length > 0)
  })

  test('a Node started by another program looks like an ordinary one, to its children and threads too', t => {
    const directory = mkdtempSync(join(tmpdir(), 'ferronet-launcher-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const script = launcher(directory, ['/usr/bin/env', "WITH=a 'quote'", process.execPath])
    const file = join(directory, 'child.cjs')
    writeFileSync(
      file,
      `const { Worker, isMainThread, parentPort } = require('node:worker_threads')
      if (!isMainThread) parentPort.postMessage(process.execPath)
      else new Worker(__filename).on('message', inThread => {
        const { execFileSync } = require('node:child_process')
        const here = [process.execPath, process.argv[0], inThread, process.env.WITH]
        if (process.argv[2] === 'last') console.log(JSON.stringify(here))
        else process.stdout.write(execFileSync(process.execPath, [__filename, 'last']))
      })`,
    )
    const { stdout, stderr } = spawnSync(script, [file], { encoding: 'utf8' })
    t.deepEqual(JSON.parse(stdout || stderr), [script, script, script, "a 'quote'"])
  })
}
