// `npm run test:pack`: the packages as they would be published. Packs ferronet and the binary of this platform, checks
// what is in them, installs them from a registry of its own into empty projects, without Rust on the PATH, and runs them
// there. The last line is `N passed, N failed`.
//
//   node scripts/pack.mjs                     with the binary in native/
//   node scripts/pack.mjs --artifact FILE     with this binary
//   node scripts/pack.mjs --tarballs DIR      what is in there already (release.mjs puts it there)
//   node scripts/pack.mjs --managers          also with pnpm and Yarn, which npm fetches
//   node scripts/pack.mjs --bundlers          also the recipes of docs/bundlers.md for webpack and Vite, fetched too
//   node scripts/pack.mjs --out DIR           keeps the tarballs there

import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import * as attw from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { bundlers } from './pack/bundlers.mjs'
import { chatRoom } from './pack/chat.mjs'
import { managers } from './pack/managers.mjs'
import { registry } from './pack/registry.mjs'
import { check, environment, project, results, run, runNpm, smoke } from './pack/tools.mjs'
import {
  binaryOf,
  files,
  here,
  manifest,
  packageOf,
  packed,
  platforms,
  readJson,
  relativeLinks,
  root,
  stage,
} from './packages.mjs'

const { values } = parseArgs({
  options: {
    artifact: { type: 'string' },
    tarballs: { type: 'string' },
    managers: { type: 'boolean' },
    bundlers: { type: 'boolean' },
    out: { type: 'string' },
  },
})

const platform = here()
const work = mkdtempSync(join(tmpdir(), 'ferronet-pack-'))
const env = environment(work)
const tarballs = values.tarballs
  ? resolve(values.tarballs)
  : values.out
    ? resolve(values.out)
    : join(work, 'tarballs')

let server
try {
  if (!values.tarballs) await makeTarballs()
  const ours = packed(tarballs, manifest.name)
  const binaries = platforms.map(platform => ({ platform, ...packed(tarballs, packageOf(platform)) }))
  await contents(ours, binaries)

  server = await registry([
    ours,
    // Of the other platforms the manifest will do: no package manager may want more of them here.
    ...binaries.map(each => ({
      manifest: each.manifest ?? JSON.parse(files(each.platform)['package.json']),
      tarball: each.platform === platform ? each.tarball : undefined,
    })),
  ])
  await installed()
  if (values.managers) await managers({ work, env, server, expected: [manifest.name, packageOf(platform)] })
  if (values.bundlers) await bundlers({ work, env, server })
} catch (error) {
  console.error(error)
  results.failed++
} finally {
  server?.close()
  rmSync(work, { recursive: true, force: true })
}
console.log(`\n${results.passed} passed, ${results.failed} failed`)
process.exitCode = results.failed ? 1 : 0

async function makeTarballs() {
  const artifact = resolve(values.artifact ?? join(root, 'native', binaryOf(platform)))
  if (!existsSync(artifact)) throw new Error(`there is no ${artifact}: npm run build makes it`)
  stage(join(work, 'stage'), new Map([[platform, artifact]]))
  mkdirSync(tarballs, { recursive: true })
  // npm keeps what it packs, and would not ask the registry for it afterwards.
  const apart = { ...env, npm_config_cache: join(work, 'cache-of-pack') }
  for (const directory of ['ferronet', join('npm', platform.name)]) {
    await runNpm(['pack', '--pack-destination', tarballs], {
      cwd: join(work, 'stage', directory),
      env: apart,
    })
  }
}

// --- what is in them ----------------------------------------------------------------------------------------------

async function contents(ours, binaries) {
  console.log('\n> the packages')
  const list = await listed(ours.tarball)
  size(ours, list)

  await check('ferronet holds compiled JavaScript, its types and four documents, and nothing else', () => {
    const allowed =
      /^(dist\/.*\.(js|d\.ts)|native\/binding\.d\.cts|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/
    assert.deepEqual(
      list.map(({ path }) => path).filter(path => !allowed.test(path)),
      [],
    )
    for (const document of ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE']) {
      assert.ok(
        list.some(({ path }) => path === document),
        document,
      )
    }
  })
  await check('nothing in dist/ is left over from a source that is gone', () => {
    const sources = list.map(({ path }) => /^dist\/(.*)\.js$/.exec(path)?.[1]).filter(Boolean)
    assert.deepEqual(
      sources.filter(source => !existsSync(join(root, `${source}.ts`))),
      [],
    )
  })
  await check('every file that the manifest names is there', () => {
    const { main, types, exports, imports } = ours.manifest
    const named = JSON.stringify([main, types, exports, imports]).match(/\.\/[^"]+\.\w+(?=")/g)
    assert.ok(named.length > 8)
    const there = new Set(list.map(({ path }) => `./${path}`))
    assert.deepEqual(
      named.filter(file => !there.has(file)),
      [],
    )
  })
  await check('ferronet depends on the binaries, optionally, in its own version, and on nothing else', () => {
    const { dependencies, peerDependencies, scripts, optionalDependencies, version } = ours.manifest
    assert.deepEqual([dependencies, peerDependencies, scripts], [undefined, undefined, undefined])
    const built = values.tarballs ? binaries.filter(({ tarball }) => tarball) : binaries
    assert.deepEqual(
      optionalDependencies,
      Object.fromEntries(built.map(({ platform }) => [packageOf(platform), version])),
    )
  })
  await check('its documents have no link that leads out of the package', async () => {
    for (const file of ['README.md', 'CHANGELOG.md']) {
      assert.deepEqual(relativeLinks(await content(ours.tarball, file)), [], file)
    }
  })

  await lint(ours)
  await check('its types are right for everybody who can load it', async () => {
    const data = attw.createPackageFromTarballData(new Uint8Array(readFileSync(ours.tarball)))
    const { types, problems } = await attw.checkPackage(data)
    assert.equal(types.kind, 'included')
    // `node10` is the resolution of a Node that has no `exports`: older than any that ferronet runs on.
    assert.deepEqual(
      problems.filter(problem => problem.resolutionKind !== 'node10'),
      [],
    )
  })

  for (const each of binaries.filter(({ tarball }) => tarball)) {
    const list = await listed(each.tarball)
    size(each, list)
    await check(`${each.manifest.name} holds the binary and what says so`, () => {
      assert.deepEqual(list.map(({ path }) => path).sort(), [
        'LICENSE',
        'README.md',
        binaryOf(each.platform),
        'package.json',
      ])
      assert.deepEqual(each.manifest, JSON.parse(files(each.platform)['package.json']))
    })
    await lint(each)
  }
}

async function lint({ manifest, tarball }) {
  await check(`publint has nothing to say about ${manifest.name}`, async () => {
    const pack = { tarball: new Uint8Array(readFileSync(tarball)).buffer }
    const { messages, pkg } = await publint({ pack, strict: true })
    assert.deepEqual(
      messages.map(message => formatMessage(message, pkg, { color: false })),
      [],
    )
  })
}

function size({ manifest, tarball }, list) {
  const kilobytes = bytes => `${(bytes / 1000).toFixed(0)} kB`
  const unpacked = list.reduce((sum, { bytes }) => sum + bytes, 0)
  const packed = readFileSync(tarball).length
  console.log(
    `  ${manifest.name} ${manifest.version}: ${list.length} files, ${kilobytes(packed)}, unpacked ${kilobytes(unpacked)}`,
  )
}

async function listed(tarball) {
  const to = join(work, 'list')
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to)
  await run('tar', ['-xzf', tarball, '-C', to])
  return readdirSync(join(to, 'package'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => {
      const path = join(entry.parentPath, entry.name)
      return {
        path: path.slice(join(to, 'package').length + 1).replaceAll('\\', '/'),
        bytes: readFileSync(path).length,
      }
    })
}

async function content(tarball, file) {
  return (await run('tar', ['-xzOf', tarball, `package/${file}`])).stdout
}

// --- as users get them --------------------------------------------------------------------------------------------

async function installed() {
  const fetches = [packageOf(platform), manifest.name].sort()
  const npmrc = `registry=${server.url}\n`

  console.log('\n> npm, without Rust')
  await check('there is no Rust on the PATH', async () => {
    await assert.rejects(run('cargo', ['--version'], { env }), { code: 'ENOENT' })
  })
  const directory = project(work, 'with-npm', { files: { '.npmrc': npmrc } })
  await check('npm install fetches ferronet and the binary of this platform, and no other', async () => {
    await runNpm(['install', 'ferronet'], { cwd: directory, env })
    assert.deepEqual(server.fetched(), fetches)
    assert.deepEqual(readdirSync(join(directory, 'node_modules/@ferronet')), [`binding-${platform.name}`])
  })
  await smoke('npm', process.execPath, ['smoke.cjs'], { cwd: directory, env })
  await check('the chat room runs', async () => {
    cpSync(join(root, 'examples'), join(directory, 'examples'), { recursive: true })
    await chatRoom(directory, env)
  })
  await check('the lock file is good for every platform, and npm ci takes it', async () => {
    const { packages } = readJson(join(directory, 'package-lock.json'))
    const { optionalDependencies } = packed(tarballs, manifest.name).manifest
    for (const name of Object.keys(optionalDependencies)) assert.ok(packages[`node_modules/${name}`], name)
    await runNpm(['ci'], { cwd: directory, env })
    await run(process.execPath, ['-e', 'require("ferronet")'], { cwd: directory, env })
  })
  await check(
    'without optional dependencies the error names the package, and installing that helps',
    async () => {
      const directory = project(work, 'without-optional', { files: { '.npmrc': npmrc } })
      await runNpm(['install', 'ferronet', '--omit=optional'], { cwd: directory, env })
      const failed = await run(process.execPath, ['-e', 'require("ferronet")'], {
        cwd: directory,
        env,
        code: 1,
      })
      assert.match(failed.stderr, /ERR_FERRONET_ADDON/)
      const [, command] = /^By itself: npm (.*)$/m.exec(failed.stderr)
      await runNpm(command.split(' '), { cwd: directory, env })
      await run(process.execPath, ['-e', 'require("ferronet")'], { cwd: directory, env })
      server.fetched()
    },
  )
}
