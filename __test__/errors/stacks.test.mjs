// The stack of an error: a single frame if the event loop reported it, the program's own frames if one of its calls
// caused it.

import { parity, parityProcess } from '../helpers/parity.mjs'

const failed = emitter => new Promise(resolve => emitter.once('error', resolve))

/** The frames of a stack: their number, and whether they look like frames. */
function frames({ stack }) {
  const lines = stack.split('\n').slice(1)
  return { number: lines.length, wellFormed: lines.every(line => /^ {4}at .+:\d+:\d+\)?$/.test(line)) }
}

/** The frames of the program, and whether they begin with one of these. */
function programs({ stack }, ...names) {
  const lines = stack.split('\n').filter(line => line.startsWith('    at ') && !/[( ]node:/.test(line))
  return names.map((name, at) => lines[at]?.includes(`at ${name} (`))
}

parity('a connection that is refused: one frame', async ({ listen, connect, to, seen, log }) => {
  const server = await listen()
  const target = to(server)
  server.close()
  await seen(server, 'close')
  const error = await failed(connect(target))
  log('stack', error.stack.split('\n')[0], frames(error))
})

parity('a path where nobody listens: one frame', { on: 'unix' }, async ({ connect, socketPath, log }) => {
  const error = await failed(connect({ path: socketPath() }))
  log('stack', error.stack.split('\n')[0], frames(error))
})

parity('a connection that is reset: one frame', { on: 'linux' }, async ({ pair, log }) => {
  const { client, peer } = await pair()
  client.resume()
  peer.resetAndDestroy()
  const error = await failed(client)
  log('stack', error.stack.split('\n')[0], frames(error))
})

parity('several addresses that refuse: a few frames', async ({ listen, connect, to, seen, log }) => {
  const server = await listen()
  const { port } = to(server)
  server.close()
  await seen(server, 'close')
  const addresses = ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 }))
  const lookup = (_host, _options, callback) => callback(null, addresses)
  const error = await failed(connect({ host: 'made.up', port, lookup }))
  for (const each of [error, ...error.errors]) {
    const { number, wellFormed } = frames(each)
    log('stack', each.stack.split('\n')[0], number > 0 && number <= 2, wellFormed)
  }
})

parity('a wrong argument: the frames of the program', async ({ net, own, log }) => {
  for (const mistake of [
    () => net.connect({ port: 99_999 }),
    () => net.connect({ path: 1 }),
    () => new net.Socket({ fd: -1 }),
    () => new net.Socket().connect({}),
    () => own(new net.Socket()).setTimeout('soon'),
    () => net.createServer().listen({}),
  ]) {
    const program = () => mistake()
    try {
      ;(function further() {
        program()
      })()
      log('no error')
    } catch (error) {
      log('frames', error.code, programs(error, 'mistake', 'program', 'further'))
    }
  }
})

parity('Error.stackTraceLimit is what it was', async ({ net, connect, listen, to, seen, log }) => {
  const server = await listen()
  const target = to(server)
  server.close()
  await seen(server, 'close')
  const before = Error.stackTraceLimit
  try {
    for (const limit of [0, 1, 3, 50]) {
      Error.stackTraceLimit = limit
      const error = await failed(connect(target))
      log('limit', limit, Error.stackTraceLimit, frames(error).number)
      try {
        net.connect({ port: -1 })
      } catch (error) {
        log('thrown', Error.stackTraceLimit, frames(error).number <= limit)
      }
    }
    delete Error.stackTraceLimit
    const error = await failed(connect(target))
    log('without', error.message)
    try {
      net.connect({ port: -1 })
    } catch (error) {
      log('thrown', error.message)
    }
  } finally {
    Error.stackTraceLimit = before
  }
})

parity('Error.prepareStackTrace of a program', async ({ net, connect, listen, to, seen, log }) => {
  const server = await listen()
  const target = to(server)
  server.close()
  await seen(server, 'close')
  const before = Error.prepareStackTrace
  try {
    Error.prepareStackTrace = (error, sites) => ({ of: error.message, sites: sites.length > 0 })
    log('told', (await failed(connect(target))).stack)
    try {
      net.connect({ port: -1 })
    } catch (error) {
      log('thrown', error.stack)
    }
    Error.prepareStackTrace = error => `prepared ${error.message}`
    log('told', (await failed(connect(target))).stack)
    try {
      net.connect({ port: -1 })
    } catch (error) {
      log('thrown', error.stack)
    }
  } finally {
    Error.prepareStackTrace = before
  }
})

for (const flag of ['--frozen-intrinsics', '--enable-source-maps']) {
  parityProcess(`errors under ${flag}`, { execArgv: [flag, '--no-warnings'] }, ({ net, log }) => {
    const socket = net.connect({ port: 1, host: '127.0.0.1' })
    socket.on('error', error => log('told', error.stack.split('\n')[0], frames(error).number > 0))
    try {
      net.connect({ port: -1 })
    } catch (error) {
      log('thrown', error.stack.split('\n')[0], frames(error).number > 0)
    }
  })
}
