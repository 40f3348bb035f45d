// The tests with ferronet in Bun, fetched from npm:
//
//   node scripts/platforms/bun.mjs                          the core of the tests
//   node scripts/platforms/bun.mjs __test__/server/*.mjs    these files
//   … --version 1.4.5, --runtime /path/to/bun               another Bun

import { leg } from './runtimes.mjs'

await leg('bun', {
  tried: '1.4.5',
  binary: process.platform === 'win32' ? 'bin/bun.exe' : 'bin/bun',
  packages: {
    'linux-x64': '@oven/bun-linux-x64',
    'linux-arm64': '@oven/bun-linux-aarch64',
    'darwin-x64': '@oven/bun-darwin-x64',
    'darwin-arm64': '@oven/bun-darwin-aarch64',
    'win32-x64': '@oven/bun-windows-x64',
  },
})
