// What a session of one side is worth on another.

import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { upgrades } from '../helpers/upgrade.mjs'

const ours = { module: 'ferronet' }

/** A listener whose connections are secured with these options; `next()` is the next one's outcome. */
async function secured(t, options) {
  const server = await t.listen()
  const outcomes = []
  const waiting = []
  const tell = outcome => (waiting.length > 0 ? waiting.shift()(outcome) : outcomes.push(outcome))
  server.on('connection', socket => {
    socket.on('error', error => tell(error.code ?? error.message))
    socket.startTLS({ isServer: true, ...identity, ...options }, () => {
      tell(`secure, authorized: ${socket.authorized}`)
      socket.end('hello')
    })
  })
  const next = () =>
    new Promise(resolve => (outcomes.length > 0 ? resolve(outcomes.shift()) : waiting.push(resolve)))
  return { server, next }
}

/** Connects, and resolves when the connection has closed, with the session that it was given, if it was. */
async function visit(t, server, options) {
  const client = t.connect(t.to(server)).on('error', () => {})
  let session
  client.on('session', given => {
    session = given
  })
  client.startTLS({ ...trust, ...options })
  client.resume()
  await new Promise(resolve => client.on('close', resolve))
  return session
}

// As in Node 26; older ones tell of it behind bytes that came along.
const byUs = { ...ours, engine: 'openssl' }
upgrades('a session is told of before the bytes, and however they are read', byUs, async (t, upgrade) => {
  for (const into of [false, true]) {
    const { server } = await secured(t, {})
    const seen = []
    const read = length => seen.push(`read ${length}`)
    const onread = { buffer: Buffer.alloc(100), callback: read }
    const client = t.connect(t.to(server, into ? { onread } : {}))
    if (!into) client.on('data', chunk => read(chunk.length))
    client.on('session', () => seen.push('session')).on('end', () => seen.push('end'))
    const closed = new Promise(resolve => client.on('close', resolve))
    await upgrade(client, trust)
    if (!into) client.resume()
    await closed
    const order = seen.filter((entry, at) => entry !== seen[at - 1]).join()
    if (order !== 'session,read 5,end') throw new Error(`${order}, into: ${into}`)
  }
})

for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
  upgrades(
    `a ticket of a side that asks for no certificate does not open one that does, ${maxVersion}`,
    ours,
    async t => {
      const ca = identity.cert
      const open = await secured(t, { ca, maxVersion })
      const asking = await secured(t, { ca, maxVersion, requestCert: true, rejectUnauthorized: false })
      const strict = await secured(t, { ca, maxVersion, requestCert: true })
      const told = (outcome, wanted) => {
        if (!wanted.test(outcome)) throw new Error(`'${outcome}' instead of ${wanted}`)
      }
      const session = await visit(t, open.server)
      told(await open.next(), /^secure, authorized: false$/)
      if (session === undefined) throw new Error('no session')
      await visit(t, open.server, { session })
      told(await open.next(), /^secure/)
      await visit(t, asking.server, { session })
      told(await asking.next(), /^secure, authorized: false$/)
      await visit(t, strict.server, { session })
      told(await strict.next(), /^(?!secure)/)
      // And with one from a side that asks and takes no for an answer.
      const asked = await visit(t, asking.server)
      told(await asking.next(), /^secure, authorized: false$/)
      await visit(t, strict.server, { session: asked ?? session })
      told(await strict.next(), /^(?!secure)/)
    },
  )
}
