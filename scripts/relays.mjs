// The stress test of relays as it takes too long for every change: gigabytes through chains of three relays, and many
// random programs that look in the middle.
//
//   npm run test:relays                                 10 GB there and 5 GB back through each chain, 200 programs
//   npm run test:relays -- --gigabytes 1 --seeds 1000
//   npm run test:relays -- --node /path/to/node         under another Node
//
// FERRONET_TEST_DRIVERS=in-loop|helper-thread             on one driver only

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '10' },
    seeds: { type: 'string', default: '200' },
    node: { type: 'string', default: process.execPath },
  },
})
for (const name of ['gigabytes', 'seeds']) {
  if (Number(values[name]) > 0) continue
  console.error(`--${name} takes a number, not '${values[name]}'`)
  process.exit(2)
}

// For one chain, on a machine that is slow or busy.
const MINUTES = 60
const args = ['node_modules/ava/entrypoints/cli.mjs', '--tap', `--timeout=${MINUTES}m`]
const { status, signal } = spawnSync(values.node, [...args, '__test__/relay/stress.test.mjs'], {
  env: {
    ...process.env,
    FERRONET_RELAY_MEGABYTES: String(values.gigabytes * 1024),
    FERRONET_RELAY_SEEDS: values.seeds,
    FERRONET_TEST_TIMEOUT: String(MINUTES * 60_000),
  },
  stdio: 'inherit',
})
if (signal !== null) console.error(`ended by ${signal}`)
process.exitCode = status ?? 1
