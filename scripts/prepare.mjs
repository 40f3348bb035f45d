// Runs before `npm start` and `npm test`. Makes a fresh clone ready, and does nothing if it is ready already. Only uses
// Node's own modules, because no others may be installed yet.

import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const windows = process.platform === 'win32'
process.chdir(root)

const { engines } = JSON.parse(readFileSync('package.json', 'utf8'))

checkNode()

// Without install scripts: they only compile parts of ssh2 that it can do without.
if (newest('package-lock.json') > oldest('node_modules/.package-lock.json')) {
  // npm ci would empty the folder that the link leads to, and another worktree may be using it.
  if (lstatSync('node_modules', { throwIfNoEntry: false })?.isSymbolicLink()) {
    stop(
      'node_modules is a link and older than package-lock.json: install where it leads to, or remove the link',
    )
  }
  step(
    'installing the development packages (under a minute)',
    npm('ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'),
  )
}

const nativeSources = ['crates', 'Cargo.toml', 'Cargo.lock']
if (newest(...nativeSources) > oldest('native/binding.d.cts', addon())) {
  checkRust()
  step('building the native addon (the first time a few minutes)', npm('run', '--silent', 'build:native'))
  stamp('native/binding.d.cts', addon())
}

const entries = ['index.ts', 'promises.ts', 'register.ts', 'legacy.ts', 'tls.ts']
const tsSources = ['lib', ...entries, 'tsconfig.json', 'scripts/interop.mjs', 'native/binding.d.cts']
if (newest(...tsSources) > oldest('dist/index.js')) {
  step('compiling the TypeScript (a few seconds)', npm('run', '--silent', 'build:ts'))
  stamp('dist/index.js')
}

// native/ may hold addons for other platforms too. Ours is ferronet.linux-x64-gnu.node or the like.
function addon() {
  const name = `ferronet.${process.platform}-${process.arch}`
  return (
    list('native').find(file => basename(file).startsWith(name) && file.endsWith('.node')) ?? 'native/none'
  )
}

function checkNode() {
  const wanted = engines.node.replace('>=', '')
  if (older(process.versions.node, wanted)) {
    stop(`ferronet needs Node ${wanted} or newer; this is ${process.version}. Newer ones: https://nodejs.org`)
  }
}

function checkRust() {
  const wanted = `${/^rust-version = "(.*)"$/m.exec(readFileSync('Cargo.toml', 'utf8'))[1]}.0`
  const how = 'Get it from https://rustup.rs, open a new terminal, and run this again'
  const found = version('cargo')
  if (!found) stop(`building the native addon needs Rust ${wanted} or newer, and there is no cargo. ${how}.`)
  if (older(found, wanted))
    stop(`building the native addon needs Rust ${wanted} or newer; this is ${found}. ${how}.`)
  if (!windows && !version('cc')) {
    const where =
      process.platform === 'darwin' ? 'xcode-select --install' : 'apt-get install gcc, or the like'
    stop(`building the native addon needs a C compiler to link with, and there is no cc. Get one: ${where}.`)
  }
}

function version(program) {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  return status === 0 ? (/\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? '0.0') : null
}

/** Whether version `a` comes before version `b`. */
function older(a, b) {
  const [x, y] = [a, b].map(text => text.split(/[.-]/, 3).map(Number))
  const at = [0, 1, 2].find(i => (x[i] ?? 0) !== (y[i] ?? 0))
  return at !== undefined && (x[at] ?? 0) < (y[at] ?? 0)
}

/**
 * The latest time at which one of these files, or anything in these directories, was changed; 0 if there is none. The
 * directories themselves count too, because removing a file leaves no other trace.
 */
function newest(...paths) {
  let latest = 0
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (!stat) continue
    latest = Math.max(latest, stat.mtimeMs, stat.isDirectory() ? newest(...list(path)) : 0)
  }
  return latest
}

/** When the oldest of the files was changed; 0 if one of them is missing. */
function oldest(...files) {
  return Math.min(...files.map(file => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0))
}

function list(directory) {
  return existsSync(directory) ? readdirSync(directory).map(name => join(directory, name)) : []
}

// A build that finds nothing to do may leave its output untouched.
function stamp(...files) {
  const now = new Date()
  for (const file of files) if (existsSync(file)) utimesSync(file, now, now)
}

function npm(...args) {
  // npm tells its scripts where npm is. If this script is run by hand, it looks on the PATH.
  const self = process.env.npm_execpath
  return self?.endsWith('.js') ? [process.execPath, [self, ...args]] : [windows ? 'npm.cmd' : 'npm', args]
}

function step(what, [command, args]) {
  console.log(`\n> ${what} …`)
  const start = Date.now()
  const { status, signal, error } = spawnSync(command, args, { stdio: 'inherit', shell: windows })
  if (error?.code === 'ENOENT') stop(`there is no ${command}: it comes with Node, from https://nodejs.org`)
  if (status !== 0)
    stop(`${what.replace(/ \(.*/, '')} failed${signal ? `: ${signal}` : ''}; the reason is above`)
  console.log(`> done in ${((Date.now() - start) / 1000).toFixed(1)} s\n`)
}

function stop(message) {
  console.error(`\n${message}`)
  process.exit(1)
}
