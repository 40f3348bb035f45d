// The tests with ferronet in Deno, fetched from npm:
//
//   node scripts/platforms/deno.mjs                         the core of the tests
//   node scripts/platforms/deno.mjs __test__/server/*.mjs   these files
//   … --version 2.9.6, --runtime /path/to/deno              another Deno

import { leg } from './runtimes.mjs'

await leg('deno', {
  tried: '2.9.6',
  binary: process.platform === 'win32' ? 'deno.exe' : 'deno',
  packages: {
    'linux-x64': '@deno/linux-x64-glibc',
    'linux-arm64': '@deno/linux-arm64-glibc',
    'darwin-x64': '@deno/darwin-x64',
    'darwin-arm64': '@deno/darwin-arm64',
    'win32-x64': '@deno/win32-x64',
  },
})
