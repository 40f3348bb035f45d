// Judges programs: the same, different, or a matter of chance. Runs each one on node:net and on the subjects. If they
// differ, runs it again on both sides until we know whether node:net ever does the same.

import { known } from './known.mjs'
import { generate } from './program.mjs'
import { shrink } from './shrink.mjs'

// The first run is quick. Repeated runs get more time, because a silence may just be a busy machine.
const QUICK = { quiet: 50, limit: 10_000 }
const PATIENT = { quiet: 200, limit: 15_000 }
const ROUNDS = 10
// In how many rounds a subject must do something that node:net never does.
const OFTEN = 5
// A fact that has more values than this on node:net itself is a matter of chance.
const STEADY = 2

/** One fact that differs: its `key`, and what the two sides had, as lists of values. */
export class Difference {
  constructor(key, nodes, subjects) {
    this.key = key
    this.node = [...new Set(nodes)]
    this.subject = [...new Set(subjects)].filter(value => !this.node.includes(value))
  }
}

/**
 * The verdict on one program: `{ verdict, differences: [{ subject, differences, reason }] }`, with `verdict` one of
 * 'alike', 'flaky', 'known', 'different'. `pools`: `{ node, subjects: [Pool, …] }`.
 */
export async function judge(program, pools, { rounds = ROUNDS } = {}) {
  const [reference, ...first] = await Promise.all([
    pools.node.run(program, QUICK),
    ...pools.subjects.map(pool => pool.run(program, QUICK)),
  ])
  const suspects = pools.subjects.filter((_, at) => keysThatDiffer([reference], [first[at]]).length > 0)
  if (suspects.length === 0) return { verdict: 'alike', found: [] }

  const found = []
  const nodes = new Reference(program, pools.node)
  for (const pool of suspects) {
    const { differences, rare } = await confirm(program, pool, nodes, rounds)
    const reason = known(program, differences, reference)
    if (differences.length > 0) found.push({ pool, subject: pool.subject.name, differences, reason })
    else if (rare.length > 0) found.push({ pool, subject: pool.subject.name, differences: [], rare })
  }
  const real = found.filter(({ differences }) => differences.length > 0)
  const verdict = real.some(({ reason }) => !reason) ? 'different' : real.length > 0 ? 'known' : 'flaky'
  return { verdict, found }
}

/** node:net's runs of a program, made on demand; every other one has jitter. */
class Reference {
  runs = []
  constructor(program, pool, patience = PATIENT) {
    this.program = program
    this.pool = pool
    this.patience = patience
  }

  async upTo(count) {
    while (this.runs.length < count) {
      const at = this.runs.length
      this.runs.push(
        ...(await Promise.all([
          this.pool.run(this.program, this.patience),
          this.pool.run(this.program, { ...this.patience, jitter: at + 1 }),
        ])),
      )
    }
    return this.runs.slice(0, count)
  }
}

/** Which facts of a program really differ, and which ones (`rare`) only the subject shows, but rarely. */
async function confirm(program, pool, nodes, rounds = ROUNDS, often = OFTEN) {
  const runs = []
  let keys
  for (let round = 1; round <= rounds; round++) {
    const [reference, run] = await Promise.all([nodes.upTo(2 * round), pool.run(program, nodes.patience)])
    runs.push(run)
    keys = keysThatDiffer(reference, runs)
    // Stop if nothing can become frequent any more.
    if (!keys.some(key => strange(key, reference, runs) + rounds - round >= often)) break
    // By now node:net has had twice as many runs.
    if (keys.some(key => strange(key, reference, runs) >= often)) break
  }
  const differences = []
  const rare = []
  for (const key of keys) {
    const times = strange(key, nodes.runs, runs)
    const difference = new Difference(
      key,
      nodes.runs.map(({ views }) => views[key]),
      runs.map(({ views }) => views[key]),
    )
    if (times >= often) differences.push(difference)
    else rare.push(difference)
  }
  return { differences: ordered(differences), rare: ordered(rare) }
}

/** The facts for which some run has a value that no run of node:net has, although node:net's is stable. */
function keysThatDiffer(nodes, runs) {
  const keys = new Set([...nodes, ...runs].flatMap(({ views }) => Object.keys(views)))
  return [...keys].filter(key => {
    const values = new Set(nodes.map(({ views }) => views[key]))
    return values.size <= STEADY && runs.some(({ views }) => !values.has(views[key]))
  })
}

function strange(key, nodes, runs) {
  const values = new Set(nodes.map(({ views }) => views[key]))
  return runs.filter(({ views }) => !values.has(views[key])).length
}

// The most important first: how it ended, what arrived, in which order; then results, then properties.
function ordered(differences) {
  const weight = ({ key }) => {
    if (/^the program|wrong$|did not close/.test(key)) return 0
    if (/bytes received|uncaught/.test(key)) return 1
    if (/: order/.test(key)) return 2
    if (/: (call|callback) \w+$/.test(key)) return 3
    if (/, (?!at last)/.test(key)) return 5
    return 4
  }
  return differences.sort((a, b) => weight(a) - weight(b))
}

/** What happened, in a word or two; seeds that probably have the same cause get the same words. */
export function signature(differences) {
  const { key } = differences[0]
  return key.replace(/(client|accepted)\d+( again)?/g, '$1').replace(/(call|callback) \w+/g, '$1')
}

/** The smallest program that still has the first of the differences. */
export async function minimal(program, pools, pool, differences, budget) {
  const keys = new Set(differences.map(({ key }) => key))
  let last = differences
  const holds = async candidate => {
    const nodes = new Reference(candidate, pools.node, QUICK)
    const found = await confirm(candidate, pool, nodes, 3, 3)
    const same = found.differences.filter(({ key }) => keys.has(key))
    if (same.length === 0 || known(candidate, found.differences, nodes.runs[0])) return false
    last = found.differences
    return true
  }
  const smallest = await shrink(program, holds, budget)
  return { program: smallest, differences: last }
}

/** A run of each side with its log, for the report. Prefers runs that show the difference, if they come up soon. */
export async function show(program, pools, pool, differences) {
  const { key } = differences[0]
  let [node, subject] = [undefined, undefined]
  for (let tries = 0; tries < 5; tries++) {
    node = await pools.node.run(program, PATIENT, true)
    subject = await pool.run(program, PATIENT, true)
    if (node.views[key] !== subject.views[key]) break
  }
  return { node, subject }
}

/** Judges seeds, several at a time; calls `done(seed, result)` for each, in no particular order. */
export async function judgeAll(seeds, pools, { atOnce, rounds, done }) {
  const left = seeds[Symbol.iterator]()
  const worker = async () => {
    for (const seed of left) {
      const program = generate(seed)
      done(seed, { program, ...(await judge(program, pools, { rounds })) })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
