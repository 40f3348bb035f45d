// Further handshakes on an open connection, which end with TLS 1.2.

import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { certificates } from '../helpers/certificates.mjs'
import { told, upgrades } from '../helpers/upgrade.mjs'

const { good } = certificates()
const old = { ...trust, maxVersion: 'TLSv1.2' }

async function pair(t, upgrade, near = old, far = identity) {
  const { client, peer } = await t.pair()
  const both = await Promise.all([upgrade(client, near), upgrade(peer, { isServer: true, ...far })])
  for (const stream of both) stream.resume()
  return both
}

const again = (stream, options = {}) =>
  new Promise((resolve, reject) => {
    stream.once('close', () => reject(new Error('closed')))
    stream.tls.renegotiate(options, error => (error ? reject(error) : resolve()))
  })

const failed = stream => new Promise(resolve => stream.once('error', resolve))

upgrades('a client begins three, and the fourth is too many', async (t, upgrade) => {
  const [near, far] = await pair(t, upgrade)
  const error = failed(far)
  near.on('error', () => {})
  for (let i = 0; i < 3; i++) {
    await again(near)
    t.log('again')
    const arrived = new Promise(resolve => far.once('data', resolve))
    near.write('goes on')
    t.log('arrived', String(await arrived))
  }
  again(near).catch(() => {})
  const { code, message } = await error
  t.log('error', code, message)
})

// On node:tls the connection does not survive this.
const own = { module: 'ferronet', engine: 'openssl' }

upgrades('writes in the middle of one arrive in order', own, async (t, upgrade) => {
  const [near, far] = await pair(t, upgrade)
  const arrived = t.drained(far)
  near.write('before ')
  const done = again(near)
  near.write('while ')
  far.write('from the other side')
  await done
  near.end('behind')
  const text = String(await arrived)
  if (text !== 'before while behind') throw new Error(`arrived: ${text}`)
  far.end()
  await t.closed(near, far)
})

// Node's own goes on with whoever it is.
const byUs = { module: 'ferronet', engine: 'openssl' }

upgrades('a check of the server that throws in the second one', byUs, async (t, upgrade) => {
  const thrown = new Promise(resolve => {
    t.catchUncaught(resolve)
  })
  let checks = 0
  const checkServerIdentity = () => {
    if (++checks === 2) throw new Error('of the program')
  }
  const [near, far] = await pair(t, upgrade, { ...old, checkServerIdentity })
  const ended = again(near).then(
    () => 'goes on',
    error => error.message,
  )
  const { message } = await thrown
  if (message !== 'of the program' || (await ended) !== 'closed')
    throw new Error(`${message}, ${await ended}`)
  await t.closed(near, far)
})

upgrades('a server that allows none', async (t, upgrade) => {
  const [near, far] = await pair(t, upgrade)
  far.tls.disableRenegotiation()
  near.on('error', () => {})
  const error = failed(far)
  again(near).catch(() => {})
  const { code, message } = await error
  t.log('error', code, message)
})

upgrades('a server asks for the certificate that it did without', async (t, upgrade) => {
  const near = { ...old, key: good.key, cert: good.cert }
  const [, far] = await pair(t, upgrade, near, { ...identity, ca: good.ca })
  t.log('before', far.authorized, far.tls.getPeerCertificate().subject)
  await again(far, { requestCert: true, rejectUnauthorized: false })
  t.log('behind', far.authorized, far.tls.getPeerCertificate().subject)
})

upgrades('TLS 1.3 has none', async (t, upgrade) => {
  const [near, far] = await pair(t, upgrade, trust)
  const told1 = await new Promise(resolve => {
    t.log('begins', near.tls.renegotiate({}, resolve))
  })
  t.log('error', told(told1))
  const arrived = new Promise(resolve => far.once('data', resolve))
  near.write('unharmed')
  t.log('arrived', String(await arrived))
})

upgrades('wrong arguments, and a socket that is gone', async (t, upgrade) => {
  const [near] = await pair(t, upgrade)
  for (const args of [[], [null], [{}, 'text']]) {
    try {
      near.tls.renegotiate(...args)
    } catch (error) {
      t.log('error', told(error))
    }
  }
  near.destroy()
  t.log(
    'gone',
    near.tls.renegotiate({}, () => {}),
  )
})
