// Opens and closes many connections in one process and checks for leaks.
//
//   node bench/soak.mjs [--connections 200000] [--module ferronet|node:net]
//
// The driver is chosen with FERRONET_DRIVER. Prints descriptors and memory step by step; exits with 1 when descriptors
// are left over or memory keeps growing.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { setImmediate as immediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '200000' },
    module: { type: 'string', default: 'ferronet' },
  },
})
const total = Number(values.connections)
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

const { default: net } = await import(values.module)

const STEPS = 10
/** Steps of warm-up, until caches, pools and the allocator have grown to their size. */
const WARM = 2
const AT_ONCE = 32
// How much more there may be at the end than after the warm-up. V8 counts its heap to the byte. The resident size is
// less exact, so a native leak only stands out from the noise at 100 bytes a connection.
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
const server = net.createServer(peer => {
  peer.on('error', error => {
    // The client resets every second connection.
    if (error.code !== 'ECONNRESET') failures++
  })
  peer.pipe(peer)
})
await new Promise(resolve => server.listen(0, hosts === 1 ? '127.0.0.1' : '0.0.0.0', resolve))
const { port } = server.address()

let number = 0
function connection() {
  const at = number++
  return new Promise(resolve => {
    const client = net.connect(port, `127.0.0.${1 + (at % hosts)}`)
    let answered = false
    client.on('error', () => {})
    client.on('connect', () => client.write('a message'))
    client.on('data', () => {
      answered = true
      if (at % 2 === 0) client.end()
      else client.resetAndDestroy()
    })
    client.on('close', () => {
      if (!answered) failures++
      resolve()
    })
  })
}

async function step(connections) {
  let left = connections
  const worker = async () => {
    while (left-- > 0) await connection()
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, connections) }, worker))
  // The other ends close a little later.
  while (server._connections > 0) await immediate()
}

const mb = bytes => (bytes / (1 << 20)).toFixed(1).padStart(8)
const driver = values.module === 'ferronet' ? ` (${process.env.FERRONET_DRIVER || 'default driver'})` : ''
console.log(`${values.module}${driver}, Node ${process.versions.node}, ${total} connections`)
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
