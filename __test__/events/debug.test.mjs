// What developers look at when something is wrong: NODE_DEBUG, and dumps of sockets and servers.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { format, inspect } from 'node:util'
import { parity } from '../helpers/parity.mjs'

// Sockets have no descriptors on Windows.
const FD = process.platform === 'win32' ? '-1' : 'N'

// --- NODE_DEBUG ---------------------------------------------------------------------------------------------------

// A server and two clients, one of whom is refused; then a server that is.
const program = `
  import net from 'ferronet'
  const server = net.createServer(peer => peer.end('x')).listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    net.connect(port, '127.0.0.1').resume().on('close', () => {
      server.close(() => {
        net.connect({ port, host: 'somewhere', lookup: (_host, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]) }).on('error', () => {
          net.createServer().on('error', () => {}).listen('/missing/socket')
        })
      })
    })
  })
`

const lines = [
  'listen: address 127.0.0.1, port 0, fd undefined, backlog 0',
  'connect: attempt at 127.0.0.1, port P',
  'connection: status 0, {"address":"127.0.0.1","family":"IPv4","port":P}',
  'connect: attempt at 127.0.0.1 ended with status 0',
  'read: end, status 0',
  'read: end, status 0',
  `destroy: fd ${FD}, no error`,
  `destroy: fd ${FD}, no error`,
  'connect: lookup of somewhere, {"hints":32}',
  'connect: attempt at 127.0.0.1, port P',
  'connect: attempt at 127.0.0.1 ended with status -E',
  `destroy: fd ${FD}, connect ECONNREFUSED 127.0.0.1:P`,
  'listen: address /missing/socket, port -1, fd undefined, backlog 0',
  'listen: listen EACCES: permission denied /missing/socket',
].sort()

// Which of two ends is told first is not promised, so the lines are sorted.
async function debugged(names) {
  const { NODE_DEBUG, ...env } = process.env
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: new URL('.', import.meta.url),
    env: names === undefined ? env : { ...env, NODE_DEBUG: names },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', more => (text += more))
  const [code] = await once(child, 'close')
  const prefixes = new Set()
  const seen = text.split('\n').filter(line => line !== '' && !line.startsWith('(node:'))
  const plain = seen.map(line => {
    const [, prefix, pid, rest] = line.match(/^(\w+) (\d+): (.*)$/) ?? [null, 'NONE', '', line]
    prefixes.add(`${prefix} ${pid === String(child.pid)}`)
    return rest
      .replace(/fd \d+/, 'fd N')
      .replace(/status -\d+/, 'status -E')
      .replace(/"hints":\d+/, '"hints":32')
      .replace(/(port |"port":|127\.0\.0\.1:)\d{4,5}/, '$1P')
  })
  return { code, prefixes: [...prefixes], lines: plain.sort() }
}

for (const [names, prefix] of [
  ['net', 'NET'],
  ['ferronet', 'FERRONET'],
  ['http,Ferronet', 'FERRONET'],
  ['net,ferronet', 'FERRONET'],
  ['ferro*', 'FERRONET'],
]) {
  const expected = {
    main: [
      ['code', 0],
      ['prefixes', [`${prefix} true`]],
      ['lines', lines],
    ],
  }
  parity(
    `NODE_DEBUG=${names} tells what happens, line by line`,
    { since: '99', expected },
    async ({ log }) => {
      const { code, prefixes, lines } = await debugged(names)
      log('code', code)
      log('prefixes', prefixes)
      log('lines', lines)
    },
  )
}

for (const names of [undefined, '', 'http,tls', 'nets']) {
  const expected = { main: [['silent', 0, [], []]] }
  parity(`NODE_DEBUG=${names ?? ' unset'} says nothing`, { since: '99', expected }, async ({ log }) => {
    const { code, prefixes, lines } = await debugged(names)
    log('silent', code, prefixes, lines)
  })
}

// --- dumps --------------------------------------------------------------------------------------------------------

const keys = value => Object.keys(value)

parity('the properties of a Socket are those of Node, at every stage', async t => {
  const socket = t.own(new t.net.Socket())
  t.log('fresh', keys(socket))
  const server = await t.listen()
  socket.connect(t.to(server))
  t.log('connecting', keys(socket))
  await t.seen(socket, 'connect')
  t.log('connected', keys(socket))
  socket.setTimeout(1000)
  socket.setKeepAlive(true).setNoDelay(true)
  t.log('tuned', keys(socket))
  socket.destroy()
  await t.closed(socket)
  t.log('closed', keys(socket))
})

parity('the properties of an accepted Socket and its server are those of Node', async t => {
  const server = t.own(t.net.createServer())
  t.log('fresh', keys(server))
  server.listen(0, '127.0.0.1')
  t.log('bound', keys(server))
  await t.seen(server, 'listening')
  t.log('listening', keys(server))
  const client = t.connect(t.to(server))
  const peer = await new Promise(resolve => server.once('connection', resolve))
  t.own(peer).on('error', () => {})
  t.log('peer', keys(peer))
  client.destroy()
  server.close()
  t.log('closing', keys(server))
})

parity('the lines of a dump are those of Node, but for symbols and the handle', async t => {
  // Of the stream's own state Node prints what its version has.
  const plain = value =>
    inspect(value, { depth: 0, breakLength: 1 })
      .split('\n')
      .filter(line => !/Symbol\(|^ {2}_handle: \[/.test(line))
  t.log('socket', plain(new t.net.Socket()))
  const { server, client } = await t.pair()
  t.log('client', plain(client))
  t.log('server', plain(server))
})

const handleLine = /(Symbol\(ferronet\.handle\)\]?|_handle): Handle \{([^}]*)\}/

// The facts of the handle in a dump, without their numbers.
const facts = dump =>
  handleLine
    .exec(dump)?.[2]
    .replace(/\d{4,5}/g, 'P')
    .replace(/fd: \d+/, 'fd: N')
    .split(/,?\n\s*/)
    .filter(Boolean)

parity(
  'a dump shows where a Socket is and how much has gone through it',
  {
    since: '99',
    expected: {
      main: [
        [
          'client',
          [
            "kind: 'tcp'",
            `fd: ${FD}`,
            'reading: true',
            "local: '127.0.0.1:P'",
            "remote: '127.0.0.1:P'",
            'referenced: true',
            'bytesRead: 0',
            'bytesWritten: 5',
            'writeQueueSize: 0',
          ],
        ],
        [
          'server',
          ["kind: 'tcp'", `fd: ${FD}`, 'listening: true', "local: '127.0.0.1:P'", 'referenced: false'],
        ],
        ['nested', true],
        ['owner', false],
        ['closed', true],
      ],
    },
  },
  async t => {
    const { server, client } = await t.pair()
    client.write('hello')
    server.unref()
    await t.turns(1)
    t.log('client', facts(inspect(client)))
    t.log('server', facts(inspect(server)))
    t.log('nested', /Symbol\(ferronet\.handle\)\]?: \[Handle\]/.test(inspect({ a: { client } })))
    t.log('owner', inspect(client._handle).includes('Socket'))
    client.destroy()
    t.log('closed', /Symbol\(ferronet\.handle\)\]?: null,/.test(inspect(client)))
  },
)

parity(
  'a handle is dumped in every state and at every depth',
  {
    since: '99',
    expected: {
      main: [
        ['fresh', ["kind: 'tcp'", 'fd: -1', 'reading: false', 'local: undefined', 'remote: undefined']],
        ['IPv6', ["local: '[::1]:P'", "remote: '[::1]:P'"]],
        ['path', true],
        ['closed', ['fd: -1', 'local: undefined', 'remote: undefined', 'referenced: false']],
        ['deep', '[Handle]', true],
        ['formats', true, true, true],
      ],
    },
  },
  async t => {
    const some = (handle, ...names) =>
      facts(`_handle: ${inspect(handle)}`).filter(fact => names.some(name => fact.startsWith(`${name}:`)))
    const socket = t.own(new t.net.Socket())
    socket.connect(1, '127.0.0.1').on('error', () => {})
    t.log(
      'fresh',
      some(socket._handle, 'kind', 'fd', 'reading', 'local', 'remote').map(fact =>
        fact.replace('fd: N', 'fd: -1'),
      ),
    )
    const six = await t.listen({ host: '::1' })
    const client = t.connect(six.address().port, '::1')
    await t.seen(client, 'connect')
    t.log('IPv6', some(client._handle, 'local', 'remote'))
    const server = await t.listen({ path: t.socketPath() })
    t.log('path', inspect(server._handle).includes(`local: ${inspect(server.address())}`))
    const handle = client._handle
    client.destroy()
    t.log('closed', some(handle, 'fd', 'local', 'remote', 'referenced'))
    t.log('deep', inspect(handle, { depth: -1 }), inspect(handle, { depth: null }).startsWith('Handle {'))
    const texts = [
      format('%o', handle),
      format('%j', { a: 1 }),
      inspect(handle, { colors: true, showHidden: true }),
    ]
    t.log('formats', ...texts.map(text => text.length > 0 && text.length < 1000))
  },
)

parity(
  'nothing of the machinery is in a dump: no tables, no shared buffers',
  {
    since: '99',
    expected: {
      main: [
        ['client', false, true],
        ['server', false, true],
      ],
    },
  },
  async t => {
    const { server, client, peer } = await t.pair()
    peer.write(Buffer.alloc(100_000))
    client.write(Buffer.alloc(100_000))
    await t.turns(5)
    for (const [name, value] of Object.entries({ client, server })) {
      const dump = inspect(value, { depth: 10 })
      t.log(name, /Uint8Array|Int32Array|ArrayBuffer|slab|slot/i.test(dump), dump.length < 10_000)
    }
  },
)
