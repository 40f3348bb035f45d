// Processes that run programs: a few for each subject (node:net, or a module under one of its drivers), each serving
// one program at a time. A process that dies or hangs is replaced, and its program's outcome says so.

import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HOST = fileURLToPath(new URL('host.mjs', import.meta.url))
// Added to the program's own limit, for a process that no longer answers.
const GRACE = 15_000

export class Pool {
  #hosts = []
  #free = []
  #queue = []
  /** How many relays have begun in the programs. */
  relays = 0

  /** `subject`: `{ name, module, driver }`; `node`: the path of the Node to run. */
  constructor(subject, { size, node }) {
    this.subject = subject
    this.node = node
    for (let at = 0; at < size; at++) this.#queueFree(undefined)
  }

  /** `{ views, log }`. Rejects only if the module cannot be loaded. */
  run(program, options, withLog = false) {
    return new Promise((resolve, reject) => {
      this.#queue.push({ program, options, withLog, resolve, reject })
      this.#next()
    })
  }

  async end() {
    await Promise.all(this.#hosts.map(host => host.end()))
  }

  #queueFree(host) {
    this.#free.push(host)
    this.#next()
  }

  async #next() {
    if (this.#queue.length === 0 || this.#free.length === 0) return
    const task = this.#queue.shift()
    let host = this.#free.pop()
    if (!host?.usable) {
      host?.end()
      host = new Host(this.subject, this.node)
      this.#hosts = this.#hosts.filter(each => each.usable)
      this.#hosts.push(host)
    }
    try {
      const result = await host.run(task)
      this.relays += result.relays ?? 0
      task.resolve(result)
    } catch (error) {
      task.reject(error)
    }
    this.#queueFree(host)
  }
}

class Host {
  usable = true
  #child
  #exited
  #ready
  #output = ''
  #settle
  #ids = 0

  constructor({ module, driver }, node) {
    const { NODE_OPTIONS, NODE_V8_COVERAGE, FERRONET_DRIVER, FERRONET_REGISTER, ...env } = process.env
    const directory = mkdtempSync(join(tmpdir(), 'ferronet-fuzz-'))
    this.#child = fork(HOST, [module, directory], {
      execPath: node,
      execArgv: ['--no-warnings'],
      env: driver ? { ...env, FERRONET_DRIVER: driver } : env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    for (const name of ['stdout', 'stderr']) {
      this.#child[name].setEncoding('utf8').on('data', text => {
        this.#output = (this.#output + text).slice(-2000)
      })
    }
    this.#exited = new Promise(resolve => {
      this.#child.on('error', error => {
        this.loadError = error.message
        rmSync(directory, { recursive: true, force: true })
        resolve()
      })
      // Not 'close', which does not come to a parent that has disconnected.
      this.#child.on('exit', (code, signal) => {
        this.usable = false
        rmSync(directory, { recursive: true, force: true })
        const how = signal ?? `exit code ${code}`
        // Its last message may still be on the way.
        setTimeout(() => {
          this.#settle?.({
            views: { 'the program': `the process ended: ${how}` },
            output: this.#output.trim(),
          })
          resolve()
        }, 20)
      })
    })
    this.#ready = new Promise(resolve => {
      this.#exited.then(resolve)
      this.#child.on('message', message => {
        if (message.ready) resolve()
        if (message.loadError) this.loadError = message.loadError
        if (message.id !== undefined && message.id === this.#ids) {
          // Sockets that could not be closed must not disturb the next program.
          if (message.tainted) this.usable = false
          this.#settle?.(message)
        }
      })
    })
  }

  async run({ program, options, withLog }) {
    await this.#ready
    if (this.loadError) throw new Error(this.loadError)
    const id = ++this.#ids
    return new Promise(resolve => {
      const timer = setTimeout(() => {
        this.#settle({ views: { 'the program': 'the process does not answer any more' } })
        this.usable = false
        this.#child.kill('SIGKILL')
      }, options.limit + GRACE)
      this.#settle = result => {
        clearTimeout(timer)
        this.#settle = undefined
        resolve(result)
      }
      if (!this.usable) this.#settle({ views: { 'the program': 'the process ended before it' } })
      else this.#child.send({ id, program, options, withLog }, () => {})
    })
  }

  end() {
    this.usable = false
    if (this.#child.connected) this.#child.disconnect()
    return this.#exited
  }
}
