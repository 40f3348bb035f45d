// The least that a build must do on a platform: load, echo over TCP and over a path, and name an error as Node does. Runs
// on its own, without anything from npm:
//
//   node scripts/platforms/smoke.mjs [directory of the package]

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const directory = resolve(process.argv[2] ?? '.')
const net = createRequire(pathToFileURL(join(directory, 'package.json')))(directory)
const scratch = mkdtempSync(join(tmpdir(), 'ferronet-smoke-'))

try {
  await echo({ port: 0, host: '127.0.0.1' })
  const path =
    process.platform === 'win32' ? `\\\\.\\pipe\\ferronet-smoke-${process.pid}` : join(scratch, 's')
  await echo({ path })
  await refusal()
  if (process.platform === 'linux') driver()
  const { bun, deno, node } = process.versions
  const runtime = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`
  console.log(`smoke test passed: ${runtime}, ${process.platform} ${process.arch}`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

async function echo(where) {
  const server = net.createServer(socket => socket.pipe(socket))
  server.listen(where)
  await once(server, 'listening')
  // An address: of a name with several, Node forgets `end()` when the first of them refuses (seen in 20 and 26).
  const client = net.connect(where.path ? where : { ...server.address(), host: where.host })
  const sent = Buffer.alloc(1 << 20, 'ferronet')
  const received = []
  client.on('data', chunk => received.push(chunk))
  client.end(sent)
  await once(client, 'close')
  assert.ok(Buffer.concat(received).equals(sent), 'the echo is what was sent')
  server.close()
  await once(server, 'close')
}

async function refusal() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  const [error] = await once(net.connect(port, '127.0.0.1'), 'error')
  assert.equal(error.code, 'ECONNREFUSED')
  assert.equal(error.syscall, 'connect')
}

/** The helper thread exists where it was asked for. In Node, which has libuv, the other driver is the default. */
function driver() {
  if (process.versions.bun || process.versions.deno) return
  const threads = readdirSync('/proc/self/task').map(id =>
    readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim(),
  )
  assert.equal(threads.includes('ferronet'), process.env.FERRONET_DRIVER === 'helper-thread')
}
