// What the legs of Linux share: what a binary may ask of a system, and the tests that run on each.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { byVersion, highest, inspect } from './binary.mjs'
import { GLIBC, root } from './tools.mjs'

const C_LIBRARIES = {
  gnu: ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0', /^ld-linux-.*\.so\.[12]$/],
  musl: ['libc.so'],
}

/** Checks that an addon needs nothing but the system's C library, in a version that is old enough. */
export async function library(t, addon, platform) {
  const [, arch, libc] = platform.split('-')
  const found = inspect(addon)
  const expect = (title, ok) =>
    t.check(title, () => {
      if (!ok) throw new Error(JSON.stringify(found))
    })
  await expect(`it is a library for ${arch}`, found.format === 'elf' && found.arch === arch)
  const allowed = name => C_LIBRARIES[libc].some(known => (known.test ? known.test(name) : known === name))
  await expect(
    `it needs ${found.needed.join(', ')} only`,
    found.needed.length > 0 && found.needed.every(allowed),
  )
  await expect(
    'it exports what Node looks for and nothing else',
    `${found.exports}` === 'napi_register_module_v1',
  )
  if (libc === 'gnu') {
    const glibc = highest(found.versions)
    await expect(`it asks for glibc ${glibc}, ${GLIBC} at most`, glibc && byVersion(glibc, GLIBC) <= 0)
  } else {
    await expect('it asks for no version of glibc', found.versions.length === 0)
  }
}

/** The command line of a leg: which test files, unless those of the leg, and its other `options`. */
export function asked(options = {}) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options })
  return { ...values, files: positionals.length > 0 ? positionals : undefined }
}

/**
 * The tests of the engine, sockets, servers, their events and relays; those of clients, frameworks and programs are left
 * to `npm test`.
 */
export function core() {
  return ['address', 'connect', 'engine', 'errors', 'events', 'handover', 'relay', 'server', 'socket']
    .flatMap(subject =>
      readdirSync(join(root, '__test__', subject)).map(file => `__test__/${subject}/${file}`),
    )
    .filter(file => file.endsWith('.test.mjs') && existsSync(join(root, file)))
    .filter(file => !ONLY_AT_HOME.includes(file))
}

/** A part of them, for where each process takes seconds to start. */
export function some() {
  return [
    'address/unix',
    'connect/connect',
    'engine/drivers',
    'errors/codes',
    'relay/pipe',
    'relay/relay',
    'server/listen',
    'socket/destroy',
    'socket/half-close',
    'socket/send-file',
    'socket/write',
  ].map(name => `__test__/${name}.test.mjs`)
}

/** These compile an addon of their own or compare the project's sources, and the other systems have neither at hand. */
const ONLY_AT_HOME = ['engine/nested-loop', 'engine/protocol', 'socket/chunks'].map(
  name => `__test__/${name}.test.mjs`,
)
