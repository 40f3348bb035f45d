// `npm run fuzz`: runs random programs of sockets on node:net and on ferronet, and shrinks those that differ.
// CONTRIBUTING.md explains the output.

import { existsSync, readFileSync } from 'node:fs'
import os from 'node:os'
import { parseArgs } from 'node:util'
import { node as fetchNode } from '../scripts/node.mjs'
import { fuzz, spellCase } from './fuzz.mjs'

const HELP = `Runs random programs of sockets on node:net and on ferronet, and compares what they did.

  npm run fuzz -- [options]

  --seeds A-B          which programs (1-500); also one number, or several: 7,12,40-60
  --driver WHICH       in-loop, helper-thread or both (both; outside Linux
                       there is only helper-thread)
  --node WHICH         the Node to run everything under: a path, or a version such as
                       24 that npm fetches once (the one that runs this)
  --only-node          compares node:net with itself, to see whether the fuzzer is wrong
  --program FILE       runs the program in this file, as printed in a report, and no seeds
  --module NAME        compares this module with node:net instead of ferronet
  --shrink N           how many of the differences to shrink (5); 0 for none
  --jobs N             processes for each side (half as many again as there are cores)
  --verbose            every seed that differed at first, and the verdict on it;
                       for a single seed, its program too
  --help               this text

Each seed is one program, the same on every machine. A program that differs runs
again on both sides, at least ten times, and only what node:net never does and
ferronet keeps doing is called different. The last line has the counts; the exit
code is 1 if any program is different.`

let options
try {
  options = parse(process.argv.slice(2))
} catch (error) {
  console.error(`${error.message}\nTry npm run fuzz -- --help`)
  process.exit(2)
}
if (options.help) {
  console.log(HELP)
  process.exit()
}

let counts
try {
  counts = await fuzz({
    ...options,
    report: text => console.log(text),
    found: found => console.log(`${found.traces ? '\n' : ''}${spellCase(found)}`),
  })
} catch (error) {
  console.error(error.message)
  process.exit(2)
}
const { seeds, alike, flaky, known, different, relays } = counts
if (options.module === 'ferronet' && !options.onlyNode)
  console.log(`\n${relays} ${relays === 1 ? 'relay' : 'relays'} began`)
console.log(`\n${seeds} seeds, ${alike} alike, ${flaky} flaky, ${known} known, ${different} different`)
process.exitCode = different > 0 ? 1 : 0

function parse(args) {
  const { values } = parseArgs({
    args,
    options: {
      seeds: { type: 'string', default: '1-500' },
      driver: { type: 'string', default: process.platform === 'linux' ? 'both' : 'helper-thread' },
      node: { type: 'string' },
      'only-node': { type: 'boolean', default: false },
      program: { type: 'string' },
      module: { type: 'string', default: 'ferronet' },
      shrink: { type: 'string', default: '5' },
      jobs: { type: 'string', default: String(Math.ceil(os.availableParallelism() * 1.5)) },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return { help: true }
  const drivers = {
    both: ['in-loop', 'helper-thread'],
    'in-loop': ['in-loop'],
    'helper-thread': ['helper-thread'],
  }
  if (!Object.hasOwn(drivers, values.driver)) {
    throw new Error(`--driver takes in-loop, helper-thread or both, not '${values.driver}'`)
  }
  return {
    seeds: values.program ? [] : seedsOf(values.seeds),
    program: values.program && programOf(values.program),
    drivers: drivers[values.driver],
    onlyNode: values['only-node'],
    module: values.module,
    node: values.node && nodeOf(values.node),
    shrinkMost: whole('shrink', values.shrink, 0),
    jobs: whole('jobs', values.jobs, 1),
    verbose: values.verbose,
  }
}

function seedsOf(text) {
  const seeds = []
  for (const part of text.split(',')) {
    const [, from, to = from] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part.trim()) ?? []
    if (from === undefined) throw new Error(`--seeds takes a range such as 1-500, not '${text}'`)
    if (Number(to) < Number(from)) throw new Error(`--seeds ${part} ends before it begins`)
    for (let seed = Number(from); seed <= Number(to); seed++) seeds.push(seed)
  }
  return seeds
}

function programOf(path) {
  let text
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`--program: ${error.message}`)
  }
  try {
    const program = JSON.parse(text)
    if (Array.isArray(program.sockets) && Array.isArray(program.ops) && program.server) return program
  } catch {}
  throw new Error(`--program: ${path} does not contain a program as printed in a report`)
}

function nodeOf(wanted) {
  if (/^\d+(\.\d+){0,2}$/.test(wanted)) return fetchNode(wanted)
  if (!existsSync(wanted)) throw new Error(`no such Node: ${wanted} (a path, or a version such as 24)`)
  return wanted
}

function whole(name, text, least) {
  const number = Number(text)
  if (!Number.isInteger(number) || number < least)
    throw new Error(`--${name} takes a whole number of at least ${least}, not '${text}'`)
  return number
}
