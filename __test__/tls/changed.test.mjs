// A secure context that is changed after it was made, by the methods that Node's has.

import { certificates } from '../helpers/certificates.mjs'
import { identity, outcome, secured, trust } from '../helpers/tls.mjs'

const { good, expired, wildcard } = certificates()
const other = certificates()['not trusted'].ca

/** Two connections one after the other, with something done to the context before each. */
async function twice(t, kit, server, secureContext, ...changes) {
  for (const change of changes) {
    change()
    const client = kit.connect(server, { secureContext, servername: 'localhost' })
    t.log('outcome', await outcome(client), client.getPeerCertificate()?.valid_to)
    client.destroy()
  }
}

secured("a client's context learns whom to trust", async (t, kit) => {
  const server = await kit.listen()
  const context = kit.tls.createSecureContext({ ca: other })
  await twice(
    t,
    kit,
    server,
    context,
    () => {},
    () => context.context.addCACert(trust.ca),
  )
  const early = kit.tls.createSecureContext({ ca: other })
  early.context.addCACert(trust.ca)
  await twice(t, kit, server, early, () => {})
})

secured("a client's context loses its ciphers", async (t, kit) => {
  const server = await kit.listen({ maxVersion: 'TLSv1.2' })
  const context = kit.tls.createSecureContext(trust)
  const use = ciphers => () => context.context.setCiphers(ciphers)
  for (const change of [use('ECDHE-RSA-AES128-GCM-SHA256'), use('ECDHE-RSA-AES256-GCM-SHA384')]) {
    change()
    const client = kit.connect(server, { secureContext: context })
    t.log('outcome', await outcome(client), client.getCipher()?.name)
    client.destroy()
  }
})

secured("a client's context shows another certificate", async (t, kit) => {
  const server = await kit.listen({ requestCert: true, rejectUnauthorized: false, ca: good.ca })
  const peers = []
  server.on('secureConnection', peer => {
    peers.push(peer)
    t.log('seen', peer.getPeerCertificate().fingerprint256 ?? 'none', peer.authorizationError)
  })
  const context = kit.tls.createSecureContext(trust)
  const show = ({ key, cert }) => {
    context.context.setKey(key)
    context.context.setCert(cert)
  }
  for (const [at, change] of [
    () => {},
    () => show(good),
    () => show(expired),
    () => show(identity),
  ].entries()) {
    try {
      change()
    } catch (error) {
      t.log('threw', error.code)
    }
    const client = kit.connect(server, { secureContext: context })
    t.log('outcome', await outcome(client))
    await t.until(() => peers.length > at)
    client.destroy()
  }
})

secured('what cannot be, throws as it does', { engine: 'openssl' }, async (t, kit) => {
  const { context } = kit.tls.createSecureContext()
  for (const change of [
    () => context.addCRL('no CRL'),
    () => context.setKey('no key'),
    () => context.setCiphers('no cipher'),
  ]) {
    try {
      t.log('did', change())
    } catch (error) {
      t.log('threw', error.name, error.code, error.message)
    }
  }
  t.log('as ever', context instanceof kit.tls.createSecureContext().context.constructor, Object.keys(context))
})

secured("a server's context shows another certificate", { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const visit = async name => {
    const client = kit.connect(server, { ca: [trust.ca, good.ca], servername: 'localhost' })
    t.log(name, await outcome(client), client.getPeerCertificate()?.fingerprint256)
    client.destroy()
    await t.closed(client)
  }
  await visit('of the options')
  // Of another kind: RSA is there still, and clients may choose.
  server.setSecureContext(good)
  await visit('setSecureContext')
  const { context } = server._sharedCreds
  // A certificate of another key takes the key away.
  context.setCert(expired.cert)
  context.setKey(expired.key)
  await visit('by the context')
  server._sharedCreds = kit.tls.createSecureContext(wildcard)
  await visit('another context')
  server.setTicketKeys(Buffer.alloc(48, 1))
  await visit('behind other keys of tickets')
})

secured('the options that a server shows', async (t, kit) => {
  const server = kit.tls.createServer({
    ...{ ...identity, requestCert: true, minVersion: 'TLSv1.2', sessionTimeout: 7, honorCipherOrder: false },
    ...{
      ALPNProtocols: ['a'],
      sessionIdContext: 'zz',
      sigalgs: 'RSA+SHA256',
      ecdhCurve: 'auto',
      secureOptions: 3,
    },
  })
  const names = Object.keys(server).filter(name => !name.startsWith('_'))
  t.log('shown', names.sort())
  for (const name of [
    'key',
    'minVersion',
    'maxVersion',
    'sessionTimeout',
    'honorCipherOrder',
    'sigalgs',
    'ca',
  ])
    t.log(name, name in server, server[name])
})
