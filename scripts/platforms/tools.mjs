// What the platform scripts share: they find the tools of this machine, fetch the others into .cache/platforms, build the
// addon for a target, and count what they have checked.
//
// Fetched without asking: the Python packages ziglang (a linker for every platform) and cargo-zigbuild, and binaries of
// Node from npm. Everything else has to be there, and a script that misses it says what to install.

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { delimiter, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** What is fetched goes to .cache/platforms, what is built from this tree to target/platforms. */
export const cache = (...names) => join(root, '.cache', 'platforms', ...names)
export const built = (...names) => join(root, 'target', 'platforms', ...names)

/** Something that this machine lacks. The message says how to get it. */
export class Missing extends Error {
  name = 'Missing'
}

// --- commands ---------------------------------------------------------------------------------------------------

/** Runs a command and passes its output on. Throws if it fails. */
export function run(command, args, { cwd = root, env } = {}) {
  console.log(`> ${[command, ...args].map(word => relativeToRoot(word)).join(' ')}`)
  finish(command, spawnSync(command, args, { cwd, env: { ...process.env, ...env }, stdio: 'inherit' }))
}

/** Runs a command and returns what it printed. Throws if it fails, with what it printed. */
export function capture(command, args, { cwd = root, env, timeout } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout,
    killSignal: 'SIGKILL',
  })
  finish(command, result)
  return result.stdout
}

function finish(command, { status, signal, error, stdout = '', stderr = '' }) {
  if (status === 0) return
  const how = error ? error.message : signal ? `ended by ${signal}` : `exit code ${status}`
  throw new Error([`${command}: ${how}`, stdout, stderr].filter(Boolean).join('\n').trimEnd())
}

const relativeToRoot = word => (word.startsWith(root) ? relative(root, word) : word)

/** The path of a program. Some systems have a few of them off the PATH of ordinary users. */
export function find(program) {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return directories.map(directory => join(directory, program)).find(path => existsSync(path))
}

/** The path of a program that has to be there. `remedy`: how to get it, such as `apt-get install qemu-user`. */
export function need(program, remedy) {
  const path = find(program)
  if (!path) throw new Missing(`there is no ${program} here. ${remedy}`)
  return path
}

/** The path of a file or directory that has to be there. */
export function needFile(path, remedy) {
  if (!existsSync(path)) throw new Missing(`there is no ${path} here. ${remedy}`)
  return path
}

/**
 * Makes a directory of the cache, once: `fill` gets an empty one, which becomes `path` when it is complete. Another
 * process that makes the same one at the same time does no harm.
 */
export function cached(path, fill) {
  if (existsSync(path)) return path
  mkdirSync(join(path, '..'), { recursive: true })
  const scratch = mkdtempSync(`${path}.`)
  try {
    fill(scratch)
    if (!existsSync(path)) renameSync(scratch, path)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  return path
}

// --- fetched ----------------------------------------------------------------------------------------------------

// Pinned, so that a release is linked with what was tested.
const PYTHON_PACKAGES = ['ziglang==0.17.1', 'cargo-zigbuild==0.24.0']

/** The programs of a virtual Python environment, which has cargo-zigbuild and zig (`python -m ziglang`). */
export function python() {
  const home = cache('python')
  const bin = join(home, process.platform === 'win32' ? 'Scripts' : 'bin')
  const stamp = join(home, 'packages')
  const wanted = PYTHON_PACKAGES.join(' ')
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    const system = need('python3', 'Install Python 3 (Debian: apt-get install python3 python3-venv).')
    console.log(`> fetching ${wanted} …`)
    const made = spawnSync(system, ['-m', 'venv', '--clear', home], { encoding: 'utf8' })
    if (made.status !== 0)
      throw new Missing(
        `Python cannot make a virtual environment. Debian: apt-get install python3-venv.\n${made.stdout}${made.stderr}`,
      )
    capture(join(bin, 'python'), [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      ...PYTHON_PACKAGES,
    ])
    writeFileSync(stamp, wanted)
  }
  return { bin, python: join(bin, 'python') }
}

/** What a Python wheel for a platform, such as `musllinux_1_2_x86_64`, holds, unpacked. `wanted` is an exact version. */
export function wheel(name, wanted, platform) {
  return cached(cache('wheels', `${name}-${wanted}-${platform}`), directory => {
    console.log(`> fetching ${name} ${wanted} for ${platform} …`)
    const only = ['--no-deps', '--only-binary', ':all:', '--platform', platform, '--dest', directory]
    // Not the program `pip`, which knows where the environment was made and does not outlive its move.
    capture(python().python, [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--disable-pip-version-check',
      ...only,
      `${name}==${wanted}`,
    ])
    const file = join(directory, readdirSync(directory)[0])
    capture(python().python, ['-m', 'zipfile', '-e', file, directory])
    rmSync(file)
  })
}

/** Where this machine gets Debian's own packages from. */
function sourceOf(apt) {
  const sites = capture(apt, ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'])
  const site = sites.split('\n').find(uri => /\/debian\/?$/.test(uri))
  if (site) return site
  throw new Missing(
    'there is no archive of Debian among the sources of packages here. Add one, then apt-get update.',
  )
}

/** What a package of some release of Debian, for some architecture, holds, unpacked. */
export function debian(name, release, arch) {
  return cached(cache('debian', `${name}-${release}-${arch}`), directory => {
    const remedy = 'This takes a Debian or a system like it.'
    const [apt, dpkg] = [need('apt-get', remedy), need('dpkg-deb', remedy)]
    const keys = needFile(
      '/usr/share/keyrings/debian-archive-keyring.gpg',
      'apt-get install debian-archive-keyring.',
    )
    console.log(`> fetching Debian's ${name} (${release}, ${arch}) …`)
    // A state of its own, so that the machine's own lists of packages stay as they are.
    const state = mkdtempSync(join(tmpdir(), 'ferronet-apt-'))
    try {
      for (const part of ['lists/partial', 'cache/archives/partial', 'files'])
        mkdirSync(join(state, part), { recursive: true })
      writeFileSync(
        join(state, 'sources.list'),
        `deb [signed-by=${keys} arch=${arch}] ${sourceOf(apt)} ${release} main\n`,
      )
      const options = [
        `Dir::Etc::SourceList=${state}/sources.list`,
        'Dir::Etc::SourceParts=-',
        `Dir::State::Lists=${state}/lists`,
        'Dir::State::Status=/dev/null',
        `Dir::Cache=${state}/cache`,
        `APT::Architecture=${arch}`,
        `APT::Architectures=${arch}`,
        `APT::Sandbox::User=${userInfo().username}`,
      ].flatMap(option => ['-o', option])
      capture(apt, ['--quiet', '--quiet', ...options, 'update'])
      capture(apt, ['--quiet', '--quiet', ...options, 'download', name], { cwd: join(state, 'files') })
      const [archive] = readdirSync(join(state, 'files'))
      capture(dpkg, ['--extract', join(state, 'files', archive), directory])
    } finally {
      rmSync(state, { recursive: true, force: true })
    }
  })
}

/** An npm package, unpacked. `wanted`: an exact version, or a range such as `22`, for which what is there is good enough. */
export function npmPackage(name, wanted) {
  const directory = cache('npm', name.replace('/', '+'))
  const fits = version => version === wanted || version.startsWith(`${wanted}.`)
  const there = existsSync(directory) ? readdirSync(directory).filter(fits) : []
  const newest = there.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
  if (newest) return join(directory, newest)

  console.log(`> fetching ${name}@${wanted} …`)
  mkdirSync(directory, { recursive: true })
  const scratch = mkdtempSync(join(directory, 'fetch-'))
  try {
    capture('npm', ['pack', `${name}@${wanted}`, '--silent', '--pack-destination', scratch])
    const archive = readdirSync(scratch).find(file => file.endsWith('.tgz'))
    capture('tar', ['-xzf', join(scratch, archive), '-C', scratch])
    const manifest = JSON.parse(readFileSync(join(scratch, 'package', 'package.json'), 'utf8'))
    const version = manifest.version.replace(/^v/, '') // some packages of Node's binaries have a v
    if (!existsSync(join(directory, version))) renameSync(join(scratch, 'package'), join(directory, version))
    return join(directory, version)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** The binary of a Node for a platform, such as `linux-arm64` or `win-x64`. `version`: `22`, or `22.21.0`. */
export function nodeBinary(platform, version) {
  const windows = platform.startsWith('win')
  return join(npmPackage(`node-${platform}`, version), 'bin', windows ? 'node.exe' : 'node')
}

// --- building ---------------------------------------------------------------------------------------------------

/** The oldest glibc that the binaries run on: what Node 20 to 26 ask for themselves. */
export const GLIBC = '2.28'
/** The oldest macOS; Rust's own floor is lower on x64, Node's is higher on both. */
export const MACOS = '11.0'

/** Every target: npm's name of the platform, Rust's name of the target, and what is special about building it. */
export const targets = {
  'linux-x64-gnu': { triple: 'x86_64-unknown-linux-gnu', suffix: `.${GLIBC}` },
  'linux-arm64-gnu': { triple: 'aarch64-unknown-linux-gnu', suffix: `.${GLIBC}` },
  'linux-x64-musl': { triple: 'x86_64-unknown-linux-musl', rustflags: ['-C', 'target-feature=-crt-static'] },
  'linux-arm64-musl': {
    triple: 'aarch64-unknown-linux-musl',
    rustflags: ['-C', 'target-feature=-crt-static'],
  },
  'darwin-x64': { triple: 'x86_64-apple-darwin' },
  'darwin-arm64': { triple: 'aarch64-apple-darwin' },
  'win32-x64-msvc': { triple: 'x86_64-pc-windows-msvc', rustflags: ['-C', 'target-feature=+crt-static'] },
  'win32-arm64-msvc': { triple: 'aarch64-pc-windows-msvc', rustflags: ['-C', 'target-feature=+crt-static'] },
}

/**
 * A Rust that can build for a target: the one on the PATH if the target's standard library is installed there, or else
 * one that has the sources of the standard library and builds that too. `args` and `env` are for cargo.
 */
export function rust(triple) {
  const lookIn = cargo => {
    const rustc = join(cargo, '..', 'rustc')
    if (!existsSync(rustc)) return []
    const sysroot = capture(rustc, ['--print', 'sysroot']).trim()
    return [{ cargo, rustc, library: join(sysroot, 'lib', 'rustlib') }]
  }
  const cargos = [find('cargo'), '/usr/bin/cargo'].filter(path => path && existsSync(path))
  const found = [...new Set(cargos)].flatMap(lookIn)
  const env = ({ cargo, rustc }) => ({ CARGO: cargo, RUSTC: rustc })

  const ready = found.find(({ library }) => existsSync(join(library, triple, 'lib')))
  if (ready) return { cargo: ready.cargo, args: [], env: env(ready) }
  const sources = found.find(({ library }) =>
    existsSync(join(library, 'src', 'rust', 'library', 'Cargo.lock')),
  )
  if (sources) {
    return {
      cargo: sources.cargo,
      args: ['-Zbuild-std=std,panic_unwind'],
      env: { ...env(sources), RUSTC_BOOTSTRAP: '1' },
    }
  }
  throw new Missing(
    `there is no Rust here that can build for ${triple}. With rustup: rustup target add ${triple}. ` +
      "Debian: apt-get install rustc-web cargo-web rust-web-src, which builds the target's standard library from source.",
  )
}

/**
 * Builds the addon of a platform of `targets` as for a release, and returns its path, which is in `directory`. Linux and,
 * on another system, macOS are linked by zig, which knows old versions of glibc and every architecture.
 */
export function build(platform, directory = built('addons')) {
  const { triple, suffix = '', rustflags = [] } = targets[platform]
  const [os] = platform.split('-')
  const { cargo, args, env } = rust(triple)
  // A Rust of its own for each, so that one does not make the other build everything again.
  const targetDirectory = built(args.length ? 'std' : 'plain')
  const options = ['--release', '-p', 'ferronet-binding', '--target-dir', targetDirectory, ...args]
  const cargoEnv = { ...env, CARGO_INCREMENTAL: '0', RUSTFLAGS: rustflags.join(' ') }

  if (os === 'linux' || (os === 'darwin' && process.platform !== 'darwin')) {
    const { bin } = python()
    const path = `${bin}${delimiter}${process.env.PATH}`
    if (os === 'darwin') cargoEnv.MACOSX_DEPLOYMENT_TARGET = MACOS
    run(join(bin, 'cargo-zigbuild'), ['zigbuild', '--target', `${triple}${suffix}`, ...options], {
      env: { ...cargoEnv, PATH: path },
    })
  } else {
    if (os === 'win32' && process.platform !== 'win32')
      throw new Missing(`${triple} is built on Windows. Here there is scripts/platforms/windows.mjs.`)
    if (os === 'darwin') cargoEnv.MACOSX_DEPLOYMENT_TARGET = MACOS
    run(cargo, ['build', '--target', triple, ...options], { env: cargoEnv })
  }

  const library = { linux: 'libferronet_binding.so', darwin: 'libferronet_binding.dylib' }[os]
  mkdirSync(directory, { recursive: true })
  const addon = join(directory, `ferronet.${platform}.node`)
  copyFileSync(join(targetDirectory, triple, 'release', library ?? 'ferronet_binding.dll'), addon)
  return addon
}

/**
 * A copy of the project for a platform's tests, with that addon alone in it: the project's own build stays as it is. Its
 * node_modules is a link to the project's. `as`: the platform that the loader takes the system for, if it is not that one.
 * `slow`: ava runs one file at a time and is patient, for where a process takes many seconds to start.
 */
export function stage(
  platform,
  addon,
  { as = platform, slow = false, directory = built('stage', platform) } = {},
) {
  for (const file of ['dist/index.js', 'native/binding.d.cts'])
    needFile(join(root, file), 'Build the project first: npm run build.')
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(join(directory, 'native'), { recursive: true })
  for (const name of ['package.json', 'dist', 'scripts', 'examples', 'fuzz', '__test__', 'bench', 'docs'])
    cpSync(join(root, name), join(directory, name), { recursive: true, verbatimSymlinks: true })
  for (const name of readdirSync(join(root, 'native')).filter(name => !name.endsWith('.node')))
    copyFileSync(join(root, 'native', name), join(directory, 'native', name))
  copyFileSync(addon, join(directory, 'native', `ferronet.${as}.node`))
  if (slow) {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    Object.assign(manifest.ava, { timeout: '20m', concurrency: 1 })
    writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest, null, 2))
  }
  symlinkSync(realpathSync(join(root, 'node_modules')), join(directory, 'node_modules'))
  return directory
}

// --- running ----------------------------------------------------------------------------------------------------

/**
 * A Node that is started by another program, such as `qemu-aarch64 node`, made to look like an ordinary one: a script
 * `node` in `directory`, which is what `process.execPath` says too, so that child processes are started the same way.
 */
export function launcher(directory, command) {
  mkdirSync(directory, { recursive: true })
  const [script, preload] = [join(directory, 'node'), join(directory, 'exec-path.cjs')]
  writeFileSync(preload, `process.execPath = process.argv[0] = ${JSON.stringify(script)}\n`)
  const words = command.map(word => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  writeFileSync(script, `#!/bin/sh\nNODE_OPTIONS="--require ${preload} $NODE_OPTIONS" exec ${words} "$@"\n`)
  chmodSync(script, 0o755)
  return script
}

/** Runs the smoke test of a staged project under a Node. */
export function smoke(project, node, driver, { env, around = [] } = {}) {
  const [command, ...args] = [...around, node, 'scripts/platforms/smoke.mjs']
  // Under qemu on a busy machine it takes half a minute.
  return capture(command, args, { cwd: project, env: { ...env, FERRONET_DRIVER: driver }, timeout: 300_000 })
}

/**
 * Runs test files of a staged project under a Node (scripts/test.mjs) and returns how many passed and failed, and the
 * titles of those that failed. `around`: a command that runs the whole in another place, such as a chroot.
 */
export function tests(stage, node, files, { env, around = [] } = {}) {
  const [command, ...args] = [...around, node, 'scripts/test.mjs', '--node', node, ...files]
  console.log(`> ${files.length} test files: node scripts/test.mjs --node ${relativeToRoot(node)} …`)
  const { stdout, stderr, error } = spawnSync(command, args, {
    cwd: stage,
    env: { ...process.env, FERRONET_TEST_TIMEOUT: '300000', ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(stdout ?? '') ?? []
  if (passed === undefined) throw error ?? new Error(`the tests did not run:\n${stdout}${stderr}`)
  if (Number(failed) > 0) console.log(`${stdout}${stderr}`.replace(/^(ok |# .*after.always).*\n/gm, ''))
  const failures = [...stdout.matchAll(/^not ok \d+ - (.*)$/gm)].map(match => match[1])
  return { passed: Number(passed), failed: Number(failed), failures }
}

// --- counting ---------------------------------------------------------------------------------------------------

/**
 * Runs a leg: `body` gets `check(title, run)`, which counts; `count({ passed, failed })` for tests that were counted
 * elsewhere; `lacking(title, reason)` for what the emulation lacks, not ferronet; `size(name, file)` for the table. The
 * last line says `N passed, N failed`.
 */
export async function leg(name, body) {
  let [passed, failed] = [0, 0]
  const lacks = []
  const t = {
    async check(title, run) {
      try {
        const outcome = await run()
        passed++
        console.log(`ok   ${title}`)
        return outcome
      } catch (error) {
        failed++
        console.log(`FAIL ${title}\n${indent(explain(error))}`)
      }
    },
    count(counts) {
      passed += counts.passed
      failed += counts.failed
    },
    lacking: (title, reason) => lacks.push(`lacking: ${title}: ${reason}`),
    size: (what, file) => console.log(`size: ${what}: ${statSync(file).size}`),
  }
  console.log(`=== ${name} ===`)
  try {
    await body(t)
  } catch (error) {
    failed++
    console.log(`FAIL ${name}\n${indent(explain(error))}`)
    if (error instanceof Missing) console.log(`missing: ${error.message.split('\n')[0]}`)
  }
  for (const line of lacks) console.log(line)
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
}

const explain = error => (error instanceof Missing ? error.message : String(error?.stack ?? error))
const indent = text => text.replace(/^/gm, '     ')
