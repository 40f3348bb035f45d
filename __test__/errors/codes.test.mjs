// Every error code that can be triggered, one test each: how all the ways of printing show it, and when it is reported
// (thrown by the call, in the same tick, or later).

import { inspect } from 'node:util'
import { parity } from '../helpers/parity.mjs'
import { isOfEngine } from '../helpers/runtime.mjs'

// All that programs and logs make of an error. Frames of stacks are their maker's own affair.
function print(error) {
  const own = Object.getOwnPropertyDescriptors(error)
  return {
    string: String(error),
    name: error.name,
    classes: [error instanceof TypeError, error instanceof RangeError, error instanceof AggregateError],
    made: error.constructor.name,
    kind: Object.prototype.toString.call(error),
    keys: Object.keys(error),
    own: Object.keys(own)
      .filter(name => !isOfEngine(name))
      .sort()
      .map(
        name =>
          `${name}: ${['writable', 'enumerable', 'configurable'].filter(flag => own[name][flag]).join(' ')}`,
      ),
    json: JSON.stringify(error),
    stack: error.stack.split('\n')[0],
    inspected: inspect(error)
      .split('\n')
      .filter(line => !/^\s+at /.test(line))
      .join('\n'),
  }
}

// Runs `body`, which gives its argument the error or throws it, and logs both the error and the moment.
async function told(t, body) {
  let moment = 'in the call'
  // Deeper than anybody nests ticks: when this is over, so is the tick queue.
  let depth = 20
  const deeper = () => (depth-- > 0 ? process.nextTick(deeper) : (moment = 'later'))
  const error = await new Promise(resolve => {
    const tell = given => {
      t.log('moment', moment)
      resolve(given)
    }
    try {
      body(tell)
    } catch (thrown) {
      t.log('thrown')
      tell(thrown)
    }
    moment = 'in its tick'
    process.nextTick(deeper)
  })
  t.log('error', print(error))
  return error
}

const quiet = emitter => emitter.on('error', () => {})
const byLookup =
  (...answer) =>
  (_host, _options, callback) =>
    process.nextTick(callback, null, ...answer)

// A row: what has happened before, what is called, and where the error is heard.
const rows = {
  // --- arguments
  'ERR_INVALID_ARG_TYPE: the options of a server':
    ({ net }) =>
    () =>
      net.createServer('x'),
  'ERR_INVALID_ARG_TYPE: the port of connect':
    ({ net }) =>
    () =>
      new net.Socket().connect({ port: true }),
  'ERR_INVALID_ARG_TYPE: a lookup':
    ({ net }) =>
    () =>
      new net.Socket().connect({ port: 1, host: 'made.up', lookup: 'x' }),
  'ERR_INVALID_ARG_TYPE: a signal':
    ({ net }) =>
    () =>
      net.createServer().listen({ port: 0, signal: {} }),
  'ERR_INVALID_ARG_TYPE: a time-out':
    ({ net }) =>
    () =>
      new net.Socket().setTimeout('5'),
  'ERR_INVALID_ARG_TYPE: what is no data':
    ({ net }) =>
    () =>
      new net.Socket().write(5),
  'ERR_INVALID_ARG_TYPE: the default of autoSelectFamily':
    ({ net }) =>
    () =>
      net.setDefaultAutoSelectFamily(1),
  'ERR_INVALID_ARG_VALUE: nothing to listen on':
    ({ net }) =>
    () =>
      net.createServer().listen({ host: 'x' }),
  'ERR_INVALID_ARG_VALUE: a port that is none':
    ({ net }) =>
    () =>
      net.createServer().listen({ port: {} }),
  'ERR_INVALID_ARG_VALUE: object mode':
    ({ net }) =>
    () =>
      new net.Socket({ objectMode: true }),
  'ERR_INVALID_ARG_VALUE: a high-water mark':
    ({ net }) =>
    () =>
      new net.Socket({ highWaterMark: -1 }),
  'ERR_OUT_OF_RANGE: a time-out':
    ({ net }) =>
    () =>
      new net.Socket().setTimeout(-1),
  'ERR_OUT_OF_RANGE: an attempt time-out':
    ({ net }) =>
    () =>
      new net.Socket().connect({ port: 1, host: 'x', autoSelectFamilyAttemptTimeout: 0 }),
  'ERR_OUT_OF_RANGE: the default of the attempt time-out':
    ({ net }) =>
    () =>
      net.setDefaultAutoSelectFamilyAttemptTimeout(0),
  'ERR_OUT_OF_RANGE: one too large':
    ({ net }) =>
    () =>
      net.setDefaultAutoSelectFamilyAttemptTimeout(2 ** 40),
  'ERR_SOCKET_BAD_PORT: of connect':
    ({ net }) =>
    () =>
      new net.Socket().connect(65_536),
  'ERR_SOCKET_BAD_PORT: of listen':
    ({ net }) =>
    () =>
      net.createServer().listen(-1),
  'ERR_MISSING_ARGS: neither port nor path':
    ({ net }) =>
    () =>
      new net.Socket().connect({}),
  'ERR_INVALID_IP_ADDRESS: a local address':
    ({ net }) =>
    () =>
      new net.Socket().connect({ port: 1, localAddress: 'x' }),
  'ERR_UNKNOWN_ENCODING: of a write':
    ({ net }) =>
    () =>
      new net.Socket().write('x', 'klingon'),
  'ERR_UNKNOWN_ENCODING: of reads':
    ({ net }) =>
    () =>
      new net.Socket().setEncoding('klingon'),

  // --- answers of lookups
  'ERR_INVALID_IP_ADDRESS: from a lookup':
    ({ net, own }) =>
    tell =>
      own(new net.Socket())
        .on('error', tell)
        .connect({ port: 1, host: 'made.up', family: 4, lookup: byLookup('x', 4) }),
  'ERR_INVALID_ADDRESS_FAMILY: from a lookup':
    ({ net, own }) =>
    tell =>
      own(new net.Socket())
        .on('error', tell)
        .connect({ port: 1, host: 'made.up', family: 4, lookup: byLookup('127.0.0.1', 7) }),
  'ENOTFOUND: from dns.lookup, on connect':
    ({ net, own }) =>
    tell =>
      own(new net.Socket()).on('error', tell).connect(1, 'x..y'),
  'ENOTFOUND: from dns.lookup, on listen':
    ({ net, own }) =>
    tell =>
      own(net.createServer()).on('error', tell).listen(0, 'x..y'),

  // --- states
  ERR_SERVER_ALREADY_LISTEN:
    ({ net, own }) =>
    () =>
      own(net.createServer()).listen(0).listen(0),
  'ERR_SERVER_NOT_RUNNING: close of a server that never listened':
    ({ net, own }) =>
    tell =>
      own(net.createServer()).close(tell),
  'ERR_SERVER_NOT_RUNNING: close of a closed server': async ({ listen, seen }) => {
    const server = await listen()
    server.close()
    await seen(server, 'close')
    return tell => server.close(tell)
  },
  'ERR_SOCKET_CLOSED: the callback of a write without a connection':
    ({ net, own }) =>
    tell =>
      quiet(own(new net.Socket())).write('x', tell),
  'ERR_SOCKET_CLOSED: the error of a write without a connection':
    ({ net, own }) =>
    tell =>
      own(new net.Socket()).on('error', tell).write('x'),
  'ERR_SOCKET_CLOSED: resetAndDestroy without a connection':
    ({ net, own }) =>
    tell =>
      own(new net.Socket()).on('error', tell).resetAndDestroy(),
  'ERR_SOCKET_CLOSED_BEFORE_CONNECTION: the callback of a write that waited': async ({
    net,
    own,
    listen,
    to,
  }) => {
    const server = await listen()
    return tell => {
      const client = own(new net.Socket())
      client.connect(to(server))
      client.write('x', tell)
      client.destroy()
    }
  },
  'ERR_SOCKET_CLOSED_BEFORE_CONNECTION: the callback of a write to who refuses':
    ({ net, own }) =>
    tell => {
      const client = quiet(own(new net.Socket()))
      client.connect(1, '127.0.0.1')
      client.write('x', tell)
    },
  'EPIPE: a write after the peer has ended': async ({ pair, seen }) => {
    const { client, peer } = await pair()
    client.resume()
    peer.end()
    await seen(client, 'end')
    await new Promise(resolve => process.nextTick(resolve))
    return tell => quiet(client).write('x', tell)
  },

  // --- streams
  'ERR_STREAM_NULL_VALUES: write(null)':
    ({ net }) =>
    () =>
      new net.Socket().write(null),
  'ERR_STREAM_WRITE_AFTER_END: the callback': async ({ pair }) => {
    const { client } = await pair()
    client.end()
    return tell => quiet(client).write('x', tell)
  },
  'ERR_STREAM_WRITE_AFTER_END: the error': async ({ pair }) => {
    const { client } = await pair()
    client.end()
    return tell => client.on('error', tell).write('x')
  },
  'ERR_STREAM_DESTROYED: the callback of a write': async ({ pair }) => {
    const { client } = await pair()
    client.destroy()
    return tell => client.write('x', tell)
  },
  'ERR_STREAM_DESTROYED: the callback of an end': async ({ pair }) => {
    const { client } = await pair()
    client.destroy()
    return tell => client.end('x', tell)
  },
  'ERR_STREAM_ALREADY_FINISHED: a second end with a callback': async ({ pair, seen }) => {
    const { client } = await pair({ server: { allowHalfOpen: true } })
    client.end()
    await seen(client, 'finish')
    return tell => client.end(tell)
  },
  'ERR_STREAM_PREMATURE_CLOSE: finished': async ({ pair }) => {
    const { finished } = await import('node:stream')
    const { client } = await pair()
    return tell => {
      finished(client, tell)
      client.destroy()
    }
  },
  ERR_STREAM_PUSH_AFTER_EOF: async ({ net, own }) => {
    const socket = own(new net.Socket())
    socket.push(null)
    return tell => socket.on('error', tell).push('x')
  },
  ERR_STREAM_UNSHIFT_AFTER_END_EVENT: async ({ pair, seen }) => {
    const { client, peer } = await pair({ client: { allowHalfOpen: true } })
    client.resume()
    peer.end()
    await seen(client, 'end')
    return tell => client.on('error', tell).unshift('x')
  },
  'ABORT_ERR: a signal':
    ({ net, own }) =>
    tell => {
      const controller = new AbortController()
      own(new net.Socket({ signal: controller.signal })).on('error', tell)
      controller.abort()
    },
  'ABORT_ERR: a signal that had fired':
    ({ net, own }) =>
    tell =>
      own(new net.Socket({ signal: AbortSignal.abort() })).on('error', tell),

  // --- the system
  'ECONNREFUSED: TCP':
    ({ net, own }) =>
    tell =>
      own(new net.Socket()).on('error', tell).connect(1, '127.0.0.1'),
  'ECONNREFUSED: port 0':
    ({ net, own }) =>
    tell =>
      own(new net.Socket()).on('error', tell).connect(0, '127.0.0.1'),
  'ECONNREFUSED: all addresses':
    ({ net, own }) =>
    tell =>
      own(new net.Socket())
        .on('error', tell)
        .connect({
          port: 1,
          host: 'made.up',
          autoSelectFamilyAttemptTimeout: 8_000,
          lookup: byLookup(['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 }))),
        }),
  'EALREADY: connect on a connecting socket': async ({ net, own, listen, to }) => {
    const server = await listen()
    const client = own(new net.Socket())
    return tell =>
      client
        .on('error', error => tell(withoutPort(error)))
        .connect(to(server))
        .connect(to(server))
  },
  'EADDRNOTAVAIL: bind':
    ({ net, own }) =>
    tell =>
      own(new net.Socket())
        .on('error', tell)
        .connect({ port: 1, host: '127.0.0.1', localAddress: '192.0.2.1' }),
  'EINVAL: bind to the other family':
    ({ net, own }) =>
    tell =>
      own(new net.Socket()).on('error', tell).connect({ port: 1, host: '127.0.0.1', localAddress: '::1' }),
  'EINVAL: an address that is not of its family':
    ({ net, own }) =>
    tell =>
      own(new net.Socket())
        .on('error', tell)
        .connect({ port: 1, host: 'made.up', family: 4, lookup: byLookup('::1', 4) }),
  'EADDRINUSE: listen': async ({ net, own, listen, to }) => {
    const taken = await listen()
    return tell =>
      own(net.createServer())
        .on('error', error => tell(withoutPort(error)))
        .listen(to(taken))
  },
  'EADDRNOTAVAIL: listen':
    ({ net, own }) =>
    tell =>
      own(net.createServer()).on('error', tell).listen(0, '192.0.2.1'),
  'ENOENT: a path nobody listens on':
    ({ net, own }) =>
    tell =>
      own(new net.Socket()).on('error', tell).connect('/nowhere/ferronet'),
  'EACCES: a path that cannot be made':
    ({ net, own }) =>
    tell =>
      own(net.createServer()).on('error', tell).listen('/nowhere/ferronet'),
  'ECONNRESET: read': async ({ pair }) => {
    const { client, peer } = await pair()
    return tell => {
      client.on('error', tell)
      peer.resetAndDestroy()
    }
  },
  'ERR_INVALID_HANDLE_TYPE: a reset of a path': async ({ pair, socketPath }) => {
    const { client } = await pair({ path: socketPath() })
    return () => client.resetAndDestroy()
  },
}

// Ports that differ between runs, also where they stand in texts.
function withoutPort(error) {
  error.port = 1
  for (const text of ['message', 'stack']) error[text] = error[text].replace(/(127\.0\.0\.1):\d+/g, '$1:PORT')
  return error
}

for (const [label, prepare] of Object.entries(rows)) {
  parity(`${label}`, { on: 'linux' }, async t => {
    await told(t, await prepare(t))
  })
}

parity('codes: a code is in the first line of the stack, the name stays what it was', ({ net, log }) => {
  const errors = []
  for (const body of [
    () => net.createServer(1),
    () => net.createServer().listen(-1),
    () => new net.Socket().connect(),
  ]) {
    try {
      body()
    } catch (error) {
      errors.push(error)
    }
  }
  for (const error of errors) {
    log('before', error.stack.split('\n')[0], error.name)
    error.message = 'changed'
    log('changed', String(error), error.stack.split('\n')[0].includes('changed'))
    error.name = 'Mine'
    log('renamed', String(error), error.name)
    log('keys', Object.keys(error))
  }
})

parity('errors of the system: may be cloned, thrown again and given to assert', { on: 'linux' }, async t => {
  const { net, own, log } = t
  const assert = await import('node:assert')
  const client = own(new net.Socket())
  const failed = new Promise(resolve => client.once('error', resolve))
  client.connect(1, '127.0.0.1')
  const error = await failed
  const clone = structuredClone(error)
  log('clone', clone.constructor.name, clone.message, Object.keys(clone))
  assert.rejects(Promise.reject(error), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
    port: 1,
    name: 'Error',
  })
  assert.throws(() => {
    throw error
  }, /^Error: connect ECONNREFUSED 127\.0\.0\.1:1$/)
  log('frozen', Object.isFrozen(error), Object.isExtensible(error))
})

parity(
  'errors of the system: Error.stackTraceLimit and prepareStackTrace hold for them',
  { on: 'linux' },
  async t => {
    const { net, own, log, cleanup } = t
    const limit = Error.stackTraceLimit
    cleanup(() => (Error.stackTraceLimit = limit))
    for (const value of [0, 1, limit]) {
      Error.stackTraceLimit = value
      const client = own(new net.Socket())
      const failed = new Promise(resolve => client.once('error', resolve))
      client.connect(1, '127.0.0.1')
      const lines = (await failed).stack.split('\n')
      log('limit', lines[0], lines.length <= value + 1)
    }
  },
)
