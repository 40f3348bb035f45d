// `npm run fuzz:tls`: cuts, flips, repeats and reorders the records of TLS connections between a ferronet end and an end of
// node:tls, and compares what both come to with node:tls on both ends.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { schemeOf, spell } from './scheme.mjs'

const HELP = `Damages the records of TLS connections on their way, and compares what becomes
of ferronet with what becomes of node:tls.

  npm run fuzz:tls -- [options]

  --seeds A-B     which cases (1-300); also one number
  --driver WHICH  in-loop, helper-thread or both (both; outside Linux there is
                  only helper-thread)
  --jobs N        processes for each driver (as many as there are cores)
  --verbose       every case, and what came of it
  --help          this text

A case is the same on every machine. One that differs runs again, slowly and
several times on both sides; it is called different if what ferronet keeps coming
to is nothing that node:tls comes to. The last line has the counts; the exit code
is 1 if a case is different, or a process crashed, or bytes arrived that were not
sent.`

/** After so many crashes there is no point in going on. */
const MOST_CRASHES = 5

/** Judges cases in processes of their own. `report(line)` is told of what is worth it. Returns the counts. */
export async function fuzz({
  from = 1,
  to = 300,
  drivers = driversHere(),
  jobs = 2,
  verbose = false,
  report = () => {},
}) {
  const counts = { seeds: 0, alike: 0, chance: 0, different: 0, wrong: 0, crashed: 0 }
  for (const driver of drivers) {
    let next = from
    const worker = async () => {
      while (next <= to && counts.crashed < MOST_CRASHES) {
        const host = fork(fileURLToPath(new URL('host.mjs', import.meta.url)), {
          env: { ...process.env, FERRONET_DRIVER: driver, FERRONET_TLS: '', NODE_NO_WARNINGS: '1' },
        })
        let seed
        const step = () => {
          seed = next++
          if (seed <= to) host.send({ seed })
          else host.disconnect()
        }
        host.on('message', ({ verdict, details }) => {
          counts.seeds++
          counts[verdict]++
          const line = `${driver}, ${verdict}: ${spell(schemeOf(seed))}`
          if (verbose || verdict === 'different' || verdict === 'wrong') report(`${line}\n${details}`)
          step()
        })
        step()
        const [code, signal] = await once(host, 'exit')
        if (code === 0) return
        counts.crashed++
        report(`${driver}, crashed (${signal ?? code}): ${spell(schemeOf(seed))}`)
      }
    }
    await Promise.all(Array.from({ length: jobs }, worker))
  }
  return counts
}

export function driversHere() {
  return process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1-300' },
      driver: { type: 'string', default: 'both' },
      jobs: { type: 'string', default: String(os.availableParallelism()) },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    process.exit()
  }
  const [from, to = from] = values.seeds.split('-').map(Number)
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) {
    console.error('--seeds takes numbers, as 7 or 1-300')
    process.exit(2)
  }
  const drivers = values.driver === 'both' ? driversHere() : [values.driver]
  const { verbose } = values
  const counts = await fuzz({
    from,
    to,
    drivers,
    jobs: Number(values.jobs),
    verbose,
    report: line => console.log(line),
  })
  console.log(
    Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(', '),
  )
  process.exitCode = counts.different + counts.wrong + counts.crashed > 0 ? 1 : 0
}
