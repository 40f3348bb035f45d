// What all server programs share: which net they use, where they listen, and the lines they exchange
// with the runner. Nothing in here is on the path of a byte.
//
//   node servers/echo.mjs [module] [unix-path]      module: node:net (default), ferronet, …

import { createInterface } from 'node:readline'

const [name = 'node:net', path] = process.argv.slice(2)

export const { default: net } = await import(name)

/** Bytes of a request, and of an answer, wherever the protocol has frames. */
export const FRAME = 64
export const ANSWER = Buffer.alloc(FRAME, 'a')
export const CHUNK = Buffer.alloc(64 * 1024, 'z')
/** What an upload beside other requests begins with, and they do not. */
export const UPLOAD = 'Z'.charCodeAt(0)

/** For the servers of which there is a measurement with chunks of shared memory: options of a socket. */
export const sharing = process.env.BENCH_SHARED_CHUNKS ? { sharedChunks: true } : {}

/** Answers the runner's questions; `counters` adds what only this program knows. */
export function listen(server, counters = () => ({})) {
  const say = line => process.stdout.write(`${JSON.stringify(line)}\n`)

  server.listen(path ? { path } : { host: '127.0.0.1', port: 0 }, () => {
    say({ listening: path ? { path } : { host: '127.0.0.1', port: server.address().port } })
  })

  createInterface({ input: process.stdin })
    .on('line', command => {
      if (command === 'gc') {
        globalThis.gc?.()
        // A second one, later: the first only queues finalizers.
        setTimeout(() => {
          globalThis.gc?.()
          say({ gc: globalThis.gc !== undefined })
        }, 100)
      }
      if (command === 'stats') {
        server.getConnections((_error, connections) => say({ connections, ...counters() }))
      }
    })
    // The runner is gone, or done.
    .on('close', () => process.exit())
}
