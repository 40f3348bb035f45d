// Keeps ROWS.md true: every title it names begins one of a test in the file it names, and every title in the files of
// rows begins with the number of its row.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const here = new URL('.', import.meta.url)

// [file, start of a title] of each test that a line of the table names.
const named = []
for (const line of readFileSync(new URL('ROWS.md', here), 'utf8').split('\n')) {
  let file
  for (const [, path, title] of line.matchAll(/`([a-z0-9/-]+)`(?= ")|"([^"]+)"/g)) {
    if (path) file = path
    else if (file) named.push([file, title])
  }
}

// A test file that finds this map registers its scenarios in it, by title. In a process of its own, for ava's sake.
const program = `
  const scenarios = (globalThis[Symbol.for('ferronet.test.scenarios')] = new Map())
  const titles = {}
  for (const file of process.argv.slice(1)) {
    scenarios.clear()
    await import(new URL(file + '.test.mjs', '${here}'))
    titles[file] = [...scenarios.keys()]
  }
  console.log(JSON.stringify(titles))`

// Elsewhere some scenarios do not exist.
if (process.platform === 'linux') {
  test('the table of rows names tests that exist', t => {
    const files = [...new Set(named.map(([file]) => file))]
    const options = { encoding: 'utf8', cwd: fileURLToPath(here), maxBuffer: 1 << 24 }
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program, ...files], options)
    const titles = JSON.parse(output)
    const missing = named.filter(([file, start]) => !titles[file].some(title => title.startsWith(start)))
    t.deepEqual(missing, [])
    const unnumbered = Object.entries(titles)
      .filter(([file]) => file.startsWith('rows-'))
      .flatMap(([, all]) => all.filter(title => !/^1\.\d+ /.test(title)))
    t.deepEqual(unnumbered, [])
    t.true(named.length > 200)
  })
}
