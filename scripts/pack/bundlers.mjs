// The recipes of docs/bundlers.md for webpack and Vite, with ferronet from the registry on the loopback interface and the
// bundlers from wherever npm fetches packages on this machine. __test__/module/bundle.test.mjs has those for esbuild.

import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { app, recipes } from './recipes.mjs'
import { check, project, run, runNpm } from './tools.mjs'

const tools = ['webpack@5', 'webpack-cli@6', 'node-loader@2', 'vite@7']

export async function bundlers({ work, env, server }) {
  console.log('\n> bundlers')
  const directory = project(work, 'bundlers', { files: recipes() })
  writeFileSync(join(directory, 'app.mjs'), app)
  // The only step with the settings of this machine.
  await runNpm(['install', '--ignore-scripts', '--no-audit', '--no-fund', ...tools], { cwd: directory })
  // It may not install into the same project: of the bundlers the other registry knows nothing.
  const apart = project(work, 'bundled', { files: { '.npmrc': `registry=${server.url}\n` } })
  await runNpm(['install', 'ferronet'], { cwd: apart, env })
  for (const name of ['ferronet', '@ferronet']) {
    cpSync(join(apart, 'node_modules', name), join(directory, 'node_modules', name), { recursive: true })
  }

  const node = file => join(directory, 'node_modules', file)
  const webpack = [node('webpack/bin/webpack.js'), '--config']
  const vite = [node('vite/bin/vite.js'), 'build', '--config']
  const cases = [
    { name: 'webpack-external.cjs', tool: webpack, modules: true },
    { name: 'webpack-bundled.cjs', tool: webpack, modules: false },
    { name: 'vite-external.mjs', tool: vite, modules: true },
  ]
  for (const { name, tool, modules } of cases) {
    await check(`docs/bundlers.md: ${name}`, async () => {
      await run(process.execPath, [...tool, name], { cwd: directory, env })
      const elsewhere = join(work, `run-${name}`)
      mkdirSync(elsewhere)
      cpSync(join(directory, 'out'), elsewhere, { recursive: true })
      if (modules) cpSync(join(apart, 'node_modules'), join(elsewhere, 'node_modules'), { recursive: true })
      const program = readdirSync(elsewhere).find(file => /^app\.\w+$/.test(file))
      const { stdout } = await run(process.execPath, [program], { cwd: elsewhere, env })
      assert.equal(stdout, 'hello\n')
    })
  }
  await check('every recipe for webpack and Vite was run', () => {
    const names = Object.keys(recipes()).filter(name => !name.startsWith('esbuild'))
    assert.deepEqual(
      names,
      cases.map(({ name }) => name),
    )
  })
}
