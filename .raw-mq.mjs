import * as s from './__test__/helpers/servers.mjs'
import { spawn } from 'node:child_process'
const r = await s.mosquitto()
const c = spawn(process.execPath, ['__test__/fixtures/clients/mqtt.mjs', process.argv[2], JSON.stringify(r.address)], { stdio: 'inherit', env: { ...process.env, DEBUG: process.env.D ?? '' } })
setTimeout(() => c.kill(), 5000).unref()
c.on('close', async (...a) => { console.log(a); await r.stop() })
