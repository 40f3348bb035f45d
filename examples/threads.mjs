// Spreads connections over worker threads: the main thread accepts them and passes each to one of the workers. Every
// line a client sends is hashed many times over; a single thread would keep the other clients waiting.
//
//   node examples/threads.mjs --port 8000        and then, in another terminal:  nc 127.0.0.1 8000

import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, threadId, Worker } from 'node:worker_threads'
import net from 'ferronet'

if (isMainThread) await main()
else parentPort.on('message', ticket => serve(net.attach(ticket)))

async function main() {
  const { commandLine, listen, portNumber, text, wholeNumber } = await import('./common.mjs')
  const usage = `usage: node examples/threads.mjs [options]

Answers each line with a hash of it, from the worker that got the connection. Exits on SIGINT and SIGTERM.

  --port N       TCP port (8000)
  --path PATH    use a Unix socket instead of TCP
  --threads N    how many worker threads (2)`

  const { values } = commandLine(usage, {
    options: {
      port: { type: 'string', default: '8000' },
      path: { type: 'string' },
      threads: { type: 'string', default: '2' },
    },
  })
  const count = Math.max(1, wholeNumber(values.threads, '--threads', 64))
  const where = values.path ? { path: values.path } : { host: '127.0.0.1', port: portNumber(values.port) }

  const workers = Array.from({ length: count }, () => new Worker(fileURLToPath(import.meta.url)))
  await Promise.all(workers.map(worker => once(worker, 'online')))
  let next = 0
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, socket => {
    // Nothing has been read yet, because of pauseOnConnect. If it had, those bytes would go along.
    workers[next++ % count].postMessage(net.detach(socket))
  })
  console.log(`listening on ${text(await listen(server, where))}`)

  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      server.close()
      for (const worker of workers) worker.terminate()
    })
  }
}

async function serve(socket) {
  const { createHash } = await import('node:crypto')
  const { createInterface } = await import('node:readline')
  socket.on('error', () => {}) // nothing to do when a client disappears
  // It was accepted paused, and still is.
  socket.resume()
  for await (const line of createInterface({ input: socket })) {
    let hash = line
    for (let i = 0; i < 1000; i++) hash = createHash('sha256').update(hash).digest('hex')
    socket.write(`${hash} from thread ${threadId}\n`)
  }
  socket.end()
}
