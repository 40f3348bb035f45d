// The fuzzer as a function, called by run.mjs (the command line) and by the tests. Finds differences, confirms and
// shrinks them, and describes them in words. It decides nothing about sockets itself.

import { judge, judgeAll, minimal, show, signature } from './compare.mjs'
import { Pool } from './pool.mjs'
import { generate, spell } from './program.mjs'
import { spellLog } from './views.mjs'

const SHRINK_BUDGET = 30_000

/**
 * Judges the seeds, or one `program`, and returns the counts. Calls `found(case)` for each difference to show
 * (spellCase turns it into text), and `report(line)` with everything else worth mentioning.
 */
export async function fuzz({
  seeds = [],
  program,
  drivers = ['in-loop', 'helper-thread'],
  onlyNode = false,
  module = 'ferronet',
  node = process.execPath,
  shrinkMost = 5,
  shrinkBudget = SHRINK_BUDGET,
  rounds,
  jobs = 3,
  verbose = false,
  report = () => {},
  found = () => {},
}) {
  const subjects = onlyNode
    ? [{ name: 'node:net again', module: 'node:net' }]
    : module === 'ferronet'
      ? drivers.map(driver => ({ name: `ferronet, ${driver}`, module, driver }))
      : [{ name: module, module }]
  const size = { size: jobs, node }
  const pools = {
    node: new Pool({ name: 'node:net', module: 'node:net' }, size),
    subjects: subjects.map(subject => new Pool(subject, size)),
  }
  const counts = { seeds: 0, alike: 0, flaky: 0, known: 0, different: 0, relays: 0 }
  const cases = new Map()
  const note = (seed, result) => {
    counts.seeds++
    counts[result.verdict]++
    for (const { pool, subject, differences, reason, rare } of result.found) {
      if (verbose && rare) report(`seed ${seed}, ${subject}: seldom, ${differing(rare[0])}`)
      if (verbose && reason) report(`seed ${seed}, ${subject}: known, ${reason}`)
      if (differences.length === 0 || reason) continue
      if (verbose) report(`seed ${seed}, ${subject}: different, ${differing(differences[0])}`)
      const sign = signature(differences)
      if (!cases.has(sign))
        cases.set(sign, { sign, seed, program: result.program, pool, subject, differences, seeds: new Set() })
      cases.get(sign).seeds.add(seed)
    }
    if (verbose && result.verdict === 'flaky' && result.found.length === 0)
      report(`seed ${seed}: left to chance`)
  }

  try {
    if (program) {
      const result = await judge(program, pools, { rounds })
      note(program.seed, { ...result, program })
    } else {
      await judgeAll(seeds, pools, { atOnce: jobs, rounds, done: note })
    }
    if (verbose && seeds.length + (program ? 1 : 0) === 1) await tell(program ?? seeds[0], pools, report)
    // The largest groups first, and three at once, because most of the time is spent waiting.
    const all = [...cases.values()].sort((a, b) => b.seeds.size - a.seeds.size)
    const queue = all.slice(0, shrinkMost)
    const worker = async () => {
      for (let one = queue.shift(); one; one = queue.shift()) {
        const small = await minimal(one.program, pools, one.pool, one.differences, shrinkBudget)
        const traces = await show(small.program, pools, one.pool, small.differences)
        found({ ...one, ...small, traces, seeds: sorted(one.seeds) })
      }
    }
    await Promise.all([worker(), worker(), worker()])
    for (const one of all.slice(shrinkMost)) found({ ...one, seeds: sorted(one.seeds) })
  } finally {
    for (const pool of pools.subjects) counts.relays += pool.relays
    await Promise.all([pools.node, ...pools.subjects].map(pool => pool.end()))
  }
  return counts
}

async function tell(what, pools, report) {
  const program = typeof what === 'number' ? generate(what) : what
  report(['', ...spell(program)].join('\n'))
  for (const pool of [pools.node, ...pools.subjects]) {
    const { log, views } = await pool.run(program, { quiet: 200, limit: 15_000 }, true)
    report(`\n${pool.subject.name}: ${views['the program']}`)
    for (const [track, lines] of spellLog(log ?? []))
      report(`  ${track}\n${lines.map(line => `    ${line}`).join('\n')}`)
  }
}

function differing({ key, node, subject }) {
  return `${key}: ${node.join(' or ')} on node:net, ${subject.join(' or ')} here`
}

function sorted(seeds) {
  return [...seeds].sort((a, b) => a - b)
}

/**
 * A difference as text: the program, what differs, both traces, and how to reproduce it. A difference without traces was
 * not shrunk; it gets one line.
 */
export function spellCase({ sign, seeds, program, subject, differences, traces }) {
  const those = `seeds ${seeds.slice(0, 12).join(', ')}${seeds.length > 12 ? `, … (${seeds.length})` : ''}`
  if (traces === undefined)
    return `DIFFERENT on ${subject}: ${sign} (${those})\n  ${differing(differences[0])}`
  const shown = differences.slice(0, 6)
  const lines = [
    `DIFFERENT on ${subject}: ${sign} (${those})`,
    '',
    ...spell(program).map(line => `  ${line}`),
    '',
  ]
  for (const { key, node, subject: here } of shown) {
    lines.push(
      `  ${key}`,
      ...node.map(value => `    node:net  ${value}`),
      ...here.map(value => `    here      ${value}`),
    )
  }
  if (differences.length > shown.length) lines.push(`  and ${differences.length - shown.length} more`)
  for (const [name, { log, output }] of [
    ['node:net', traces.node],
    [subject, traces.subject],
  ]) {
    lines.push('', `  ${name}`)
    if (output)
      lines.push(
        ...output
          .split('\n')
          .slice(0, 12)
          .map(line => `    | ${line}`),
      )
    for (const [track, entries] of spellLog(log ?? []))
      lines.push(`    ${`${track}:`.padEnd(12)} ${entries.join(' · ')}`)
  }
  lines.push(
    '',
    `  to run it again: npm run fuzz -- --seeds ${seeds[0]}, or --program with a file that contains:`,
    `  ${JSON.stringify(program)}`,
  )
  return lines.join('\n')
}
