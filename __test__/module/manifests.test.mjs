// The manifests: nine packages that must tell the same.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { whatIsWrongWith } from '../../scripts/pack/binary.mjs'
import {
  drift,
  files,
  manifest,
  packageOf,
  platforms,
  relativeLinks,
  root,
  versions,
  withAbsoluteLinks,
} from '../../scripts/packages.mjs'

const read = path => readFileSync(join(root, path), 'utf8')

test('npm/ is what package.json asks for; node scripts/packages.mjs writes it', t => {
  t.deepEqual(drift(), [])
  t.is(readdirSync(join(root, 'npm')).length, platforms.length)
})

test('a package says for which machines it is', t => {
  const of = name => JSON.parse(files(platforms.find(platform => platform.name === name))['package.json'])
  t.like(of('linux-arm64-musl'), {
    name: '@ferronet/binding-linux-arm64-musl',
    version: manifest.version,
    os: ['linux'],
    cpu: ['arm64'],
    libc: ['musl'],
    main: 'ferronet.linux-arm64-musl.node',
    files: ['ferronet.linux-arm64-musl.node'],
    engines: manifest.engines,
    publishConfig: { access: 'public', provenance: true },
  })
  t.deepEqual(of('linux-x64-gnu').libc, ['glibc'])
  t.is(of('darwin-arm64').libc, undefined)
  t.like(of('win32-arm64-msvc'), { os: ['win32'], cpu: ['arm64'] })
})

test('one version everywhere, and an entry for it in the changelog', t => {
  t.deepEqual(versions(), [])
})

test('the loader knows every platform that has a package', t => {
  const source = read('lib/engine/addon.ts')
  t.deepEqual(
    [...source.matchAll(/require\('(@ferronet\/[^']+)'\)/g)].map(([, name]) => name).sort(),
    platforms.map(packageOf).sort(),
  )
})

test('the repository itself depends on none of them: npm ci must work before they are published', t => {
  t.is(manifest.optionalDependencies, undefined)
})

test('links are made absolute for the page on npm, and lead to files that there are', t => {
  const tag = `https://github.com/ferronet/ferronet/blob/v${manifest.version}`
  t.is(
    withAbsoluteLinks('see [api](docs/api.md#a) and [b](#b)'),
    `see [api](${tag}/docs/api.md#a) and [b](#b)`,
  )
  t.regex(
    withAbsoluteLinks('![plot](a.svg)'),
    /^!\[plot\]\(https:\/\/raw\.githubusercontent\.com\/.*\/a\.svg\)$/,
  )
  t.is(withAbsoluteLinks('[![x](x.svg)](y.md)').match(/https:/g).length, 2)
  t.is(withAbsoluteLinks('[a](https://a.example/b)'), '[a](https://a.example/b)')
  for (const file of ['README.md', 'CHANGELOG.md']) {
    for (const target of relativeLinks(read(file))) t.notThrows(() => read(target.split('#')[0]), target)
    t.deepEqual(relativeLinks(withAbsoluteLinks(read(file))), [])
  }
})

test('a binary of another platform, libc or version is not published', t => {
  const scratch = mkdtempSync(join(tmpdir(), 'ferronet-binary-'))
  t.teardown(() => rmSync(scratch, { recursive: true, force: true }))
  const about = (name, header, text) => {
    const file = join(scratch, 'file.node')
    writeFileSync(file, Buffer.concat([header, Buffer.alloc(200), Buffer.from(text)]))
    return whatIsWrongWith(
      file,
      platforms.find(platform => platform.name === name),
      '1.2.3',
    )
  }
  const elf = machine => Buffer.from([0x7f, 0x45, 0x4c, 0x46, ...Array(14).fill(0), machine, 0])
  const macho = Buffer.from([0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1])
  const good = 'napi_register_module_v1 1.2.3'

  t.deepEqual(about('linux-x64-gnu', elf(62), `${good} GLIBC_2.17 GLIBC_2.28`), [])
  t.deepEqual(about('linux-arm64-musl', elf(183), good), [])
  t.deepEqual(about('darwin-arm64', macho, good), [])
  t.deepEqual(about('linux-arm64-gnu', elf(62), `${good} GLIBC_2.28`), [
    'is a binary for linux x64, not for linux arm64',
  ])
  t.deepEqual(about('win32-x64-msvc', macho, good), ['is a binary for darwin arm64, not for win32 x64'])
  t.deepEqual(about('darwin-x64', Buffer.from('<html>'), good), [
    'is a binary for no platform that we know, not for darwin x64',
  ])
  t.deepEqual(about('linux-x64-gnu', elf(62), `${good} GLIBC_2.17 GLIBC_2.34`), [
    'needs glibc 2.34, newer than 2.28',
  ])
  t.deepEqual(about('linux-x64-musl', elf(62), `${good} GLIBC_2.17`), ['is linked with glibc, not with musl'])
  t.deepEqual(about('linux-x64-gnu', elf(62), good), ['is linked with musl, not with glibc'])
  t.deepEqual(about('darwin-arm64', macho, 'napi_register_module_v1 1.2.4'), ['is not of version 1.2.3'])
  t.deepEqual(about('darwin-arm64', macho, '1.2.3'), ['is no addon'])
})
