// The process a scenario runs in. `host.mjs <test file> <module>` runs scenarios one after another, as asked
// over IPC. With a title as third argument it runs only that scenario and then lets the process end by
// itself, so that the way it ends is part of the trace. Entries also go to file descriptor 3 as they happen.

import { openSync, writeSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { Scenario } from './scenario.mjs'
import { Trace } from './trace.mjs'

const [file, moduleName, title] = process.argv.slice(2)
const scenarios = new Map()
globalThis[Symbol.for('ferronet.test.scenarios')] = scenarios
// Deno knows no descriptors but those that it has opened itself.
const record = process.versions.deno === undefined ? 3 : openSync('/dev/fd/3', 'a')

let net
try {
  net = (await import(moduleName)).default
  await import(pathToFileURL(file))
} catch (error) {
  const hint = moduleName === 'ferronet' ? ' (build ferronet, or set FERRONET_TEST_ONLY=node)' : ''
  const loadError = `can't be loaded${hint}: ${error?.stack ?? error}`
  if (title === undefined) process.send({ loadError }, () => process.exit(1))
  else {
    writeSync(record, JSON.stringify({ loadError }))
    process.exit(1)
  }
}

if (title === undefined) serve()
else alone(scenarios.get(title))

function serve() {
  let current
  const stray = (error, origin) => {
    // Without its parent a process would complain about its complaints for ever.
    if (!process.connected) process.exit(1)
    if (current?.scenario.catchesUncaught) current.scenario.catchesUncaught(error, origin)
    else if (current) current.fail(error, origin)
    else process.send({ stray: String(error?.stack ?? error) })
  }
  process.on('uncaughtException', stray)
  process.on('unhandledRejection', error => stray(error, 'unhandledRejection'))
  process.on('disconnect', () => process.exit())
  if (!process.connected) process.exit() // the parent was gone before this process was ready

  process.on('message', async ({ run, timeout }) => {
    writeSync(record, `${JSON.stringify({ run })}\n`)
    const trace = new Trace(record)
    const scenario = new Scenario(net, moduleName, trace)
    let timer
    const failed = new Promise((_, reject) => {
      current = {
        scenario,
        fail: (error, origin) => reject(Object.assign(new Error(origin), { cause: error })),
      }
      timer = setTimeout(() => reject(new Error(`not finished after ${timeout} ms`)), timeout)
    })
    let failure
    try {
      await Promise.race([scenarios.get(run)(scenario), failed])
    } catch (error) {
      failure = describe(error)
    }
    const seen = trace.toJSON()
    try {
      timer.refresh()
      await Promise.race([scenario.finish(), failed])
    } catch (error) {
      failure ??= `while cleaning up: ${describe(error)}`
    }
    clearTimeout(timer)
    current = undefined
    process.send({ done: run, trace: seen, failure })
  })
  process.send({ ready: true })
}

function alone(scenario) {
  const trace = new Trace()
  // A process may end with an exception, and be compared. But not with one of the scenario's own mistakes, which would be
  // the same everywhere.
  let mistake = {}
  process.on('uncaughtExceptionMonitor', error => {
    if (error instanceof ReferenceError || error?.code === 'ERR_ASSERTION')
      mistake = { loadError: describe(error) }
  })
  // Synchronous, and after all other 'exit' listeners.
  process.on('exit', code => {
    trace.record('main', 'process exit', [code])
    writeSync(record, `${JSON.stringify({ ...trace.toJSON(), ...mistake })}\n`)
  })
  const context = new Scenario(net, moduleName, trace)
  const result = scenario(context)
  if (result)
    result.catch(error =>
      process.nextTick(() => {
        throw error
      }),
    )
}

function describe(error) {
  const text = String(error?.stack ?? error)
  return error?.cause === undefined ? text : `${text}\ncaused by ${describe(error.cause)}`
}
