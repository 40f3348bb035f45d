// `setBusyPoll()` and FERRONET_BUSY_POLL: when the loop sleeps, and what else has its turn while it does not.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parity } from '../helpers/parity.mjs'
import { Peer } from '../helpers/peer.mjs'
import { relays } from '../helpers/relay.mjs'

// Bun and Deno have loops of their own, which always sleep.
const here = { module: 'ferronet', on: 'libuv' }
const SECOND = 1_000_000

/** A pair of sockets; what has been set ends with the test. */
async function polling(t, microseconds) {
  const pair = await t.pair()
  t.cleanup(() => t.net.setBusyPoll(0))
  t.net.setBusyPoll(microseconds)
  return pair
}

async function exchange(client, server, count) {
  for (let round = 0; round < count; round++) {
    client.write('question')
    const [question] = await once(server, 'data')
    assert.equal(String(question), 'question')
    server.write('answer')
    await once(client, 'data')
  }
}

/** Whether the loop sleeps in the next `ms` milliseconds, in which nothing of ours happens. */
async function sleeps(ms) {
  const before = performance.eventLoopUtilization()
  await sleep(ms)
  return performance.eventLoopUtilization(before).idle > 0
}

parity('after an event the loop stays awake for as long as it was told to', here, async t => {
  const { client, peer } = await polling(t, SECOND)
  await exchange(client, peer, 10)
  assert.equal(await sleeps(20), false)
})

parity('when nothing comes for that long, it sleeps', here, async t => {
  const { client, peer } = await polling(t, 500)
  await exchange(client, peer, 10)
  assert.equal(await sleeps(50), true)
  await exchange(client, peer, 10)
  t.net.setBusyPoll(0)
  await exchange(client, peer, 10)
  assert.equal(await sleeps(50), true)
})

parity('without it the loop sleeps after a burst too', here, async t => {
  const { client, peer } = await t.pair()
  await exchange(client, peer, 2000)
  assert.equal(await sleeps(50), true)
  await exchange(client, peer, 2000)
})

parity(
  'bytes that a relay carries keep it awake too, though JavaScript hears nothing of them',
  here,
  async t => {
    const peer = await Peer.start(t.cleanup)
    const server = await t.listen()
    peer.do('connect', server.address().port)
    const [socket] = await once(server, 'connection')
    const relay = relays(t)
    socket.pipe(socket)
    // A relay begins after a few chunks.
    for (let read = 1; relay.begun() === 0; read++) {
      peer.do('write', 0, '.')
      await t.until(() => socket.bytesRead === read)
    }
    t.cleanup(() => t.net.setBusyPoll(0))
    while (!(await sleeps(20)));
    t.net.setBusyPoll(SECOND)
    assert.equal(await sleeps(20), true)
    const before = socket.bytesRead
    peer.do('write', 0, 'more')
    while (socket.bytesRead === before) await sleep(1)
    assert.equal(await sleeps(20), false)
    relay.ran()
  },
)

parity('timers, immediates and other handles have their turn', here, async t => {
  const { client, peer } = await polling(t, SECOND)
  await exchange(client, peer, 1)
  const child = spawn(process.execPath, ['-p', '"done"'])
  const said = once(child.stdout, 'data')
  const ended = once(child, 'close')
  await sleep(5)
  for (let turn = 0; turn < 100; turn++) await immediate()
  assert.equal(String((await said)[0]), 'done\n')
  await ended
  await exchange(client, peer, 100)
})

parity('what throws in a handler does not end it', here, async t => {
  const { client, peer } = await polling(t, SECOND)
  const caught = new Promise(resolve => t.catchUncaught(resolve))
  client.write('x')
  peer.once('data', () => {
    throw new Error('of a handler')
  })
  assert.equal((await caught).message, 'of a handler')
  await exchange(client, peer, 100)
})

parity('the argument is checked', { module: 'ferronet' }, async t => {
  const { setBusyPoll, getBusyPoll } = t.net
  assert.equal(getBusyPoll(), 0)
  for (const wrong of ['1', null, undefined, {}]) {
    assert.throws(() => setBusyPoll(wrong), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' })
  }
  for (const wrong of [-1, SECOND + 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => setBusyPoll(wrong), { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' })
  }
  assert.equal(getBusyPoll(), 0)
  setBusyPoll(SECOND)
  assert.equal(getBusyPoll(), SECOND)
  setBusyPoll(0)
})

// --- the environment variable -----------------------------------------------------------------------------------

const main = fileURLToPath(new URL('../../dist/index.js', import.meta.url))

/** Runs `script`, in which `net` is ferronet, in a process with this FERRONET_BUSY_POLL. */
async function run(value, script) {
  const child = spawn(process.execPath, ['-e', `const net = require(${JSON.stringify(main)}); ${script}`], {
    env: { ...process.env, FERRONET_BUSY_POLL: value },
  })
  let [out, err] = ['', '']
  child.stdout.on('data', chunk => (out += chunk))
  child.stderr.on('data', chunk => (err += chunk))
  const [code] = await once(child, 'close')
  return { code, out, err }
}

parity('the environment sets it for every thread', here, async () => {
  const inWorker = `console.log(require(${JSON.stringify(main)}).getBusyPoll())`
  const script = `
    const { Worker } = require('node:worker_threads')
    console.log(net.getBusyPoll())
    new Worker(${JSON.stringify(inWorker)}, { eval: true })`
  assert.deepEqual(await run('250', script), { code: 0, out: '250\n250\n', err: '' })
})

parity('a process ends although its loop is awake', here, async () => {
  const script = `
    const server = net.createServer(socket => socket.end('bye')).listen(0, '127.0.0.1', () => {
      net.connect(server.address().port, '127.0.0.1').on('data', String).on('close', () => server.close(() => console.log('closed')))
    })`
  assert.deepEqual(await run(String(SECOND), script), { code: 0, out: 'closed\n', err: '' })
})

parity('a wrong value is an error that says what is right', here, async () => {
  for (const wrong of ['fast', '-1', '1.5', '1000001', '0x10']) {
    const { code, err } = await run(wrong, '')
    assert.equal(code, 1)
    assert.match(
      err,
      new RegExp(
        `TypeError: FERRONET_BUSY_POLL must be a number of microseconds from 0 to 1000000, not '${wrong}'`,
      ),
    )
  }
})
