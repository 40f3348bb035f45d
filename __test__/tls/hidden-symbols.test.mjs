// A Node that hides the functions of its OpenSSL, as some builds do: node:tls does the same work in its place.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { certificates } from '../helpers/certificates.mjs'
import { collect } from '../helpers/parity.mjs'

const { key, cert, ca } = certificates().good
const program = fileURLToPath(new URL('../fixtures/tls/visit.mjs', import.meta.url))

/** A copy of this Node in which nobody finds a function of this name: it is spelled otherwise there. */
function without(t, name) {
  const node = readFileSync(process.execPath)
  const entry = Buffer.from(`\0${name}\0`)
  for (let at = node.indexOf(entry); at !== -1; at = node.indexOf(entry, at + 1)) {
    node[at + name.length] ^= 0x20
  }
  const directory = mkdtempSync(join(tmpdir(), 'ferronet-hidden-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'node')
  writeFileSync(path, node, { mode: 0o755 })
  return path
}

// A binary of another format, or one that is signed, is not so easily changed; and a Node that takes OpenSSL from a
// library would not start without one of its functions.
const changeable = process.platform === 'linux' && !process.config.variables.node_shared_openssl
const where = changeable ? test : test.skip

where('a Node without the functions of OpenSSL does TLS by node:tls, and says why', async t => {
  const name = 'SSL_select_next_proto'
  const work = { server: { key, cert }, clients: [{ ca, servername: 'localhost' }, {}] }
  const visit = async node => {
    const args = [program, import.meta.resolve('ferronet/tls'), JSON.stringify(work)]
    const child = spawn(node, args, { env: { ...process.env, NODE_DEBUG: 'ferronet', FERRONET_TLS: '' } })
    t.teardown(() => child.kill('SIGKILL'))
    const output = collect(child)
    const [code] = await once(child, 'close')
    return { ...output, code }
  }
  const [hidden, whole] = [await visit(without(t, name)), await visit(process.execPath)]
  t.is(hidden.code, 0, hidden.stderr)
  t.regex(hidden.stderr, new RegExp(`tls: node:tls, because of .*\\(${name}\\)`))
  t.notRegex(hidden.stderr, /tls: OpenSSL of the process/)
  t.regex(whole.stderr, /tls: OpenSSL of the process/)
  t.is(hidden.stdout, whole.stdout)
})
