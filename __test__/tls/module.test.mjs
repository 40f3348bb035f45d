// What the module ferronet/tls exports, beside node:tls of the same Node.

import { parity } from '../helpers/parity.mjs'
import { first, secured } from '../helpers/tls.mjs'

// The insides of Node's class, which have no meaning without it.
const insides = ['_wrapHandle', '_init', '_destroySSL', '_finishInit']

const load = async ({ moduleName }) =>
  (await import(moduleName === 'node:net' ? 'node:tls' : 'ferronet/tls')).default

parity('exports: the names, what they are, and the arity of functions', async t => {
  const tls = await load(t)
  for (const name of Object.keys(await import('node:tls').then(node => node.default)).sort()) {
    t.log(name, typeof tls[name], tls[name]?.length, tls[name]?.name)
  }
  t.log('no others', Object.keys(tls).length)
})

for (const name of ['TLSSocket', 'Server']) {
  parity(`${name}: the members of the prototype`, async t => {
    const tls = await load(t)
    const node = (await import('node:tls')).default
    for (const key of Object.getOwnPropertyNames(node[name].prototype)) {
      if (insides.includes(key)) continue
      const member = tls[name].prototype[key]
      t.log(key, typeof member, member.length)
    }
  })

  parity(`${name}: inherits from the class of net`, async t => {
    const tls = await load(t)
    const base = { TLSSocket: 'Socket', Server: 'Server' }[name]
    t.log('statics', Object.getPrototypeOf(tls[name]) === t.net[base])
    t.log('prototype', Object.getPrototypeOf(tls[name].prototype) === t.net[base].prototype)
    t.log('name', tls[name].name, tls[name].prototype.constructor === tls[name])
  })
}

parity('import, named imports and require give the same objects', async t => {
  const moduleName = t.moduleName === 'node:net' ? 'node:tls' : 'ferronet/tls'
  const { createRequire } = await import('node:module')
  const namespace = await import(moduleName)
  const required = createRequire(import.meta.url)(moduleName)
  t.log('default', required === namespace.default)
  for (const name of Object.keys(required).sort()) t.log(name, namespace[name] === required[name])
})

parity('what ferronet does not do itself is what node:tls has', async t => {
  const tls = await load(t)
  const node = (await import('node:tls')).default
  const own = ['TLSSocket', 'Server', 'createServer', 'connect', 'createSecureContext']
  for (const name of Object.keys(node)) if (!own.includes(name)) t.log(name, tls[name] === node[name])
  t.log('context', tls.createSecureContext() instanceof tls.SecureContext)
})

parity('a server works without new, and takes a listener alone', async t => {
  const tls = await load(t)
  const listener = () => {}
  for (const server of [
    tls.Server(listener),
    new tls.Server({}, listener),
    tls.createServer(null, listener),
  ]) {
    t.log('server', server instanceof tls.Server, server instanceof t.net.Server)
    t.log('listeners', server.listeners('secureConnection').length, server.listenerCount('connection'))
  }
})

secured('a default version that is set decides about later connections', async (t, kit) => {
  const { tls } = kit
  const { DEFAULT_MAX_VERSION } = tls
  t.cleanup(() => (tls.DEFAULT_MAX_VERSION = DEFAULT_MAX_VERSION))
  const server = await kit.listen()
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    tls.DEFAULT_MAX_VERSION = version
    const { client } = await kit.meet({ over: server })
    t.log('version', client.getProtocol())
    client.destroy()
  }
})

secured('a checkServerIdentity that is set decides about later connections', async (t, kit) => {
  const { tls } = kit
  const { checkServerIdentity } = tls
  t.cleanup(() => (tls.checkServerIdentity = checkServerIdentity))
  tls.checkServerIdentity = host => new Error(`not ${host}`)
  const server = await kit.listen()
  const client = kit.connect(server)
  t.log('error', (await first(client, 'error')).message)
})

secured('a createSecureContext that is put in the place of ours is used', async (t, kit) => {
  const { tls } = kit
  const { createSecureContext } = tls
  t.cleanup(() => (tls.createSecureContext = createSecureContext))
  const server = await kit.listen()
  const asked = []
  tls.createSecureContext = options => {
    asked.push(options.servername)
    return createSecureContext({ ...options, ca: options.extra })
  }
  const { trust } = await import('../helpers/tls.mjs')
  const { client } = await kit.meet({ over: server, client: { ca: undefined, extra: trust.ca } })
  t.log('asked', asked, client.authorized)
})
