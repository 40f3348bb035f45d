// Thousands of connections leave no descriptors and no memory behind; bench/soak.mjs does the same with 200 000, and with
// 20 000 in TLS.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const soak = fileURLToPath(new URL('../../bench/soak.mjs', import.meta.url))

for (const driver of process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']) {
  leavesNothing(`5 000 connections leave nothing behind, ${driver}`, driver, ['--connections', '5000'])
  leavesNothing(`2 000 connections in TLS leave nothing behind, ${driver}`, driver, [
    '--tls',
    '--connections',
    '2000',
  ])
}

function leavesNothing(title, driver, args) {
  test.serial(title, async t => {
    const child = spawn(process.execPath, [soak, ...args], {
      env: { ...process.env, FERRONET_DRIVER: driver },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    t.teardown(() => child.kill())
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', text => (output += text))
    const [code] = await once(child, 'close')
    t.is(code, 0, output)
  })
}
