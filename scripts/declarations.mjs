// Runs after the compiler (through interop.mjs) and keeps only those declarations that a program's compiler can reach from
// the package's entries. The others describe ferronet's insides, and need the newest @types/node to be understood.

import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../dist', import.meta.url))

const reached = new Set()
for (const entry of ['index', 'promises', 'legacy', 'tls', 'register']) reach(join(dist, `${entry}.d.ts`))
for (const file of readdirSync(dist, { recursive: true })) {
  const path = join(dist, file)
  if (path.endsWith('.d.ts') && !reached.has(path)) rmSync(path)
}

function reach(file) {
  if (reached.has(file)) return
  reached.add(file)
  const text = readFileSync(file, 'utf8')
  for (const [, name] of text.matchAll(/(?:from|import\() *'([^']+)'/g)) {
    if (name.startsWith('node:')) continue
    const path = join(dirname(file), name.replace(/\.js$/, '.d.ts'))
    // What is not ours would be a dependency, and ferronet has none.
    if (!name.startsWith('.') || !existsSync(path)) {
      throw new Error(`${relative(dist, file)} takes types from '${name}', which the package does not have`)
    }
    reach(path)
  }
}
