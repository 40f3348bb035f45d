// The child processes of a run: started on a fixed core, controlled with JSON lines, ended by their handle.
// Every wait has a limit, and no process that was started outlives `endAll`.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const running = new Set()

/**
 * One core for the peer under test, another for its opposite, or the same one for both; none where that
 * cannot be had.
 */
export function chooseCores(same = false) {
  if (!['/usr/bin/taskset', '/bin/taskset'].some(file => existsSync(file))) return {}
  const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]
  const cores = allowed.split(',').flatMap(range => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, offset) => first + offset)
  })
  if (same) return { subject: cores[0], opposite: cores[0] }
  return cores.length >= 2 ? { subject: cores[0], opposite: cores[1] } : {}
}

export class Program {
  #child
  #lines
  #errors = ''
  #exited

  constructor(command, args, { core, env = {} } = {}) {
    const [file, ...rest] =
      core === undefined ? [command, ...args] : ['taskset', '-c', core, command, ...args]
    // taskset becomes the command itself, so the process id is the program's.
    this.#child = spawn(file, rest.map(String), { env: { ...process.env, ...env }, stdio: 'pipe' })
    running.add(this)
    this.#exited = new Promise(resolve => {
      this.#child.once('error', error => {
        this.#errors += error.message
        resolve()
      })
      this.#child.once('close', resolve)
    }).then(() => running.delete(this))
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.setEncoding('utf8').on('data', text => {
      this.#errors = (this.#errors + text).slice(-2000)
    })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  get pid() {
    return this.#child.pid
  }

  /** The next line the program prints. */
  async line(seconds = 20) {
    const timer = AbortSignal.timeout(seconds * 1000)
    const late = once(timer, 'abort').then(() => {
      throw new Error(`no answer within ${seconds} s`)
    })
    const { value, done } = await Promise.race([this.#lines.next(), late])
    if (done) {
      await this.#exited
      const { exitCode, signalCode } = this.#child
      // Only the message, because results are published and a stack contains the machine's directories.
      const reason =
        /^(?:\w*Error|error).*$/m.exec(this.#errors)?.[0] ?? this.#errors.trim().split('\n').at(-1)
      throw new Error(`ended early (${signalCode ?? exitCode}): ${reason || 'no message'}`)
    }
    return JSON.parse(value)
  }

  ask(command) {
    this.#child.stdin.write(`${command}\n`)
    return this.line()
  }

  residentBytes() {
    const kilobytes = /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]
    return Number(kilobytes) * 1024
  }

  /** How long the main thread was ready to run while its core ran something else. */
  waitedSeconds() {
    const [, waited = '0'] = readFileSync(`/proc/${this.pid}/schedstat`, 'utf8').split(' ')
    return Number(waited) / 1e9
  }

  /** Asks the process to exit by ending its standard input, then kills it. */
  async end() {
    this.#child.stdin.end()
    const insist = setTimeout(() => this.#child.kill('SIGKILL'), 2000)
    await this.#exited
    clearTimeout(insist)
  }

  kill() {
    this.#child.kill('SIGKILL')
    return this.#exited
  }
}

export async function endAll() {
  await Promise.all([...running].map(program => program.kill()))
}
