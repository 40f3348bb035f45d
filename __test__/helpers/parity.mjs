// One way to write a behaviour test once and run it against node:net and against ferronet on each of its
// drivers. A scenario records what it sees; ferronet is right when it sees what node:net sees.
//
//   parity('a peer that ends …', async ({ listen, connect, watch, closed }) => { … })
//
// ava loads a test file and, for each module and driver, starts one process that loads the same file again,
// registers its scenarios (host.mjs) and runs them when asked. So a test file only contains `parity` calls, and
// if a scenario hangs or crashes its process, the others are not affected.
//
// FERRONET_TEST_ONLY=node    runs node:net twice instead, which is how a flaky scenario is found
// FERRONET_TEST_DRIVERS=a,b  runs ferronet on these drivers instead of all that are in use on this platform
// FERRONET_TEST_TRACES=<dir> writes the traces there, one file for each test file and run
// FERRONET_TEST_TIMEOUT=<ms> how long one scenario may take (30 000)
// FERRONET_TEST_HOST=<path>  runs ferronet in another runtime, Bun or Deno (runtime.mjs)

import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { difference, node as nodeItself, runtime } from './runtime.mjs'

const scenarios = globalThis[Symbol.for('ferronet.test.scenarios')]
const ava = scenarios ? undefined : (await import('ava')).default

const timeout = Number(process.env.FERRONET_TEST_TIMEOUT ?? 60_000)
const onlyNode = process.env.FERRONET_TEST_ONLY === 'node'
const testDirectory = fileURLToPath(new URL('..', import.meta.url))
const hostFile = fileURLToPath(new URL('host.mjs', import.meta.url))

const node = { name: 'node:net', moduleName: 'node:net' }
/** How often a scenario runs again on the helper thread if only its turns differ. */
const LATE = 2
const drivers =
  process.env.FERRONET_TEST_DRIVERS?.split(',') ??
  (process.platform === 'linux' && !runtime ? ['in-loop', 'helper-thread'] : ['helper-thread'])
const onDrivers = moduleName =>
  drivers.map(driver => ({ name: `${moduleName}, ${driver}`, moduleName, driver }))
const others = onlyNode ? [{ name: 'node:net again', moduleName: 'node:net' }] : onDrivers('ferronet')

// Options:
//   on        a platform ('linux', 'unix', 'libuv' for all but Bun and Deno); on others the test does not exist
//   since     the first Node versions whose node:net does this, one for each release line (['22.12', '23.1']);
//             on an older Node, ferronet's trace is compared with `expected` instead
//   libuv     the same for versions of libuv
//   expected  the expected trace, compared wherever it is given
//   turns     words of the trace that say in which turn of the loop something came. On a busy machine the helper thread
//             may come to a socket a turn late (docs/api.md), so a run that differs in these words alone is made again
//   module    another entry of ferronet, without a counterpart in node:net; the scenario throws if something is
//             wrong, or `expected` shows it
export function parity(title, options, scenario) {
  declare(title, options, scenario, (runner, run) => runner.host(run).perform(title))
}

// The same in a process of its own, whose exit code, signal and output are part of the trace. `execArgv`: Node's flags
// for that process.
export function parityProcess(title, options, scenario) {
  declare(title, options, scenario, (runner, run) => runner.alone(run, title, options.execArgv))
}

function declare(title, options, scenario, perform) {
  if (typeof options === 'function') [options, scenario] = [{}, options]
  if (options.on !== undefined && !onPlatform(options.on)) return
  if (scenarios) {
    scenarios.set(title, scenario)
    return
  }
  const runner = Runner.of(fileURLToPath(ava.meta.file))
  const comparable =
    (options.since === undefined || reached(options.since)) &&
    (options.libuv === undefined || reached(options.libuv, process.versions.uv))
  ava.serial(title, async t => {
    const runs = options.module
      ? onDrivers(options.module).filter(() => !onlyNode)
      : [...(comparable ? [node] : []), ...others.filter(run => comparable || run.moduleName !== 'node:net')]
    const outcomes = await Promise.all(runs.map(run => perform(runner, run)))
    for (const [at, outcome] of outcomes.entries()) runner.keep(runs[at], title, outcome)
    const failures = outcomes.flatMap(({ failure, trace }, at) =>
      failure
        ? [`${runs[at].name}: ${failure}${trace ? `\nSeen so far: ${JSON.stringify(trace, null, 2)}` : ''}`]
        : [],
    )
    const known = difference(runner.file, title)
    if (failures.length) {
      if (known && !outcomes.some(({ crashed }) => crashed)) lacking(t, title, known)
      else t.fail(failures.join('\n\n'))
      return
    }
    const expected = comparable ? outcomes[0]?.trace : options.expected
    const [actual, wanted] = [{}, {}]
    for (const [at, run] of runs.entries()) {
      let { trace } = outcomes[at]
      const own = run === node || options.module
      const against = own ? (options.expected ?? trace) : expected
      const mayBeLate = () => run.driver === 'helper-thread' && differInTurns(trace, against, options.turns)
      for (let more = 0; more < LATE && mayBeLate(); more++) trace = (await perform(runner, run)).trace
      if (!isDeepStrictEqual(trace, against)) [actual[run.name], wanted[run.name]] = [trace, against]
    }
    if (known && !isDeepStrictEqual(actual, wanted)) lacking(t, title, known)
    else if (known && !known.sometimes)
      t.fail(`does not differ any more (hosts/${runtime.name}.mjs): ${known.because}`)
    else t.deepEqual(actual, wanted, 'Shown as received (-) and as wanted (+).')
  })
}

/** A scenario that differs as it must in this runtime. scripts/platforms counts these lines. */
function lacking(t, title, { because }) {
  t.log(`lacking: ${title}: ${because}`)
  t.pass()
}

/** Whether two traces differ, but in nothing besides the words for turns. */
function differInTurns(trace, against, turns) {
  if (turns === undefined || isDeepStrictEqual(trace, against)) return false
  const [one, other] = [trace, against].map(each =>
    turns.reduce(
      (text, word) => text.replaceAll(JSON.stringify(word), '"a turn"'),
      JSON.stringify(each) ?? '',
    ),
  )
  return one === other
}

function onPlatform(on) {
  if (on === 'libuv') return runtime === undefined
  return on === 'unix' ? process.platform !== 'win32' : process.platform === on
}

function reached(since, running = process.versions.node) {
  const [major, minor] = running.split('.').map(Number)
  const lines = [since].flat().map(version => String(version).split('.').map(Number))
  const line = lines.find(([first]) => first === major)
  if (line) return minor >= (line[1] ?? 0)
  return major > Math.max(...lines.map(([first]) => first))
}

// All the processes of one test file.
class Runner {
  static #runners = new Map()
  static of(file) {
    if (!Runner.#runners.has(file)) Runner.#runners.set(file, new Runner(file))
    return Runner.#runners.get(file)
  }

  #hosts = new Map()
  #traces = {}

  constructor(file) {
    this.file = file
    this.directory = mkdtempSync(join(tmpdir(), 'ferronet-'))
    ava.after.always(async () => {
      await Promise.all([...this.#hosts.values()].map(host => host.end()))
      rmSync(this.directory, { recursive: true, force: true })
      this.#writeTraces()
    })
  }

  host(run) {
    let host = this.#hosts.get(run.name)
    if (!host || host.dead) this.#hosts.set(run.name, (host = new Host(this, run)))
    return host
  }

  alone(run, title, execArgv = []) {
    const path = this.traceFile()
    const fd = openSync(path, 'w')
    const { program, flags } = startFor(run)
    const child = spawn(program, [...flags, ...execArgv, hostFile, this.file, run.moduleName, title], {
      env: { ...environment(run), FERRONET_TEST_SCRATCH: this.directory },
      stdio: ['ignore', 'pipe', 'pipe', fd],
    })
    closeSync(fd)
    const output = collect(child)
    return new Promise((resolve, reject) => {
      let late = false
      const timer = setTimeout(() => {
        late = true
        child.kill('SIGKILL')
      }, timeout)
      child.on('error', reject)
      child.on('close', (code, signal) => {
        clearTimeout(timer)
        const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
        const { stdout, stderr } = output
        // Each runtime prints an exception in its own way.
        const words = runtime ? (stderr !== '' && signal === null ? ['something'] : []) : firstWords(stderr)
        const end = { code, signal, stdout, stderr: words }
        const trace = { ...(lines.length ? JSON.parse(lines.at(-1)) : {}), end }
        const crashed = signal !== null && !late
        const failure =
          trace.loadError ?? (late ? `the process had not ended after ${timeout} ms` : undefined)
        resolve({ trace, failure, crashed: runtime && crashed })
      })
    })
  }

  #files = 0
  traceFile() {
    return join(this.directory, String(this.#files++))
  }

  keep(run, title, { trace, failure }) {
    this.#traces[run.name] ??= {}
    this.#traces[run.name][title] = failure ? { ...trace, failure } : trace
  }

  #writeTraces() {
    const directory = process.env.FERRONET_TEST_TRACES
    if (!directory) return
    mkdirSync(directory, { recursive: true })
    for (const [run, traces] of Object.entries(this.#traces)) {
      const name = `${relative(testDirectory, this.file)
        .replace(/\.test\.mjs$/, '')
        .replaceAll(sep, '-')}.${run.replace(/\W+/g, '-')}.json`
      // One scenario a line, so that a diff shows which ones changed.
      const lines = Object.entries(traces).map(entry =>
        entry.map(part => JSON.stringify(part ?? null)).join(': '),
      )
      writeFileSync(join(directory, name), `{\n${lines.join(',\n')}\n}\n`)
    }
  }
}

// One long-lived process: a test file's scenarios against one module on one driver.
class Host {
  dead = false
  #waiting
  #ready

  constructor(runner, run) {
    this.run = run
    this.tracePath = runner.traceFile()
    const fd = openSync(this.tracePath, 'w')
    const { program, flags } = startFor(run)
    this.child = fork(hostFile, [runner.file, run.moduleName], {
      env: { ...environment(run), FERRONET_TEST_SCRATCH: runner.directory },
      execPath: program,
      execArgv: flags,
      stdio: ['ignore', 'pipe', 'pipe', fd, 'ipc'],
    })
    closeSync(fd)
    this.output = collect(this.child)
    this.exited = Promise.all([
      once(this.child, 'exit'),
      once(this.child.stdout, 'end'),
      once(this.child.stderr, 'end'),
    ])
    this.#ready = new Promise(resolve => {
      this.child.on('message', message => {
        if (message.ready) resolve()
        if (message.loadError) {
          this.loadError = message.loadError
          resolve()
        }
        if (message.done) this.#settle({ trace: message.trace, failure: message.failure })
        if (message.stray) this.stray = message.stray
      })
      this.exited.then(([[code, signal]]) => {
        this.dead = true
        resolve()
        this.#settle({
          ...this.#lost(`the process ended by itself, code ${code}, signal ${signal}`),
          crashed: true,
        })
      })
    })
  }

  async perform(title) {
    await this.#ready
    if (this.loadError) return { failure: this.loadError }
    if (this.dead) return this.#lost('the process ended before the scenario began')
    const outcome = await new Promise(resolve => {
      this.#waiting = resolve
      // The process's own timer reports first; this one is for a process that no longer answers.
      this.timer = setTimeout(
        () => {
          this.#settle(this.#lost('the process does not answer'))
          this.child.kill('SIGKILL')
        },
        2 * timeout + 5_000,
      )
      this.child.send({ run: title, timeout })
    })
    if (this.stray) outcome.failure ??= `an error before the scenario began: ${this.stray}`
    this.stray = undefined
    // Whatever a failed scenario left open must not disturb the next one.
    if (outcome.failure) {
      this.dead = true
      this.child.kill('SIGKILL')
    }
    return outcome
  }

  end() {
    if (this.child.connected) this.child.disconnect()
    return this.exited
  }

  #settle(outcome) {
    clearTimeout(this.timer)
    this.#waiting?.(outcome)
    this.#waiting = undefined
  }

  #lost(reason) {
    const lines = readFileSync(this.tracePath, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line))
    const begin = lines.findLastIndex(line => !Array.isArray(line))
    const { stdout, stderr } = this.output
    return { failure: [reason, stdout, stderr].filter(Boolean).join('\n'), trace: lines.slice(begin + 1) }
  }
}

function startFor({ moduleName }) {
  return runtime && moduleName !== 'node:net' ? runtime : nodeItself
}

/** The environment for a process on a driver, without the variables meant for ava's process. */
export function environment({ driver }) {
  const { NODE_OPTIONS, NODE_V8_COVERAGE, FORCE_COLOR, FERRONET_DRIVER, ...env } = process.env
  const beside = runtime ? { FERRONET_TEST_NODE: process.execPath } : {}
  return {
    ...env,
    ...beside,
    NO_COLOR: '1',
    NODE_DISABLE_COLORS: '1',
    ...(driver ? { FERRONET_DRIVER: driver } : {}),
  }
}

/** Collects what a process prints. */
export function collect(child) {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', text => (output[name] += text))
  }
  return output
}

// Where an error was thrown and its message, which people read first, without stacks and Node's version. An unhandled
// 'error' is thrown by `emit` in node:events, or by ferronet; we treat both the same, as docs/api.md describes.
function firstWords(stderr) {
  const lines = stderr.split(/\r?\n/).filter(line => line !== '' && !/^\(node:\d+\)|^Node\.js v/.test(line))
  const thrown = lines.find(line => /^\s*(\w*Error|Uncaught|thrown)\b/.test(line))
  const place = lines[0]
    ?.replace(/^.*[\\/]/, '')
    .replace(/^(node:events|(?:batch|loop)\.js):\d+$/, '(inside)')
  return lines.length ? [place, thrown].filter(Boolean) : []
}
