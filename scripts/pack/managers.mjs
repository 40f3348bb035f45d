// pnpm and Yarn, with and without node_modules, installing ferronet from the registry on the loopback interface. npm
// fetches them, from wherever it fetches packages on this machine.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, project, run, runNpm, smoke } from './tools.mjs'

const tools = { pnpm: '12', '@yarnpkg/cli-dist': '4' }

export async function managers({ work, env, server, expected }) {
  console.log('\n> other package managers')
  const home = project(work, 'managers')
  const wanted = Object.entries(tools).map(([name, version]) => `${name}@${version}`)
  // The only step with the settings of this machine.
  await runNpm(['install', '--ignore-scripts', '--no-audit', '--no-fund', ...wanted], { cwd: home })
  const tool = file => join(home, 'node_modules', file)
  const pnpm = tool('pnpm/bin/pnpm.mjs')
  const berry = tool('@yarnpkg/cli-dist/bin/yarn.js')

  const manifest = { dependencies: { ferronet: '*' } }
  const npmrc = `registry=${server.url}
`
  const workspace = linker => `storeDir: ./store
nodeLinker: ${linker}
`
  const yarnrc = linker => `
nodeLinker: ${linker}
npmRegistryServer: ${server.url}
unsafeHttpWhitelist: [127.0.0.1]
enableTelemetry: false
enableGlobalCache: false
globalFolder: ./yarn
pnpEnableEsmLoader: true
enableImmutableInstalls: false
`
  const cases = [
    {
      name: 'pnpm',
      tool: pnpm,
      files: { '.npmrc': npmrc, 'pnpm-workspace.yaml': workspace('isolated') },
    },
    {
      name: 'pnpm-hoisted',
      tool: pnpm,
      files: { '.npmrc': npmrc, 'pnpm-workspace.yaml': workspace('hoisted') },
    },
    {
      name: 'yarn-pnp',
      tool: berry,
      files: { '.yarnrc.yml': yarnrc('pnp') },
      by: ['node'],
    },
    {
      name: 'yarn-node-modules',
      tool: berry,
      files: { '.yarnrc.yml': yarnrc('node-modules') },
    },
  ]
  for (const { name, tool, files, by } of cases) {
    const directory = project(work, name, { manifest, files })
    if (tool !== pnpm) writeFileSync(join(directory, 'yarn.lock'), '')
    const options = { cwd: directory, env: { ...env, CI: '' } }
    server.fetched()
    const done = await check(`${name} installs ferronet and the binary of this platform`, async () => {
      await run(process.execPath, [tool, 'install'], options)
      assert.deepEqual(server.fetched(), [...expected].sort())
    })
    if (!done) continue
    const command = by ? [tool, ...by, 'smoke.cjs'] : ['smoke.cjs']
    await smoke(name, process.execPath, command, options)
  }
}
