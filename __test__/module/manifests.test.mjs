// The manifests: nine packages that must tell the same.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import {
  drift,
  files,
  manifest,
  packageOf,
  platforms,
  relativeLinks,
  root,
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

test('one version everywhere', t => {
  const lock = JSON.parse(read('package-lock.json'))
  const [, crates] = /^\[workspace\.package\]\nversion = "(.*)"$/m.exec(read('Cargo.toml'))
  t.deepEqual(
    { lock: lock.version, root: lock.packages[''].version, crates },
    { lock: manifest.version, root: manifest.version, crates: manifest.version },
  )
  t.regex(read('CHANGELOG.md'), new RegExp(`^## ${manifest.version.replaceAll('.', '\\.')}\\b`, 'm'))
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
