// Programs bundled by esbuild, by the recipes of docs/bundlers.md. webpack's and Vite's are run by
// scripts/pack.mjs --bundlers.

import { execFileSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { app, recipes } from '../../scripts/pack/recipes.mjs'
import { binaryOf, files, here, packageOf, root } from '../../scripts/packages.mjs'

const platform = here()

/** A project with ferronet as npm installs it, and what is to be bundled. */
function project(t) {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'ferronet-bundle-')))
  t.teardown(() => rmSync(base, { recursive: true, force: true }))
  const modules = join(base, 'project', 'node_modules')
  cpSync(join(root, 'dist'), join(modules, 'ferronet', 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(modules, 'ferronet', 'package.json'))
  const addon = join(modules, packageOf(platform))
  mkdirSync(addon, { recursive: true })
  writeFileSync(join(addon, 'package.json'), files(platform)['package.json'])
  cpSync(join(root, 'native', binaryOf(platform)), join(addon, binaryOf(platform)))
  writeFileSync(join(base, 'project', 'app.mjs'), app)
  return base
}

/** Runs a recipe, and the bundle from another directory: with `node_modules` beside it, or without. */
function bundled(t, name, { modules }) {
  const base = project(t)
  const directory = join(base, 'project')
  // The recipe takes esbuild from where it is installed.
  const recipe = recipes()[name].replace("'esbuild'", JSON.stringify(import.meta.resolve('esbuild')))
  writeFileSync(join(directory, name), recipe)
  execFileSync(process.execPath, [name], { cwd: directory, stdio: 'pipe' })
  const out = join(base, 'elsewhere')
  cpSync(join(directory, 'out'), out, { recursive: true })
  if (modules) cpSync(join(directory, 'node_modules'), join(out, 'node_modules'), { recursive: true })
  rmSync(directory, { recursive: true })
  const made = readdirSync(out).filter(file => file !== 'node_modules')
  const program = made.find(file => /^app\.[cm]js$/.test(file))
  t.is(execFileSync(process.execPath, [program], { cwd: out, encoding: 'utf8' }), 'hello\n')
  return { made, text: readFileSync(join(out, program), 'utf8') }
}

test('esbuild: ferronet left out of the bundle', t => {
  const { made } = bundled(t, 'esbuild-external.mjs', { modules: true })
  t.deepEqual(made, ['app.mjs'])
})

for (const name of ['esbuild-bundled.mjs', 'esbuild-bundled-esm.mjs']) {
  test(`esbuild: ferronet in the bundle, the addon beside it: ${name}`, t => {
    const { made, text } = bundled(t, name, { modules: false })
    t.is(made.length, 2)
    t.regex(
      made.find(file => file.endsWith('.node')),
      /^ferronet\./,
    )
    t.false(/require\(["']ferronet["']\)|from ["']ferronet["']/.test(text))
  })
}

test('every recipe for esbuild has its test', t => {
  const names = Object.keys(recipes()).filter(name => name.startsWith('esbuild'))
  t.deepEqual(names, ['esbuild-external.mjs', 'esbuild-bundled.mjs', 'esbuild-bundled-esm.mjs'])
})
