// Runs a program of fixtures/clients, which does real work with a client, on node:net and on ferronet, and compares the
// results: once with ferronet's sockets passed in through the client's own option, once under `--import
// ferronet/register`, for `net` alone and for `net` and `tls`, on each driver. The server is started once for all runs.
//
//   work('ioredis', { against: 'redis-server', server: redis, nodesOwn: ['tls'] })

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { collect, environment } from './parity.mjs'
import { missing } from './servers.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const drivers = process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']
const registers = existsSync(new URL('../../dist/register.js', import.meta.url))
const onlyNode = process.env.FERRONET_TEST_ONLY === 'node'

/**
 * `injectable`: the client has an option for sockets. `nodesOwn`: the parts in which, under register, Node's own tls or
 * http create the client's sockets, which the hook does not reach. `alwaysNodes`: the same if it hands out `tls` as well,
 * because the client leaves TLS to https; null if the client has nothing to do with TLS.
 */
export function work(
  program,
  { client = program, server, against, injectable = true, nodesOwn = [], alwaysNodes = [] },
) {
  const title = `${client} against ${against}`
  const lacking = server ? missing(server) : ''
  if (lacking) {
    // Skipped because the server's program is not on this machine: these are real servers (PostgreSQL, Redis, …), which
    // no npm package brings. `.ci/run` installs all of them where it can, so that none is skipped there.
    test.skip(`${title} (${lacking})`, () => {})
    return
  }

  let running
  test.before(async () => (running = await server?.()))
  test.after.always(() => running?.stop())

  let reference
  const onNode = () => (reference ??= run(program, 'node', running?.address))

  test.serial(`${title} on node:net, and the process ends by itself`, async t => {
    const { results, sockets } = await onNode()
    t.true(Object.keys(results).length > 0)
    for (const [part, { libuv, ferronet }] of Object.entries(sockets)) {
      t.true(libuv > 0, part)
      t.is(ferronet, 0, part)
    }
  })

  const withTls = alwaysNodes === null ? [] : ['register net,tls']
  const modes = [...(injectable ? ['ferronet'] : []), ...(registers ? ['register', ...withTls] : [])]
  for (const mode of onlyNode ? [] : modes) {
    // What `tls` adds has tests of its own on each driver.
    for (const driver of mode === 'register net,tls' ? drivers.slice(0, 1) : drivers) {
      const how =
        mode === 'ferronet' ? 'on sockets of ferronet' : mode.replace('register', 'under ferronet/register')
      test.serial(`${title} ${how}, ${driver}, as on node:net`, async t => {
        const expected = await onNode()
        const { results, sockets } = await run(program, mode, running?.address, driver)
        t.deepEqual(Object.keys(results), Object.keys(expected.results))
        for (const part of Object.keys(results)) t.deepEqual(results[part], expected.results[part], part)
        const exceptions = { register: nodesOwn, 'register net,tls': alwaysNodes }[mode] ?? []
        for (const [part, { libuv, ferronet, secure }] of Object.entries(sockets)) {
          if (exceptions.includes(part)) continue
          t.is(libuv, 0, part)
          t.true(ferronet > 0, part)
          if (mode === 'register net,tls' && /\btls\b|STARTTLS/i.test(part)) t.true(secure > 0, part)
        }
      })
    }
  }
}

async function run(program, mode, address = {}, driver) {
  const [way, modules] = mode.split(' ')
  const flags = way === 'register' ? ['--import', 'ferronet/register'] : []
  const file = fileURLToPath(new URL(`../fixtures/clients/${program}.mjs`, import.meta.url))
  const child = spawn(process.execPath, [...flags, file, way, JSON.stringify(address)], {
    cwd: root,
    env: { ...environment({ driver }), ...(modules === undefined ? {} : { FERRONET_REGISTER: modules }) },
    stdio: ['ignore', 'pipe', 'pipe'],
    // For programs that hang where their own limit (fixtures/clients/common.mjs) cannot stop them.
    timeout: 100_000,
    killSignal: 'SIGKILL',
  })
  const output = collect(child)
  const [code, signal] = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (...end) => resolve(end))
  })
  if (code !== 0) {
    const end = signal ? `by ${signal}` : `with ${code}`
    throw new Error(`${program} ended ${end}:\n${output.stdout}\n${output.stderr}`)
  }
  return JSON.parse(output.stdout)
}
