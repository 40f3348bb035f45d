// What the legs for Bun and Deno share: fetching the runtime from npm, and running the core of the tests with ferronet in
// it. ava and node:net run in Node 26, whose traces are what ferronet's are compared with (__test__/helpers/runtime.mjs).

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { node } from '../node.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(root, '.cache/runtimes')
const REFERENCE = '26'
/** A scenario may take so long; one that hangs for a reason of the runtime's is given up after that. */
const TIMEOUT = '20000'

// Left out: Node's tls, http and http2 over ferronet (the runtimes have modules of their own of these names), most of
// ferronet/tls, which is the runtime's own TLS there, what takes Node's own handles over (handover/node, cluster) or needs
// libuv (engine/nested-loop, socket/handles), tests that start Node by themselves, and the long one of workers.
// programs/runtimes tries how ferronet is loaded and how processes and workers end.
const core = [
  '__test__/{address,connect,errors,events,legacy,module,relay,server}/*.test.mjs',
  '__test__/engine/drivers.test.mjs',
  '__test__/handover/threads.test.mjs',
  '__test__/interop/streams.test.mjs',
  '__test__/process/{active-handles,exit,workers}.test.mjs',
  '__test__/socket/!(handles).test.mjs',
  '__test__/programs/{examples,runtimes}.test.mjs',
  '__test__/robustness/{exit,handlers,peers,tricks}.test.mjs',
  '__test__/tls/{client,server}.test.mjs',
]

/**
 * Runs the tests in a runtime: `packages` names npm's by platform and architecture, `binary` is the program in them,
 * `tried` the version to fetch unless the command line says otherwise.
 */
export async function leg(name, { packages, binary, tried }) {
  const { values, positionals: files } = parseArgs({
    allowPositionals: true,
    options: { version: { type: 'string', default: tried }, runtime: { type: 'string' } },
  })
  const host = `${process.platform}-${process.arch}`
  if (!values.runtime && !packages[host])
    stop(`npm has no ${name} for ${host}; --runtime takes the path of one`)
  if (!existsSync(join(root, 'dist/index.js'))) stop('ferronet is not built: npm run build')
  const program = values.runtime ?? fetched(name, packages[host], values.version, binary)
  const { stdout, error } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  if (error) stop(`${program} does not run: ${error.message}`)
  console.log(`> ${name} ${stdout.trim().split('\n')[0]}, ${program}`)
  const { passed, failed, lacking } = await test(program, files.length > 0 ? files : core)
  console.log('')
  for (const line of lacking) console.log(line)
  console.log(`\n${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}

function stop(message) {
  console.error(message)
  process.exit(1)
}

function fetched(name, packageName, version, binary) {
  const place = join(cache, `${name}-${version}`)
  const program = join(place, binary)
  if (existsSync(program)) return program
  console.log(`> fetching ${packageName}@${version} …`)
  mkdirSync(cache, { recursive: true })
  // Unpacked beside its place and then moved there, so that an interrupted fetch does not look like a runtime.
  const scratch = mkdtempSync(join(cache, 'fetch-'))
  try {
    run('npm', ['pack', `${packageName}@${version}`, '--silent', '--pack-destination', scratch])
    const [archive] = readdirSync(scratch)
    run('tar', ['-xzf', join(scratch, archive), '-C', scratch])
    rmSync(place, { recursive: true, force: true })
    renameSync(join(scratch, 'package'), place)
    if (process.platform !== 'win32') run('chmod', ['+x', program])
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  return program
}

function run(command, args) {
  const shell = process.platform === 'win32'
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], shell })
  if (error) stop(`${command}: ${error.message}`)
  if (status !== 0) stop(`${command} ${args[0]} failed`)
}

async function test(program, files) {
  const args = ['node_modules/ava/entrypoints/cli.mjs', '--tap', ...files]
  const { NODE_OPTIONS, FERRONET_DRIVER, ...env } = process.env
  const child = spawn(node(REFERENCE), args, {
    cwd: root,
    env: {
      FERRONET_TEST_TIMEOUT: TIMEOUT,
      DENO_DIR: join(cache, 'deno-dir'),
      DENO_NO_UPDATE_CHECK: '1',
      ...env,
      FERRONET_TEST_HOST: program,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', chunk => {
    text += chunk
    process.stdout.write(chunk)
  })
  const code = await new Promise(resolve => child.on('close', resolve))
  const lacking = [...text.matchAll(/lacking: .*$/gm)].map(([line]) => line)
  // Counted line by line, because a run that ava gives up has no sum.
  const count = result => text.match(new RegExp(`^${result} \\d+ (?!.*# SKIP)`, 'gm'))?.length ?? 0
  const failed = count('not ok') || (code === 0 ? 0 : 1)
  return { passed: count('ok') - lacking.length, failed, lacking }
}
