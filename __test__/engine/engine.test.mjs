// The engine by itself, for failures that a program cannot cause.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import node from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import net from 'ferronet'

const require = createRequire(import.meta.url)
const drivers = process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']
const UNKNOWN = -4094
const CONNECT = 1
const END = 4
const DATA_SCRATCH = 10

/** The lines of JSON that a program of fixtures/engine prints; it must end by itself. */
async function output(t, name, driver) {
  const file = fileURLToPath(new URL(`../fixtures/engine/${name}`, import.meta.url))
  const env = { ...process.env, FERRONET_DRIVER: driver }
  const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const printed = { stdout: '', stderr: '' }
  for (const name of Object.keys(printed)) child[name].on('data', data => (printed[name] += data))
  const [code, signal] = await once(child, 'close')
  t.deepEqual([code, signal], [0, null], printed.stderr)
  return printed.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
}

// An engine whose protocol is in the test's hands, and what it is to be started with.
function opened(driver, libuv = true) {
  const { open } = require(join(dirname(require.resolve('ferronet')), 'lib/engine/addon.js'))
  const arrived = []
  const called = []
  const shared = {
    events: new Int32Array(4 * 1024),
    log: new Int32Array(3 * 4096),
    state: new Int32Array(2),
    out: Buffer.allocUnsafeSlow(64 * 1024),
    scratch: Buffer.allocUnsafeSlow(1024 * 1024),
  }
  const entries = {
    dispatch: batch => {
      for (let at = 0; at < (batch & 0xffff); at++)
        arrived.push([...shared.events.subarray(4 * at, 4 * at + 4)])
    },
    goOn: () => {},
    posted: () => called.push('posted'),
    closed: () => called.push('closed'),
  }
  return { engine: open(driver, libuv, shared), entries, arrived, called, ...shared }
}

function started(driver, libuv) {
  const { engine, entries, ...rest } = opened(driver, libuv)
  engine.start(entries)
  engine.setSlabs(Buffer.allocUnsafeSlow(16 * 1024), Buffer.allocUnsafeSlow(256 * 1024))
  return { engine, ...rest }
}

for (const driver of drivers) {
  test.serial(`an engine has no sockets before it is started, and is started once, ${driver}`, t => {
    const { engine, entries } = opened(driver)
    t.is(engine.driver, driver)
    const { errno } = engine
    t.is(engine.bindTcp('127.0.0.1', 0, 0), errno('ENOTCONN'))
    engine.start(entries)
    const slot = engine.bindTcp('127.0.0.1', 0, 0)
    t.true(slot >= 0)
    engine.close(slot, false)
    t.throws(() => engine.start(entries), { message: 'the engine was started before' })
  })

  test(`a start that fails leaves nothing behind, ${driver}`, async t => {
    const [told] = await output(t, 'failing-start.cjs', driver)
    t.is(told.message, 'posted is not a function')
    t.is(told.again, told.message, 'a program that tries again is told why it is in vain')
    t.is(told.grown, process.platform === 'linux', 'what was opened shows in the count')
    t.deepEqual(told.after, told.before)
    t.is(told.bound, 'ENOTCONN')
  })

  test.serial(`a flush that fails in the middle fails for everybody who waits for it, ${driver}`, async t => {
    const server = node.createServer().listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const { engine, arrived, log, out } = started(driver)
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

test('bytes that wait, a chunk behind them, and its end that is to wait', async t => {
  const server = node.createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { engine, arrived, out } = started()
  const accepted = once(server, 'connection')
  const slot = engine.connectTcp(-1, '127.0.0.1', server.address().port)
  t.teardown(() => engine.close(slot, false))
  const [peer] = await accepted
  t.teardown(() => peer.destroy())
  while (!arrived.some(([kind]) => kind === CONNECT)) await new Promise(resolve => setImmediate(resolve))
  let text = ''
  peer.setEncoding('latin1').on('data', part => (text += part))
  const got = async wanted => {
    while (text.length < wanted.length) await once(peer, 'data')
    t.is(text, wanted)
    text = ''
  }

  out.write('..head', 0, 'latin1')
  t.is(engine.writeBehind(slot, 2, 4, Buffer.from('skipbodytail'), 4, 4, 0), 8)
  t.false(engine.blocked())
  await got('headbody')
  t.is(out.latin1Slice(0, 6), 'tailad', 'where the head stood, which has been sent')

  t.is(engine.writeBehind(slot, 0, 0, Buffer.from('bodytail'), 0, 4, 10), 4)
  await got('body')
  t.is(out.latin1Slice(10, 14), 'tail')

  t.is(engine.writeBehind(slot, 10, 4, Buffer.from('body'), 0, 0, 0), 8)
  await got('tailbody')

  t.is(engine.writeBehind(slot, 0, 0, Buffer.from('...tail'), 3, 4, 20), 0, 'nothing is to be sent')
  t.false(engine.blocked())
  t.is(out.latin1Slice(20, 24), 'tail')

  // As much as the kernel takes, and more: the end of it stays where it is.
  out.fill('-', 0, 100)
  peer.pause()
  const much = Buffer.alloc(16 * 1024 * 1024, 'x')
  const sent = engine.writeBehind(slot, 0, 0, much, 0, 50, 0)
  t.true(sent > 0 && sent < much.length - 50)
  t.true(engine.blocked())
  t.is(out.latin1Slice(0, 100), '-'.repeat(100))
  t.is(engine.writeBehind(9999, 0, 0, much, 0, 50, 0), engine.errno('EBADF'))
  t.is(out.latin1Slice(0, 100), '-'.repeat(100))
})

if (process.platform === 'linux') {
  for (const driver of drivers) {
    test(`a row of large writes leaves in whole segments, ${driver}`, async t => {
      const [calls] = await output(t, 'large-writes.cjs', driver)
      // All of them, unless the window has changed since the size was asked for.
      const whole = calls.filter(({ bytes, segment }) => bytes % segment === 0)
      t.true(whole.length >= 15, JSON.stringify(calls))
    })
  }

  test('a worker whose loop refuses the engine hears so, and ends', async t => {
    const [told, end] = await output(t, 'unwatchable.cjs', 'in-loop')
    t.deepEqual(told, { error: 'uv_poll_init failed with -17', left: { descriptors: 0, threads: 0 } })
    t.deepEqual(end, { exit: 0 })
  })
}

test('an engine whose host has no libuv is called back all the same', async t => {
  const server = node.createServer(peer => peer.end('hello')).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { engine, arrived, called, scratch } = started(undefined, false)
  t.is(engine.driver, 'helper-thread')
  engine.setRef(true)
  t.teardown(() => engine.setRef(false))
  const event = async kind => {
    for (;;) {
      const found = arrived.find(([arrivedKind]) => arrivedKind === kind)
      if (found) return found
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  const slot = engine.connectTcp(-1, '127.0.0.1', server.address().port)
  t.deepEqual(await event(CONNECT), [CONNECT, slot, 0, 0])
  t.is(engine.readStart(slot, 0), 0)
  const [, , from, length] = await event(DATA_SCRATCH)
  t.is(String(scratch.subarray(from, from + length)), 'hello')
  await event(END)
  engine.close(slot, false)
  engine.post()
  engine.closeSoon()
  while (called.length < 2) await new Promise(resolve => setImmediate(resolve))
  t.deepEqual(called, ['posted', 'closed'])
})

test('a bind without a free port is told when the connect has ended', async t => {
  const { Handle } = require(join(dirname(require.resolve('ferronet')), 'lib/engine/once.js'))
  const { EADDRINUSE } = require(join(dirname(require.resolve('ferronet')), 'lib/engine/engine.js'))
  const server = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address()
  const handle = new Handle('tcp', 'TCPWRAP')
  t.teardown(() => handle.close())
  t.is(handle.bindTcp('127.0.0.1', port), 0, 'libuv delays it, too')
  let returned = false
  const status = new Promise(resolve => {
    handle.owner = { [Symbol.for('ferronet.onConnect')]: status => resolve([returned, status]) }
  })
  t.is(handle.connect('127.0.0.1', port), 0)
  returned = true
  t.deepEqual(await status, [true, EADDRINUSE])

  const forgotten = new Handle('tcp', 'TCPWRAP')
  forgotten.owner = { [Symbol.for('ferronet.onConnect')]: () => t.fail('it is closed') }
  t.is(forgotten.bindTcp('127.0.0.1', port), 0)
  t.is(forgotten.connect('127.0.0.1', port), 0)
  await new Promise(resolve => forgotten.close(resolve))
})
