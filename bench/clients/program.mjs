// What the client programs share: which net they use, where they connect to, and the measured window.
//
//   node clients/ping-pong.mjs module port connections warm-up-seconds seconds

import { createHistogram, performance } from 'node:perf_hooks'

const [name, ...numbers] = process.argv.slice(2)

export const { default: net } = await import(name)
export const [port, connections, warmUp, seconds] = numbers.map(Number)
/** Socket options, for clients that are also measured with shared chunks. */
export const sharing = process.env.BENCH_SHARED_CHUNKS ? { sharedChunks: true } : {}
export const REQUEST = Buffer.alloc(64, '?')

const latencies = createHistogram()
let ops = 0

/** One operation that began at `started` (of `performance.now()`) is complete. */
export function done(started) {
  ops++
  latencies.record(Math.max(1, Math.round((performance.now() - started) * 1000)))
}

/** Forgets the warm-up, measures, prints one JSON object and ends the process. */
export function measure() {
  setTimeout(() => {
    ops = 0
    latencies.reset()
    const cpu = process.cpuUsage()
    const began = performance.now()
    setTimeout(() => {
      const { user, system } = process.cpuUsage(cpu)
      const report = {
        ops,
        seconds: (performance.now() - began) / 1000,
        cpu_seconds: (user + system) / 1e6,
        latency_us: {
          p50: latencies.percentile(50),
          p99: latencies.percentile(99),
          p999: latencies.percentile(99.9),
          max: latencies.max,
        },
      }
      process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit())
    }, seconds * 1000)
  }, warmUp * 1000)
}
