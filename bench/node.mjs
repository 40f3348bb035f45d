// Finds a Node binary to measure under: a path as it is, or a version (`24`, `26.10.0`) that is fetched
// once with npm, from the packages that hold nothing but Node's own binaries, into .cache/nodes/.
//
//   node bench/node.mjs 24      prints the binary's path

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CACHE = fileURLToPath(new URL('../.cache/nodes/', import.meta.url))

/** The binary's path; throws with npm's own words when there is no such version. */
export function findNode(wanted) {
  if (!/^\d+(\.\d+){0,2}$/.test(wanted)) {
    if (!existsSync(wanted)) throw new Error(`no such Node: ${wanted} (a path, or a version such as 24)`)
    return wanted
  }
  mkdirSync(CACHE, { recursive: true })
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const cached = () =>
    readdirSync(CACHE)
      .filter(entry => entry === `${name}-${wanted}` || entry.startsWith(`${name}-${wanted}.`))
      .filter(entry => !entry.endsWith('.tgz'))
      .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))
      .map(entry => join(CACHE, entry, 'bin', process.platform === 'win32' ? 'node.exe' : 'node'))
      .filter(binary => existsSync(binary))
      .at(-1)
  const found = cached()
  if (found) return found

  const [{ filename, version }] = JSON.parse(
    execFileSync('npm', ['pack', `${name}@${wanted}`, '--json', '--pack-destination', CACHE], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      shell: process.platform === 'win32',
    }),
  )
  const directory = join(CACHE, `${name}-${version}`)
  mkdirSync(directory, { recursive: true })
  execFileSync('tar', ['-xzf', join(CACHE, filename), '-C', directory, '--strip-components', '1'])
  rmSync(join(CACHE, filename))
  return cached()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(findNode(process.argv[2] ?? process.versions.node.split('.')[0]))
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
