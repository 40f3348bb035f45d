// Runs the engine's tests and the fuzzer of TLS records with AddressSanitizer: `node scripts/asan.mjs [--core] [--fuzz]
// [--seeds A-B]`, without either flag both. Linux with glibc on x64; needs Rust's nightly toolchain, and for the addon
// gcc's libasan, which is loaded into node.

import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = 'x86_64-unknown-linux-gnu'
const { values } = parseArgs({
  options: {
    core: { type: 'boolean', default: false },
    fuzz: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '1-200' },
  },
})
const all = !values.core && !values.fuzz

if (process.platform !== 'linux' || process.arch !== 'x64') give('this needs Linux on x64')
if (!output('rustup', ['toolchain', 'list']).includes('nightly'))
  give('this needs a nightly toolchain: rustup toolchain install nightly')

const env = {
  ...process.env,
  CARGO_TARGET_DIR: join(root, 'target/asan'),
  // Frames are needed for stacks; `strip` and `lto` of the release profile would hide them.
  RUSTFLAGS: '-Zsanitizer=address -Cforce-frame-pointers=yes',
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0',
}

if (all || values.core) {
  console.log('the tests of crates/core')
  const tests = ['+nightly', 'test', '-p', 'ferronet-core', '--target', target, '--quiet']
  // These two compare the memory of the process before and after. The sanitizer keeps what is freed for a while, to
  // notice when it is used: 34 MB of it. The many connections of the one would also take minutes.
  const measuring = ['twenty_thousand_connections', 'reactors_come_and_go'].flatMap(name => ['--skip', name])
  run('cargo', [...tests, '--', '--test-threads', '2', ...measuring], env)
}
if (all || values.fuzz) {
  console.log('the fuzzer, on an instrumented addon')
  const asan = output('gcc', ['-print-file-name=libasan.so']).trim()
  if (!existsSync(asan)) give("this needs gcc's libasan: apt-get install gcc")
  run('cargo', ['+nightly', 'build', '-p', 'ferronet-binding', '--target', target, '--quiet'], env)
  const built = join(env.CARGO_TARGET_DIR, target, 'debug')
  const addon = join(built, 'ferronet.node')
  mkdirSync(built, { recursive: true })
  copyFileSync(join(built, 'libferronet_binding.so'), addon)
  const preloaded = { ...env, LD_PRELOAD: asan, FERRONET_ADDON: addon }
  run(process.execPath, ['fuzz/tls/run.mjs', '--seeds', values.seeds], preloaded)
}

function run(command, args, environment) {
  const { status, signal, error } = spawnSync(command, args, {
    cwd: root,
    env: environment,
    stdio: 'inherit',
  })
  if (error) give(error.message)
  if (status !== 0) give(`${command} ${args.join(' ')}: ${signal ?? status}`)
}

function output(command, args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}

function give(why) {
  console.error(why)
  process.exit(1)
}
