import tls from 'node:tls'
import nodeNet from 'node:net'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import ferronet from 'ferronet'
setTimeout(() => process.exit(1), 8000).unref()
const key = readFileSync('/tmp/raw-cert/key.pem'), cert = readFileSync('/tmp/raw-cert/cert.pem')
const server = tls.createServer({ key, cert }, s => { s.on('error', () => {}); s.resume() })
server.listen(0); await once(server, 'listening')
let last
const front = nodeNet.createServer({ allowHalfOpen: true }, s => {
  last = s
  const up = nodeNet.connect(server.address().port)
  up.on('data', d => s.write(d)); s.on('data', d => up.write(d)); s.on('end', () => { up.destroy(); s.destroy() }); up.on('error',()=>{}); s.on('error',()=>{})
})
front.listen(0); await once(front, 'listening')
for (const how of ['end', 'resetAndDestroy'])
for (const busy of [false, true])
for (const [name, net, opts] of [['node', nodeNet, {}], ['ferronet', ferronet, {}], ['ferronet aho', ferronet, { allowHalfOpen: true }]]) {
  const socket = net.connect({ port: front.address().port, host: '127.0.0.1', ...opts })
  const t = tls.connect({ socket, rejectUnauthorized: false })
  const seen = []
  for (const e of ['end', 'error', 'close', 'finish']) { t.on(e, x => seen.push(`tls ${e} ${x?.message ?? x ?? ''}`)); socket.on(e, x => seen.push(`raw ${e} ${x?.message ?? x ?? ''}`)) }
  t.resume()
  await once(t, 'secureConnect')
  await new Promise(r => setTimeout(r, 50))
  last[how]()
  if (busy) t.write('x')
  await Promise.all([new Promise(r => t.on('close', r)), new Promise(r => socket.on('close', r))])
  console.log(how, busy, name, seen)
}
process.exit()
