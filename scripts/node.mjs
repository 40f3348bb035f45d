// Fetches a Node from npm and prints the path of its binary, so that the tests can run on every supported line:
//
//   node scripts/node.mjs 24         the newest 24
//   node scripts/node.mjs 20.19.0    exactly this one
//
// Fetched versions stay in .cache/nodes. A major version that is already there is not looked up again.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const windows = process.platform === 'win32'
const cache = fileURLToPath(new URL('../.cache/nodes', import.meta.url))

/** The path of a Node of that version, fetched if necessary. */
export function node(wanted) {
  if (!/^\d+(\.\d+){0,2}$/.test(wanted))
    throw new Error(`expected a version such as 24 or 24.10.0, not '${wanted}'`)
  const found = cached(wanted) ?? fetch(wanted)
  return join(cache, found, 'bin', windows ? 'node.exe' : 'node')
}

function cached(wanted) {
  const versions = existsSync(cache) ? readdirSync(cache) : []
  return versions
    .filter(version => version === wanted || version.startsWith(`${wanted}.`))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1)
}

function fetch(wanted) {
  const name = `node-${windows ? 'win' : process.platform}-${process.arch}`
  mkdirSync(cache, { recursive: true })
  // Unpack into a temporary directory and move it, so that an interrupted fetch does not look like a Node.
  const scratch = mkdtempSync(join(cache, 'fetch-'))
  try {
    console.error(`> fetching ${name}@${wanted} …`)
    run(windows ? 'npm.cmd' : 'npm', ['pack', `${name}@${wanted}`, '--silent', '--pack-destination', scratch])
    const [archive] = readdirSync(scratch)
    run('tar', ['-xzf', join(scratch, archive), '-C', scratch])
    const { version: named } = JSON.parse(readFileSync(join(scratch, 'package', 'package.json'), 'utf8'))
    const version = named.replace(/^v/, '') // some of these packages have a v
    if (!existsSync(join(cache, version))) renameSync(join(scratch, 'package'), join(cache, version))
    return version
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: windows,
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args[0]} failed`)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(node(process.argv[2] ?? ''))
  } catch (err) {
    console.error(err.message)
    process.exit(1)
  }
}
