// Runs after the compiler and removes `__esModule` from the entries. With it, half of the tools that read
// `import net from 'ferronet'` would look for `exports.default`, which node:net does not have either. Without it the
// default import is the module itself, everywhere.

import { readFileSync, writeFileSync } from 'node:fs'
import './declarations.mjs'

const mark = 'Object.defineProperty(exports, "__esModule", { value: true });\n'

for (const entry of ['index', 'promises', 'legacy', 'tls', 'register']) {
  const file = new URL(`../dist/${entry}.js`, import.meta.url)
  writeFileSync(file, readFileSync(file, 'utf8').replace(mark, ''))
}
