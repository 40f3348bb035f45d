// The command openssl as the other end: `s_client` and `s_server`, TLS 1.2 and 1.3. What our end says of it is what
// node:tls says.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { certificates } from '../helpers/certificates.mjs'
import { first, secured, told } from '../helpers/tls.mjs'
import { plain, upgrades } from '../helpers/upgrade.mjs'
import { authority, certificate, names, pem, usage } from '../helpers/x509.mjs'

const file = name => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url))
const own = { module: 'ferronet' }
const { good, ...others } = certificates()
const flags = { 'TLSv1.2': '-tls1_2', 'TLSv1.3': '-tls1_3' }

/** A process of openssl's. `seen(pattern)` resolves with the match in what it has printed since the last one. */
function openssl(t, ...args) {
  const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => {})
  const exited = new Promise(resolve => child.once('close', resolve))
  t.cleanup(() => {
    child.kill('SIGKILL')
    return exited
  })
  let output = ''
  let from = 0
  const waiting = new Set()
  const look = () => {
    for (const each of waiting) each()
  }
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('latin1').on('data', text => {
      output += text
      look()
    })
  const seen = pattern =>
    new Promise((resolve, reject) => {
      const search = () => {
        const found = new RegExp(pattern, 'm').exec(output.slice(from))
        if (found === null) return
        from += found.index + found[0].length
        waiting.delete(search)
        resolve(found)
      }
      waiting.add(search)
      search()
      exited.then(code => reject(new Error(`openssl ended with ${code} before ${pattern}: ${output}`)))
    })
  return { child, seen, exited, say: line => child.stdin.write(`${line}\n`) }
}

const s_client = (t, kit, server, ...args) =>
  openssl(t, 's_client', '-connect', `127.0.0.1:${server.address().port}`, flags[kit.version], ...args)

/** `s_server` that has taken a port. */
async function s_server(t, kit, ...args) {
  const process = openssl(t, 's_server', '-accept', '127.0.0.1:0', flags[kit.version], ...args)
  const [, port] = await process.seen('ACCEPT 127\\.0\\.0\\.1:(\\d+)')
  return { ...process, address: () => ({ port: Number(port) }) }
}

/** The good certificate, or another one, as options of openssl. */
function files(t, { key, cert, ca } = good) {
  const directory = t.directory()
  const write = (name, text) => {
    const path = join(directory, name)
    writeFileSync(path, text)
    return path
  }
  return {
    at: name => join(directory, name),
    shown: ['-key', write('key.pem', key), '-cert', write('cert.pem', cert)],
    trusted: ['-CAfile', write('ca.pem', ca)],
  }
}

const byEngine = (t, kit, socket, engine = kit.engine) => {
  if (t.moduleName !== 'node:net' && socket.tls.engine !== engine)
    throw new Error(`TLS by ${socket.tls.engine}`)
}

const say = socket => {
  const { authorized, authorizationError, alpnProtocol, servername } = socket
  const { subject, serialNumber } = socket.getPeerCertificate() ?? {}
  return { authorized, authorizationError, alpnProtocol, servername, subject, serialNumber }
}

/** A line in each direction. */
async function talk(socket, { seen, say }) {
  const question = first(socket, 'data')
  say('question')
  const text = String(await question)
  socket.write('answer\n')
  await seen('answer')
  return text
}

// --- s_client ---------------------------------------------------------------------------------------------------------

const both = { both: true }
const { key, cert, ca } = good

for (const name of ['good', 'expired', 'self-signed', 'for servers only', 'none']) {
  secured(`s_client shows a certificate: ${name}`, both, async (t, kit) => {
    for (const rejectUnauthorized of [false, true]) {
      const server = await kit.listen({
        key,
        cert,
        ca: (others[name] ?? good).ca ?? ca,
        requestCert: true,
        rejectUnauthorized,
      })
      const met = new Promise(resolve => {
        server.once('secureConnection', resolve)
        server.once('tlsClientError', error => resolve(told(error)))
      })
      const { shown, trusted } = files(t, { ...good, ...others[name], ca })
      const more = name === 'none' ? [] : shown
      const client = s_client(t, kit, server, ...trusted, '-servername', 'localhost', ...more)
      const peer = await met
      if (peer.write === undefined) t.log('refused', peer)
      else {
        byEngine(t, kit, peer)
        t.log('secure', say(peer), await talk(peer, client))
        client.child.stdin.end()
        t.log('ended', await first(peer.resume(), 'end'))
        peer.end()
      }
      await client.exited
    }
  })
}

secured('s_client believes the server, and knows its name and protocol', both, async (t, kit) => {
  const { trusted } = files(t)
  const server = await kit.listen({ key, cert, ALPNProtocols: ['b', 'a'] })
  for (const name of ['localhost', 'elsewhere.org']) {
    const accepted = first(server, 'secureConnection')
    const client = s_client(
      ...[t, kit, server, ...trusted, '-servername', name, '-verify_hostname', name, '-alpn', 'a,b'],
    )
    const peer = await accepted
    const [, protocol] = await client.seen('ALPN protocol: (.*)')
    const [, verdict] = await client.seen('Verify return code: (.*)')
    t.log(name, protocol, verdict, say(peer))
    client.child.stdin.end()
    await t.closed(peer.resume())
  }
})

secured('s_client wants another group first', both, async (t, kit) => {
  const server = await kit.listen({ key, cert, ecdhCurve: 'P-384:P-521' })
  const accepted = first(server, 'secureConnection')
  const client = s_client(t, kit, server, '-groups', 'P-256:P-521:P-384')
  const peer = await accepted
  const [, key_] = await client.seen('Server Temp Key: (.*)')
  t.log('key', key_, await talk(peer, client))
})

for (const [label, ...args] of [
  ['small records', '-max_send_frag', '512'],
  ['records in pieces', '-split_send_frag', '512', '-max_send_frag', '1024'],
]) {
  secured(`s_client sends ${label}`, both, async (t, kit) => {
    const server = await kit.listen({ key, cert })
    const accepted = first(server, 'secureConnection')
    const client = s_client(t, kit, server, '-quiet', '-no_ign_eof', ...args)
    const peer = await accepted
    client.child.stdin.end('0123456789abcdef'.repeat(10_000))
    t.log('said', await t.drained(peer))
  })
}

secured('s_client is killed', both, async (t, kit) => {
  const server = await kit.listen({ key, cert })
  const accepted = first(server, 'secureConnection')
  const client = s_client(t, kit, server)
  const peer = await accepted
  t.watch(peer, 'peer')
  await talk(peer, client)
  client.child.kill('SIGKILL')
  await t.closed(peer.resume())
})

/** A certificate of a server, and what its authority says of it: the response of an OCSP responder. */
function stated(t) {
  const root = certificate('root', { extensions: [authority(), usage('keyCertSign', 'cRLSign')] })
  const leaf = certificate('localhost', { issuer: root, extensions: [names(['dns', 'localhost'])] })
  const identity = { key: pem(leaf.key), cert: leaf.cert, ca: root.cert }
  const { at, trusted, shown } = files(t, identity)
  writeFileSync(at('index'), `V\t491231235959Z\t\t0${leaf.serial.toString(16)}\tunknown\t/CN=localhost\n`)
  writeFileSync(at('root.key'), pem(root.key))
  const from = ['-index', at('index'), '-CA', at('ca.pem'), '-rsigner', at('ca.pem'), '-rkey', at('root.key')]
  const about = ['-issuer', at('ca.pem'), '-cert', at('cert.pem')]
  const stdio = ['ignore', 'ignore', 'pipe']
  execFileSync('openssl', ['ocsp', ...from, ...about, '-noverify', '-respout', at('response')], { stdio })
  return { ...identity, trusted, shown, response: readFileSync(at('response')), path: at('response') }
}

secured('s_client asks for the state of the certificate', both, async (t, kit) => {
  const { key, cert, ca, trusted, response } = stated(t)
  const answers = [response, null, Buffer.from('nonsense')]
  const server = await kit.listen({ key, cert, ca })
  server.on('OCSPRequest', (certificate, issuer, done) => {
    t.log('asked', certificate.length > 0, issuer?.length > 0)
    setImmediate(done, null, answers.shift())
  })
  for (const expected of ['Cert Status: good', 'OCSP response: no response sent']) {
    const accepted = first(server, 'secureConnection')
    const client = s_client(t, kit, server, ...trusted, '-status', '-verify_return_error')
    const peer = await accepted
    byEngine(t, kit, peer)
    await client.seen(expected)
    t.log('said', await talk(peer, client))
    client.child.stdin.end()
    await t.closed(peer.resume())
  }
  const failed = first(server, 'tlsClientError')
  const client = s_client(t, kit, server, '-status')
  await client.seen('response parse error')
  t.log('nonsense', told(await failed))
})

for (const ticket of [true, false]) {
  secured(`s_client goes on with a session, ${ticket ? 'with' : 'without'} tickets`, both, async (t, kit) => {
    const { at } = files(t)
    const server = await kit.listen({ key, cert })
    const kept = new Map()
    server.on('newSession', (id, session, done) => done(kept.set(id.toString('hex'), session) && undefined))
    server.on('resumeSession', (id, done) => done(null, kept.get(id.toString('hex')) ?? null))
    const how = ticket ? [] : ['-no_ticket']
    for (const use of [['-sess_out'], ['-sess_in'], ['-sess_in']]) {
      const accepted = first(server, 'secureConnection')
      const client = s_client(t, kit, server, ...how, ...use, at('session'))
      const peer = await accepted
      byEngine(t, kit, peer)
      const [, again] = await client.seen('^(New|Reused), ')
      t.log(again, peer.isSessionReused(), await talk(peer, client))
      client.child.stdin.end()
      await t.closed(peer.resume())
      await client.exited
      t.log('kept', kept.size > 0, existsSync(at('session')))
    }
    server.setTicketKeys(Buffer.alloc(48, 1))
    kept.clear()
    const accepted = first(server, 'secureConnection')
    const client = s_client(t, kit, server, ...how, '-sess_in', at('session'))
    const peer = await accepted
    const [, again] = await client.seen('^(New|Reused), ')
    t.log(again, peer.isSessionReused())
  })
}

secured('s_client is told how long a session lasts', both, async (t, kit) => {
  for (const sessionTimeout of [7, 70_000]) {
    const server = await kit.listen({ key, cert, sessionTimeout })
    const accepted = first(server, 'secureConnection')
    const client = s_client(t, kit, server)
    const peer = await accepted
    // What s_client prints of a ticket may come at its end.
    const said = client.seen('lifetime hint: \\d+')
    await talk(peer, client)
    client.child.stdin.end()
    await t.closed(peer.resume())
    const [hint] = await said
    t.log(hint)
  }
})

const psk = '1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809'
const pskCiphers = { 'TLSv1.2': 'PSK-AES128-GCM-SHA256', 'TLSv1.3': 'TLS_AES_128_GCM_SHA256' }

secured('s_client with a shared key', both, async (t, kit) => {
  const pskCallback = (_socket, identity) => {
    t.log('asked', identity)
    return identity === 'me' ? Buffer.from(psk, 'hex') : null
  }
  const ciphers = pskCiphers[kit.version]
  const server = await kit.listen({ key: undefined, cert: undefined, ciphers, pskCallback })
  for (const [identity, secret] of [
    ['me', psk],
    ['me', psk.replace('1', '2')],
    ['another', psk],
  ]) {
    const met = new Promise(resolve => {
      server.once('secureConnection', resolve)
      server.once('tlsClientError', error => resolve(told(error)))
    })
    const offered = kit.version === 'TLSv1.2' ? ['-cipher', ciphers] : ['-ciphersuites', ciphers]
    const client = s_client(t, kit, server, '-psk_identity', identity, '-psk', secret, ...offered)
    const peer = await met
    if (peer.write === undefined) t.log('refused', peer)
    else {
      byEngine(t, kit, peer, 'node')
      t.log('secure', peer.authorized, peer.getCipher(), await talk(peer, client))
    }
    client.child.kill()
    await client.exited
  }
})

secured('s_client begins further handshakes', async (t, kit) => {
  kit.version = 'TLSv1.2'
  const { trusted } = files(t)
  const server = await kit.listen({ key, cert, maxVersion: 'TLSv1.2' })
  const accepted = first(server, 'secureConnection')
  const client = s_client(t, kit, server, ...trusted, '-servername', 'localhost')
  const peer = await accepted
  await client.seen('Verify return code: 0')
  for (let i = 0; i < 3; i++) {
    client.say('R')
    await client.seen('RENEGOTIATING')
    await client.seen('verify return:1\r?\n')
    t.log('said', await talk(peer, client))
  }
  const failed = first(peer, 'error')
  client.say('R')
  const { code, message } = await failed
  t.log('too many', code, message)
})

// Node's server does not survive it over a stream, which the other engine gives it.
secured('a server begins a further handshake with s_client', { engine: 'openssl' }, async (t, kit) => {
  kit.version = 'TLSv1.2'
  const { shown } = files(t)
  const server = await kit.listen({ key, cert, ca, maxVersion: 'TLSv1.2' })
  const accepted = first(server, 'secureConnection')
  // Not one that goes on with the session, which has no certificate.
  const client = s_client(t, kit, server, ...shown, '-no_ticket')
  const peer = await accepted
  t.log('before', say(peer))
  await talk(peer, client)
  await new Promise((resolve, reject) => {
    const options = { requestCert: true, rejectUnauthorized: false }
    const begun = peer.renegotiate(options, error => (error ? reject(error) : resolve()))
    t.log('begun', begun)
  })
  t.log('behind', say(peer), await talk(peer, client))
})

// --- s_server ---------------------------------------------------------------------------------------------------------

/** The same the other way round. */
async function ask(socket, { seen, say }) {
  socket.write('question\n')
  await seen('question')
  const answer = first(socket, 'data')
  say('answer')
  return String(await answer)
}

const trusting = { ca: good.ca }

secured('s_server with a certificate that is good, or is not', both, async (t, kit) => {
  for (const name of ['good', 'expired', 'wrong host', 'for clients only']) {
    const shown = { good, ...others }[name]
    const server = await s_server(t, kit, ...files(t, shown).shown, '-alpn', 'b,a')
    const more = { ca: shown.ca, ALPNProtocols: ['a', 'b'] }
    const client = kit.connect(server, more)
    const [end, error] = await Promise.race([
      first(client, 'secureConnect').then(() => ['secure']),
      first(client, 'error').then(error => ['error', error]),
    ])
    if (error !== undefined) t.log(name, end, told(error), client.authorizationError)
    else {
      byEngine(t, kit, client)
      t.log(name, end, say(client), await ask(client, server))
      server.say('Q')
      t.log('ended', await t.drained(client))
      await server.exited
    }
    client.destroy()
  }
})

secured('s_server asks for a certificate', both, async (t, kit) => {
  for (const name of ['good', 'for servers only', 'none']) {
    const { shown, trusted } = files(t)
    const insists = ['-Verify', '2', '-verify_return_error', '-CAfile', trusted[1]]
    const server = await s_server(t, kit, ...shown, ...insists)
    const offered = { good, ...others }[name] ?? {}
    const client = kit.connect(server, { ...trusting, key: offered.key, cert: offered.cert })
    const failed = first(client, 'error')
    if (name === 'good') {
      await first(client, 'secureConnect')
      await server.seen('subject=CN = localhost')
      t.log(name, say(client), await ask(client, server))
      client.destroy()
    } else {
      client.resume()
      t.log(name, told(await failed))
      await t.closed(client)
    }
  }
})

secured('s_server sends the state of its certificate', both, async (t, kit) => {
  const { ca, shown, response, path } = stated(t)
  for (const sent of [['-status_file', path], []]) {
    const server = await s_server(t, kit, ...shown, ...sent)
    const client = kit.connect(server, { ca, requestOCSP: true })
    const told = first(client, 'OCSPResponse')
    await first(client, 'secureConnect')
    const given = await told
    t.log('response', given === null ? null : given.equals(response), say(client).authorized)
    client.destroy()
  }
})

for (const ticket of [true, false]) {
  const title = `a session of s_server goes on, ${ticket ? 'with' : 'without'} tickets`
  secured(title, both, async (t, kit) => {
    const server = await s_server(t, kit, ...files(t).shown, ...(ticket ? [] : ['-no_ticket']))
    let session
    for (let round = 0; round < 3; round++) {
      const client = kit.connect(server, { ...trusting, session })
      const given = first(client, 'session')
      await first(client, 'secureConnect')
      byEngine(t, kit, client)
      const [, again] = await server.seen('^(?:New|Reused), |(CIPHER is )')
      t.log('reused', client.isSessionReused(), client.authorized, again !== undefined)
      t.log('answer', await ask(client, server))
      if (round === 0 || kit.version === 'TLSv1.3') session = await given
      client.end()
      await t.closed(client.resume())
    }
  })
}

secured('s_server with a shared key', both, async (t, kit) => {
  const ciphers = pskCiphers[kit.version]
  const offered = kit.version === 'TLSv1.2' ? ['-cipher', ciphers] : ['-ciphersuites', ciphers]
  const shared = ['-nocert', '-psk', psk, '-psk_identity', 'me', '-psk_hint', 'who']
  const server = await s_server(t, kit, ...shared, ...offered)
  const pskCallback = hint => {
    t.log('asked', hint)
    return { psk: Buffer.from(psk, 'hex'), identity: 'me' }
  }
  const client = kit.connect(server, { ciphers, pskCallback, checkServerIdentity: () => undefined })
  await first(client, 'secureConnect')
  byEngine(t, kit, client, 'node')
  t.log('secure', client.authorized, client.getCipher(), await ask(client, server))
})

secured('s_server wants another group', both, async (t, kit) => {
  const server = await s_server(t, kit, ...files(t).shown, '-groups', 'P-384')
  const client = kit.connect(server, { ...trusting, ecdhCurve: 'P-256:P-384' })
  await first(client, 'secureConnect')
  t.log('key', client.getEphemeralKeyInfo(), await ask(client, server))
})

secured('s_server begins further handshakes, and asks for a certificate', async (t, kit) => {
  kit.version = 'TLSv1.2'
  const { shown, trusted } = files(t)
  // Each one in full: a session that goes on has shown its certificate.
  const server = await s_server(t, kit, ...shown, ...trusted, '-no_ticket', '-no_cache')
  const client = kit.connect(server, { ...trusting, maxVersion: 'TLSv1.2', key, cert })
  await first(client, 'secureConnect')
  for (const command of ['r', 'R']) {
    await ask(client, server)
    const before = client.getFinished()
    server.say(command)
    await t.until(() => !client.getFinished().equals(before))
    if (command === 'R') await server.seen('verify return:1')
    t.log(command, await ask(client, server))
  }
})

secured('a client begins a further handshake with s_server', async (t, kit) => {
  kit.version = 'TLSv1.2'
  const server = await s_server(t, kit, ...files(t).shown, '-client_renegotiation')
  const client = kit.connect(server, { ...trusting, maxVersion: 'TLSv1.2' })
  await first(client, 'secureConnect')
  client.resume()
  const error = await new Promise(resolve => client.renegotiate({}, resolve))
  t.log('done', error, await ask(client, server))
})

secured('s_server is killed', both, async (t, kit) => {
  const server = await s_server(t, kit, ...files(t).shown)
  const client = kit.connect(server, trusting)
  await first(client, 'secureConnect')
  t.watch(client, 'client')
  await ask(client, server)
  server.child.kill('SIGKILL')
  await t.closed(client.resume())
})

// --- startTLS() -------------------------------------------------------------------------------------------------------

upgrades('s_client behind STARTTLS of SMTP', async (t, upgrade) => {
  const listener = await t.listen()
  const accepted = first(listener, 'connection')
  const to = `127.0.0.1:${listener.address().port}`
  const client = openssl(t, 's_client', '-connect', to, '-starttls', 'smtp', '-CAfile', file('cert.pem'))
  const peer = await accepted
  peer.write('220 here\r\n')
  t.log('said', await plain(peer))
  peer.write('250-here\r\n250 STARTTLS\r\n')
  t.log('said', await plain(peer))
  peer.write('220 go\r\n')
  const secure = await upgrade(peer, { isServer: true, ...identity })
  await client.seen('Verify return code: 0')
  t.log('said', await talk(secure.resume(), client))
})

for (const version of ['tls1_2', 'tls1_3']) {
  upgrades(`openssl s_client, ${version}`, own, async (t, upgrade) => {
    const listener = await t.listen()
    const accepted = first(listener, 'connection')
    const { child, seen } = openssl(
      t,
      ...['s_client', '-connect', `127.0.0.1:${listener.address().port}`, `-${version}`, '-quiet'],
      ...['-CAfile', file('cert.pem'), '-servername', 'localhost', '-verify_return_error', '-no_ign_eof'],
    )
    const peer = await accepted
    await upgrade(peer, { isServer: true, ...identity })
    const question = first(peer, 'data')
    child.stdin.write('question\n')
    if (String(await question) !== 'question\n') throw new Error('another question')
    if (peer.tls.servername !== 'localhost') throw new Error(`servername ${peer.tls.servername}`)
    peer.write('answer\n')
    await seen('answer')
    child.stdin.end()
    await t.closed(peer.resume())
  })

  upgrades(`openssl s_server, ${version}`, own, async (t, upgrade) => {
    const { child, seen } = openssl(
      t,
      ...['s_server', '-accept', '127.0.0.1:0', `-${version}`, '-naccept', '1'],
      ...['-key', file('key.pem'), '-cert', file('cert.pem')],
    )
    const [, port] = await seen('ACCEPT 127\\.0\\.0\\.1:(\\d+)')
    const client = t.connect({ port: Number(port), host: '127.0.0.1' })
    await upgrade(client, trust)
    client.write('question\n')
    await seen('question')
    const answer = first(client, 'data')
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
