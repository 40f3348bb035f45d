import { spawnSync } from 'node:child_process'
const [node, rounds, ...sets] = process.argv.slice(2)
const variants = sets.map(s => s.split(' ').map(x => x.replaceAll('_', ' ')).filter(Boolean))
const times = variants.map(() => [])
for (let i = 0; i < +rounds; i++) variants.forEach((v, j) => {
  const t = process.hrtime.bigint()
  const r = spawnSync(node, v.length ? v : [], { stdio: ['ignore', 'ignore', 'inherit'] })
  times[j].push(Number(process.hrtime.bigint() - t) / 1e6)
  if (r.status) console.log('status', r.status)
})
times.forEach((t, j) => { t.sort((a, b) => a - b); console.log(sets[j].padEnd(60), 'median', t[t.length >> 1].toFixed(1), 'p25', t[t.length >> 2].toFixed(1)) })
