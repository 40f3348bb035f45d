// Bulk in both directions at once while the keys are changed in between, on demand of either kind: with requests for ours
// to change as well (`K`) and without (`k`). The other end is the command openssl.

import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { certificates } from '../helpers/certificates.mjs'
import { first, secured } from '../helpers/tls.mjs'

const MB = 1 << 20
const ROUNDS = 10
const own = { module: 'ferronet' }
const { key, cert, ca } = certificates().good

function equal(seen, wanted) {
  if (seen !== wanted) throw new Error(`${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`)
}

/** Random bytes of 128 and more: what openssl prints by itself, and its commands, are other ones. */
const block = randomBytes(MB).map(byte => byte | 128)

/** Counts and hashes these bytes. */
class Tally {
  bytes = 0
  #hash = createHash('sha256')

  take(chunk) {
    this.bytes += chunk.length
    this.#hash.update(chunk)
    return chunk
  }

  get hash() {
    return this.#hash.copy().digest('hex')
  }
}

const written = (stream, chunk) =>
  stream.write(chunk) ? undefined : new Promise(resolve => stream.once('drain', resolve))

/**
 * `socket` and the process send to each other, at least `total` bytes, and the process changes the keys meanwhile. Resolves
 * with the most memory that this process has had.
 */
async function exchange(t, socket, child, total) {
  const [sent, received, printed, typed] = Array.from({ length: 4 }, () => new Tally())
  let changes = 0
  let rest = ''
  // One of the two says so on stderr, the other one on stdout between the bytes.
  const look = text => {
    const all = rest + text
    const found = [...all.matchAll(/KEYUPDATE|SSL_do_handshake -> 1/g)]
    changes += found.length
    rest = found.length > 0 ? all.slice(found.at(-1).index + found.at(-1)[0].length) : all.slice(-40)
  }
  child.stderr.setEncoding('latin1').on('data', look)
  child.stdout.on('data', chunk => {
    const ours = chunk.every(byte => byte >= 128) ? chunk : chunk.filter(byte => byte >= 128)
    if (ours !== chunk) look(chunk.filter(byte => byte < 128).toString('latin1'))
    printed.take(ours)
  })
  socket.on('data', chunk => received.take(chunk))
  let types = true
  let most = 0

  const type = async () => {
    for (let round = 1; round <= ROUNDS; round++) {
      while (typed.bytes < (total * round) / ROUNDS) await written(child.stdin, typed.take(block))
      // A command is one only if nothing else is read along with it.
      await t.until(() => received.bytes === typed.bytes)
      child.stdin.write(round % 2 ? 'K\n' : 'k\n')
      await t.until(() => changes === round)
    }
    await written(child.stdin, typed.take(block))
    await t.until(() => received.bytes === typed.bytes)
    types = false
  }
  const send = async () => {
    for (let i = 0; types || sent.bytes < total; i++) {
      const part = block.subarray(0, 1 + ((i * 7919) % (256 * 1024)))
      await written(socket, sent.take(Buffer.from(part)))
      if (i % 16 === 0) most = Math.max(most, process.memoryUsage.rss())
    }
    await t.until(() => printed.bytes === sent.bytes)
  }
  await Promise.all([type(), send()])
  equal(printed.hash, sent.hash)
  equal(received.hash, typed.hash)
  return most
}

for (const [engine, command, total] of [
  ['openssl', 's_client', 100 * MB],
  ['openssl', 's_server', 40 * MB],
  ['node', 's_client', 10 * MB],
  ['node', 's_server', 10 * MB],
]) {
  secured(
    `${total / MB} MB each way with ${command}, which changes the keys`,
    { ...own, engine },
    async (t, kit) => {
      const start = args => {
        const child = spawn('openssl', [command, '-tls1_3', ...args], { stdio: 'pipe' })
        child.stdin.on('error', () => {})
        const exited = new Promise(resolve => child.once('close', resolve))
        t.cleanup(() => {
          child.kill('SIGKILL')
          return exited
        })
        return child
      }
      let child
      let socket
      if (command === 's_client') {
        const server = await kit.listen({ key, cert })
        const accepted = first(server, 'secureConnection')
        child = start(['-connect', `127.0.0.1:${server.address().port}`])
        socket = await accepted
      } else {
        const directory = t.directory()
        const file = (name, text) => {
          writeFileSync(join(directory, name), text)
          return join(directory, name)
        }
        child = start([
          ...['-accept', '127.0.0.1:0', '-key', file('key.pem', key), '-cert', file('cert.pem', cert)],
        ])
        let text = ''
        const port = await new Promise(resolve => {
          child.stdout.on('data', chunk => {
            text += chunk
            const found = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(text)
            if (found) resolve(Number(found[1]))
          })
        })
        child.stdout.removeAllListeners('data')
        socket = kit.connect({ address: () => ({ port }) }, { ca })
        await first(socket, 'secureConnect')
      }
      equal(socket.tls.engine, engine)
      const before = process.memoryUsage().rss
      const grown = (await exchange(t, socket, child, total)) - before
      if (grown > 150 * MB) throw new Error(`memory has grown by ${grown}`)
    },
  )
}
