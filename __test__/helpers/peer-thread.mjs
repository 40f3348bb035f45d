// The thread of peer.mjs. Runs one verb at a time; each is done when the kernel has processed all of its effects.

import { readFileSync } from 'node:fs'
import net from 'node:net'
import { setImmediate as immediate } from 'node:timers/promises'
import { parentPort, workerData as state } from 'node:worker_threads'

/** The connections in the order in which they were made. Verbs refer to them by index. */
const sockets = []

const verbs = {
  /** Connects to a port or a path, without reading; returns the index. */
  async connect(to) {
    const target = typeof to === 'number' ? { port: to, host: '127.0.0.1' } : { path: to }
    const socket = new net.Socket({ allowHalfOpen: true }).pause()
    socket.connect(target)
    await first(socket, 'connect')
    return keep(socket)
  },

  /** Listens on a path, or on any port; returns the port. */
  async listen(path) {
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, keep)
    server.listen(path ? { path } : { port: 0, host: '127.0.0.1' })
    await first(server, 'listening')
    return path ? 0 : server.address().port
  },

  /** Waits for the connection with this index. */
  async accept(index) {
    while (sockets[index] === undefined) await immediate()
  },

  async write(index, content) {
    const socket = sockets[index]
    const data = typeof content === 'number' ? Buffer.alloc(content, 'x') : content
    await new Promise(resolve => socket.write(data, resolve))
    await settleAll([socket], ends => ends.here?.unsent === 0)
  },

  /** Starts a write, which continues by itself as far as the other end reads. */
  async start(index, content) {
    sockets[index].write(typeof content === 'number' ? Buffer.alloc(content, 'x') : content)
  },

  /** FIN. */
  async end(index) {
    const socket = sockets[index]
    socket.end()
    if (!socket.writableFinished) await first(socket, 'finish')
    await settleAll([socket], received)
  },

  /** Closes both directions. Received bytes must have been read before, or this is a reset. */
  async close(index) {
    const socket = sockets[index]
    socket.destroy()
    if (!socket.closed) await first(socket, 'close')
    await settleAll([socket], received)
  },

  /** RST. */
  async reset(index) {
    const socket = sockets[index]
    socket.resetAndDestroy()
    await first(socket, 'close')
    await settleAll([socket], ends => ends.there === undefined)
  },

  /** Reads that many bytes. */
  async read(index, bytes) {
    const socket = sockets[index]
    while (socket.received < bytes) {
      socket.resume()
      await immediate()
    }
    socket.pause()
    await settleAll([socket], ends => ends.there === undefined || ends.there.unsent === 0)
  },

  /** Waits for FIN. */
  async ended(index) {
    const socket = sockets[index]
    socket.resume()
    if (!socket.readableEnded) await first(socket, 'end')
  },

  /** Connects `count` clients at once that each send a request and FIN, and keep reading. Returns the first one's index. */
  async requests(count, to) {
    const from = sockets.length
    await Promise.all(Array.from({ length: count }, () => verbs.connect(to)))
    for (let index = from; index < from + count; index++) sockets[index].write('request')
    const clients = sockets.slice(from)
    for (const client of clients) client.end()
    await Promise.all(clients.map(client => client.writableFinished || first(client, 'finish')))
    await settleAll(clients, received)
    for (const client of clients) client.resume()
    return from
  },

  /** Waits until `count` clients have their whole answer. */
  async answered(from, count, bytes) {
    const clients = sockets.slice(from, from + count)
    while (clients.some(client => client.received < bytes)) await immediate()
  },
}

parentPort.on('message', async ({ verb, args }) => {
  const result = await verbs[verb](...args)
  state[1] = result ?? -1
  Atomics.add(state, 0, 1)
  Atomics.notify(state, 0)
})
parentPort.postMessage('ready')

function keep(socket) {
  socket.on('error', () => {})
  socket.received = 0
  socket.on('data', chunk => (socket.received += chunk.length))
  // Adding a 'data' listener would start the flow if the socket were not paused.
  socket.ports = [socket.localPort, socket.remotePort]
  return sockets.push(socket) - 1
}

function first(emitter, event) {
  return new Promise(resolve => emitter.once(event, resolve))
}

// On a Unix socket the receiver has the bytes when the call returns. With TCP the acknowledgement comes later. The list
// is long on a busy machine, so we read it once for all connections.
async function settleAll(waiting, settled) {
  let left = waiting.filter(socket => socket.ports[0] !== undefined)
  while (left.length > 0) {
    const connections = tcpConnections()
    left = left.filter(({ ports: [here, there] }) => {
      const ends = { here: connections.get(`${here} ${there}`), there: connections.get(`${there} ${here}`) }
      return !settled(ends)
    })
    if (left.length > 0) await immediate()
  }
}

/** Whether the other end's kernel has our FIN. */
function received({ here }) {
  return !['FIN_WAIT1', 'CLOSING', 'LAST_ACK'].includes(here?.state)
}

/** The kernel's list: state and unacknowledged bytes by `local remote` port. */
function tcpConnections() {
  const states = {
    '01': 'ESTABLISHED',
    '04': 'FIN_WAIT1',
    '05': 'FIN_WAIT2',
    '06': 'TIME_WAIT',
    '07': 'CLOSE',
  }
  Object.assign(states, { '08': 'CLOSE_WAIT', '09': 'LAST_ACK', '0B': 'CLOSING' })
  const found = new Map()
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, local, remote, state, queues] = line.trim().split(/\s+/)
    if (queues === undefined) continue
    const [from, to] = [local, remote].map(end => Number.parseInt(end.split(':')[1], 16))
    found.set(`${from} ${to}`, { state: states[state], unsent: Number.parseInt(queues.split(':')[0], 16) })
  }
  return found
}
