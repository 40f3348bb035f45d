// One measurement: one scenario, one peer, one round. Starts both ends, reads the counters, stops both.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Program } from './processes.mjs'

const program = path => fileURLToPath(new URL(path, import.meta.url))
const WARM_UP_CONNECTIONS = 100

/**
 * `run` holds what is the same for all of them: `node`, `native` (the directory of the two binaries),
 * `cores`, `oneCore` (both are the same), `scratch` (a directory for Unix sockets, with the key and certificate of TLS
 * scenarios), `warmup` and `seconds`.
 */
export function measure(run, scenario, peer) {
  return { server: measureServer, memory: measureMemory, client: measureClient }[scenario.kind](
    run,
    scenario,
    peer,
  )
}

async function measureServer(run, scenario, peer) {
  if (scenario.behind === undefined) return await measureAlone(run, scenario, peer)
  const behind = new Program(join(run.native, 'ferronet-floor'), [scenario.behind, '--tcp', '127.0.0.1:0'], {
    core: run.cores.opposite,
  })
  try {
    const { port } = (await behind.line()).listening
    return await measureAlone(run, scenario, { ...peer, env: { ...peer.env, BENCH_BEHIND: port } })
  } finally {
    await behind.end()
  }
}

async function measureAlone(run, scenario, peer) {
  const { server, place, path } = await startServer(run, scenario, peer)
  try {
    const args = [...scenario.load, ...place, ...overTls(run, scenario), '--server-pid', server.pid]
    if (scenario.busyPoll?.load && peer.polls) args.push('--busy-poll')
    const load = startLoad(run, args, run.cores.opposite)
    // Sessions to resume are collected in twice that time.
    const report = await load.line(3 * (run.warmup + run.seconds) + 65)
    await load.end()
    if (scenario.resumed !== undefined) checkResumed(scenario, report)
    const sent = { sink: report.total_bytes, beside: report.total_uploaded_bytes }[scenario.server]
    if (sent !== undefined) {
      const { bytes } = await server.ask('stats')
      if (bytes !== sent) throw new Error(`${sent} bytes sent, ${bytes} arrived`)
    }
    return {
      ...figures(scenario, report, report.server_cpu_seconds),
      // When both share a core they wait for each other, and we cannot tell whether they wait for something else too.
      disturbed: run.oneCore ? undefined : report.load_waited_seconds / report.seconds,
      // The peer was idle at times while the load generator was always busy, so this is a lower bound.
      bounded:
        report.load_cpu_seconds > 0.96 * report.seconds && report.server_cpu_seconds < 0.94 * report.seconds,
    }
  } finally {
    await stopServer(server, path)
  }
}

async function measureMemory(run, scenario, peer) {
  const { server, place: where, path } = await startServer(run, scenario, peer)
  const place = [...where, ...overTls(run, scenario)]
  try {
    // The first connections make the peer load and compile what it needs only once. (A thousand
    // would also grow V8's young generation, and hide 1.6 KB of each of node:net's connections.)
    await hold(run, server, WARM_UP_CONNECTIONS, place)
    const before = await settle(server)
    const after = await hold(run, server, scenario.connections, place, () => settle(server))
    return { value: (after - before) / scenario.connections }
  } finally {
    await stopServer(server, path)
  }
}

/** Keeps connections open while `task` runs, and returns once the server has seen the last one go. */
async function hold(run, server, connections, place, task = () => {}) {
  const load = startLoad(run, ['idle', '--connections', connections, ...place], run.cores.opposite)
  await load.line(60)
  await reach(server, connections)
  const result = await task()
  await load.end()
  await reach(server, 0)
  return result
}

async function reach(server, wanted) {
  for (let attempt = 0; attempt < 400; attempt++) {
    const { connections } = await server.ask('stats')
    if (connections === wanted) return
    await sleep(50)
  }
  throw new Error(`the server did not reach ${wanted} connections`)
}

async function settle(server) {
  await sleep(300)
  await server.ask('gc')
  await sleep(200)
  return server.residentBytes()
}

async function measureClient(run, scenario, peer) {
  const server = new Program(
    join(run.native, 'ferronet-floor'),
    ['echo', '--tcp', '127.0.0.1:0', '--addresses', 16, ...overTls(run, scenario)],
    { core: run.cores.opposite },
  )
  try {
    const { port } = (await server.line()).listening
    const { client, connections } = scenario
    const began = performance.now()
    if (peer.native) {
      const place = ['--tcp', `127.0.0.1:${port}`, ...overTls(run, scenario)]
      const load = startLoad(run, [scenario.load, '--connections', connections, ...place], run.cores.subject)
      const report = await load.line(run.warmup + run.seconds + 65)
      await load.end()
      return {
        ...figures(scenario, report, report.load_cpu_seconds),
        disturbed: disturbed(run, server, began),
      }
    }
    const args = [program(`clients/${client}.mjs`), peer.module, port, connections, run.warmup, run.seconds]
    const trust = isTls(scenario) ? { NODE_EXTRA_CA_CERTS: join(run.scratch, 'cert.pem') } : {}
    const env = { ...peer.env, ...trust }
    const subject = new Program(run.node, args, { core: run.cores.subject, env })
    try {
      const report = await subject.line(run.warmup + run.seconds + 20)
      return { ...figures(scenario, report, report.cpu_seconds), disturbed: disturbed(run, server, began) }
    } finally {
      await subject.end()
    }
  } finally {
    await server.end()
  }
}

const isTls = scenario => scenario.family === 'tls'
const overTls = (run, scenario) => (isTls(scenario) ? ['--tls', run.scratch] : [])

/** A session that is not resumed, or is, would make it another scenario. */
function checkResumed(scenario, { ops, resumed }) {
  const wrong = scenario.resumed ? ops - resumed : resumed
  if (wrong > ops / 100) {
    throw new Error(`${wrong} of ${ops} handshakes were ${scenario.resumed ? 'full' : 'resumed'}`)
  }
}

/** The share of time in which another process used a core that is reserved for our program. */
function disturbed({ oneCore }, program, began) {
  if (oneCore) return undefined
  return program.waitedSeconds() / ((performance.now() - began) / 1000)
}

async function startServer(run, scenario, peer) {
  const path = scenario.unix && join(run.scratch, 'bench.sock')
  if (path) rmSync(path, { force: true })
  const identity = isTls(scenario) ? { BENCH_TLS: run.scratch } : {}
  const polls = scenario.busyPoll && peer.polls ? { FERRONET_BUSY_POLL: scenario.busyPoll.server } : {}
  const options = { core: run.cores.subject, env: { ...peer.env, ...identity, ...polls } }
  const server = peer.native
    ? new Program(
        join(run.native, 'ferronet-floor'),
        [scenario.server, ...(path ? ['--unix', path] : ['--tcp', '127.0.0.1:0']), ...overTls(run, scenario)],
        options,
      )
    : new Program(
        run.node,
        [
          ...(scenario.kind === 'memory' ? ['--expose-gc'] : []),
          program(`servers/${scenario.server}${peer.variant ?? ''}.mjs`),
          peer.module,
          ...(path ? [path] : []),
        ],
        options,
      )
  try {
    const { listening } = await server.line()
    const place = path ? ['--unix', path] : ['--tcp', `${listening.host}:${listening.port}`]
    return { server, place, path }
  } catch (error) {
    await server.kill()
    throw error
  }
}

async function stopServer(server, path) {
  await server.end()
  if (path) rmSync(path, { force: true })
}

function startLoad(run, args, core) {
  const times = ['--warmup', run.warmup, '--seconds', run.seconds]
  return new Program(join(run.native, 'ferronet-load'), [...args, ...times], { core })
}

/**
 * `value` is requests/s or MB/s; `cpu` is µs per request, µs per MB, or the percentage of a core where two
 * kinds of work share it.
 */
function figures(scenario, report, cpuSeconds) {
  const { ops, bytes, uploaded_bytes: uploaded, seconds, latency_us: latency } = report
  if (scenario.unit === 'beside') {
    if (ops === 0) throw new Error('nothing was answered')
    const upload = uploaded / seconds / 1e6
    return { value: ops / seconds, upload, cpu: (cpuSeconds / seconds) * 100, ...latency }
  }
  const amount = scenario.unit === 'bytes' ? bytes : ops
  if (amount === 0) throw new Error('nothing was answered')
  return {
    value: amount / seconds / (scenario.unit === 'bytes' ? 1e6 : 1),
    cpu: (cpuSeconds / amount) * (scenario.unit === 'bytes' ? 1e12 : 1e6),
    ...latency,
  }
}
