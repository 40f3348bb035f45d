// The addon of fixtures/native, compiled on first use and again when its source has changed. There always is a C
// compiler, because Rust links with it.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('../fixtures/native/native.c', import.meta.url))
const directory = fileURLToPath(new URL('../../target/test-native/', import.meta.url))

export function native() {
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const addon = `${directory}${process.platform}-${process.arch}-${hash}.node`
  if (!existsSync(addon)) compile(addon)
  return createRequire(import.meta.url)(addon)
}

function compile(addon) {
  mkdirSync(directory, { recursive: true })
  // Several processes may get here at the same time: each compiles its own, and the last one stays.
  const scratch = `${addon}.${process.pid}`
  const undefined_ = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []
  const { status, stderr, error } = spawnSync(
    'cc',
    ['-shared', '-fPIC', '-O1', ...undefined_, '-o', scratch, source],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw error ?? new Error(`cc: ${stderr}`)
  renameSync(scratch, addon)
}
