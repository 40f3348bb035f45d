// The command openssl as the other end: `s_client` and `s_server`, TLS 1.2 and 1.3.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { upgrades } from '../helpers/upgrade.mjs'

const file = name => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url))
const own = { module: 'ferronet' }

function openssl(t, ...args) {
  const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  t.cleanup(() => child.kill('SIGKILL'))
  child.stdin.on('error', () => {})
  let output = ''
  const seen = text =>
    new Promise((resolve, reject) => {
      const look = () => output.includes(text) && resolve(output)
      child.stdout.on('data', look)
      child.stderr.on('data', look)
      child.on('close', code => reject(new Error(`openssl ended with ${code}: ${output}`)))
      look()
    })
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      output += chunk
    })
  return { child, seen }
}

for (const version of ['tls1_2', 'tls1_3']) {
  upgrades(`openssl s_client, ${version}`, own, async (t, upgrade) => {
    const listener = await t.listen()
    const accepted = new Promise(resolve => listener.once('connection', resolve))
    const { child, seen } = openssl(
      t,
      ...['s_client', '-connect', `127.0.0.1:${listener.address().port}`, `-${version}`, '-quiet'],
      ...['-CAfile', file('cert.pem'), '-servername', 'localhost', '-verify_return_error', '-no_ign_eof'],
    )
    const peer = await accepted
    await upgrade(peer, { isServer: true, ...identity })
    const question = new Promise(resolve => peer.once('data', resolve))
    child.stdin.write('question\n')
    if (String(await question) !== 'question\n') throw new Error('another question')
    if (peer.tls.servername !== 'localhost') throw new Error(`servername ${peer.tls.servername}`)
    peer.write('answer\n')
    await seen('answer')
    child.stdin.end()
    await t.closed(peer.resume())
  })

  upgrades(`openssl s_server, ${version}`, own, async (t, upgrade) => {
    // A port that is free: s_server cannot tell which one it has taken.
    const free = await t.listen()
    const { port } = free.address()
    await new Promise(resolve => free.close(resolve))
    const { child, seen } = openssl(
      t,
      ...['s_server', '-accept', `127.0.0.1:${port}`, `-${version}`, '-naccept', '1'],
      ...['-key', file('key.pem'), '-cert', file('cert.pem')],
    )
    await seen('ACCEPT')
    const client = t.connect({ port, host: '127.0.0.1' })
    await upgrade(client, trust)
    client.write('question\n')
    await seen('question')
    const answer = new Promise(resolve => client.once('data', resolve))
    child.stdin.write('answer\n')
    if (String(await answer) !== 'answer\n') throw new Error('another answer')
    if (version === 'tls1_3') {
      // A change of keys, asked for and answered. What s_server says to it comes with the bytes behind it.
      child.stdin.write('K\n')
      let changed = false
      seen('SSL_do_handshake -> 1').then(() => {
        changed = true
      })
      while (!changed) {
        client.write('more\n')
        await t.quiet()
      }
      client.write('in the end\n')
      await seen('in the end')
    }
    client.end()
    await t.closed(client.resume())
  })
}
