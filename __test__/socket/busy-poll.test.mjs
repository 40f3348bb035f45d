// The option `busyPoll`, `setBusyPoll()` and `getBusyPoll()` of a socket: SO_BUSY_POLL.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { parity } from '../helpers/parity.mjs'

const here = { module: 'ferronet' }
const onLinux = { module: 'ferronet', on: 'linux' }
const wrong = [-1, 1.5, Number.NaN, '8', null, true, {}, 2 ** 31]

parity('busyPoll is a whole number of microseconds', here, async ({ net, own }) => {
  const codes = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE']
  const isRefused = error => codes.includes(error.code)
  const socket = own(new net.Socket())
  for (const value of wrong) {
    assert.throws(() => socket.setBusyPoll(value), isRefused)
    assert.throws(() => own(new net.Socket({ busyPoll: value })), isRefused)
    assert.throws(() => net.createServer({ busyPoll: value }), isRefused)
  }
  assert.throws(() => socket.setBusyPoll(), isRefused)
  assert.equal(socket.getBusyPoll(), 0)
})

parity('before there is a connection busyPoll is remembered', here, async ({ net, own }) => {
  assert.equal(own(new net.Socket({ busyPoll: 30 })).getBusyPoll(), 30)
  const socket = own(new net.Socket())
  assert.equal(socket.setBusyPoll(40), socket)
  assert.equal(socket.getBusyPoll(), 40)
})

/** What the system makes of a value: it refuses more than its own default to those without a privilege. */
async function granted(t, wanted) {
  const { client } = await t.pair()
  const before = client.getBusyPoll()
  try {
    client.setBusyPoll(wanted)
  } catch (error) {
    assert.equal(error.code, 'EPERM')
    assert.equal(error.syscall, 'setBusyPoll')
    assert.equal(client.getBusyPoll(), before)
    return before
  }
  return wanted
}

parity('the system has the busyPoll of both ends', onLinux, async t => {
  const mine = await granted(t, 70)
  const theirs = await granted(t, 90)
  const { client, peer } = await t.pair({ client: { busyPoll: 70 }, server: { busyPoll: 90 } })
  assert.equal(client.getBusyPoll(), mine)
  assert.equal(peer.getBusyPoll(), theirs)
  peer.setBusyPoll(0)
  assert.equal(peer.getBusyPoll(), 0)
  peer.write('answer')
  assert.equal(String((await once(client, 'data'))[0]), 'answer')
})

parity('a Unix socket ignores busyPoll', onLinux, async t => {
  const { client, peer } = await t.pair({ path: t.socketPath(), client: { busyPoll: 20 } })
  peer.setBusyPoll(20)
  peer.write('answer')
  assert.equal(String((await once(client, 'data'))[0]), 'answer')
})
