// `npm run bench`: every scenario with every peer, round after round, then tables of ratios.
// It only starts its own child processes, only talks to this machine, and always ends.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makeCertificate } from './certificate.mjs'
import { measure } from './measure.mjs'
import { findNode } from './node.mjs'
import { chooseCores, endAll } from './processes.mjs'
import { Progress } from './progress.mjs'
import { DISTURBED, label, summarize, table } from './report.mjs'
import { families, scenarios } from './scenarios.mjs'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const BENCH = join(ROOT, 'bench')

const HELP = `Measures ferronet against node:net, and both against a server without JavaScript.
With --scenarios tls the same in TLS, against node:tls.

  npm run bench -- [options]

  --quick              two short rounds: a first impression in a few minutes
  --scenarios a,b      only these (see --list); tls is all in TLS (default: all others)
  --peers a,b          only these, besides node:net or node:tls (see --list); any other
                       name is imported as a module with the interface of net or tls
  --node WHICH         the Node to measure under: a path, or a version such as 24
                       that npm fetches once (default: the one that runs this)
  --rounds N           rounds per scenario (5)
  --seconds N          measured seconds per round and peer (3)
  --warmup N           seconds before that (1)
  --one-core           both ends on the same core; streams are then judged by their
                       CPU time per MB
  --json FILE          write the results to this file
  --svg FILE           draw them; later: node bench/plot.mjs results.json plot.svg
  --list               list scenarios and peers
  --help               this text

In each round every peer runs once, so that they meet the same conditions; ratios
are computed within a round. The peer under test has one core and its opposite
another, unless --one-core is given. docs/benchmarks.md explains the tables.`

const { values: options } = parseOptions()
if (options.help) {
  console.log(HELP)
  process.exit()
}
if (options.list) {
  const width = Math.max(...scenarios.map(({ name }) => name.length))
  console.log('Scenarios:')
  for (const { name, title } of scenarios) console.log(`  ${name.padEnd(width)}  ${title}`)
  for (const [family, { peers }] of Object.entries(families)) {
    console.log(family === 'tls' ? 'Peers in TLS:' : 'Peers:')
    for (const name of Object.keys(peers)) console.log(`  ${name}`)
  }
  process.exit()
}
if (process.platform !== 'linux') stop('The load generator uses epoll and needs Linux.')

const rounds = number('rounds', options.quick ? 2 : 5)
const seconds = number('seconds', options.quick ? 1 : 3)
const warmup = number('warmup', options.quick ? 0.5 : 1)
const node = (() => {
  try {
    return findNode(options.node ?? process.execPath)
  } catch (error) {
    return stop(error.message)
  }
})()
const chosen = chooseScenarios()
const plot = options.svg && (await preparePlot())
const present = {}
for (const { family } of chosen) present[family] ??= choosePeers(families[family])
const native = buildNative()
const oneCore = options['one-core'] ?? false
const cores = chooseCores(oneCore)
if (oneCore && cores.subject === undefined) stop('--one-core takes `taskset`.')
const scratch = mkdtempSync(join(os.tmpdir(), 'ferronet-bench-'))
const machine = describeMachine()
if (present.tls) {
  try {
    makeCertificate(scratch)
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true })
    stop(error.message)
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await endAll()
    rmSync(scratch, { recursive: true, force: true })
    process.exit(130)
  })
}

const results = []
let failed = false
try {
  await runAll()
} finally {
  await endAll()
  rmSync(scratch, { recursive: true, force: true })
}
console.log(verdicts())
if (plot) write(options.svg, await plot(report()))
process.exitCode = failed ? 1 : 0

async function runAll() {
  console.log(`Node ${machine.node}, ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`)
  if (cores.subject === undefined) {
    console.log('Not pinned to cores, which needs `taskset` and two cores. Expect noise.')
  }
  if (oneCore) console.log('One core for both ends: look at CPU rather than at throughput and latency.')
  const run = { node, native, cores, oneCore, scratch, warmup, seconds }
  const plan = chosen.map(scenario => ({
    scenario,
    names: Object.keys(present[scenario.family]).filter(name => {
      const { only, native } = present[scenario.family][name]
      const absent = native && (scenario.kind === 'memory' || scenario.floor === false)
      return !absent && (!only || only.includes(scenario.name))
    }),
  }))
  const progress = new Progress(
    plan.reduce((sum, { names }) => sum + names.length * rounds, 0),
    warmup + seconds + 0.5,
  )

  for (const { scenario, names } of plan) {
    const seen = []
    const failures = new Map()
    for (let round = 0; round < rounds; round++) {
      const shown = {}
      progress.round(`${scenario.name}, round ${round + 1}/${rounds}`)
      // The order rotates, because the first peer after a pause runs on a cooler machine.
      for (let turn = 0; turn < names.length; turn++) {
        const name = names[(turn + round) % names.length]
        progress.turn(name)
        try {
          shown[name] = await measureQuietly(run, scenario, present[scenario.family][name])
        } catch (error) {
          failures.set(name, error.message)
          failed = true
        }
        progress.step()
      }
      seen.push(shown)
    }
    const { base } = families[scenario.family]
    const result = summarize(scenario, base, names, seen, failures, oneCore)
    results.push(result)
    // After each scenario, so that an interrupted run keeps what it has.
    if (options.json) write(options.json, `${JSON.stringify(report(), null, 2)}\n`)
    progress.clear()
    console.log(`\n${table(result)}`)
  }
}

/** Repeats a measurement at most twice if other processes used the machine, and keeps the least disturbed one. */
async function measureQuietly(run, scenario, peer) {
  let best
  for (let attempt = 0; attempt < 3; attempt++) {
    const shown = await measure(run, scenario, peer)
    if (best === undefined || shown.disturbed < best.disturbed) best = shown
    if (!(best.disturbed > DISTURBED)) break
  }
  return best
}

function verdicts() {
  const judged = results
    .flatMap(({ name, goals }) => goals.map(goal => ({ ...goal, name })))
    .filter(({ verdict }) => verdict)
  if (judged.length === 0) return ''
  const missed = judged
    .filter(({ verdict }) => verdict === 'missed')
    .map(goal => `${goal.name} ${label(goal)}`.trimEnd())
  const count = `\nTargets met: ${judged.length - missed.length} of ${judged.length}`
  return missed.length > 0 ? `${count}; missed: ${missed.join(', ')}` : count
}

function report() {
  const date = new Date().toISOString().slice(0, 10)
  return { date, machine, rounds, seconds, warmup, oneCore, scenarios: results }
}

function write(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

function parseOptions() {
  try {
    return parseArgs({
      options: {
        node: { type: 'string' },
        peers: { type: 'string' },
        scenarios: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        warmup: { type: 'string' },
        json: { type: 'string' },
        svg: { type: 'string' },
        'one-core': { type: 'boolean' },
        quick: { type: 'boolean' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    return stop(`${error.message}\n\n${HELP}`)
  }
}

function number(name, otherwise) {
  const value = Number(options[name] ?? otherwise)
  const isWhole = name === 'rounds'
  if (!(value > 0 && value <= 100) || (isWhole && !Number.isInteger(value))) {
    stop(`--${name} takes a ${isWhole ? 'whole number from 1' : 'number above 0 and up'} to 100.`)
  }
  return value
}

function chooseScenarios() {
  if (!options.scenarios) return scenarios.filter(({ family }) => family === 'net')
  return options.scenarios.split(',').flatMap(wanted => {
    if (wanted === 'tls') return scenarios.filter(({ family }) => family === 'tls')
    const found = scenarios.find(({ name }) => name === wanted)
    return (
      found ??
      stop(`No scenario is called ${wanted}. There are: ${scenarios.map(({ name }) => name).join(', ')}, tls`)
    )
  })
}

/** Checked before the run, so that a missing library does not waste twenty minutes. */
async function preparePlot() {
  try {
    const { plot, libraries } = await import('./plot.mjs')
    await libraries()
    return plot
  } catch (error) {
    return stop(error.message)
  }
}

/** Everything is compared with the base, so it is always included. */
function choosePeers({ base, peers }) {
  const wanted = options.peers?.split(',') ?? Object.keys(peers)
  const names = [base, ...wanted.filter(name => name !== base)]
  const chosen = {}
  for (const name of names) {
    const peer = peers[name] ?? { module: name }
    if (!peer.native) {
      const trial = `await import(${JSON.stringify(peer.module)})`
      const { status, stderr, error } = spawnSync(node, ['--input-type=module', '-e', trial], {
        cwd: BENCH,
        env: { ...process.env, ...peer.env },
        encoding: 'utf8',
        timeout: 20_000,
      })
      if (status !== 0) {
        const reason = error?.message ?? /^\w*Error.*$/m.exec(stderr)?.[0] ?? stderr.trim().split('\n').at(-1)
        console.error(`Without ${name}: ${reason}`)
        if (options.peers) process.exit(2)
        continue
      }
    }
    chosen[name] = peer
  }
  return chosen
}

function buildNative() {
  const directory = join(ROOT, 'target', 'release')
  if (['ferronet-load', 'ferronet-floor'].every(name => existsSync(join(directory, name)))) return directory
  console.error('Building the load generator (cargo build --release -p ferronet-load) …')
  const { status, error } = spawnSync(
    'cargo',
    ['build', '--release', '-p', 'ferronet-load', '--target-dir', join(ROOT, 'target')],
    { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] },
  )
  if (status !== 0) stop(error?.message ?? 'cargo could not build it.')
  return directory
}

/** What readers need to judge the figures, but nothing that identifies the machine. */
function describeMachine() {
  const [{ model } = {}] = os.cpus()
  const versions = JSON.parse(
    execFileSync(node, ['-p', 'JSON.stringify(process.versions)'], { encoding: 'utf8' }),
  )
  return {
    cpu: model?.trim() || 'unknown CPU',
    cores: os.availableParallelism(),
    kernel: /^\d+\.\d+(\.\d+)?/.exec(os.release())?.[0],
    architecture: process.arch,
    node: versions.node,
    libuv: versions.uv,
    ferronet: JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version,
    pinned: cores.subject !== undefined,
  }
}

function stop(message) {
  console.error(message)
  process.exit(2)
}
