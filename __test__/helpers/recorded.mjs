// What node:net did in the scenarios of a test file that only its newest versions can run. On older versions ferronet is
// compared with the recording (`parity`'s `expected`). Where node:net can run them, node:net is compared with it too, so
// it cannot become stale. To record: run the file under the newest Node with FERRONET_TEST_ONLY=node
// FERRONET_TEST_TRACES=<dir>, and copy <dir>/<folder>-<file>.node-net.json.

import { readFileSync } from 'node:fs'
import { getSystemErrorMap } from 'node:util'

export function recorded(name) {
  const file = new URL(`../fixtures/recorded/${name}.json`, import.meta.url)
  let traces = {}
  try {
    traces = JSON.parse(readFileSync(file, 'utf8'), here)
  } catch (error) {
    // Not recorded yet.
    if (error.code !== 'ENOENT') throw error
  }
  return title => traces[title]
}

const numbers = new Map([...getSystemErrorMap()].map(([errno, [code]]) => [code, errno]))

// Error numbers differ between platforms.
function here(_key, value) {
  if (typeof value?.errno === 'number' && numbers.has(value.code)) value.errno = numbers.get(value.code)
  return value
}
