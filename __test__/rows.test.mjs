// Keeps ROWS.md true: each title it lists must be the start of a test's title in the file it names.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const here = new URL('.', import.meta.url)

// [file, start of a title] for each test that a line lists.
const named = []
for (const line of readFileSync(new URL('ROWS.md', here), 'utf8').split('\n')) {
  let file
  for (const [, path, title] of line.matchAll(/`([a-z0-9/-]+)`(?= ")|"([^"]+)"/g)) {
    if (path) file = path
    else if (file) named.push([file, title])
  }
}

// A test file that finds this map registers its scenarios in it, by title. It runs in a process of its own because in
// ava's the same files would register tests.
const program = `
  const scenarios = (globalThis[Symbol.for('ferronet.test.scenarios')] = new Map())
  const titles = {}
  for (const file of process.argv.slice(1)) {
    scenarios.clear()
    await import(new URL(file + '.test.mjs', '${here}'))
    titles[file] = [...scenarios.keys()]
  }
  console.log(JSON.stringify(titles))`

// On other platforms some scenarios do not exist.
if (process.platform === 'linux') {
  test('ROWS.md names tests that exist', t => {
    const files = [...new Set(named.map(([file]) => file))]
    const options = { encoding: 'utf8', cwd: fileURLToPath(here), maxBuffer: 1 << 24 }
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program, ...files], options)
    const titles = JSON.parse(output)
    const missing = named.filter(([file, start]) => !titles[file].some(title => title.startsWith(start)))
    t.deepEqual(missing, [])
    t.true(named.length > 200)
  })
}
