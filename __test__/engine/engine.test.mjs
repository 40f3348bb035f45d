// The engine by itself, for failures that a program cannot cause.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import node from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const require = createRequire(import.meta.url)
const fixture = fileURLToPath(new URL('../fixtures/engine/unwatchable.cjs', import.meta.url))
const drivers = process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']
const UNKNOWN = -4094
const CONNECT = 1

// An engine whose protocol is in the test's hands.
function opened(driver) {
  const { open } = require(join(dirname(require.resolve('ferronet')), '../native/binding.cjs'))
  const arrived = []
  const shared = {
    events: new Int32Array(4 * 1024),
    log: new Int32Array(3 * 4096),
    state: new Int32Array(2),
    out: Buffer.allocUnsafeSlow(64 * 1024),
    scratch: Buffer.allocUnsafeSlow(1024 * 1024),
    dispatch: batch => {
      for (let at = 0; at < (batch & 0xffff); at++)
        arrived.push([...shared.events.subarray(4 * at, 4 * at + 4)])
    },
    goOn: () => {},
    posted: () => {},
    closed: () => {},
  }
  const engine = open(driver, true, shared)
  engine.setSlabs(Buffer.allocUnsafeSlow(16 * 1024), Buffer.allocUnsafeSlow(256 * 1024))
  return { engine, arrived, ...shared }
}

for (const driver of drivers) {
  test.serial(`a flush that fails in the middle fails for everybody who waits for it, ${driver}`, async t => {
    const server = node.createServer().listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const { engine, arrived, log, out } = opened(driver)
    const slots = []
    const peers = []
    for (let at = 0; at < 2; at++) {
      const accepted = once(server, 'connection')
      slots.push(engine.connectTcp(-1, '127.0.0.1', server.address().port))
      const [peer] = await accepted
      peers.push(peer)
      t.teardown(() => peer.destroy())
      const told = () =>
        arrived.some(([kind, slot, status]) => kind === CONNECT && slot === slots[at] && status === 0)
      while (!told()) await new Promise(resolve => setImmediate(resolve))
    }
    t.teardown(() => slots.forEach(slot => void engine.close(slot, false)))
    out.write('hello')
    // The second entry is of bytes that there are not.
    log.set([slots[0], 0, 5, slots[1], out.length + 1, 5])
    t.is(engine.flush(2), 2)
    const results = [...log.subarray(6, 12)]
    assert.deepEqual(
      [results.slice(0, 2), results.slice(3, 5)],
      slots.map(slot => [slot, UNKNOWN]),
    )
    // And the next one is as good as ever.
    const data = once(peers[1], 'data')
    log.set([slots[1], 0, 5])
    t.is(engine.flush(1), 0)
    t.is(String((await data)[0]), 'hello')
  })
}

if (process.platform === 'linux') {
  test('a worker whose loop refuses the engine hears so, and ends', async t => {
    const env = { ...process.env, FERRONET_DRIVER: 'in-loop' }
    const child = spawn(process.execPath, [fixture], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { stdout: '', stderr: '' }
    for (const name of Object.keys(output)) child[name].on('data', data => (output[name] += data))
    const [code, signal] = await once(child, 'close')
    t.deepEqual([code, signal], [0, null], output.stderr)
    const [told, end] = output.stdout.trim().split('\n').map(JSON.parse)
    t.deepEqual(told, { error: 'uv_poll_init failed with -17', left: { descriptors: 0, threads: 0 } })
    t.deepEqual(end, { exit: 0 })
  })
}
