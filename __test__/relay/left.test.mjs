// What is left when a process or a thread goes in the middle of a relay: the other sockets, with everything that was read,
// and no descriptor.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Check, source } from '../fixtures/interop/bytes.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'
import { relays, where } from '../helpers/relay.mjs'
import { nodeProgram } from '../helpers/runtime.mjs'

const program = fileURLToPath(new URL('../fixtures/relay-end.mjs', import.meta.url))
const descriptors = () => readdirSync('/proc/self/fd').length
const closed = socket => socket.closed || new Promise(resolve => socket.on('close', resolve))

/** A connection whose other end is a process, and what kills that. */
async function from(t, what, kind) {
  const path = kind === 'unix' ? t.socketPath() : undefined
  const server = await t.listen({ allowHalfOpen: true, path })
  const accepted = once(server, 'connection')
  const place = path ?? String(server.address().port)
  const child = spawn(nodeProgram, [program, what, place], { stdio: 'ignore' })
  t.cleanup(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    assert.equal((await exited)[1], 'SIGKILL')
  }
  const [socket] = await accepted
  server.close()
  return { socket, kill }
}

async function pair(t, kind) {
  const path = kind === 'unix' ? t.socketPath() : undefined
  const { client, peer, server } = await t.pair({
    server: { allowHalfOpen: true },
    client: { allowHalfOpen: true },
    path,
  })
  server.close()
  return [client, peer]
}

/** Resolves when nothing has come for a while: all buffers on the way are full. */
async function full(socket) {
  let [before, still] = [-1, 0]
  while (still < 8) {
    await new Promise(resolve => setTimeout(resolve, 5))
    still = socket.bytesRead === before && before > 0 ? still + 1 : 0
    before = socket.bytesRead
  }
}

/** Everything from a source that is killed arrives, and then the end. */
async function writerDies(t, kind) {
  const count = relays(t)
  const { socket: a, kill } = await from(t, 'writes', kind)
  const [b, peer] = await pair(t, kind)
  const check = new Check()
  a.pipe(b)
  peer.pipe(check)
  const ended = once(peer, 'end')
  await count.until(1)
  peer.pause()
  await full(a)
  await kill()
  peer.resume()
  await ended
  t.log('saw', check.wrong, check.right === a.bytesRead, b.bytesWritten === a.bytesRead)
  t.log('saw', a.readableEnded, a.destroyed, b.writableEnded)
  for (const socket of [a, b, peer]) socket.destroy()
  await Promise.all([a, b, peer].map(closed))
}

/** A destination that is killed is an error, and the source stays. */
async function readerDies(t, kind, what) {
  const count = relays(t)
  const { socket: b, kill } = await from(t, what, kind)
  const [client, a] = await pair(t, kind)
  // Killed without having read all, a socket is reset; otherwise the next write finds that nobody is there.
  const failed = new Promise(resolve => b.on('error', resolve))
  a.pipe(b)
  for (let byte = 1; byte <= 4; byte++) {
    client.write('.')
    await t.until(() => b.bytesWritten === byte)
  }
  await count.until(1)
  const feed = source(Number.POSITIVE_INFINITY)
  feed.pipe(client)
  if (what === 'waits') await full(a)
  else await t.until(() => a.bytesRead > 5_000_000)
  await kill()
  const { code, syscall } = await failed
  t.log('failed', ['ECONNRESET', 'EPIPE'].includes(code), ['read', 'write'].includes(syscall))
  await closed(b)
  t.log('saw', a.destroyed, a.readableEnded, a.listenerCount('data'), b.writableFinished)
  for (const socket of [client, a, b]) socket.destroy()
  feed.destroy()
  await Promise.all([client, a, b].map(closed))
}

const deaths = {
  'the process of the source': writerDies,
  'the process of the destination, which reads': (t, kind) => readerDies(t, kind, 'reads'),
  'the process of the destination, which does not': (t, kind) => readerDies(t, kind, 'waits'),
}
for (const [what, die] of Object.entries(deaths)) {
  for (const kind of ['tcp', 'unix']) {
    parity(`killed in the middle: ${what}, ${kind}`, { on: 'unix', ...where(kind) }, t => die(t, kind))
  }
  parityProcess(`no descriptor is left of ${what}`, { module: 'ferronet', on: 'linux' }, async t => {
    // The first time all that stays is opened.
    for (const kind of ['tcp', 'unix']) await die(t, kind)
    await t.turns(4)
    const before = descriptors()
    for (const kind of ['tcp', 'unix']) await die(t, kind)
    await t.turns(4)
    assert.equal(descriptors(), before)
  })
}

// --- a thread that ends

/** A proxy in a worker. It says where it listens, and then how much it has carried, and whether in relays. */
async function relaysInWorker({ net, data, port }) {
  const { createServer, connect } = net
  const sockets = []
  const server = createServer({ allowHalfOpen: true }, a => {
    const b = connect({ ...data.to, allowHalfOpen: true })
    for (const socket of [a, b]) socket.on('error', () => {})
    a.pipe(b)
    b.pipe(a)
    sockets.push(a, b)
  })
  server.listen(data.at, () => port.postMessage(server.address()))
  port.on('message', () => {
    const [a, b] = sockets
    port.postMessage({
      read: a.bytesRead + b.bytesRead,
      relays: Boolean(a._handle.relays && b._handle.relays),
    })
  })
  port.on('message', how => {
    if (how === 'exit') process.exit()
    if (how === 'throw') throw new Error('the end of the worker')
  })
}

const endings = {
  'is terminated': worker => worker.terminate(),
  exits: worker => void worker.postMessage('exit'),
  fails: worker => void worker.postMessage('throw'),
}

async function workerEnds(t, kind, isStuck, end) {
  const target = await t.listen({ allowHalfOpen: true, path: kind === 'unix' ? t.socketPath() : undefined })
  const accepted = once(target, 'connection')
  const at = kind === 'unix' ? { path: t.socketPath() } : { port: 0, host: '127.0.0.1' }
  const worker = t.worker(relaysInWorker, { at, to: t.to(target) })
  worker.on('error', () => {})
  const [address] = await once(worker, 'message')
  const client = t.connect(typeof address === 'string' ? { path: address } : t.to({ address: () => address }))
  const [peer] = await accepted
  for (const socket of [client, peer]) socket.on('error', () => {})
  // Chunk by chunk there and back, so that both are relays.
  for (let at = 0; at < 8; at++) {
    client.write('.')
    await once(peer, 'data')
    peer.write('.')
    await once(client, 'data')
  }
  const heard = new Promise(resolve => peer.on('end', resolve).on('close', resolve))
  const check = new Check()
  const feed = source(Number.POSITIVE_INFINITY)
  let state
  const ask = async () => {
    worker.postMessage('how much')
    ;[state] = await once(worker, 'message')
    return state
  }
  if (isStuck) peer.pause()
  else peer.pipe(check)
  feed.pipe(client)
  let [before, still] = [-1, 0]
  while (isStuck ? still < 4 : check.right < 2_000_000) {
    still = (await ask()).read === before && before > 100 ? still + 1 : 0
    before = state.read
    await t.turns(2)
  }
  assert.ok((await ask()).relays || t.moduleName === 'node:net', 'there is no relay')
  const inside = descriptors()
  const exited = once(worker, 'exit')
  end(worker)
  await exited
  // What is on the way still arrives; then both ends hear of it.
  if (isStuck) peer.pipe(check)
  await Promise.all([closed(client), heard])
  feed.destroy()
  assert.ok(check.right > 0 && !check.wrong)
  for (const socket of [client, peer]) socket.destroy()
  await Promise.all([client, peer].map(closed))
  const over = once(target, 'close')
  target.close()
  await over
  return inside
}

for (const [what, end] of Object.entries(endings)) {
  parityProcess(
    `no descriptor is left of relays whose worker ${what}`,
    { module: 'ferronet', on: 'linux' },
    async t => {
      const kinds = ['tcp', 'unix']
      for (const kind of kinds) await workerEnds(t, kind, true, end)
      await t.turns(4)
      const before = descriptors()
      for (const kind of kinds) {
        for (const isStuck of [true, false]) assert.ok((await workerEnds(t, kind, isStuck, end)) > before)
      }
      await t.turns(4)
      assert.equal(descriptors(), before)
    },
  )
}

parity('without descriptors for pipes a relay copies', { module: 'ferronet', on: 'linux' }, async () => {
  const script = fileURLToPath(new URL('../fixtures/relay-without-pipes.mjs', import.meta.url))
  const args = ['-c', 'ulimit -n 80 && exec "$0" "$1"', nodeProgram, script]
  const child = spawn('sh', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', text => (output += text))
  await once(child, 'close')
  assert.deepEqual(JSON.parse(output), { code: 'EMFILE', begun: 1, right: true, read: true })
})
