// What ferronet is on npm: the package `ferronet`, and one with the binary for each platform of `napi.targets`. Writes
// their manifests from package.json, so that nobody has to keep nine files in step:
//
//   node scripts/packages.mjs            writes npm/
//   node scripts/packages.mjs --check    says what is out of step, exit code 1
//
// pack.mjs and release.mjs take the rest: a copy of the files as they are published.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
export const manifest = readJson(join(root, 'package.json'))
const { binaryName, packageName, targets } = manifest.napi

/** @typedef {{ target: string, name: string, os: string, cpu: string, libc?: 'glibc' | 'musl' }} Platform */

/** @type {Platform[]} */
export const platforms = targets.map(target => {
  const [machine, , system, abi] = target.split('-')
  const cpu = { x86_64: 'x64', aarch64: 'arm64' }[machine]
  const os = { linux: 'linux', darwin: 'darwin', windows: 'win32' }[system]
  if (!cpu || !os) throw new Error(`scripts/packages.mjs knows no platform for the target ${target}`)
  const libc = { gnu: 'glibc', musl: 'musl' }[abi]
  return { target, name: [os, cpu, abi].filter(Boolean).join('-'), os, cpu, ...(os === 'linux' && { libc }) }
})

export const binaryOf = platform => `${binaryName}.${platform.name}.node`
export const packageOf = platform => `${packageName}-${platform.name}`

/** The platform of this process. */
export function here() {
  const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime
  const found = platforms.find(
    ({ os, cpu, libc }) =>
      os === process.platform && cpu === process.arch && (libc === undefined || (libc === 'musl') === musl),
  )
  if (!found) throw new Error(`there is no package for ${process.platform} ${process.arch}`)
  return found
}

// --- npm/ ---------------------------------------------------------------------------------------------------------

const systems = {
  linux: ({ libc }) => `Linux (${libc === 'glibc' ? 'glibc 2.28 or newer' : libc})`,
  darwin: () => 'macOS',
  win32: () => 'Windows',
}

/** The files of npm/<platform>, without the binary. */
export function files(platform) {
  const { version, license, author, homepage, repository, bugs, engines, publishConfig, preferUnplugged } =
    manifest
  const where = `${systems[platform.os](platform)} on ${platform.cpu}`
  const own = {
    name: packageOf(platform),
    version,
    description: `The native addon of ferronet for ${where}`,
    license,
    author,
    homepage,
    repository: { ...repository, directory: `npm/${platform.name}` },
    bugs,
    engines,
    os: [platform.os],
    cpu: [platform.cpu],
    ...(platform.libc && { libc: [platform.libc] }),
    type: 'commonjs',
    main: binaryOf(platform),
    files: [binaryOf(platform)],
    publishConfig,
    preferUnplugged,
  }
  const readme = `# ${packageOf(platform)}

The native addon of [ferronet](${homepage}) for ${where}. It comes with \`npm install ferronet\` on such a machine; there is no need to install it by itself.
`
  return { 'package.json': text(own), 'README.md': readme }
}

/** What is out of step in npm/. */
export function drift() {
  const wrong = []
  for (const platform of platforms) {
    for (const [file, content] of Object.entries(files(platform))) {
      const path = join('npm', platform.name, file)
      if (!existsSync(join(root, path))) wrong.push(`${path} is missing`)
      else if (readFileSync(join(root, path), 'utf8') !== content)
        wrong.push(`${path} differs from package.json`)
    }
  }
  for (const name of readdirSync(join(root, 'npm'))) {
    if (!platforms.some(platform => platform.name === name)) wrong.push(`npm/${name} is of no target`)
  }
  return wrong
}

/** Where the version is another than in package.json. */
export function versions() {
  const { version } = manifest
  const read = path => readFileSync(join(root, path), 'utf8')
  const lock = JSON.parse(read('package-lock.json'))
  const cargo = /^\[workspace\.package\]\nversion = "(.*)"$/m.exec(read('Cargo.toml'))?.[1]
  const crates = [
    ...read('Cargo.lock').matchAll(/^name = "(ferronet-(?:core|binding))"\nversion = "(.*)"$/gm),
  ]
  const places = [
    ['package-lock.json', lock.version],
    ['package-lock.json, packages[""]', lock.packages[''].version],
    ['Cargo.toml', cargo],
    ...crates.map(([, name, version]) => [`Cargo.lock, ${name}`, version]),
  ]
  const wrong = places
    .filter(([, its]) => its !== version)
    .map(([where, its]) => `${where} has ${its}, not ${version}`)
  if (crates.length !== 2) wrong.push('Cargo.lock lacks one of our crates')
  const heading = new RegExp(`^## ${version.replaceAll('.', '\\.')}(?![\\w.-])`, 'm')
  if (!heading.test(read('CHANGELOG.md'))) wrong.push(`CHANGELOG.md has no entry for ${version}`)
  return wrong
}

function write() {
  rmSync(join(root, 'npm'), { recursive: true, force: true })
  for (const platform of platforms) {
    for (const [file, content] of Object.entries(files(platform))) {
      put(join(root, 'npm', platform.name, file), content)
    }
  }
}

// --- as published -------------------------------------------------------------------------------------------------

/**
 * Copies what is published into `directory`: the root package as `ferronet`, the binaries' as `npm/<platform>`. The root
 * gets its optional dependencies only here: in the repository they would have `npm ci` look for packages of a version
 * that is not out yet. What is of use in the repository alone stays there.
 *
 * @param {string} directory
 * @param {Map<Platform, string>} binaries  the file for each platform
 */
export function stage(directory, binaries, dependencies = platforms) {
  const to = join(directory, 'ferronet')
  for (const file of [...manifest.files, 'LICENSE'])
    cpSync(join(root, file), join(to, file), { recursive: true })
  for (const file of ['README.md', 'CHANGELOG.md']) {
    writeFileSync(join(to, file), withAbsoluteLinks(readFileSync(join(root, file), 'utf8')))
  }
  const { devDependencies, scripts, ava, allowScripts, napi, ...published } = manifest
  published.optionalDependencies = Object.fromEntries(
    dependencies.map(platform => [packageOf(platform), manifest.version]),
  )
  writeFileSync(join(to, 'package.json'), text(published))

  for (const [platform, binary] of binaries) {
    const to = join(directory, 'npm', platform.name)
    for (const [file, content] of Object.entries(files(platform))) put(join(to, file), content)
    cpSync(join(root, 'LICENSE'), join(to, 'LICENSE'))
    cpSync(binary, join(to, binaryOf(platform)))
  }
}

/**
 * Links relative to the repository lead nowhere on the page of a package. They are made absolute, to the state of this
 * version.
 */
export function withAbsoluteLinks(markdown) {
  const repository = /github\.com\/(.+?)(\.git)?$/.exec(manifest.repository.url)[1]
  const tag = `v${manifest.version}`
  const under = base => (link, before, target) => (isRelative(target) ? `${before}(${base}/${target})` : link)
  return markdown
    .replace(/(!\[[^\]]*\])\(([^)\s]+)\)/g, under(`https://raw.githubusercontent.com/${repository}/${tag}`))
    .replace(/(\])\(([^)\s]+)\)/g, under(`https://github.com/${repository}/blob/${tag}`))
}

/** The targets of links that are relative to the file they are in. */
export function relativeLinks(markdown) {
  return [...markdown.matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)]
    .map(([, target, attribute]) => target ?? attribute)
    .filter(isRelative)
}

function isRelative(target) {
  return !/^(?:[a-z]+:|#)/.test(target)
}

/** The tarball of a package in a directory, and its manifest; nothing if it is not there. */
export function packed(directory, name) {
  const tarball = join(directory, `${name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`)
  if (!existsSync(tarball)) return {}
  const text = execFileSync('tar', ['-xzOf', tarball, 'package/package.json'], { encoding: 'utf8' })
  return { tarball, manifest: JSON.parse(text) }
}

export function integrity(tarball) {
  return `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`
}

export function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'))
}

function text(object) {
  return `${JSON.stringify(object, null, 2)}\n`
}

function put(path, content) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv[2] !== '--check') write()
  const wrong = drift()
  for (const line of wrong) console.error(line)
  if (wrong.length > 0) console.error('node scripts/packages.mjs writes npm/ anew')
  process.exitCode = wrong.length > 0 ? 1 : 0
}
