import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
const [program, ...modes] = process.argv.slice(2)
const address = { directory: '/tmp/raw-cert', key: readFileSync('/tmp/raw-cert/key.pem', 'utf8'), cert: readFileSync('/tmp/raw-cert/cert.pem', 'utf8') }
for (const m of modes.length ? modes : ['node', 'ferronet:in-loop', 'ferronet:helper-thread']) {
  const [mode, driver] = m.split(':')
  const t = performance.now()
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...(mode === 'register' ? ['--import', 'ferronet/register'] : []), `__test__/fixtures/clients/${program}.mjs`, mode, JSON.stringify(address)], { encoding: 'utf8', timeout: 20000, env: { ...process.env, ...(driver && { FERRONET_DRIVER: driver }) } })
  console.log(m, status, signal, Math.round(performance.now() - t), stderr)
  if (process.env.V || mode === 'node') try { console.dir(JSON.parse(stdout), { depth: 9, maxArrayLength: 8 }) } catch { console.log(stdout) }
}
