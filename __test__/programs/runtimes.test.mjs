// How ferronet is loaded, and how processes and workers end: the same in Node as in Bun and Deno (helpers/runtime.mjs).

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { collect } from '../helpers/parity.mjs'
import { node, runtime } from '../helpers/runtime.mjs'

const { program, flags } = runtime ?? node
const drivers = process.platform === 'linux' && !runtime ? ['in-loop', 'helper-thread'] : ['helper-thread']

async function runOn(driver, name, ...args) {
  const file = fileURLToPath(new URL(`../fixtures/runtimes/${name}`, import.meta.url))
  const { NODE_OPTIONS, ...env } = process.env
  const child = spawn(program, [...flags, file, ...args], {
    env: { ...env, FERRONET_DRIVER: driver, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  const output = collect(child)
  const [code, signal] = await once(child, 'close')
  return { code, signal, stdout: output.stdout.split('\n').filter(Boolean), stderr: output.stderr }
}

function ends(title, [name, ...args], { code = 0, stdout, stderr = /^$/ }) {
  test(title, async t => {
    for (const end of await Promise.all(drivers.map(driver => runOn(driver, name, ...args)))) {
      t.deepEqual({ code: end.code, signal: end.signal, stdout: end.stdout }, { code, signal: null, stdout })
      t.regex(end.stderr, stderr)
    }
  })
}

const echoed = ['heard hello', 'closed false', 'server closed', 'exit 0']

ends('import: an echo over TCP, and the process ends by itself', ['echo.mjs'], { stdout: echoed })
ends('require: an echo over TCP, and the process ends by itself', ['echo.cjs'], { stdout: echoed })
ends('import and require give the same module and its names', ['forms.mjs'], {
  stdout: ['true true true', 'true false', 'true'],
})
ends('ferronet/promises: a megabyte there and back, and an error', ['promises.mjs'], {
  stdout: ['the same true', 'ENOENT'],
})
ends('process.exit() in a handler', ['ending.mjs', 'exit'], { code: 3, stdout: [] })
ends('an exception that nobody catches ends the process as itself', ['ending.mjs', 'throw'], {
  code: 1,
  stdout: [],
  stderr: /boom/,
})
ends('uncaughtException gets the exception, and the sockets go on', ['ending.mjs', 'uncaughtException'], {
  stdout: ['caught boom', 'the other events come'],
})
ends('unreferenced sockets do not hold the process', ['ending.mjs', 'unref'], { stdout: ['unreferenced'] })
ends('workers: one ends by itself, one is terminated', ['worker.mjs'], {
  stdout: ['from a worker', 'ended', 'from a worker', 'terminated', 'server closed'],
})

const unix = process.platform === 'win32' ? test.skip : test
unix('import: an echo over a path, and the process ends by itself', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'ferronet-runtimes-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  for (const driver of drivers) {
    const end = await runOn(driver, 'echo.mjs', join(directory, 'echo.sock'))
    t.deepEqual([end.code, end.stdout], [0, echoed])
  }
})

if (runtime?.name === 'bun') {
  ends('ferronet/register says that Bun does not let it', ['register.mjs'], {
    code: 1,
    stdout: [],
    stderr: /ferronet\/register does not work in Bun .*Import 'ferronet' itself/,
  })
} else {
  ends('ferronet/register as the first import', ['register.mjs'], { stdout: ['true true'] })
}
