// write() and end(): which arguments they accept, what they return, when they call back, and every way they fail.

import { constants } from 'node:os'
import { parity } from '../helpers/parity.mjs'

// What the kernel has not taken of a write in progress is given up with this, since Node 22.
const canceled = {
  name: 'Error',
  constructor: 'Error',
  message: 'write ECANCELED',
  code: 'ECANCELED',
  errno: -constants.errno.ECANCELED,
  syscall: 'write',
}

const kinds = {
  'a string': 'grüße',
  'a Buffer': Buffer.from('buffer'),
  'a Uint8Array': new Uint8Array([1, 2, 250]),
  'an Int16Array': new Int16Array([1, -2, 300]),
  'a Float64Array': new Float64Array([1.5]),
  'a DataView': new DataView(new Uint8Array([5, 6, 7, 8]).buffer, 1, 2),
  'a slice of a larger buffer': Buffer.from('0123456789').subarray(3, 6),
  'an empty Buffer': Buffer.alloc(0),
  'an empty string': '',
}
for (const [kind, data] of Object.entries(kinds)) {
  parity(`${kind} is sent as it is`, async ({ pair, drained, log }) => {
    const { client, peer } = await pair()
    const arrived = drained(peer)
    log('write', client.write(data), client.writableLength, client.bytesWritten)
    client.end('.')
    log('arrived', await arrived, peer.bytesRead)
  })
}

parity('what is no data throws at once', async ({ pair, attempt, log }) => {
  const { client } = await pair()
  const noData = {
    null: null,
    undefined,
    'a number': 1,
    true: true,
    'an object': {},
    'an array': [1],
    'a function': () => {},
  }
  for (const [label, data] of Object.entries(noData)) attempt(label, () => client.write(data))
  attempt('end(1)', () => client.end(1))
  attempt('an unknown encoding', () => client.write('x', 'klingon'))
  log('after', client.destroyed, client.writable, client.bytesWritten)
})

for (const encoding of [
  'utf8',
  'utf-8',
  'latin1',
  'binary',
  'ascii',
  'utf16le',
  'ucs2',
  'hex',
  'base64',
  'base64url',
]) {
  parity(`a string is encoded as ${encoding}`, async ({ pair, drained, log }) => {
    const { client, peer } = await pair()
    const arrived = drained(peer)
    const text = { hex: '00ff10', base64: 'AP8Qgg==', base64url: 'AP-Qgg' }[encoding] ?? 'Aé€😀'
    client.write(text, encoding)
    log('counted', client.bytesWritten)
    client.end(text, encoding)
    log('arrived', await arrived)
  })
}

parity('setDefaultEncoding is the encoding of strings', async ({ pair, drained, log }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  client.setDefaultEncoding('latin1').write('é')
  client.end('é', 'utf8')
  log('arrived', await arrived)
})

parity('a write calls back after this tick and before setImmediate', async ({ pair, log, turns }) => {
  const { client, peer } = await pair()
  peer.resume()
  setImmediate(() => log('setImmediate'))
  process.nextTick(() => log('nextTick before'))
  client.write('x', (...args) => log('callback', args.length, args[0]))
  process.nextTick(() => log('nextTick after'))
  queueMicrotask(() => log('microtask'))
  log('write returned')
  await turns(2)
})

parity('write callbacks come in the order of the writes', async ({ pair, log, seen }) => {
  const { client, peer } = await pair()
  peer.resume()
  for (const each of [1, 2, 3, 4]) client.write('x'.repeat(each), () => log('callback', each))
  client.end('y', () => log('end callback'))
  await seen(client, 'finish')
})

parity('a write from a write callback keeps the order', async ({ pair, log, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  client.write('1', () => {
    log('first')
    client.write('3', () => {
      log('third')
      client.end('4')
    })
  })
  client.write('2', () => log('second'))
  log('arrived', await arrived)
})

parity('each write calls back with the error-less argument list of Node', async ({ pair, log }) => {
  const { client, peer } = await pair()
  peer.resume()
  await new Promise(resolve =>
    client.write('x', function (...args) {
      log('callback', args, this === client, this === undefined)
      resolve()
    }),
  )
  await new Promise(resolve =>
    client.write('x', 'utf8', (...args) => {
      log('with an encoding', args)
      resolve()
    }),
  )
})

parity('a megabyte to an idle peer that reads is taken at once', async ({ pair, log, seen }) => {
  const { client, peer } = await pair()
  peer.resume()
  for (const size of [16_384, 100_000, 1_000_000]) {
    const written = new Promise(resolve => client.write(Buffer.alloc(size), resolve))
    log('after', size, client.writableLength, client.writableNeedDrain, client.bytesWritten)
    await written
  }
  log('string', client.write('x'.repeat(1_000_000)), client.writableLength)
  client.end()
  await seen(peer, 'end')
  log('arrived', peer.bytesRead)
})

parity('a peer that does not read makes write false, and drain follows when it does', async t => {
  const { pair, log, seen, drained, until } = t
  const { client, peer } = await pair({ server: { pauseOnConnect: true } })
  let drains = 0
  client.on('drain', () => drains++)
  let writes = 0
  while (client.write(Buffer.alloc(65_536, writes % 251))) if (++writes % 16 === 0) await t.turns()
  log('stopped', client.writableNeedDrain, client.writableLength > 0, drains)
  const arrived = drained(peer)
  peer.resume()
  await seen(client, 'drain')
  log('drained', client.writableLength, client.writableNeedDrain)
  client.end()
  const bytes = await arrived
  log('arrived', bytes.length === (writes + 1) * 65_536, peer.bytesRead === client.bytesWritten)
  await until(() => drains > 0)
  log('drains', drains)
})

parity('the callbacks of writes that wait come in order, before drain', async ({ pair, log, seen }) => {
  const { client, peer } = await pair({ server: { pauseOnConnect: true } })
  const block = Buffer.alloc(8 * 1024 * 1024)
  client.on('drain', () => log('drain'))
  log(
    'large',
    client.write(block, () => log('large written')),
  )
  log(
    'small',
    client.write('x', () => log('small written')),
  )
  log(
    'another',
    client.write('y', () => log('another written')),
  )
  log('waiting', client.writableLength, client.bytesWritten)
  peer.resume()
  await seen(client, 'drain')
  client.end(() => log('ended'))
  await seen(peer, 'end')
  log('arrived', peer.bytesRead)
})

parity('what the callback of a write that waited writes comes behind it', async ({ pair, log, seen }) => {
  const { client, peer } = await pair({ server: { pauseOnConnect: true } })
  const block = Buffer.alloc(8 * 1024 * 1024)
  client.on('drain', () => log('drain', client.writableLength))
  client.write(block, () => {
    log('large written', client.bytesWritten)
    log(
      'small',
      client.write('x', () => log('small written')),
    )
    client.write('', () => {
      log('nothing written')
      client.write(block, () => {
        log('large again', client.bytesWritten)
        client.end('z', () => log('ended', client.bytesWritten))
      })
    })
  })
  peer.resume()
  await seen(peer, 'end')
  log('arrived', peer.bytesRead)
})

parity(
  'a callback of a write that waited may throw: the rest leaves all the same',
  async ({ pair, log, seen, catchUncaught }) => {
    const { client, peer } = await pair({ server: { pauseOnConnect: true } })
    catchUncaught()
    client.write(Buffer.alloc(8 * 1024 * 1024), () => {
      client.end('z', () => log('ended'))
      throw new Error('of the callback')
    })
    peer.resume()
    await seen(peer, 'end')
    log('arrived', peer.bytesRead)
  },
)

parity(
  'a write before connect is queued and sent in order',
  async ({ net, own, listen, to, log, drained, watch }) => {
    const arrived = new Promise(resolve =>
      listen({}, peer => resolve(drained(peer))).then(server => begin(server)),
    )
    let client
    function begin(server) {
      client = watch(own(new net.Socket()), 'client', { into: 'main', except: ['end', 'close'] })
      client.connect(to(server), () => log('connect callback', client.writableLength, client.bytesWritten))
      log(
        'first',
        client.write('one ', () => log('first written')),
      )
      log(
        'second',
        client.write(Buffer.from('two '), () => log('second written')),
      )
      log('queued', client.writableLength, client.bytesWritten, client.bytesRead)
      client.end('three', () => log('ended'))
    }
    log('arrived', await arrived)
  },
)

parity('a large write before connect returns false and drains after it', async t => {
  const { net, own, listen, to, log, watch, seen } = t
  const server = await listen({}, peer => peer.resume())
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  client.connect(to(server))
  log(
    'write',
    client.write(Buffer.alloc(200_000), () => log('written')),
    client.bytesWritten,
  )
  log(
    'more',
    client.write('é', 'latin1', () => log('more written')),
    client.bytesWritten,
  )
  await seen(client, 'drain')
})

parity('a write on a socket that never connects fails', async ({ net, own, watch, log, turns }) => {
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  log(
    'write',
    client.write('x', error => log('callback', error)),
  )
  await turns(3)
  log('after', client.destroyed, client.writable)
})

parity(
  'end on a socket that never connects finishes it',
  {
    since: '22',
    expected: {
      main: ['client prefinish', ['callback', null], 'client finish', ['after', false, false, true]],
    },
  },
  async ({ net, own, watch, log, turns }) => {
    const client = watch(own(new net.Socket()), 'client', { into: 'main' })
    client.end(error => log('callback', error))
    await turns(3)
    log('after', client.destroyed, client.writable, client.writableFinished)
  },
)

parity('a write after end fails with ERR_STREAM_WRITE_AFTER_END', async ({ pair, watch, log, closed }) => {
  const { client, peer } = await pair()
  peer.resume()
  watch(client, 'client', { into: 'main' })
  client.end('x')
  log(
    'write',
    client.write('y', error => log('callback', error)),
  )
  log('at once', client.destroyed, client.writable, client.errored)
  await closed(client)
})

parity('a write after destroy fails quietly', async ({ pair, watch, log, closed, turns }) => {
  const { client } = await pair()
  watch(client, 'client', { into: 'main' })
  client.destroy()
  log(
    'write',
    client.write('y', error => log('callback', error)),
  )
  log('end', client.end('z', error => log('end callback', error)) === client)
  await closed(client)
  log(
    'write after close',
    client.write('y', error => log('late callback', error)),
  )
  await turns(2)
})

for (const [moment, when] of Object.entries({
  'on the tick after the end': (client, write) => client.on('end', () => process.nextTick(write)),
  'when our side has finished': (client, write) => client.on('finish', write),
  'when the socket has closed': (client, write) => client.on('close', write),
})) {
  parity(
    `a write ${moment} of the peer is EPIPE by Node itself`,
    async ({ pair, watch, log, closed, turns }) => {
      const { client, peer } = await pair()
      peer.resume()
      watch(client, 'client', { into: 'main' }).resume()
      when(client, () => {
        log('own write', Object.hasOwn(client, 'write'))
        log(
          'write',
          client.write('y', error => log('callback', error)),
        )
        log('at once', client.destroyed)
      })
      peer.end()
      await closed(client)
      await turns(2)
    },
  )
}

const epipe = {
  name: 'Error',
  constructor: 'Error',
  message: 'This socket has been ended by the other party',
  code: 'EPIPE',
}
parity(
  'a write after the end of the peer fails and destroys while older writes wait',
  {
    since: '22',
    on: 'unix',
    expected: {
      main: [
        'client end',
        ['before', false, false, true],
        ['write', false],
        ['at once', true, 'EPIPE'],
        ['callback', epipe],
        ['client error', epipe],
        ['older callback', canceled],
        ['client close', true],
      ],
    },
  },
  async ({ pair, watch, log, closed, seen, turns }) => {
    const { client, peer } = await pair({ server: { allowHalfOpen: true } })
    peer.pause()
    watch(client, 'client', { into: 'main' }).resume()
    client.write(Buffer.alloc(32 * 1024 * 1024), error => log('older callback', error))
    peer.end()
    await seen(client, 'end')
    await turns()
    log('before', client.destroyed, client.writable, client.writableLength > 0)
    log(
      'write',
      client.write('y', error => log('callback', error)),
    )
    log('at once', client.destroyed, client.errored?.code)
    await closed(client)
  },
)

parity('a write in the end listener still goes out', async ({ pair, watch, log, closed, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  watch(client, 'client', { into: 'main' }).resume()
  client.on('end', () =>
    log(
      'write',
      client.write('last words', () => log('written')),
    ),
  )
  peer.end()
  await closed(client)
  log('arrived', await arrived)
})

parity('a write to a peer that reset is EPIPE or ECONNRESET, and the socket closes', async t => {
  const { pair, log, closed } = t
  const { client, peer } = await pair()
  client.on('error', error =>
    log('error', ['EPIPE', 'ECONNRESET'].includes(error.code), error.constructor.name),
  )
  client.on('close', hadError => log('close', hadError))
  peer.resetAndDestroy()
  client.write('x')
  await closed(client)
})

const endings = {
  'end()': (client, _log) => client.end(),
  "end('data')": client => client.end('data'),
  'end(Buffer)': client => client.end(Buffer.from('data')),
  "end('hex', encoding)": client => client.end('64617461', 'hex'),
  "end('data', encoding, callback)": (client, log) => client.end('data', 'utf8', () => log('callback')),
  "end('data', callback)": (client, log) => client.end('data', () => log('callback')),
  'end(callback)': (client, log) => client.end(() => log('callback')),
  'end(null)': client => client.end(null),
  'end(undefined, undefined, callback)': (client, log) =>
    client.end(undefined, undefined, () => log('callback')),
  "end('')": client => client.end(''),
}
for (const [form, end] of Object.entries(endings)) {
  parity(`${form} sends what is left and the FIN`, async ({ pair, watch, log, closed, drained }) => {
    const { client, peer } = await pair()
    const arrived = drained(peer)
    watch(client, 'client', { into: 'main' }).resume()
    client.write('before ')
    log('returned', end(client, log) === client)
    log('at once', client.writable, client.writableEnded, client.writableFinished, client.readyState)
    log.to('peer')('arrived', await arrived)
    await closed(client)
  })
}

parity('a large write that fails at once counts as written', async ({ pair, watch, log, closed }) => {
  const { client, peer, server } = await pair()
  server.close()
  watch(client, 'client', { except: ['error'] })
  peer.resetAndDestroy()
  // The reset is here before anything has been read.
  log('write', client.write(Buffer.alloc(65_536)), client.bytesWritten)
  await closed(client)
  log('closed', client.bytesWritten)
})

parity('end twice calls back with an error the second time', async ({ pair, watch, log, closed }) => {
  const { client, peer } = await pair()
  peer.resume()
  watch(client, 'client', { into: 'main' }).resume()
  client.end(() => log('first'))
  client.end(error => log('second', error))
  await closed(client)
  client.end(error => log('third', error))
  await new Promise(resolve => setImmediate(resolve))
})

parity('end with data after end is an error', async ({ pair, watch, log, closed }) => {
  const { client, peer } = await pair()
  peer.resume()
  watch(client, 'client', { into: 'main' }).resume()
  client.end()
  client.end('more', error => log('callback', error))
  await closed(client)
})

parity('end before connect waits for it', async ({ net, own, listen, to, watch, log, closed, drained }) => {
  let arrived
  const server = await listen({}, peer => (arrived = drained(peer)))
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  client.connect(to(server)).resume()
  client.end('all of it', () => log('end callback'))
  log('at once', client.readyState, client.writableLength)
  await closed(client)
  log('arrived', await arrived)
})

parity(
  'writes that wait are dropped by destroy, each with an error',
  {
    since: '22',
    on: 'unix',
    expected: {
      main: [
        ['destroy', true],
        ['at once', true, true, false],
        ['large', canceled],
        ['small', canceled],
        ['end', canceled],
        ['client close', false],
      ],
    },
  },
  async ({ pair, log, watch, closed }) => {
    const { client } = await pair({ server: { pauseOnConnect: true } })
    watch(client, 'client', { into: 'main' })
    client.write(Buffer.alloc(16 * 1024 * 1024), error => log('large', error))
    client.write('x', error => log('small', error))
    client.write('y')
    client.end('z', error => log('end', error))
    log('destroy', client.destroy() === client)
    log('at once', client.writableLength > 0, client.destroyed, client.writable)
    await closed(client)
  },
)

const enough = { name: 'Error', constructor: 'Error', message: 'enough' }
parity(
  'writes that wait are dropped by destroy(error), the later ones with that error',
  {
    since: '22',
    on: 'unix',
    expected: {
      main: [
        ['client error', enough],
        ['large', canceled],
        ['small', enough],
        ['client close', true],
      ],
    },
  },
  async ({ pair, log, watch, closed }) => {
    const { client } = await pair({ server: { pauseOnConnect: true } })
    watch(client, 'client', { into: 'main' })
    client.write(Buffer.alloc(16 * 1024 * 1024), error => log('large', error))
    client.write('x', error => log('small', error))
    client.destroy(new Error('enough'))
    await closed(client)
  },
)

parity('zero-length writes call back and send nothing', async ({ pair, log, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  log(
    'empty string',
    client.write('', () => log('callback 1')),
  )
  log(
    'empty buffer',
    client.write(Buffer.alloc(0), () => log('callback 2')),
  )
  client.write('a')
  client.write('', () => log('callback 3'))
  client.end('b')
  log('arrived', await arrived, client.bytesWritten)
})

parity(
  'surrogate pairs split across writes become replacement characters',
  async ({ pair, log, drained }) => {
    const { client, peer } = await pair()
    const arrived = drained(peer)
    const [high, low] = ['\ud83d', '\ude00']
    client.write(`a${high}`)
    client.write(`${low}b`)
    client.write(high, 'utf16le')
    client.write(low, 'utf16le')
    client.end(`${high}${low}`)
    log('arrived', await arrived)
  },
)

parity('a write callback that throws keeps no later write from being told', async t => {
  const { pair, turns, until, log, catchUncaught } = t
  catchUncaught()
  const { client, peer } = await pair()
  peer.pause()
  let armed = false
  let told = false
  const callback = () => {
    if (!armed) return
    armed = false
    throw new Error('from a callback')
  }
  while (client._handle.writeQueueSize === 0) {
    for (let at = 0; at < 6; at++) client.write(Buffer.alloc(10_000), callback)
    await turns(1)
  }
  armed = true
  client.write('a')
  client.write('b', error => {
    log('told', error ?? null)
    told = true
  })
  peer.resume()
  await until(() => told)
})

parity(
  'a write callback that destroys the socket stops what follows',
  async ({ pair, watch, log, closed }) => {
    const { client, peer } = await pair()
    peer.resume()
    watch(client, 'client', { into: 'main' })
    client.write('1', () => {
      log('first')
      client.destroy()
    })
    client.write('2', error => log('second', error))
    client.write('3', error => log('third', error))
    await closed(client)
  },
)

parity(
  'write on a path socket works as on TCP',
  { on: 'unix' },
  async ({ pair, log, drained, socketPath }) => {
    const { client, peer } = await pair({ path: socketPath() })
    const arrived = drained(peer)
    log(
      'small',
      client.write('x', () => log('written')),
      client.writableLength,
    )
    client.end(Buffer.alloc(300_000, 1))
    log('arrived', await arrived, client.bytesWritten, peer.bytesRead)
  },
)
