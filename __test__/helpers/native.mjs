// The addon of fixtures/native, compiled on first use and again when its source has changed. There always is a C
// compiler, because Rust links with it; on Windows it is mingw's (scripts/platforms/windows.mjs compiles there before).

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('../fixtures/native/native.c', import.meta.url))
const directory = fileURLToPath(new URL('../../target/test-native/', import.meta.url))

export function native() {
  return createRequire(import.meta.url)(compiled())
}

/** The addon's path. `prefix`: of the names of mingw's programs, where they are for another system than this. */
export function compiled({ platform = process.platform, prefix = '' } = {}) {
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const addon = `${directory}${platform}-${process.arch}-${hash}.node`
  if (existsSync(addon)) return addon
  mkdirSync(directory, { recursive: true })
  // Several processes may get here at the same time: each compiles its own, and the last one stays.
  const scratch = `${addon}.${process.pid}`
  if (platform === 'win32') {
    run(`${prefix}dlltool`, ['-d', definitions(scratch), '-l', `${scratch}.a`])
    run(`${prefix}gcc`, ['-shared', '-O1', '-o', scratch, source, `${scratch}.a`])
    for (const more of ['.def', '.a']) rmSync(scratch + more)
  } else {
    const fromHost = platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []
    run('cc', ['-shared', '-fPIC', '-O1', ...fromHost, '-o', scratch, source])
  }
  renameSync(scratch, addon)
  return addon
}

/** Windows wants to know whose the functions are that the source only declares. */
function definitions(scratch) {
  const names = readFileSync(source, 'utf8').matchAll(/^(?:napi_status|int) ((?:napi|uv)_\w+)\(.*;$/gm)
  const lines = ['LIBRARY node.exe', 'EXPORTS', ...Array.from(names, ([, name]) => name)]
  writeFileSync(`${scratch}.def`, `${lines.join('\n')}\n`)
  return `${scratch}.def`
}

function run(command, args) {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw error ?? new Error(`${command}: ${stderr}`)
}
