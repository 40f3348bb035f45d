// What the checks of the packages share: running programs as on a machine without Rust, and counting.

import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const results = { passed: 0, failed: 0 }

/** Runs one check and says how it went; a failed one does not keep the others from running. */
export async function check(name, body) {
  try {
    await body()
    results.passed++
    console.log(`ok ${name}`)
    return true
  } catch (error) {
    results.failed++
    console.log(`not ok ${name}\n${String(error.stack ?? error).replace(/^/gm, '    ')}`)
    return false
  }
}

/**
 * The environment of a user who has Node and nothing else: no Rust, no compiler, none of our settings, and no
 * configuration or cache of a package manager.
 */
export function environment(work) {
  const env = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(npm_|FERRONET_|NODE_OPTIONS$|NODE_PATH$|CARGO|RUST|PATH$|INIT_CWD$)/i.test(name))
      env[name] = value
  }
  const home = join(work, 'home')
  mkdirSync(home, { recursive: true })
  return {
    ...env,
    PATH: onlyNode(work),
    HOME: home,
    USERPROFILE: home,
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
    NO_COLOR: '1',
    // Files that are not there.
    npm_config_userconfig: join(home, 'npmrc'),
    npm_config_globalconfig: join(home, 'global-npmrc'),
    npm_config_cache: join(work, 'cache'),
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  }
}

function onlyNode(work) {
  // Windows does not let everybody make links; Node has a folder of its own there.
  if (process.platform === 'win32') return dirname(process.execPath)
  const bin = join(work, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, 'node'))
  return bin
}

/** Runs a program to its end. Resolves with its output; rejects with it if the exit code is not `code`. */
export function run(command, args, { code = 0, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', text => {
        output[name] += text
      })
    }
    child.on('error', reject)
    child.on('close', (exit, signal) => {
      if (exit === code) return resolve(output)
      const shown = `${command} ${args.join(' ').slice(0, 300)}`
      reject(new Error(`${shown}: ${signal ?? `exit code ${exit}`}\n${output.stdout}${output.stderr}`))
    })
  })
}

/** Runs the npm that comes with this Node. */
export function runNpm(args, options) {
  return run(process.execPath, [npm(), ...args], options)
}

function npm() {
  const bin = dirname(process.execPath)
  const beside = ['../lib/node_modules', 'node_modules'].map(modules =>
    join(bin, modules, 'npm/bin/npm-cli.js'),
  )
  const found = [process.env.npm_execpath, ...beside].find(
    path => path?.endsWith('npm-cli.js') && existsSync(path),
  )
  if (found) return found
  for (const directory of (process.env.PATH ?? '').split(process.platform === 'win32' ? ';' : ':')) {
    const path = join(directory, 'npm')
    if (existsSync(path) && realpathSync(path).endsWith('npm-cli.js')) return realpathSync(path)
  }
  throw new Error('there is no npm: it comes with Node, from https://nodejs.org')
}

/** An empty project with the programs that a check runs in it. */
export function project(work, name, { manifest = {}, files = {} } = {}) {
  const directory = join(work, name)
  mkdirSync(directory)
  writeFileSync(
    join(directory, 'package.json'),
    JSON.stringify({ name, version: '1.0.0', private: true, ...manifest }),
  )
  cpSync(fileURLToPath(new URL('smoke.cjs', import.meta.url)), join(directory, 'smoke.cjs'))
  for (const [file, content] of Object.entries(files)) writeFileSync(join(directory, file), content)
  return directory
}

/** Runs smoke.cjs in a project; each of its lines is a check. */
export async function smoke(what, command, args, options) {
  await check(`${what}: the smoke test`, async () => {
    const { stdout } = await run(command, args, options)
    const lines = stdout.trim().split('\n')
    if (!lines.every(line => line.startsWith('ok ')) || lines.length !== 13) throw new Error(stdout)
    results.passed += lines.length - 1
    for (const line of lines) console.log(`  ${line}`)
  })
}
