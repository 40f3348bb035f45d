// Builds the addon of one platform as it is released: optimised, without symbols, and for the oldest systems that we
// support (glibc 2.28, macOS 11). The result is ferronet.<platform>.node, which `napi artifacts` moves to npm/<platform>.
//
//   npm run build:release -- --target x86_64-unknown-linux-gnu
//   npm run build:release -- --target aarch64-apple-darwin --output-dir artifacts
//
// Where a target can be built:
//   Linux    anywhere with Python 3 (zig, which links it, comes from PyPI)
//   macOS    on a Mac; on Linux for a rehearsal, by zig again
//   Windows  on Windows
// The standard library of the target has to be there: rustup target add <target>.

import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { build, Missing, targets } from './platforms/tools.mjs'

try {
  const { values } = parseArgs({
    options: {
      target: { type: 'string' },
      'output-dir': { type: 'string', default: 'native' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  const known = Object.values(targets).map(({ triple }) => triple)
  const usage = `npm run build:release -- --target TARGET [--output-dir DIR]\nTargets: ${known.join(', ')}`
  if (values.help) {
    console.log(usage)
  } else {
    const found = Object.entries(targets).find(([, { triple }]) => triple === values.target)
    if (!found) stop(values.target ? `there is no target '${values.target}'.\n${usage}` : usage, 2)
    console.log(build(found[0], resolve(values['output-dir'])))
  }
} catch (error) {
  if (error.code?.startsWith('ERR_PARSE_ARGS')) stop(error.message, 2)
  if (error instanceof Missing) stop(error.message, 1)
  throw error
}

function stop(message, code) {
  console.error(message)
  process.exit(code)
}
