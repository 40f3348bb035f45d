// node .raw-run.mjs program server mode driver
import * as s from './__test__/helpers/servers.mjs'
import { spawnSync } from 'node:child_process'
const [program, server, ...modes] = process.argv.slice(2)
const running = server === '-' ? { address: {}, stop() {} } : await s[server]()
for (const m of modes.length ? modes : ['node', 'ferronet:in-loop', 'ferronet:helper-thread']) {
  const [mode, driver] = m.split(':')
  const t = performance.now()
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...(mode === 'register' ? ['--import', 'ferronet/register'] : []), `__test__/fixtures/clients/${program}.mjs`, mode, JSON.stringify(running.address)], { encoding: 'utf8', timeout: 60000, env: { ...process.env, ...(driver && { FERRONET_DRIVER: driver }) } })
  console.log(m, status, signal, Math.round(performance.now() - t), stderr)
  if (process.env.V || mode === 'node') try { console.dir(JSON.parse(stdout), { depth: 9 }) } catch { console.log(stdout) }
}
await running.stop()
