// What all server programs share: which net they use, where they listen, and the lines they exchange
// with the runner. No byte that is measured passes through this file.
//
//   node servers/echo.mjs [module] [unix-path]      module: node:net (default), ferronet, node:tls, …

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const [name = 'node:net', path] = process.argv.slice(2)

export const { default: net } = await import(name)

/** The size of a request and of an answer, in protocols with frames. */
export const FRAME = 64
export const ANSWER = Buffer.alloc(FRAME, 'a')
export const CHUNK = Buffer.alloc(64 * 1024, 'z')
/** The first byte of an upload next to other requests; the requests start with another. */
export const UPLOAD = 'Z'.charCodeAt(0)

/** Socket options, for servers that are also measured with shared chunks. */
export const sharing = process.env.BENCH_SHARED_CHUNKS ? { sharedChunks: true } : {}

/** The key and certificate of a server whose module is one for TLS. */
export const identity = {}
if (process.env.BENCH_TLS) {
  for (const name of ['key', 'cert'])
    identity[name] = readFileSync(join(process.env.BENCH_TLS, `${name}.pem`))
}

/** Answers the runner's questions; `counters` adds this program's own counts. */
export function listen(server, counters = () => ({})) {
  const say = line => process.stdout.write(`${JSON.stringify(line)}\n`)

  server.listen(path ? { path } : { host: '127.0.0.1', port: 0 }, () => {
    say({ listening: path ? { path } : { host: '127.0.0.1', port: server.address().port } })
  })

  createInterface({ input: process.stdin })
    .on('line', command => {
      if (command === 'gc') {
        globalThis.gc?.()
        // Collect again later, because the first collection only queues finalizers.
        setTimeout(() => {
          globalThis.gc?.()
          say({ gc: globalThis.gc !== undefined })
        }, 100)
      }
      if (command === 'stats') {
        server.getConnections((_error, connections) => say({ connections, ...counters() }))
      }
    })
    // The runner is done, or has died.
    .on('close', () => process.exit())
}
