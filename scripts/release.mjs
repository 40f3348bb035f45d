// Makes the packages of a release out of the binaries that were built for each platform, checks them, and publishes
// them. Without --dry-run only a workflow can run it to the end, because the provenance that npm asks for is its proof.
//
//   node scripts/release.mjs --dry-run                   everything but publishing
//   node scripts/release.mjs --dry-run --allow-missing   with the binaries there are
//   node scripts/release.mjs                             publishes
//
//   --artifacts DIR   where the binaries are, in any folder below it (artifacts/)
//   --out DIR         where the tarballs go (artifacts/tarballs/)

import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { whatIsWrongWith } from './pack/binary.mjs'
import { runNpm } from './pack/tools.mjs'
import {
  binaryOf,
  drift,
  files,
  here,
  manifest,
  packageOf,
  packed,
  platforms,
  readJson,
  root,
  stage,
  versions,
} from './packages.mjs'

/** What is wrong is said without a stack: it is for people to put right. */
class Refusal extends Error {}

const { values } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    'allow-missing': { type: 'boolean', default: false },
    artifacts: { type: 'string', default: join(root, 'artifacts') },
    out: { type: 'string' },
  },
})
const dryRun = values['dry-run']
const artifacts = resolve(values.artifacts)
const out = resolve(values.out ?? join(artifacts, 'tarballs'))
const work = mkdtempSync(join(tmpdir(), 'ferronet-release-'))

try {
  step('the versions')
  demand([...versions(), ...drift()])
  if (!dryRun) demand(notReady())

  step('the binaries')
  const binaries = collect()

  step('napi pre-publish')
  prePublish(binaries)

  step('the tarballs')
  const names = await pack(binaries)

  step('the check of the packages')
  verify(binaries)

  step(dryRun ? 'what would be published' : 'publishing')
  for (const name of names) await publish(name)
} catch (error) {
  console.error(error instanceof Refusal ? error.message : error)
  process.exitCode = 1
} finally {
  rmSync(work, { recursive: true, force: true })
}

/** What may be wrong while one works on it, but not in a release. */
function notReady() {
  const wrong = []
  if (values['allow-missing']) wrong.push('--allow-missing is for rehearsals')
  const changelog = readFileSync(join(root, 'CHANGELOG.md'), 'utf8')
  const [heading] =
    changelog.match(new RegExp(`^## ${manifest.version.replaceAll('.', '\\.')}\\b.*$`, 'm')) ?? []
  if (/not released/.test(heading)) wrong.push(`CHANGELOG.md says "${heading.slice(3)}"`)
  const { stdout } = spawnSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' })
  if (stdout !== '') wrong.push(`there are uncommitted changes:\n${stdout.trimEnd()}`)
  return wrong
}

/** The binary of each platform, by the name that napi gives it. */
function collect() {
  const found = new Map()
  const wrong = []
  const all = existsSync(artifacts) ? readdirSync(artifacts, { recursive: true, withFileTypes: true }) : []
  for (const platform of platforms) {
    const paths = all
      .filter(entry => entry.isFile() && entry.name === binaryOf(platform))
      .map(entry => join(entry.parentPath, entry.name))
    if (paths.length === 0) {
      const missing = `${binaryOf(platform)} is not in ${artifacts}`
      if (values['allow-missing']) console.log(`  missing: ${missing}`)
      else wrong.push(missing)
    } else if (paths.length > 1) {
      wrong.push(`${binaryOf(platform)} is there more than once: ${paths.join(', ')}`)
    } else {
      const reasons = whatIsWrongWith(paths[0], platform, manifest.version)
      wrong.push(...reasons.map(reason => `${paths[0]} ${reason}`))
      if (reasons.length === 0) console.log(`  ${binaryOf(platform)}`)
      found.set(platform, paths[0])
    }
  }
  demand(wrong)
  if (found.size === 0) throw new Refusal(`there is no binary in ${artifacts}`)
  return found
}

// napi has rules of its own about what a package with a binary must look like. It gets a copy to check, and to write the
// optional dependencies into, which must be the ones that we write.
function prePublish(binaries) {
  const copy = join(work, 'napi')
  mkdirSync(copy)
  const targets = [...binaries.keys()].map(({ target }) => target)
  writeFileSync(
    join(copy, 'package.json'),
    JSON.stringify({ ...manifest, napi: { ...manifest.napi, targets } }, null, 2),
  )
  for (const [platform, binary] of binaries) {
    const to = join(copy, 'npm', platform.name)
    mkdirSync(to, { recursive: true })
    for (const [file, content] of Object.entries(files(platform))) writeFileSync(join(to, file), content)
    cpSync(binary, join(to, binaryOf(platform)))
  }
  const napi = [join(root, 'node_modules/@napi-rs/cli/dist/cli.js'), 'pre-publish', '--no-gh-release']
  run(process.execPath, [...napi, '--dry-run'], { cwd: copy })
  run(process.execPath, [...napi, '--skip-optional-publish'], { cwd: copy })
  const { optionalDependencies } = readJson(join(copy, 'package.json'))
  if (!isDeepStrictEqual(optionalDependencies, dependenciesOn([...binaries.keys()]))) {
    throw new Refusal(`napi asks for other optional dependencies: ${JSON.stringify(optionalDependencies)}`)
  }
  console.log(`  goes through for ${targets.length} of ${platforms.length} targets`)
}

function dependenciesOn(platforms) {
  return Object.fromEntries(platforms.map(platform => [packageOf(platform), manifest.version]))
}

/** Packs all packages, and returns their names: the root comes last, when what it depends on is published. */
async function pack(binaries) {
  const staged = join(work, 'stage')
  stage(staged, binaries, [...binaries.keys()])
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const packages = [...binaries.keys()].map(platform => [packageOf(platform), join('npm', platform.name)])
  packages.push([manifest.name, 'ferronet'])
  for (const [, directory] of packages) {
    await runNpm(['pack', '--silent', '--pack-destination', out], { cwd: join(staged, directory) })
  }
  console.log(`  ${packages.length} in ${out}`)
  return packages.map(([name]) => name)
}

function verify(binaries) {
  if (!binaries.has(here())) throw new Refusal(`it needs the binary of this platform, ${binaryOf(here())}`)
  run(process.execPath, [fileURLToPath(new URL('pack.mjs', import.meta.url)), '--tarballs', out], {
    cwd: root,
  })
}

async function publish(name) {
  const { tarball } = packed(out, name)
  const tag = manifest.version.includes('-') ? 'next' : 'latest'
  if (dryRun) {
    console.log(`  ${name}@${manifest.version} (${tag})`)
    return
  }
  // After a run that stopped half-way the next one goes on where it stopped.
  const known = await runNpm(['view', `${name}@${manifest.version}`, 'version']).catch(({ message }) => {
    if (!/E404/.test(message)) throw new Error(message)
    return { stdout: '' }
  })
  if (known.stdout.trim() === manifest.version) {
    console.log(`  ${name}@${manifest.version} is published already`)
    return
  }
  await runNpm(['publish', tarball, '--access', 'public', '--provenance', '--tag', tag])
  console.log(`  ${name}@${manifest.version} published (${tag})`)
}

function step(what) {
  console.log(`\n> ${what}`)
}

function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options })
  if (error) throw error
  if (status !== 0) throw new Refusal(`${args.join(' ')} failed`)
}

function demand(wrong) {
  if (wrong.length > 0) throw new Refusal(wrong.join('\n'))
}
