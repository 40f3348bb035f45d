import * as s from './__test__/helpers/servers.mjs'
import { spawnSync } from 'node:child_process'
const [server, file, ...modes] = process.argv.slice(2)
const r = await s[server]()
for (const m of modes) { console.log('==', m); console.log(spawnSync(process.execPath, [file, m, JSON.stringify(r.address)], { encoding: 'utf8', timeout: 15000 }).output.join('')) }
await r.stop()
