// Sockets and listeners on inherited descriptors, and on handles of Node's own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readdirSync, readlinkSync, renameSync } from 'node:fs'
import nodeNet from 'node:net'
import { fileURLToPath } from 'node:url'
import { parity } from '../helpers/parity.mjs'

const fixture = fileURLToPath(new URL('../fixtures/descriptors.mjs', import.meta.url))
const unix = { on: 'unix' }
const linux = { on: 'linux' }
const ours = { since: '99' }

// Starts a case of the fixture on descriptors: `stdio` without the 2, on which it says what it sees. `shell` is a command
// line around it, in which it is "$@".
function start(t, name, stdio, shell) {
  const command = [process.execPath, fixture, t.moduleName, name]
  const [file, ...args] = shell === undefined ? command : ['sh', '-c', shell, 'sh', ...command]
  const child = spawn(file, args, { stdio: [stdio[0], stdio[1], 'pipe', ...stdio.slice(2)] })
  t.cleanup(() => child.kill('SIGKILL'))
  child.lines = ''
  child.stderr.setEncoding('utf8').on('data', text => (child.lines += text))
  child.over = Promise.all([once(child, 'exit'), once(child.stderr, 'end')])
  return child
}

// Resolves when the child has said something with `text` in it.
async function said(child, text) {
  while (!child.lines.includes(text)) await once(child.stderr, 'data')
}

// What the child said and how it ended, as entries.
async function ended(t, child) {
  const [[code, signal]] = await child.over
  for (const line of child.lines.split('\n').filter(Boolean)) {
    t.log('child', ...(line.startsWith('[') ? JSON.parse(line) : [line]))
  }
  t.log('exit', code, signal)
}

async function textOf(stream) {
  let text = ''
  for await (const chunk of stream.setEncoding('utf8')) text += chunk
  return text
}

// --- a FIFO, read -------------------------------------------------------------------------------------------------

const readers = {
  'a FIFO on fd is read to its end': 'read',
  'a FIFO by number, new Socket(fd), ends both sides': 'readNumber',
  'a FIFO with allowHalfOpen waits for our end': 'readHalfOpen',
  'a FIFO is decoded': 'readText',
  'a FIFO is read into the buffer of onread': 'readInto',
  'a FIFO is iterated': 'readAsIterator',
  'a FIFO with pauseOnCreate is not read before resume': 'readPaused',
  'a FIFO with manualStart is not read before resume': 'readManually',
  'a destroyed Socket on descriptor 0 leaves it open': 'readDestroyed',
  'the signal option destroys a Socket on a FIFO': 'readAborted',
  'end() on the read end of a FIFO finishes': 'endReader',
  'resetAndDestroy on a FIFO throws ERR_INVALID_HANDLE_TYPE': 'resetReader',
  'the TCP options of a Socket on a FIFO do nothing': 'optionsOfReader',
  'a second Socket on the same fd is open EEXIST': 'twice',
  'write() to the read end of a FIFO is EPIPE': 'writeToReader',
}
for (const [title, name] of Object.entries(readers)) {
  parity(title, unix, async t => {
    const child = start(t, name, ['pipe', 'ignore'], 'cat | "$@"')
    child.stdin.on('error', () => {})
    child.stdin.end('hello Wörld')
    await ended(t, child)
  })
}

parity('much comes through a FIFO to a slow reader', unix, async t => {
  const child = start(t, 'readSlowly', ['pipe', 'ignore'], 'cat | "$@"')
  child.stdin.end(Buffer.alloc(2_000_000, 'much '))
  await ended(t, child)
})

parity('an empty FIFO ends at once', unix, async t => {
  await ended(t, start(t, 'read', ['ignore', 'ignore'], 'true | "$@"'))
})

parity('a FIFO is piped into a FIFO', unix, async t => {
  const child = start(t, 'readPiped', ['pipe', 'pipe'], 'cat | "$@" | cat')
  child.stdin.end(Buffer.alloc(500_000, 'along '))
  t.log('arrived', await textOf(child.stdout))
  await ended(t, child)
})

// Somebody could still write into these: what ends the process is not the end of the FIFO.
for (const [title, name] of Object.entries({
  'the timeout of a silent FIFO is noticed': 'readTimeout',
  'an unreferenced Socket on a FIFO lets the process end': 'readUnref',
  'readable: false leaves a FIFO alone, and lets the process end': 'readNothing',
})) {
  parity(title, unix, async t => {
    const child = start(t, name, ['pipe', 'ignore'], 'cat | "$@"')
    await said(child, '["exit"')
    child.stdin.end()
    await ended(t, child)
  })
}

parity('a Socket on an open FIFO keeps the process alive', unix, async t => {
  const child = start(t, 'read', ['pipe', 'ignore'], 'cat | "$@"')
  await said(child, 'readOnly')
  // As long as it takes another process to come and go.
  await once(spawn(process.execPath, ['-e', '0']), 'exit')
  t.log('alive', child.exitCode)
  child.stdin.end('after all')
  await ended(t, child)
})

// --- a FIFO, written ----------------------------------------------------------------------------------------------

parity('a FIFO is written, ended and closed', unix, async t => {
  const child = start(t, 'write', ['ignore', 'pipe'], '"$@" | cat')
  t.log('arrived', await textOf(child.stdout))
  await ended(t, child)
})

parity('a FIFO takes more than it holds', unix, async t => {
  const child = start(t, 'writeMuch', ['ignore', 'pipe'], '"$@" | cat')
  t.log('arrived', await textOf(child.stdout))
  await ended(t, child)
})

parity('a full FIFO holds its writer back until it is read', unix, async t => {
  const child = start(t, 'writeBlocked', ['ignore', 'pipe', 'pipe'], '"$@" | { read go <&3; cat; }')
  await said(child, '["blocked"')
  child.stdio[3].end('go\n')
  t.log('arrived', await textOf(child.stdout))
  await ended(t, child)
})

parity('a full FIFO is told by write(), and emptied by drain', unix, async t => {
  const child = start(t, 'writeUntilFull', ['ignore', 'pipe', 'pipe'], '"$@" | { read go <&3; cat; }')
  await said(child, '["full"')
  child.stdio[3].end('go\n')
  await textOf(child.stdout)
  await ended(t, child)
})

// On Node 20 the callback is told nothing.
parity(
  'destroy with a full FIFO cancels the write',
  {
    ...unix,
    since: '22',
    expected: {
      main: [
        ['child', 'written', 'write ECANCELED'],
        ['child', 'socket', 'close', false],
        ['child', 'exit', 0],
        ['exit', 0, null],
      ],
    },
  },
  async t => {
    const shell = '"$@" | { read go <&3; }'
    const child = start(t, 'writeBlockedDestroyed', ['ignore', 'ignore', 'pipe'], shell)
    await said(child, '["exit"')
    child.stdio[3].end('go\n')
    await ended(t, child)
  },
)

parity('a FIFO that nobody reads is EPIPE', unix, async t => {
  await ended(t, start(t, 'writeToNobody', ['ignore', 'ignore'], '"$@" | true'))
})

parity('reading the write end of a FIFO is ENOTCONN', unix, async t => {
  await ended(t, start(t, 'readWriter', ['ignore', 'ignore'], '"$@" | cat'))
})

// --- a socketpair, and an inherited connection --------------------------------------------------------------------

// Descriptor 3 of the child and the other end of it, two ways.
const connections = {
  'a socketpair': async (t, name) => {
    const child = start(t, name, ['ignore', 'ignore', 'pipe'])
    return { child, peer: child.stdio[3] }
  },
  'an inherited TCP connection': async (t, name) => {
    const server = t.own(nodeNet.createServer({ pauseOnConnect: true })).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const peer = t.own(nodeNet.connect(server.address().port, '127.0.0.1'))
    const [accepted] = await once(server, 'connection')
    const child = start(t, name, ['ignore', 'ignore', accepted._handle.fd])
    accepted.destroy()
    server.close()
    return { child, peer }
  },
}

for (const [what, open] of Object.entries(connections)) {
  parity(`${what} on fd talks and ends`, unix, async t => {
    const { child, peer } = await open(t, 'echo')
    peer.write('ping')
    const [answer] = await once(peer, 'data')
    t.log('answer', answer)
    peer.end()
    await ended(t, child)
  })

  parity(`${what} on fd with allowHalfOpen speaks after the peer's end`, unix, async t => {
    const { child, peer } = await open(t, 'echoHalfOpen')
    peer.end('over')
    t.log('arrived', await textOf(peer))
    await ended(t, child)
  })

  parity(`${what} on fd that ends first hears the rest`, unix, async t => {
    const { child, peer } = await open(t, 'endFirst')
    t.log('arrived', await textOf(peer))
    peer.end('the rest')
    await ended(t, child)
  })

  parity(`${what} on fd with readable: false closes when it has ended`, unix, async t => {
    const { child, peer } = await open(t, 'notReadable')
    t.log('arrived', await textOf(peer))
    await ended(t, child)
  })

  parity(`${what} on fd with writable: false refuses to write`, unix, async t => {
    const { child, peer } = await open(t, 'notWritable')
    peer.on('error', () => {})
    await ended(t, child)
  })

  parity(`${what} on fd with neither readable nor writable is closed by destroy`, unix, async t => {
    const { child, peer } = await open(t, 'neither')
    peer.on('error', () => {})
    await ended(t, child)
  })

  parity(`${what} on fd with readable and writable undefined is both`, unix, async t => {
    const { child, peer } = await open(t, 'asIs')
    peer.on('error', () => {})
    await ended(t, child)
  })

  parity(`${what} on fd takes the TCP options`, unix, async t => {
    const { child, peer } = await open(t, 'tuned')
    peer.on('error', () => {})
    await ended(t, child)
  })

  parity(`${what} on fd is reset, or cannot be`, unix, async t => {
    const { child, peer } = await open(t, 'reset')
    peer.on('error', error => t.log.to('peer')('error', error.code))
    await ended(t, child)
    if (!peer.destroyed) await once(peer, 'close')
  })

  parity(`a Socket that was on ${what} connects again`, unix, async t => {
    const { child, peer } = await open(t, 'connectAfterwards')
    peer.resume().end('first life')
    await ended(t, child)
  })

  parity(`listen on ${what} is EINVAL, and the server can try again`, unix, async t => {
    const { child, peer } = await open(t, 'listenFailed')
    peer.on('error', () => {})
    await ended(t, child)
  })
}

// --- inherited listeners ------------------------------------------------------------------------------------------

const listeners = {
  'an inherited IPv4 listener': server => server.listen(0, '127.0.0.1'),
  'an inherited IPv6 listener': server => server.listen(0, '::1'),
  'an inherited Unix listener': (server, t) => server.listen(t.socketPath()),
}

// Starts the child on a listener that is the parent's no longer; returns where it is.
async function inheritListener(t, name, listen) {
  const server = listen(t.own(nodeNet.createServer()), t)
  await once(server, 'listening')
  const child = start(t, name, ['ignore', 'ignore', server._handle.fd])
  let place = server.address()
  if (typeof place === 'string') {
    // Closing would unlink it.
    renameSync(place, `${place}-kept`)
    place = { path: `${place}-kept` }
  } else {
    place = { port: place.port, host: place.address }
  }
  server.close()
  return { child, place }
}

for (const [what, listen] of Object.entries(listeners)) {
  parity(`${what} on listen({ fd }) accepts`, unix, async t => {
    const { child, place } = await inheritListener(t, 'listen', listen)
    // Waits in the backlog until the child is there.
    t.log('welcome', await textOf(t.own(nodeNet.connect(place))))
    await ended(t, child)
    if (place.path) t.log('path', existsSync(place.path))
  })

  parity(`${what} on listen({ fd }) is closed by close()`, unix, async t => {
    const { child, place } = await inheritListener(t, 'listenClosed', listen)
    await ended(t, child)
    const [error] = await once(t.own(nodeNet.connect(place)), 'error')
    t.log('refused', error.code, place.path && existsSync(place.path))
  })

  parity(`${what} on listen({ fd }) does not hold the process when unreferenced`, unix, async t => {
    const { child } = await inheritListener(t, 'listenUnref', listen)
    await ended(t, child)
  })
}

parity('a bound descriptor on listen({ fd }) listens', unix, async t => {
  const handle = nodeNet._createServerHandle('127.0.0.1', 0, 4)
  const child = start(t, 'listen', ['ignore', 'ignore', handle.fd])
  await said(child, 'called back')
  const place = {}
  handle.getsockname(place)
  handle.close()
  t.log('welcome', await textOf(t.own(nodeNet.connect(place.port, '127.0.0.1'))))
  await ended(t, child)
})

parity('listen({ fd }) of a FIFO is ENOTSOCK', unix, async t => {
  await ended(t, start(t, 'listenFailed', ['ignore', 'ignore', 'ignore'], 'true | "$@" 3<&0'))
})

parity('listen({ fd }) does nothing with other options', unix, async t => {
  const server = t.own(nodeNet.createServer().listen(0, '127.0.0.1'))
  await once(server, 'listening')
  const second = t.watch(t.net.createServer(), 'server')
  t.attempt('listen', () => void second.listen({ fd: 1e6, port: 'nonsense', path: 5, host: 7 }))
  await t.seen(second, 'error')
})

// --- what cannot be adopted ---------------------------------------------------------------------------------------

// Open descriptors of this process that refer to something of the kind.
const descriptors = kind =>
  readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(kind)
    } catch {
      return false
    }
  })

// What was not adopted stays the opener's to close.
function openedFile(t, path, flags) {
  const fd = openSync(path, flags)
  t.cleanup(() => closeSync(fd))
  return fd
}

const opened = {
  'a file': t => openedFile(t, fixture),
  'a directory': t => openedFile(t, '.'),
  'a character device': t => openedFile(t, '/dev/null'),
  'a terminal': t => openedFile(t, '/dev/ptmx', 'r+'),
  'an epoll instance': () => Number(descriptors('anon_inode:[eventpoll]')[0]),
  'a UDP socket': async t => {
    const { createSocket } = await import('node:dgram')
    const before = descriptors('socket:')
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    t.cleanup(() => socket.close())
    await once(socket, 'listening')
    return Number(descriptors('socket:').find(fd => !before.includes(fd)))
  },
  'a closed descriptor': () => {
    const fd = openSync('/dev/null')
    closeSync(fd)
    return fd
  },
}

for (const [what, open] of Object.entries(opened)) {
  parity(`${what} on fd throws ERR_INVALID_FD_TYPE, and is EINVAL to listen on`, linux, async t => {
    const fd = await open(t)
    t.attempt('option', () => new t.net.Socket({ fd }))
    t.attempt('number', () => new t.net.Socket(fd))
    t.attempt('without new', () => t.net.Socket(fd))
    t.attempt('connect', () => t.net.connect({ fd, port: 1 }))
    const server = t.watch(t.net.createServer(), 'server')
    t.attempt('listen', () => server.listen({ fd }) === server)
    t.log('listening', server.listening, server.address())
    await t.seen(server, 'error')
  })
}

parity('fd must be a number that can be one', ({ net, attempt }) => {
  for (const fd of [-1, 1.5, Number.NaN, 2 ** 31, '0', null, true, {}, 0n]) {
    attempt(`fd: ${String(fd)}`, () => new net.Socket({ fd }))
  }
  for (const fd of [-1, 1.5, Number.NaN, 2 ** 31]) attempt(`Socket(${fd})`, () => new net.Socket(fd))
  attempt('undefined', () => new net.Socket({ fd: undefined })._handle)
})

parity('listen({ fd }) takes other values for no descriptor', ({ net, attempt }) => {
  for (const fd of [-1, '3', null, Number.NaN]) {
    attempt(`fd: ${String(fd)}`, () => net.createServer().listen({ fd }))
  }
})

parity('listen({ fd }) takes no descriptor for a fraction above it', { on: 'unix' }, async t => {
  const server = await t.listen()
  const other = t.watch(t.net.createServer(), 'other')
  other.listen({ fd: server._handle.fd + 0.5 })
  await t.seen(other, 'error')
})

// --- handles of Node's own ----------------------------------------------------------------------------------------

// A connection whose accepted end is a libuv handle that belongs to nobody.
async function loose(t, path) {
  const server = t.own(nodeNet.createServer({ pauseOnConnect: true }))
  server.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path })
  await once(server, 'listening')
  const peer = t.own(nodeNet.connect(t.to(server)))
  const [accepted] = await once(server, 'connection')
  const handle = accepted._handle
  accepted._handle = null
  accepted.destroy()
  server.close()
  return { handle, peer }
}

for (const [what, place] of Object.entries({
  'a TCP handle': () => undefined,
  'a Pipe handle': t => t.socketPath(),
})) {
  parity(`${what} of Node's as the handle option is a connection`, unix, async t => {
    const { handle, peer } = await loose(t, place(t))
    const socket = t.watch(new t.net.Socket({ handle }), 'socket')
    const { readyState, connecting, pending, remoteFamily, localFamily } = socket
    t.log('facts', { readyState, connecting, pending, remoteFamily, localFamily })
    socket.on('data', data => socket.write(`echo ${data}`))
    peer.write('ping')
    const [answer] = await once(peer, 'data')
    t.log('answer', answer)
    peer.end()
    await t.closed(socket)
    t.log('counted', socket.bytesRead, socket.bytesWritten)
  })

  parity(`${what} of Node's with pauseOnCreate waits for resume`, unix, async t => {
    const { handle, peer } = await loose(t, place(t))
    peer.end('patience')
    const socket = t.watch(new t.net.Socket({ handle, pauseOnCreate: true }), 'socket')
    await t.quiet()
    t.log('paused', socket.isPaused(), socket.bytesRead, socket.readableLength)
    socket.resume()
    await t.closed(socket)
  })

  parity(`${what} of Node's with manualStart is read when asked`, unix, async t => {
    const { handle, peer } = await loose(t, place(t))
    peer.end('patience')
    const socket = t.watch(new t.net.Socket({ handle, manualStart: true }), 'socket')
    await t.quiet()
    t.log('idle', socket.isPaused(), socket.bytesRead, socket.readableLength)
    socket.read(0)
    socket.resume()
    await t.closed(socket)
  })
}

const served = async (t, server) => {
  await t.seen(server, 'listening')
  t.log('family', server.address().family, server.listening)
  const client = t.own(nodeNet.connect(server.address().port, '127.0.0.1'))
  t.log('welcome', await textOf(client))
  await t.closed(client)
  server.close()
  await t.seen(server, 'close')
}

for (const [how, wrap] of Object.entries({
  'listen(handle)': handle => handle,
  'listen({ handle })': handle => ({ handle }),
  'listen({ _handle })': handle => ({ _handle: handle }),
  'listen({ handle, port }) of which only the handle counts,': handle => ({ handle, port: 'nonsense' }),
})) {
  parity(`${how} takes a bound handle of Node's`, async t => {
    const server = t.watch(
      t.net.createServer(peer => peer.end('welcome')),
      'server',
    )
    const handle = nodeNet._createServerHandle('127.0.0.1', 0, 4)
    t.attempt('listen', () => server.listen(wrap(handle), 5, () => t.log('called back')) === server)
    t.log('key', server._connectionKey, server.listening)
    await served(t, server)
  })
}

parity("listen() takes what one of Node's servers listens on", async t => {
  const theirs = nodeNet.createServer().listen(0, '127.0.0.1')
  await once(theirs, 'listening')
  const server = t.watch(
    t.net.createServer(peer => peer.end('welcome')),
    'server',
  )
  t.attempt('listen', () => server.listen(theirs) === server)
  await served(t, server)
})

parity("listen() on a Pipe handle of Node's leaves the name to whoever bound it", unix, async t => {
  const path = t.socketPath()
  const handle = nodeNet._createServerHandle(path, -1, -1)
  const server = t.watch(
    t.net.createServer(peer => peer.end('welcome')),
    'server',
  )
  t.attempt('listen', () => server.listen(handle) === server)
  await t.seen(server, 'listening')
  t.log('address', server.address(), server._pipeName)
  t.log('welcome', await textOf(t.own(nodeNet.connect(path))))
  server.close()
  await t.seen(server, 'close')
  t.log('left', existsSync(path))
})

parity('listen() on an object without a handle, a port or a path throws', ({ net, attempt }) => {
  for (const handle of [{}, [], null, 0, '', undefined]) {
    attempt(JSON.stringify(handle) ?? 'undefined', () => net.createServer().listen({ handle }))
  }
  for (const handle of [1, 'x', true]) {
    attempt(String(handle), () => net.createServer().listen({ handle }))
  }
})

// Node says of all but the first four that it cannot create a property on them.
parity(
  'the handle option takes objects only',
  {
    ...ours,
    expected: {
      main: [
        ['falsy', 4],
        ...['type number (3)', "type string ('x')", 'type boolean (true)'].map(kind => [
          'threw',
          {
            name: 'TypeError',
            constructor: 'TypeError',
            message: `The "options.handle" property must be an instance of BoundSocket or a handle. Received ${kind}`,
            code: 'ERR_INVALID_ARG_TYPE',
          },
        ]),
      ],
    },
  },
  ({ net, log }) => {
    const none = [null, undefined, 0, ''].filter(handle => new net.Socket({ handle })._handle === null)
    log('falsy', none.length)
    for (const handle of [3, 'x', true]) {
      try {
        new net.Socket({ handle })
      } catch (error) {
        log('threw', error)
      }
    }
  },
)
