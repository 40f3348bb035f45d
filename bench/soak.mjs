// Opens and closes many connections in one process and checks for leaks.
//
//   node bench/soak.mjs [--connections 200000] [--module ferronet|node:net]
//   node bench/soak.mjs --tls [--connections 20000] [--module ferronet/tls|node:tls]
//
// With TLS, of six connections one makes a context of its own, one goes on with the session of another, one is destroyed
// instead of ended, one is destroyed while it shakes hands, one does not believe the server's certificate, and one never
// begins to shake hands.
//
// The driver is chosen with FERRONET_DRIVER. Prints descriptors and memory step by step; exits with 1 when descriptors
// are left over or memory keeps growing.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import plain from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makeCertificate } from './certificate.mjs'

const { values } = parseArgs({
  options: {
    connections: { type: 'string' },
    module: { type: 'string' },
    tls: { type: 'boolean', default: false },
  },
})
const { tls: isSecure, module = isSecure ? 'ferronet/tls' : 'ferronet' } = values
const total = Number(values.connections ?? (isSecure ? 20_000 : 200_000))
if (!Number.isInteger(total) || total < 100) {
  console.error('--connections takes a number of at least 100')
  process.exit(2)
}
// V8's young generation grows with the rate of allocation, by tens of MiB, which would hide a leak.
const flags = ['--expose-gc', '--max-semi-space-size=4']
if (!flags.every(flag => process.execArgv.includes(flag))) {
  const child = spawn(
    process.execPath,
    [...flags, fileURLToPath(import.meta.url), ...process.argv.slice(2)],
    {
      stdio: 'inherit',
    },
  )
  const end = signal => child.kill(signal)
  process.on('SIGINT', end).on('SIGTERM', end)
  process.exit((await once(child, 'exit'))[0] ?? 1)
}
const { gc } = globalThis

const { default: net } = await import(module)

const STEPS = 10
/** Steps of warm-up, until caches, pools and the allocator have grown to their size. */
const WARM = 2
const AT_ONCE = 32
// How much more there may be at the end than after the warm-up. V8 counts its heap to the byte. The resident size is
// less exact, so a native leak only stands out from the noise at 100 bytes a connection. (A handshake that leaks one of
// OpenSSL's objects leaks more.)
const HEAP_ALLOWED = 1 << 20
const RSS_ALLOWED = (16 << 20) + 100 * total * (1 - WARM / STEPS)
// After a regular close a port stays in TIME_WAIT for a minute. Linux has many loopback addresses to spread the ports
// over; elsewhere there is one, and resetting half of the connections is enough.
const hosts = process.platform === 'linux' ? 250 : 1

const fdDirectory = process.platform === 'linux' ? '/proc/self/fd' : '/dev/fd'
function descriptors() {
  try {
    return readdirSync(fdDirectory).length
  } catch {
    return 0
  }
}

async function settled() {
  // Closed sockets are freed in later phases of the loop.
  for (let turn = 0; turn < 5; turn++) await immediate()
  gc()
  await immediate()
  gc()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { descriptors: descriptors(), rss, heap: heapUsed + external }
}

let failures = 0
const identity = isSecure ? makeIdentity() : {}
const server = net.createServer(identity, peer => {
  peer.on('error', error => {
    // The client resets every second connection.
    if (error.code !== 'ECONNRESET') failures++
  })
  peer.pipe(peer)
})
/** Connections of a TLS server whose handshake is not done, or has failed. */
let unsecured = 0
if (isSecure) {
  server.on('connection', () => unsecured++)
  server.on('secureConnection', () => unsecured--)
  server.on('tlsClientError', () => unsecured--)
}
await new Promise(resolve => server.listen(0, hosts === 1 ? '127.0.0.1' : '0.0.0.0', resolve))
const { port } = server.address()

function makeIdentity() {
  const directory = mkdtempSync(join(tmpdir(), 'ferronet-soak-'))
  try {
    makeCertificate(directory)
    const [key, cert] = ['key', 'cert'].map(name => readFileSync(join(directory, `${name}.pem`)))
    return { key, cert }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const overTcp = [{ finish: client => client.end() }, { finish: client => client.resetAndDestroy() }]
/** The latest session that a server has given. */
let session
const trusting = { ca: identity.cert, servername: 'localhost' }
const overTls = [
  // A context is used again for equal options, unless the program makes one.
  {
    options: () => ({ servername: 'localhost', secureContext: net.createSecureContext(trusting) }),
    finish: client => client.end(),
  },
  { options: () => ({ ...trusting, session }), finish: client => client.end() },
  { options: () => trusting, finish: client => client.destroy() },
  {
    options: () => trusting,
    hasAnswer: false,
    begun: client => client.on('connect', () => client.destroy()),
  },
  { options: () => ({ servername: 'localhost' }), hasAnswer: false },
  { connect: plain.connect, options: () => ({}), hasAnswer: false, begun: client => client.destroySoon() },
]
const kinds = isSecure ? overTls : overTcp

let number = 0
function connection() {
  const at = number++
  const {
    connect = net.connect,
    options = () => ({}),
    hasAnswer = true,
    begun,
    finish,
  } = kinds[at % kinds.length]
  return new Promise(resolve => {
    const client = connect({ port, host: `127.0.0.${1 + (at % hosts)}`, ...options() })
    let answered = false
    client.on('error', () => {})
    client.on('session', given => (session = given))
    client.on(isSecure ? 'secureConnect' : 'connect', () => client.write('a message'))
    client.on('data', () => {
      answered = true
      finish(client)
    })
    client.on('close', () => {
      if (answered !== hasAnswer) failures++
      resolve()
    })
    begun?.(client)
  })
}

async function step(connections) {
  let left = connections
  const worker = async () => {
    while (left-- > 0) await connection()
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, connections) }, worker))
  // The other ends close a little later.
  while (server._connections > 0 || unsecured > 0) await immediate()
}

const mb = bytes => (bytes / (1 << 20)).toFixed(1).padStart(8)
const driver = module.startsWith('ferronet') ? ` (${process.env.FERRONET_DRIVER || 'default driver'})` : ''
console.log(`${module}${driver}, Node ${process.versions.node}, ${total} connections`)
console.log('connections   s    fds  RSS MiB heap MiB')
const started = performance.now()
function print(connections, found) {
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(
    String(connections).padStart(11),
    seconds.padStart(3),
    String(found.descriptors).padStart(6),
    mb(found.rss),
    mb(found.heap),
  )
}

// libuv opens a descriptor with its first socket, and keeps it.
await step(kinds.length)
const before = await settled()
print(0, before)
const found = []
let done = 0
for (let at = 1; at <= STEPS; at++) {
  const next = Math.round((total * at) / STEPS)
  await step(next - done)
  done = next
  found.push(await settled())
  print(done, found.at(-1))
}
server.close()

// One step may be measured at a bad moment, but not three in a row.
const most = name => Math.max(...found.slice(0, WARM).map(step => step[name]))
const least = name => Math.min(...found.slice(-3).map(step => step[name]))
const complaints = []
if (failures > 0) complaints.push(`${failures} connections failed`)
const left = least('descriptors') - before.descriptors
if (left > 0) complaints.push(`${left} descriptors are left over`)
const heap = least('heap') - most('heap')
if (heap > HEAP_ALLOWED) complaints.push(`the heap has grown by ${mb(heap).trim()} MiB since it was warm`)
const rss = least('rss') - most('rss')
if (rss > RSS_ALLOWED) complaints.push(`memory has grown by ${mb(rss).trim()} MiB since it was warm`)
for (const complaint of complaints) console.error(complaint)
if (complaints.length > 0) process.exitCode = 1
else console.log('descriptors and memory are back where they were')
