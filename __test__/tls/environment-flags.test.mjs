// Flags and variables that Node heeds once for a process: the file of keys, and one warning.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { certificates } from '../helpers/certificates.mjs'
import { collect } from '../helpers/parity.mjs'
import { secured } from '../helpers/tls.mjs'

const { key, cert, ca } = certificates().good
const program = fileURLToPath(new URL('../fixtures/tls/visit.mjs', import.meta.url))

/** What is on stderr. */
async function visit(t, client, flags = [], environment = {}) {
  const module = import.meta.resolve(t.moduleName === 'node:net' ? 'node:tls' : 'ferronet/tls')
  const args = [...flags, program, module, JSON.stringify({ server: { key, cert }, clients: [client] })]
  const child = spawn(process.execPath, args, { env: { ...process.env, ...environment } })
  t.cleanup(() => child.kill('SIGKILL'))
  const output = collect(child)
  await new Promise(resolve => child.once('close', resolve))
  return output.stderr.replaceAll(/\(node:\d+\)/g, '(node)').split('\n')
}

secured('--tls-keylog', async t => {
  const path = join(t.directory(), 'keys')
  const warned = await visit(t, { ca }, [`--tls-keylog=${path}`])
  t.log(
    'warned',
    warned.some(line => /Using --tls-keylog/.test(line)),
  )
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []
  t.log('labels', lines.map(line => line.split(' ')[0]).sort())
})

secured('NODE_TLS_REJECT_UNAUTHORIZED is warned of once', async t => {
  const lines = await visit(t, {}, [], { NODE_TLS_REJECT_UNAUTHORIZED: '0' })
  t.log('warnings', lines.filter(line => /NODE_TLS_REJECT_UNAUTHORIZED/.test(line)).length)
})
