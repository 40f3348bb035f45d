// A gigabyte uploaded to a web server and another downloaded from it, both ends over ferronet: every byte arrives in
// its place, and few of them are in memory at the same time.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const program = fileURLToPath(new URL('../fixtures/interop/gigabyte.mjs', import.meta.url))
const drivers = process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']
const gigabyte = 2 ** 30

async function transfer(t, stack, driver) {
  const child = spawn(process.execPath, [program, stack, gigabyte], {
    env: { ...process.env, FERRONET_DRIVER: driver },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill())
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'])
    child[name].setEncoding('utf8').on('data', text => (output[name] += text))
  const [code] = await once(child, 'close')
  t.is(code, 0, output.stderr)
  const { up, down, memory } = JSON.parse(output.stdout)
  t.is(up, gigabyte, `up, ${driver}`)
  t.is(down, gigabyte, `down, ${driver}`)
  t.true(memory < 400_000_000, `${memory} bytes of memory, ${driver}`)
}

for (const [stack, name] of [
  ['http', 'node:http'],
  ['express', 'Express'],
  ['fastify', 'Fastify'],
]) {
  test.serial(`a gigabyte up to ${name} and a gigabyte down`, t =>
    Promise.all(drivers.map(driver => transfer(t, stack, driver))),
  )
}
