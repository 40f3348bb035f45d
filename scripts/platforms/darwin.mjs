// The binary for one architecture of macOS: type-checked, linked here by zig (or on a Mac by its own linker), and checked
// for what it asks of a system. Only a Mac can run it.
//
//   node scripts/platforms/darwin-x64.mjs

import { byVersion, inspect } from './binary.mjs'
import { build, leg, MACOS } from './tools.mjs'

export const darwin = platform =>
  leg(platform, async t => {
    const [, arch] = platform.split('-')
    const addon = build(platform)
    t.size(platform, addon)
    const found = inspect(addon)
    const expect = (title, ok) =>
      t.check(title, () => {
        if (!ok) throw new Error(JSON.stringify(found, null, 1))
      })
    await expect(
      `it is a dynamic library for ${arch}`,
      found.format === 'mach-o' && found.kind === 'dylib' && found.arch === arch,
    )
    await expect(
      `it needs ${found.needed.join(', ')} only`,
      found.needed.every(name => name === '/usr/lib/libSystem.B.dylib'),
    )
    // zig ignores the list of exports and leaves a few symbols of the standard library visible. Nothing looks for them.
    await expect('it exports what Node looks for', found.exports.includes('napi_register_module_v1'))
    await expect(
      `it runs on macOS ${found.minimum}, ${MACOS} at most`,
      found.minimum && byVersion(found.minimum, MACOS) <= 0,
    )
    // On arm64 the system loads no code without a signature, and an ad-hoc one is enough.
    if (arch === 'arm64') await expect('it is signed', found.signed)
    await expect(
      `it leaves Node-API and nothing else to its host (${found.fromHost.length} functions)`,
      found.fromHost.every(name => name.startsWith('napi_')),
    )
  })
