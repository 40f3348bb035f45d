// Loads the addon: the binary built in this directory, or the one that npm installed as an optional dependency, one
// package for each platform. If there is none, or not the right one, a single error says what is wrong and what to do.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'

import type * as binding from '#binding'
import { glibcVersion, oldestGlibc, platform, published } from './platform.js'

const { version, homepage } = require('../../../package.json') as { version: string; homepage: string }

const reinstall =
  'Install again: remove node_modules, and package-lock.json if it was made on another platform, then run npm install.'
const inSnapshot = [
  'A startup snapshot cannot hold an addon. Load ferronet when the snapshot is started: in the function that you give to ' +
    'v8.startupSnapshot.setDeserializeMainFunction().',
]
const unbuilt = ['In this clone of ferronet there is no build for this platform: npm run build']

export const { open } = load()

function load(): typeof binding {
  const name = platform()
  // Node would take it, and abort when it writes the snapshot.
  if (isBuildingSnapshot()) throw failure(name, inSnapshot)
  const file = chosen() ?? built(name)
  const found = file === undefined ? installed(name) : read(file, name)
  if (found.VERSION !== version) throw failure(name, otherVersion(found, file, name))
  return found
}

/** For programs whose addon is not where the loader would look for it, as in a bundle or a single executable. */
function chosen(): string | undefined {
  const file = process.env.FERRONET_ADDON
  return file ? resolve(file) : undefined
}

/** The binary that `npm run build` makes. The package on npm has none there. */
function built(name: string): string | undefined {
  const file = join(__dirname, '../../../native', `ferronet.${name}.node`)
  return existsSync(file) ? file : undefined
}

function read(file: string, name: string): typeof binding {
  try {
    return createRequire(file)(file)
  } catch (error) {
    throw failure(name, broken(error, file), error)
  }
}

// The names are spelled out for bundlers, which look for `require` with a literal. Within `try` it does not trouble them
// that they find one of eight.
function installed(name: string): typeof binding {
  try {
    switch (name) {
      case 'linux-x64-gnu':
        return require('@ferronet/binding-linux-x64-gnu')
      case 'linux-x64-musl':
        return require('@ferronet/binding-linux-x64-musl')
      case 'linux-arm64-gnu':
        return require('@ferronet/binding-linux-arm64-gnu')
      case 'linux-arm64-musl':
        return require('@ferronet/binding-linux-arm64-musl')
      case 'darwin-x64':
        return require('@ferronet/binding-darwin-x64')
      case 'darwin-arm64':
        return require('@ferronet/binding-darwin-arm64')
      case 'win32-x64-msvc':
        return require('@ferronet/binding-win32-x64-msvc')
      case 'win32-arm64-msvc':
        return require('@ferronet/binding-win32-arm64-msvc')
    }
  } catch (error) {
    if (isInstalled(name)) throw failure(name, broken(error, packageOf(name)), error)
    throw failure(name, missing(name), error)
  }
  throw failure(name, unsupported())
}

// --- what is wrong ------------------------------------------------------------------------------------------------

function missing(name: string): string[] {
  if (isClone()) return unbuilt
  const lines = [`The binary for this platform, ${packageOf(name)} ${version}, is not installed.`]
  const others = Object.keys(published).filter(isInstalled)
  if (others.length > 0) {
    lines.push(
      `${others.map(packageOf).join(' and ')} ${others.length > 1 ? 'are' : 'is'}: node_modules was installed on ` +
        'another platform, or by a Node for another architecture (on a Mac, one under Rosetta).',
      reinstall,
    )
  } else {
    lines.push('It is an optional dependency of ferronet: install without --omit=optional or --no-optional.')
  }
  lines.push(`By itself: npm install ${packageOf(name)}@${version}`)
  return lines
}

function unsupported(): string[] {
  if (isClone()) return unbuilt
  return [
    `There is no binary for this platform. There are some for ${Object.values(published).join(', ')}.`,
    `How to build it from source, which takes Rust: ${homepage}`,
  ]
}

function broken(error: unknown, where: string): string[] {
  const reason = error instanceof Error ? error.message : String(error)
  if (/loading addons is disabled/.test(reason)) {
    return ['Addons are disabled: --permission needs --allow-addons, and --no-addons rules ferronet out.']
  }
  const lines = [`${where} does not load: ${reason}`]
  if (/version [`'"]?GLIBC_/.test(reason)) {
    lines.push(
      `The binary needs glibc ${oldestGlibc} or newer; this system has ${glibcVersion() ?? 'another'}.`,
      `Use a newer system, or build from source: ${homepage}`,
    )
  } else if (process.env.FERRONET_ADDON) {
    lines.push('FERRONET_ADDON names this file.')
  } else if (isClone()) {
    lines.push('Build it again: npm run build')
  } else {
    lines.push(`It must be the binary for ${spelled(platform())}. ${reinstall}`)
  }
  return lines
}

function otherVersion(found: { VERSION?: unknown }, file: string | undefined, name: string): string[] {
  const its = typeof found.VERSION === 'string' ? found.VERSION : 'of a version that it does not tell'
  const lines = [
    `This is ferronet ${version}, but ${file ?? packageOf(name)} is ${its}. They must be the same version.`,
  ]
  if (process.env.FERRONET_ADDON) lines.push('FERRONET_ADDON names this file.')
  else if (file !== undefined) lines.push('Build it again: npm run build')
  else lines.push(`Install both: npm install ferronet@${version} ${packageOf(name)}@${version}`)
  return lines
}

function failure(name: string, lines: string[], cause?: unknown): Error {
  const text = [
    `ferronet cannot load its native addon on ${spelled(name)}, Node ${process.version}.`,
    ...lines,
  ]
  if (Symbol.for('ferronet.registered') in globalThis)
    text.push('With FERRONET_REGISTER=0 this program runs on node:net.')
  const error = new Error(text.join('\n'), cause === undefined ? {} : { cause })
  return Object.assign(error, { code: 'ERR_FERRONET_ADDON' })
}

function packageOf(name: string): string {
  return `@ferronet/binding-${name}`
}

/** The platform as users know it, also one without a binary. */
function spelled(name: string): string {
  return published[name] ?? name.replace('-gnu', '-glibc').replace('-msvc', '')
}

function isInstalled(name: string): boolean {
  try {
    createRequire(__filename).resolve(`${packageOf(name)}/package.json`)
    return true
  } catch {
    return false
  }
}

function isClone(): boolean {
  return existsSync(join(__dirname, '../../../Cargo.toml'))
}

/** Of its own, or for a single executable. */
function isBuildingSnapshot(): boolean {
  // To ask v8 takes longer than to look whether there is a reason to.
  if (!process.execArgv.some(flag => /^--(build-snapshot|build-sea|experimental-sea-config)/.test(flag)))
    return false
  const { startupSnapshot }: typeof import('node:v8') = require('node:v8')
  return Boolean(startupSnapshot.isBuildingSnapshot())
}
