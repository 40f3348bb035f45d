// `socket.sendFile()`: a file in the order of the writes, and what goes wrong with it.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { open, truncate, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { identity } from '../fixtures/interop/certificate.mjs'
import { parity } from '../helpers/parity.mjs'
import { relaying } from '../helpers/relay.mjs'

const ours = { module: 'ferronet' }

async function file(t, bytes) {
  const path = join(t.directory(), 'file')
  await writeFile(path, bytes)
  return path
}

const hash = bytes => createHash('sha256').update(bytes).digest('hex')

parity('a file keeps its place among the writes', ours, async t => {
  const { client, peer } = await t.pair()
  const path = await file(t, 'the file')
  const arrived = t.drained(peer)
  client.write('before ')
  const sent = client.sendFile(path)
  client.write(' between ')
  const part = client.sendFile(path, { start: 4, end: 5 })
  client.write(' and ')
  const url = client.sendFile(pathToFileURL(path), { start: 4 })
  client.end(' after')
  assert.deepEqual(await Promise.all([sent, part, url]), [8, 2, 4])
  assert.equal(String(await arrived), 'before the file between fi and file after')
  assert.equal(client.bytesWritten, 'before the file between fi and file after'.length)
})

parity('a socket that is not connected yet sends it later', ours, async t => {
  const path = await file(t, 'hello')
  const server = await t.listen()
  const accepted = once(server, 'connection')
  const client = t.connect(t.to(server))
  const sent = client.sendFile(path)
  client.end()
  const [peer] = await accepted
  assert.equal(String(await t.drained(peer)), 'hello')
  assert.equal(await sent, 5)
})

for (const kind of ['tcp', 'path']) {
  parity(`a long file arrives whole at a slow reader, ${kind}`, { ...ours, on: 'unix' }, async t => {
    const { client, peer } = await t.pair(kind === 'path' ? { path: t.socketPath() } : {})
    const bytes = randomBytes(24 * 1024 * 1024 + 17)
    const path = await file(t, bytes)
    peer.pause()
    const sent = client.sendFile(path)
    client.end('the end')
    // Nobody reads until the kernel is full.
    while (client.bytesWritten === 0) await new Promise(setImmediate)
    const drained = t.drained(peer)
    peer.resume()
    const arrived = await drained
    assert.equal(await sent, bytes.length)
    assert.equal(hash(arrived.subarray(0, bytes.length)), hash(bytes))
    assert.equal(String(arrived.subarray(bytes.length)), 'the end')
  })
}

parity('a long file leaves behind a write that waits', ours, async t => {
  const { client, peer } = await t.pair({ server: { pauseOnConnect: true } })
  const bytes = randomBytes(8 * 1024 * 1024 + 17)
  const path = await file(t, bytes)
  const written = new Promise(resolve => client.write(bytes, resolve))
  const sent = client.sendFile(path)
  client.write('the end')
  const arrived = t.drained(peer)
  peer.resume()
  await written
  const again = client.sendFile(path, { end: 2 })
  client.end()
  assert.deepEqual(await Promise.all([sent, again]), [bytes.length, 3])
  const whole = Buffer.concat([bytes, bytes, Buffer.from('the end'), bytes.subarray(0, 3)])
  assert.equal(hash(await arrived), hash(whole))
})

parity('other sockets have their turn beside it', ours, async t => {
  const [bulk, small] = [await t.pair(), await t.pair()]
  const path = await file(t, Buffer.alloc(16 * 1024 * 1024))
  const arrived = t.drained(bulk.peer)
  let over = false
  const sent = bulk.client.sendFile(path).finally(() => (over = true))
  small.peer.on('data', chunk => small.peer.write(chunk))
  let answers = 0
  while (!over) {
    small.client.write('x')
    await once(small.client, 'data')
    answers++
  }
  bulk.client.end()
  assert.equal(await sent, (await arrived).length)
  // 16 MiB in shares of half a megabyte, and an answer takes a turn or two.
  assert.ok(answers >= 8, `${answers}`)
})

parity('a FileHandle is used, and stays open', ours, async t => {
  const { client, peer } = await t.pair()
  const handle = await open(await file(t, 'from a handle'))
  const arrived = t.drained(peer)
  assert.equal(await client.sendFile(handle), 13)
  assert.equal(await client.sendFile(handle, { start: 5, end: 5 }), 1)
  client.end()
  assert.equal(String(await arrived), 'from a handlea')
  assert.equal((await handle.stat()).size, 13)
  await handle.close()
})

parity('a file that is empty, or a part that is not there, is nothing', ours, async t => {
  const { client, peer } = await t.pair()
  const arrived = t.drained(peer)
  assert.equal(await client.sendFile(await file(t, '')), 0)
  assert.equal(await client.sendFile(await file(t, 'short'), { start: 5 }), 0)
  assert.equal(await client.sendFile(await file(t, 'short'), { start: 100, end: 200 }), 0)
  assert.equal(await client.sendFile(await file(t, 'short'), { start: 3, end: 200 }), 2)
  client.end()
  assert.equal(String(await arrived), 'rt')
})

parity('a file of /proc, which has no size, is read to its end', { ...ours, on: 'linux' }, async t => {
  const { client, peer } = await t.pair()
  const arrived = t.drained(peer)
  const sent = await client.sendFile('/proc/self/status')
  client.end()
  const text = String(await arrived)
  assert.equal(sent, text.length)
  assert.match(text, /^Name:\t/)
})

for (const engine of ['openssl', 'node'])
  parity(`over TLS it is sealed, ${engine}`, ours, async t => {
    const { client, peer } = await t.pair()
    process.env.FERRONET_TLS = engine
    t.cleanup(() => delete process.env.FERRONET_TLS)
    const bytes = randomBytes(3 * 1024 * 1024)
    const path = await file(t, bytes)
    peer.startTLS({ isServer: true, ...identity })
    client.startTLS({ rejectUnauthorized: false })
    const arrived = t.drained(peer)
    client.write('a')
    const sent = client.sendFile(path)
    client.end('z')
    assert.equal(await sent, bytes.length)
    const all = await arrived
    assert.equal(hash(all.subarray(1, -1)), hash(bytes))
    assert.equal(String(Buffer.concat([all.subarray(0, 1), all.subarray(-1)])), 'az')
  })

parity('before startTLS() it leaves unencrypted, and what comes behind waits', ours, async t => {
  const { client, peer } = await t.pair()
  const bytes = randomBytes(2 * 1024 * 1024)
  const path = await file(t, bytes)
  const plain = []
  let length = 0
  peer.on('readable', function take() {
    // What comes behind is for the handshake.
    const wanted = () => Math.min(peer.readableLength, bytes.length + 2 - length)
    while (wanted() > 0) {
      const chunk = peer.read(wanted())
      plain.push(chunk)
      length += chunk.length
    }
    if (length < bytes.length + 2) return
    peer.off('readable', take)
    peer.startTLS({ isServer: true, ...identity })
  })
  client.write('a')
  const sent = client.sendFile(path)
  client.write('b')
  client.startTLS({ rejectUnauthorized: false })
  const later = client.sendFile(path, { end: 3 })
  client.write('c')
  const secure = once(peer, 'secure')
  assert.equal(await sent, bytes.length)
  await secure
  assert.equal(hash(Buffer.concat(plain).subarray(1, -1)), hash(bytes))
  const arrived = t.drained(peer)
  peer.resume()
  client.end('d')
  assert.equal(await later, 4)
  assert.deepEqual(await arrived, Buffer.concat([bytes.subarray(0, 4), Buffer.from('cd')]))
})

const upgrades = {
  'startTLS()': socket => socket.startTLS({ rejectUnauthorized: false }),
  'tls.connect() over the socket': (socket, tls) => {
    tls.connect({ socket, rejectUnauthorized: false }).on('error', () => {})
  },
}
for (const [how, upgrade] of Object.entries(upgrades)) {
  parity(`a file alone leaves unencrypted before ${how}`, ours, async t => {
    const { client, peer } = await t.pair()
    const path = await file(t, 'the file')
    const tls = await import('ferronet/tls')
    const sent = client.sendFile(path)
    upgrade(client, tls)
    const [head] = await once(peer, 'data')
    assert.equal(String(head.subarray(0, 8)), 'the file')
    assert.equal(await sent, 8)
  })
}

parity('a file that does not open leaves the socket as it is', ours, async t => {
  const { client, peer } = await t.pair()
  const arrived = t.drained(peer)
  client.write('a')
  const missing = client.sendFile(join(t.directory(), 'missing'))
  client.write('b')
  await assert.rejects(missing, { code: 'ENOENT', syscall: 'open' })
  await assert.rejects(client.sendFile(t.directory()), { code: 'EISDIR' })
  client.end('c')
  assert.equal(String(await arrived), 'abc')
})

parity('a file that becomes shorter under way is an error', ours, async t => {
  const { client, peer } = await t.pair()
  const path = await file(t, Buffer.alloc(32 * 1024 * 1024))
  peer.pause()
  const failed = once(client, 'error')
  const rejected = assert.rejects(client.sendFile(path), {
    code: 'ERR_FERRONET_FILE_SHRANK',
    message: /^The file has become shorter/,
  })
  while (client.bytesWritten === 0) await new Promise(setImmediate)
  await truncate(path, 1000)
  peer.on('error', () => {}).resume()
  await rejected
  assert.equal((await failed)[0].code, 'ERR_FERRONET_FILE_SHRANK')
  assert.equal(client.destroyed, true)
})

parity(
  'a signal keeps a file back that is not under way, and ends a socket in the middle of one',
  ours,
  async t => {
    const { client, peer } = await t.pair()
    const path = await file(t, Buffer.alloc(32 * 1024 * 1024))
    const before = AbortSignal.abort()
    await assert.rejects(client.sendFile(path, { signal: before }), { name: 'AbortError', code: 'ABORT_ERR' })
    assert.equal(client.destroyed, false)
    peer.pause()
    const control = new AbortController()
    const failed = once(client, 'error')
    const sent = client.sendFile(path, { signal: control.signal })
    while (client.bytesWritten === 0) await new Promise(setImmediate)
    control.abort()
    await assert.rejects(sent, { name: 'AbortError' })
    assert.equal((await failed)[0].name, 'AbortError')
  },
)

parity('a signal that fires while the file waits for its turn rejects at once', ours, async t => {
  const { client, peer } = await t.pair()
  const path = await file(t, 'the file')
  peer.pause()
  let written = 0
  while (!client.writableNeedDrain) {
    client.write(Buffer.alloc(65_536))
    written += 65_536
  }
  const control = new AbortController()
  const sent = client.sendFile(path, { signal: control.signal })
  const next = client.sendFile(path, { end: 2 })
  client.end(' end')
  control.abort()
  await assert.rejects(sent, { name: 'AbortError' })
  const arrived = await t.drained(peer.resume())
  assert.equal(String(arrived.subarray(written)), 'the end')
  assert.equal(await next, 3)
})

// The TLS of Bun and Deno takes all that it is given.
const ofOurTls = { ...ours, on: 'libuv' }
parity('with TLS, too, a signal in the middle is what the promise is rejected with', ofOurTls, async t => {
  const { startTLS } = t.net.promises
  const { client, peer } = await t.pair()
  await Promise.all([
    startTLS(client, { rejectUnauthorized: false }),
    startTLS(peer, { isServer: true, ...identity }),
  ])
  peer.pause().on('error', () => {})
  const control = new AbortController()
  const failed = once(client, 'error')
  const path = await file(t, Buffer.alloc(32 * 1024 * 1024))
  const sent = client.sendFile(path, { signal: control.signal })
  // Until the kernel is full.
  await t.until(() => client._handle.writeQueueSize > 0)
  control.abort()
  await assert.rejects(sent, { name: 'AbortError' })
  assert.equal((await failed)[0].name, 'AbortError')
})

parity('a signal that has fired already rejects at once', ours, async t => {
  const { client, peer } = await t.pair()
  const path = await file(t, 'the file')
  peer.pause()
  while (!client.writableNeedDrain) client.write(Buffer.alloc(65_536))
  const signal = AbortSignal.abort()
  const waiting = client.writableLength
  await assert.rejects(client.sendFile(path, { signal }), { name: 'AbortError', cause: signal.reason })
  assert.equal(client.writableLength, waiting)
  assert.equal(client.errored, null)
})

parity('a FileHandle that cannot be read leaves the socket as it is', { ...ours, on: 'unix' }, async t => {
  const { client, peer } = await t.pair()
  const handle = await open(await file(t, 'the file'), 'a')
  try {
    await assert.rejects(client.sendFile(handle), { code: 'EBADF', syscall: 'read' })
  } finally {
    await handle.close()
  }
  client.end('still here')
  assert.equal(String(await t.drained(peer)), 'still here')
})

parity('an empty file with a start or an end is nothing, and no error', ours, async t => {
  const { client, peer } = await t.pair()
  const path = await file(t, '')
  const parts = [{ end: 9 }, { start: 0, end: 0 }, { start: 5 }].map(part => client.sendFile(path, part))
  client.end('on')
  assert.deepEqual(await Promise.all(parts), [0, 0, 0])
  assert.equal(String(await t.drained(peer)), 'on')
})

parity('a part of a file without a size', { ...ours, on: 'linux' }, async t => {
  const { client, peer } = await t.pair()
  const handle = await open('/proc/self/status')
  const sent = [
    await client.sendFile(handle, { end: 4 }),
    await client.sendFile(handle, { start: 1, end: 4 }),
  ]
  const rest = await client.sendFile('/proc/self/status', { start: 5, end: 99_999 })
  await handle.close()
  client.end()
  const arrived = String(await t.drained(peer))
  assert.deepEqual(sent, [5, 4])
  assert.match(arrived, /^Name:ame:/)
  assert.equal(arrived.length, 9 + rest)
})

parity('writes, files and parts of files in any order keep their order', ours, async t => {
  const { client, peer } = await t.pair()
  const big = randomBytes(1_500_000)
  const [long, short, empty] = [await file(t, big), await file(t, 'short'), await file(t, '')]
  const parts = []
  const promises = []
  const send = (path, bytes, options) => {
    parts.push(bytes)
    promises.push(client.sendFile(path, options).then(sent => [sent, bytes.length]))
  }
  const write = bytes => {
    parts.push(Buffer.from(bytes))
    client.write(bytes)
  }
  const arrived = t.drained(peer)
  for (let round = 0; round < 3; round++) {
    write(`round ${round} `)
    send(long, big)
    send(short, Buffer.from('short'))
    send(empty, Buffer.alloc(0))
    write('text ')
    client.cork()
    write(Buffer.alloc(100_000, round))
    send(long, big.subarray(7, 1_000_001), { start: 7, end: 1_000_000 })
    write('in a cork ')
    client.uncork()
    send(short, Buffer.from('o'), { start: 2, end: 2 })
    send(long, big.subarray(-1), { start: big.length - 1 })
    await t.turns(round)
  }
  client.end('end')
  parts.push(Buffer.from('end'))
  for (const [sent, wanted] of await Promise.all(promises)) assert.equal(sent, wanted)
  assert.equal(hash(await arrived), hash(Buffer.concat(parts)))
  assert.equal(client.bytesWritten, Buffer.concat(parts).length)
})

parity('a file to the destination of a relay comes behind what is on its way', ours, async t => {
  const { client, a, b, peer } = await relaying(t)
  const path = await file(t, ' the file ')
  peer.pause()
  const before = randomBytes(12_000_000)
  client.write(before)
  await t.until(() => a.bytesRead > 1_000_000)
  const sent = b.sendFile(path)
  client.end('behind')
  const arrived = await t.drained(peer.resume())
  assert.equal(await sent, 10)
  const at = arrived.indexOf(' the file ')
  assert.ok(at > 0, 'there is no file')
  const rest = Buffer.concat([arrived.subarray(0, at), arrived.subarray(at + 10)])
  assert.equal(hash(rest), hash(Buffer.concat([before, Buffer.from('behind')])))
})

parity(
  'a socket that is destroyed sends no file, and opens none that stays',
  { ...ours, on: 'linux' },
  async t => {
    const path = await file(t, 'x')
    const open = () => readdirSync('/proc/self/fd').length
    const { client, peer } = await t.pair()
    const closed = Promise.all([once(client, 'close'), once(peer, 'close')])
    client.destroy()
    await closed
    const before = open()
    await assert.rejects(client.sendFile(path))
    const later = await t.pair()
    const [first, second] = [later.client.sendFile(path), later.client.sendFile(path)]
    later.client.destroy()
    const gone = Promise.all([once(later.client, 'close'), once(later.peer, 'close')])
    await assert.rejects(first)
    await assert.rejects(second)
    await gone
    later.server.close()
    await once(later.server, 'close')
    await t.until(() => open() <= before)
  },
)

// Bun and Deno have no toNodeSocket().
for (const [give, on] of Object.entries({ detach: 'unix', toNodeSocket: 'libuv' })) {
  parity(`a socket that has a file to send is not given away, ${give}`, { ...ours, on }, async t => {
    const { client, peer } = await t.pair()
    const path = await file(t, 'the file')
    const arrived = t.drained(peer)
    client.write('before ')
    const sent = client.sendFile(path)
    client.write(' after')
    assert.throws(() => t.net[give](client), { code: 'ERR_WORKER_HANDLE_NOT_TRANSFERABLE' })
    assert.equal(await sent, 8)
    const given = t.net[give](client)
    const next = give === 'detach' ? t.net.attach(given) : given
    next.end(', elsewhere')
    assert.equal(String(await arrived), 'before the file after, elsewhere')
  })
}

parity('many files at once are no leak', ours, async t => {
  const { client, peer } = await t.pair()
  const path = await file(t, 'x')
  const warnings = []
  const note = warning => warnings.push(warning.name)
  process.on('warning', note)
  t.cleanup(() => process.off('warning', note))
  const sent = Promise.all(Array.from({ length: 20 }, () => client.sendFile(path)))
  assert.ok(client.listenerCount('close') < 10)
  await sent
  client.end()
  assert.equal(String(await t.drained(peer)), 'x'.repeat(20))
  assert.deepEqual(warnings, [])
})

parity('destroy() and a peer that is gone end it', ours, async t => {
  for (const how of ['destroy', 'reset']) {
    const { client, peer } = await t.pair()
    const path = await file(t, Buffer.alloc(32 * 1024 * 1024))
    client.on('error', () => {})
    peer.pause()
    const sent = client.sendFile(path)
    const second = client.sendFile(path)
    while (client.bytesWritten === 0) await new Promise(setImmediate)
    if (how === 'destroy') client.destroy()
    else peer.resetAndDestroy()
    await assert.rejects(sent)
    await assert.rejects(second)
  }
})

for (const what of ['a file', '/proc/self/status']) {
  parity(
    `what a handler throws behind ${what} is an uncaught exception`,
    { ...ours, on: 'linux' },
    async t => {
      const { client, peer } = await t.pair()
      peer.resume()
      const path = what === 'a file' ? await file(t, 'x') : what
      const caught = new Promise(resolve => {
        t.catchUncaught((error, origin) => resolve([error.message, origin]))
      })
      const sent = client.sendFile(path)
      client.once('drain', () => {
        throw new Error('of the handler')
      })
      while (client.write(Buffer.alloc(1024)));
      assert.deepEqual(await caught, ['of the handler', 'uncaughtException'])
      // With that the stream has lost the callbacks of its writes.
      client.destroy()
      await assert.rejects(sent, { code: 'ECANCELED' })
    },
  )
}

// On Windows the directory of a file that is open cannot be removed.
parity('where the system forbids sendfile(2) it is read and written', { ...ours, on: 'unix' }, async t => {
  const { client, peer } = await t.pair()
  const bytes = randomBytes(200_000)
  const path = await file(t, bytes)
  const arrived = t.drained(peer)
  const sent = []
  for (const code of ['ENOSYS', 'EPERM', 'EACCES', 'ENOMEM', 'EINVAL']) {
    client._handle.sendFile = () => ({ sent: -constants.errno[code], blocked: false })
    sent.push(await client.sendFile(path, { end: 99_999 }))
  }
  client.end()
  const part = bytes.subarray(0, 100_000)
  assert.equal(hash(await arrived), hash(Buffer.concat(Array(5).fill(part))))
  assert.deepEqual(sent, Array(5).fill(part.length))
})

parity('when it has settled, no file is open', ours, async t => {
  const { client, peer } = await t.pair()
  peer.resume()
  const path = await file(t, 'the file')
  const fs = createRequire(import.meta.url)('node:fs/promises')
  const count = { opened: 0, closed: 0 }
  t.cleanup(() => Object.assign(fs, { open }))
  fs.open = async (...args) => {
    count.opened++
    const handle = await open(...args)
    const { close } = handle
    handle.close = async () => {
      await t.turns(10)
      await Reflect.apply(close, handle, [])
      count.closed++
    }
    return handle
  }
  await client.sendFile(path)
  assert.deepEqual(count, { opened: 1, closed: 1 })
  client.end().on('error', () => {})
  await assert.rejects(client.sendFile(path), { code: 'ERR_STREAM_WRITE_AFTER_END' })
  assert.equal(count.opened, 1, 'opened for a socket that takes no more')
})

parity('arguments are checked', ours, async t => {
  const { client } = await t.pair()
  const path = await file(t, 'x')
  for (const wrong of [undefined, null, 1, {}, []]) {
    await assert.rejects(client.sendFile(wrong), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' })
  }
  await assert.rejects(client.sendFile(path, null), { code: 'ERR_INVALID_ARG_TYPE' })
  await assert.rejects(client.sendFile(path, { start: '1' }), { code: 'ERR_INVALID_ARG_TYPE' })
  await assert.rejects(client.sendFile(path, { signal: {} }), { code: 'ERR_INVALID_ARG_TYPE' })
  for (const wrong of [{ start: -1 }, { start: 0.5 }, { end: -1 }, { start: 3, end: 2 }, { end: 2 ** 53 }]) {
    await assert.rejects(client.sendFile(path, wrong), { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' })
  }
  client.end().on('error', () => {})
  await assert.rejects(client.sendFile(path), { code: 'ERR_STREAM_WRITE_AFTER_END' })
})
