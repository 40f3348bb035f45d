// How the addon is found, and what is said if it is missing, broken or of another version. Each test has a project of
// its own, with ferronet as npm installs it and with the binaries that the test is about.

import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { version, homepage, napi } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const file = readdirSync(join(root, 'native')).find(
  name => name.startsWith(`ferronet.${process.platform}-${process.arch}`) && name.endsWith('.node'),
)
const addon = join(root, 'native', file)
const here = file.replace(/^ferronet\.|\.node$/g, '')
const users = name => name.replace('-gnu', '-glibc').replace('-msvc', '')
const glibc = here.endsWith('-gnu') && test

/** A project with ferronet and, by the names of their platforms, packages with a binary. */
function project(t, binaries = {}) {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'ferronet-addon-')))
  t.teardown(() => rmSync(base, { recursive: true, force: true }))
  const ferronet = join(base, 'node_modules', 'ferronet')
  cpSync(join(root, 'dist'), join(ferronet, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(ferronet, 'package.json'))
  for (const [platform, binary] of Object.entries(binaries)) {
    const name = `@ferronet/binding-${platform}`
    const main = typeof binary === 'string' ? 'index.js' : 'ferronet.node'
    write(join(base, 'node_modules', name, 'package.json'), JSON.stringify({ name, main }))
    write(join(base, 'node_modules', name, main), binary)
  }
  return base
}

function write(path, content) {
  mkdirSync(dirname(path), { recursive: true })
  if (content !== undefined) writeFileSync(path, content)
}

/** Loads ferronet, after `code`, and says whether it worked or what the error is. */
function load(base, { code = '', flags = [], env = {} } = {}) {
  const program = `
    ${code}
    try {
      console.log(JSON.stringify({ works: typeof require('ferronet').Socket }))
    } catch ({ name, code, message, cause }) {
      console.log(JSON.stringify({ name, code, lines: message.split('\\n'), cause: cause && cause.message }))
    }`
  const clean = { ...process.env, ...env }
  if (!env.FERRONET_ADDON) delete clean.FERRONET_ADDON
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '-e', program], {
    cwd: base,
    encoding: 'utf8',
    env: clean,
  })
  if (!stdout) throw new Error(stderr)
  return JSON.parse(stdout)
}

function fails(t, result, platform) {
  t.like(result, { name: 'Error', code: 'ERR_FERRONET_ADDON' })
  t.is(
    result.lines.shift(),
    `ferronet cannot load its native addon on ${users(platform)}, Node ${process.version}.`,
  )
  return result
}

const pretend = (platform, arch) => `
  Object.defineProperty(process, 'platform', { value: '${platform}' })
  Object.defineProperty(process, 'arch', { value: '${arch}' })
`

/** This platform's binary, with a header that says it is for another machine. */
function otherMachine() {
  const binary = readFileSync(addon)
  const at = { linux: 18, darwin: 4, win32: binary.readUInt32LE(0x3c) + 4 }[process.platform]
  binary.writeUInt16LE(0x1234, at)
  return binary
}

const elsewhere = here === 'darwin-x64' ? 'darwin-arm64' : 'darwin-x64'

// --- where it is --------------------------------------------------------------------------------------------------

test('the package of this platform is what is loaded', t => {
  t.deepEqual(load(project(t, { [here]: readFileSync(addon) })), { works: 'function' })
})

test('the binary that was built in the directory comes first', t => {
  const base = project(t, { [here]: `throw new Error('not this one')` })
  symlinkSync(join(root, 'native'), join(base, 'node_modules/ferronet/native'), 'junction')
  t.deepEqual(load(base), { works: 'function' })
})

test('FERRONET_ADDON names a binary, relative to the current directory too, and no other is tried then', t => {
  const base = project(t, { [here]: readFileSync(addon) })
  t.deepEqual(load(base, { env: { FERRONET_ADDON: addon } }), { works: 'function' })
  const { lines } = fails(t, load(base, { env: { FERRONET_ADDON: 'none.node' } }), here)
  t.true(lines[0].startsWith(`${join(base, 'none.node')} does not load: `), lines[0])
  t.is(lines.at(-1), 'FERRONET_ADDON names this file.')
})

test('a wrong FERRONET_ADDON is named in a clone, too', t => {
  const base = project(t)
  write(join(base, 'node_modules/ferronet/Cargo.toml'), '')
  const { lines } = fails(t, load(base, { env: { FERRONET_ADDON: 'none.node' } }), here)
  t.is(lines.at(-1), 'FERRONET_ADDON names this file.')
})

for (const target of napi.targets) {
  test(`the loader asks for the package of ${target}`, t => {
    const [machine, , os, abi] = target.split('-')
    const platform = os === 'windows' ? 'win32' : os
    const arch = { x86_64: 'x64', aarch64: 'arm64' }[machine]
    const name = [platform, arch, abi].filter(Boolean).join('-')
    const fake = `module.exports = {
      VERSION: ${JSON.stringify(version)},
      get open() { throw new Error('opened ${name}') },
    }`
    const base = project(t, { [name]: fake })
    const { lines } = load(base, { code: `${pretend(platform, arch)}; ${executable(base, abi)}` })
    t.deepEqual(lines, [`opened ${name}`])
  })
}

/** Code after which the process takes itself for one with this libc: its executable says so. */
function executable(base, libc) {
  const linker = { gnu: '/lib64/ld-linux-x86-64.so.2', musl: '/lib/ld-musl-x86_64.so.1' }[libc]
  if (linker === undefined) return ''
  const path = join(base, 'node')
  write(path, `\x7fELF and so on\0${linker}\0and so on`)
  return `process.execPath = ${JSON.stringify(path)}`
}

if (process.platform === 'linux') {
  test('if the executable cannot be read, its report tells the libc', t => {
    const base = project(t, { [here]: readFileSync(addon) })
    t.deepEqual(load(base, { code: "process.execPath = '/does/not/exist'" }), { works: 'function' })
  })
}

// --- what is wrong ------------------------------------------------------------------------------------------------

test('a missing binary: which package, and how to get it', t => {
  const { lines, cause } = fails(t, load(project(t)), here)
  t.deepEqual(lines, [
    `The binary for this platform, @ferronet/binding-${here} ${version}, is not installed.`,
    'It is an optional dependency of ferronet: install without --omit=optional or --no-optional.',
    `By itself: npm install @ferronet/binding-${here}@${version}`,
  ])
  t.regex(cause, /^Cannot find module '@ferronet\/binding-/)
})

test('node_modules from another platform, or of a Node for another architecture: the error says which', t => {
  const { lines } = fails(t, load(project(t, { [elsewhere]: '' })), here)
  t.is(
    lines[1],
    `@ferronet/binding-${elsewhere} is: node_modules was installed on another platform, or by a Node for another ` +
      'architecture (on a Mac, one under Rosetta).',
  )
  t.regex(lines[2], /^Install again: remove node_modules, and package-lock\.json if /)
  t.is(lines[3], `By itself: npm install @ferronet/binding-${here}@${version}`)
})

test('on musl it is the binary for musl that is missing', t => {
  const base = project(t, { 'linux-x64-gnu': '' })
  const code = `${pretend('linux', 'x64')}; ${executable(base, 'musl')}`
  const { lines } = fails(t, load(base, { code }), 'linux-x64-musl')
  t.is(
    lines[0],
    `The binary for this platform, @ferronet/binding-linux-x64-musl ${version}, is not installed.`,
  )
  t.regex(lines[1], /^@ferronet\/binding-linux-x64-gnu is: /)
})

for (const [platform, arch, name] of [
  ['linux', 'riscv64', 'linux-riscv64-gnu'],
  ['linux', 'arm', 'linux-arm-gnueabihf'],
  ['freebsd', 'x64', 'freebsd-x64'],
  ['win32', 'ia32', 'win32-ia32'],
]) {
  test(`${platform} ${arch} has no binary: the error lists those there are, and looks for no package`, t => {
    const base = project(t)
    const { lines, cause } = fails(
      t,
      load(base, { code: `${pretend(platform, arch)}; ${executable(base, 'gnu')}` }),
      name,
    )
    t.regex(
      lines[0],
      /^There is no binary for this platform\. There are some for .*linux-x64-glibc.*win32-arm64\.$/,
    )
    t.is(lines[0].split(',').length, napi.targets.length)
    t.is(lines[1], `How to build it from source, which takes Rust: ${homepage}`)
    t.is(cause, undefined)
  })

  test(`${platform} ${arch} has one if it was built from source`, t => {
    const base = project(t)
    const directory = join(base, 'node_modules/ferronet')
    const built = platform === 'win32' ? `${name}-msvc` : name
    write(join(directory, `native/ferronet.${built}.node`), readFileSync(addon))
    const loader = JSON.stringify(join(directory, 'dist/lib/engine/addon.js'))
    const code = `${pretend(platform, arch)}; ${executable(base, 'gnu')}; require(${loader})`
    t.notThrows(() => load(base, { code }))
  })
}

/** Builds a startup snapshot of a program in which `require` is one for files, and starts it if it could be built. */
function snapshot(base, program) {
  const main = join(base, 'main.cjs')
  const blob = join(base, 'snapshot.blob')
  write(
    main,
    `{ const require = process.getBuiltinModule('module').createRequire(${JSON.stringify(main)}); ${program} }`,
  )
  const run = flags => spawnSync(process.execPath, flags, { cwd: base, encoding: 'utf8' })
  const built = run(['--snapshot-blob', blob, '--build-snapshot', main])
  return { built, started: built.status === 0 ? run(['--snapshot-blob', blob]) : undefined }
}

test('a startup snapshot cannot hold it: the error says so, and Node does not abort', t => {
  const { built } = snapshot(project(t, { [here]: readFileSync(addon) }), `require('ferronet')`)
  t.is(built.status, 1)
  t.is(built.signal, null)
  t.regex(
    built.stderr,
    /A startup snapshot cannot hold an addon\..* v8\.startupSnapshot\.setDeserializeMainFunction\(\)/,
  )
})

test('a program that is started from a snapshot loads it', t => {
  const load = `console.log(typeof require('ferronet').Socket)`
  const program = `require('v8').startupSnapshot.setDeserializeMainFunction(() => ${load})`
  const { built, started } = snapshot(project(t, { [here]: readFileSync(addon) }), program)
  t.is(started?.stdout, 'function\n', started?.stderr ?? built.stderr)
})

test('a binary of an older version is refused, and both versions are named', t => {
  const { lines, cause } = fails(
    t,
    load(project(t, { [here]: `exports.VERSION = '0.0.9'; exports.open = () => {}` })),
    here,
  )
  t.deepEqual(lines, [
    `This is ferronet ${version}, but @ferronet/binding-${here} is 0.0.9. They must be the same version.`,
    `Install both: npm install ferronet@${version} @ferronet/binding-${here}@${version}`,
  ])
  t.is(cause, undefined)
})

test('so is one of a version so old that it does not tell, and a real one beside another ferronet', t => {
  const old = fails(t, load(project(t, { [here]: 'exports.open = () => {}' })), here)
  t.regex(old.lines[0], / is of a version that it does not tell\. /)

  const base = project(t, { [here]: readFileSync(addon) })
  const manifest = join(base, 'node_modules/ferronet/package.json')
  writeFileSync(
    manifest,
    readFileSync(manifest, 'utf8').replace(`"version": "${version}"`, '"version": "9.9.9"'),
  )
  const { lines } = fails(t, load(base), here)
  t.regex(
    lines[0],
    new RegExp(`^This is ferronet 9\\.9\\.9, but .* is ${version.replaceAll('.', '\\.')}\\. `),
  )
})

test('a built binary of another version: it must be built again', t => {
  const base = project(t)
  symlinkSync(join(root, 'native'), join(base, 'node_modules/ferronet/native'), 'junction')
  const manifest = join(base, 'node_modules/ferronet/package.json')
  writeFileSync(
    manifest,
    readFileSync(manifest, 'utf8').replace(`"version": "${version}"`, '"version": "9.9.9"'),
  )
  const { lines } = fails(t, load(base), here)
  t.is(lines.at(-1), 'Build it again: npm run build')
})

test('a package that has lost its binary is broken, not missing', t => {
  const base = project(t, { [here]: readFileSync(addon) })
  rmSync(join(base, 'node_modules', `@ferronet/binding-${here}`, 'ferronet.node'))
  const { lines } = fails(t, load(base), here)
  t.true(lines[0].startsWith(`@ferronet/binding-${here} does not load: Cannot find module`), lines[0])
})

for (const [what, binary] of Object.entries({
  'a binary that was cut off': () => readFileSync(addon).subarray(0, 40),
  'a binary for another machine': otherMachine,
  'a binary that is something else': () => Buffer.from('<html>404</html>'),
  'an empty file': () => Buffer.alloc(0),
})) {
  test(`${what}: why, what it should be, and how to get it`, t => {
    const { lines, cause } = fails(t, load(project(t, { [here]: binary() })), here)
    t.true(lines[0].startsWith(`@ferronet/binding-${here} does not load: `), lines[0])
    t.is(lines[0].split('does not load: ')[1], cause.split('\n')[0])
    t.regex(
      lines.at(-1),
      new RegExp(`^It must be the binary for ${users(here)}\\. Install again: remove node_modules`),
    )
  })
}

if (glibc) {
  test('a system whose glibc is too old is told so, with both versions', t => {
    // Asks the dynamic linker for a glibc that is not out yet.
    const binary = readFileSync(addon)
    const newest = [...binary.toString('latin1').matchAll(/GLIBC_2\.\d\d/g)].at(-1)
    binary.write('GLIBC_2.99', newest.index, 'latin1')
    const { lines, cause } = fails(t, load(project(t, { [here]: binary })), here)
    t.regex(cause, /version `GLIBC_2\.99' not found/)
    t.regex(lines.at(-2), /^The binary needs glibc 2\.28 or newer; this system has 2\.\d+\.$/)
    t.is(lines.at(-1), `Use a newer system, or build from source: ${homepage}`)
  })
}
