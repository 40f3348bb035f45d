// Which events come in the same iteration of the event loop, and which in a later one. Programs see the difference in
// what their setImmediate finds. Everything that a scenario's loop will meet is in the kernel before the loop
// continues.

import { parity as parityOf } from '../helpers/parity.mjs'
import { Peer } from '../helpers/peer.mjs'

// What is waiting is looked up in /proc; and what libuv makes of a hang-up is epoll's matter.
//
// `since152`: what is seen since libuv 1.52 (Node 24). Before, a read that did not fill its buffer, from a connection
// that is closed in both directions, brought the end in the same iteration, whatever the next read would have told:
// also in the place of ECONNRESET. Ferronet is like the newest.
function parity(title, scenario, since152) {
  const versions = since152 && { libuv: '1.52', expected: { main: since152 } }
  parityOf(title, { on: 'linux', turns: [same, later], ...versions }, scenario)
}

const same = 'before the immediate of the one before'
const later = 'after the immediate of the one before'

/** A `log` that says of each event whether the immediate that the event before it had set has run already. */
function inTurns(log) {
  let last
  return (event, ...args) => {
    log(event, ...args, ...(last === undefined ? [] : [last.ran ? later : same]))
    const mine = { ran: false }
    last = mine
    setImmediate(() => (mine.ran = true))
  }
}

function mark(socket, turn, { name, events = ['connect', 'drain', 'end', 'error', 'close'] } = {}) {
  const spelled = event => (name === undefined ? event : `${name} ${event}`)
  socket.on('error', () => {})
  socket.on('data', chunk => turn(spelled('bytes'), chunk.length))
  for (const event of events) {
    socket.on(event, error => turn(spelled(event), ...(event === 'error' ? [error.code] : [])))
  }
  return socket
}

for (const family of ['TCP', 'Unix']) {
  const listening = (t, options = {}, onConnection) =>
    t.listen(family === 'TCP' ? options : { ...options, path: t.socketPath() }, onConnection)
  const target = server => (family === 'TCP' ? server.address().port : server.address())

  /** An accepted socket, and the peer at its other end as number 0. Nothing has been read. */
  async function accepted(t, options = {}) {
    const peer = await Peer.start(t.cleanup)
    const server = await listening(t, options)
    peer.do('connect', target(server))
    const socket = await new Promise(resolve => server.once('connection', resolve))
    return { peer, server, socket }
  }

  // --- opening ------------------------------------------------------------------------------------------------------

  parity(`${family}: 'connection' and the first 'data'`, async t => {
    const turn = inTurns(t.log)
    const peer = await Peer.start(t.cleanup)
    const server = await listening(t)
    peer.do('connect', target(server))
    peer.do('write', 0, 'hello')
    const socket = await new Promise(resolve =>
      server.once('connection', socket => {
        turn('connection')
        resolve(mark(socket, turn))
      }),
    )
    await new Promise(resolve => socket.once('data', resolve))
  })

  parity(
    `${family}: 'connection', 'data' and 'end' of a client that has said all and gone`,
    async t => {
      const turn = inTurns(t.log)
      const peer = await Peer.start(t.cleanup)
      const server = await listening(t)
      peer.do('connect', target(server))
      peer.do('write', 0, 'hello')
      peer.do('close', 0)
      const socket = await new Promise(resolve =>
        server.once('connection', socket => {
          turn('connection')
          resolve(mark(socket, turn))
        }),
      )
      await t.closed(socket)
    },
    ['connection', ['bytes', 5, later], ['end', later], ['close', later]],
  )

  parity(`${family}: clients that wait together are accepted one in each iteration`, async t => {
    const turn = inTurns(t.log)
    const peer = await Peer.start(t.cleanup)
    const server = await listening(t)
    for (let index = 0; index < 3; index++) peer.do('connect', target(server))
    let connections = 0
    server.on('connection', () => {
      turn('connection')
      connections++
    })
    await t.until(() => connections === 3)
  })

  parity(`${family}: 'connect' and the first 'data' of a server that speaks first`, async t => {
    const turn = inTurns(t.log)
    const peer = await Peer.start(t.cleanup)
    const path = family === 'TCP' ? undefined : t.socketPath()
    const port = peer.do('listen', path)
    const client = mark(t.own(new t.net.Socket()), turn)
    client.connect(path === undefined ? { port, host: '127.0.0.1' } : { path })
    // The system call is made in the tick.
    process.nextTick(() => {
      peer.do('accept', 0)
      peer.do('write', 0, 'welcome')
    })
    await new Promise(resolve => client.once('data', resolve))
  })

  parity(
    `${family}: 'connect', 'data' and 'end' of a server that speaks and leaves`,
    async t => {
      const turn = inTurns(t.log)
      const peer = await Peer.start(t.cleanup)
      const path = family === 'TCP' ? undefined : t.socketPath()
      const port = peer.do('listen', path)
      const client = mark(t.own(new t.net.Socket()), turn)
      client.connect(path === undefined ? { port, host: '127.0.0.1' } : { path })
      process.nextTick(() => {
        peer.do('accept', 0)
        peer.do('write', 0, 'bye')
        peer.do('close', 0)
      })
      await t.closed(client)
    },
    ['connect', ['bytes', 3, later], ['end', later], ['close', later]],
  )

  // --- reading ------------------------------------------------------------------------------------------------------

  parity(`${family}: two bursts, the second sent while the first is handled`, async t => {
    const { peer, socket } = await accepted(t)
    const turn = inTurns(t.log)
    let bursts = 0
    mark(socket, turn).on('data', () => {
      if (bursts++ === 0) peer.do('write', 0, 'second')
    })
    peer.do('write', 0, 'first')
    await t.until(() => bursts === 2)
  })

  for (const [how, again] of [
    ['at once', socket => socket.resume()],
    ['in a tick', socket => process.nextTick(() => socket.resume())],
    ['in a microtask', socket => queueMicrotask(() => socket.resume())],
    ['in an immediate', socket => setImmediate(() => socket.resume())],
  ]) {
    parity(`${family}: a handler that pauses, and resumes ${how}, before the next burst`, async t => {
      const { peer, socket } = await accepted(t)
      const turn = inTurns(t.log)
      let bursts = 0
      mark(socket, turn).on('data', () => {
        if (bursts++ > 0) return
        peer.do('write', 0, 'second')
        socket.pause()
        again(socket)
      })
      peer.do('write', 0, 'first')
      await t.until(() => bursts === 2)
    })
  }

  for (const [where, resume] of [
    ['an immediate', run => setImmediate(run)],
    // Made in an immediate, which the loop's next timers follow.
    ['a timer', run => setImmediate(() => setTimeout(run, 1))],
    ['a tick of an immediate', run => setImmediate(() => process.nextTick(run))],
  ]) {
    parity(`${family}: resume() in ${where}, of a socket for which bytes wait`, async t => {
      const { peer, socket } = await accepted(t, { pauseOnConnect: true })
      const turn = inTurns(t.log)
      peer.do('write', 0, 'waiting')
      mark(socket, turn)
      await new Promise(resolve => {
        socket.once('data', resolve)
        resume(() => {
          turn('resume')
          socket.resume()
        })
      })
    })
  }

  parity(`${family}: resume() in the handler of another socket, for which bytes wait`, async t => {
    const { peer, server, socket } = await accepted(t, { pauseOnConnect: true })
    peer.do('connect', target(server))
    const other = await new Promise(resolve => server.once('connection', resolve))
    peer.do('write', 0, 'waiting')
    await t.turns(3)
    peer.do('write', 1, 'go on')
    const turn = inTurns(t.log)
    mark(socket, turn, { name: 'paused' })
    mark(other, turn, { name: 'other' }).on('data', () => socket.resume())
    await new Promise(resolve => {
      socket.once('data', resolve)
      other.resume()
    })
  })

  parity(`${family}: two sockets that have something to read at the same time`, async t => {
    const { peer, server, socket } = await accepted(t)
    peer.do('connect', target(server))
    const other = await new Promise(resolve => server.once('connection', resolve))
    await t.turns(3)
    const turn = inTurns(t.log)
    let read = 0
    for (const each of [socket, other]) {
      mark(each, turn).on('data', () => {
        process.nextTick(() => t.log('tick'))
        queueMicrotask(() => t.log('microtask'))
        read++
      })
    }
    // So that both are being read, and the loop's next look finds both.
    await t.turns(3)
    peer.do('write', 0, '1')
    peer.do('write', 1, '2')
    await t.until(() => read === 2)
  })

  parity(`${family}: a handler destroys the other socket that has something to read`, async t => {
    const { peer, server, socket } = await accepted(t)
    peer.do('connect', target(server))
    const other = await new Promise(resolve => server.once('connection', resolve))
    const turn = inTurns(t.log)
    for (const [each, victim] of [
      [socket, other],
      [other, socket],
    ]) {
      mark(each, turn, { events: ['end', 'error'] }).on('data', () => victim.destroy())
    }
    await t.turns(3)
    peer.do('write', 0, '1')
    peer.do('write', 1, '2')
    await t.until(() => socket.destroyed || other.destroyed)
    await t.quiet()
    t.log('bytes read', socket.bytesRead + other.bytesRead)
  })

  parity(`${family}: a handler pauses the other socket that has something to read`, async t => {
    const { peer, server, socket } = await accepted(t)
    peer.do('connect', target(server))
    const other = await new Promise(resolve => server.once('connection', resolve))
    const turn = inTurns(t.log)
    let read = 0
    for (const [each, sleeper] of [
      [socket, other],
      [other, socket],
    ]) {
      mark(each, turn, { events: ['end', 'error'] }).on('data', () => {
        if (read++ === 0) sleeper.pause()
      })
    }
    await t.turns(3)
    peer.do('write', 0, '1')
    peer.do('write', 1, '2')
    await t.until(() => read === 1)
    await t.quiet()
    t.log('read', read)
    turn('resume')
    socket.resume()
    other.resume()
    await t.until(() => read === 2)
  })

  parity(`${family}: a timer that is due while several sockets wait to be read`, async t => {
    const { peer, server, socket } = await accepted(t)
    peer.do('connect', target(server))
    const other = await new Promise(resolve => server.once('connection', resolve))
    await t.turns(3)
    const turn = inTurns(t.log)
    let done = 0
    for (const each of [socket, other]) {
      mark(each, turn).on('data', () => {
        if (done++ > 0) return
        setTimeout(() => turn('timer', done++), 1)
        // Until the timer is due.
        const begin = performance.now()
        while (performance.now() - begin < 5);
      })
    }
    await t.turns(3)
    peer.do('write', 0, '1')
    peer.do('write', 1, '2')
    // The helper thread hears of them one after the other, and on a busy machine the loop would see the first one alone.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30)
    await t.until(() => done === 3)
  })

  // --- the end ------------------------------------------------------------------------------------------------------

  parity(`${family}: the last 'data' and 'end', the peer has closed its half`, async t => {
    const { peer, socket } = await accepted(t)
    const turn = inTurns(t.log)
    mark(socket, turn)
    await t.turns(3)
    peer.do('write', 0, 'last words')
    peer.do('end', 0)
    await t.closed(socket)
  })

  parity(
    `${family}: the last 'data' and 'end', the peer has gone`,
    async t => {
      const { peer, socket } = await accepted(t)
      const turn = inTurns(t.log)
      mark(socket, turn)
      await t.turns(3)
      peer.do('write', 0, 'last words')
      peer.do('close', 0)
      await t.closed(socket)
    },
    [
      ['bytes', 10],
      ['end', later],
      ['close', later],
    ],
  )

  parity(
    `${family}: the last 'data' and 'end', the peer has gone and there are a few reads to do`,
    async t => {
      const { peer, socket } = await accepted(t)
      const turn = inTurns(t.log)
      let bytes = 0
      socket.on('error', () => {})
      // How many chunks these are is the kernel's choice; that the last comes with the end, or not, is libuv's.
      socket.on('data', chunk => {
        bytes += chunk.length
        if (bytes === 40_003) turn('the last bytes')
      })
      for (const event of ['end', 'close']) socket.on(event, () => turn(event))
      await t.turns(3)
      peer.do('write', 0, 20_000)
      peer.do('write', 0, 20_003)
      peer.do('close', 0)
      await t.closed(socket)
    },
    ['the last bytes', ['end', later], ['close', later]],
  )

  for (const halfOpen of [false, true]) {
    parity(
      `${family}: the last 'data' and 'end', we have sent FIN, allowHalfOpen ${halfOpen}`,
      async t => {
        const { peer, socket } = await accepted(t, { allowHalfOpen: halfOpen })
        const turn = inTurns(t.log)
        socket.end()
        await new Promise(resolve => socket.once('finish', resolve))
        mark(socket, turn)
        await t.turns(3)
        peer.do('write', 0, 'last words')
        peer.do('end', 0)
        await t.closed(socket)
      },
      [
        ['bytes', 10],
        ['end', later],
        ['close', later],
      ],
    )

    parity(
      `${family}: the last 'data' and 'end', half-closed, allowHalfOpen ${halfOpen}, we answer`,
      async t => {
        const { peer, socket } = await accepted(t, { allowHalfOpen: halfOpen })
        const turn = inTurns(t.log)
        mark(socket, turn)
        await t.turns(3)
        peer.do('write', 0, 'last words')
        peer.do('end', 0)
        socket.on('data', () =>
          setImmediate(() =>
            t.log('answer', socket.writable && socket.write('answer', () => turn('written'))),
          ),
        )
        socket.on('end', () => {
          if (halfOpen) socket.end()
        })
        await t.closed(socket)
      },
    )
  }

  parity(
    `${family}: the peer has gone, we answer from an immediate`,
    async t => {
      const { peer, socket } = await accepted(t)
      const turn = inTurns(t.log)
      mark(socket, turn)
      await t.turns(3)
      peer.do('write', 0, 'last words')
      peer.do('close', 0)
      socket.on('data', () =>
        setImmediate(() => t.log('state', socket.writable, socket.readableEnded, socket.readyState)),
      )
      await t.closed(socket)
    },
    [
      ['bytes', 10],
      ['state', true, false, 'open'],
      ['end', later],
      ['close', later],
    ],
  )

  parity(
    `${family}: 'data' that pauses, and the peer has gone`,
    async t => {
      const { peer, socket } = await accepted(t)
      const turn = inTurns(t.log)
      mark(socket, turn).on('data', () => {
        socket.pause()
        setImmediate(() => {
          turn('resume')
          socket.resume()
        })
      })
      await t.turns(3)
      peer.do('write', 0, 'last words')
      peer.do('close', 0)
      await t.closed(socket)
    },
    [
      ['bytes', 10],
      ['resume', later],
      ['end', same],
      ['close', later],
    ],
  )

  parity(`${family}: 'end' alone, and 'close'`, async t => {
    const { peer, socket } = await accepted(t)
    const turn = inTurns(t.log)
    mark(socket, turn, { events: ['end', 'finish', 'error', 'close'] })
    await t.turns(3)
    peer.do('end', 0)
    await t.closed(socket)
  })

  parity(`${family}: 'end' and 'close' when we have ended already`, async t => {
    const { peer, socket } = await accepted(t)
    const turn = inTurns(t.log)
    socket.end()
    await new Promise(resolve => socket.once('finish', resolve))
    mark(socket, turn)
    await t.turns(3)
    peer.do('close', 0)
    await t.closed(socket)
  })

  parity(`${family}: destroy() in 'data', and 'close'`, async t => {
    const { peer, socket } = await accepted(t)
    const turn = inTurns(t.log)
    mark(socket, turn).on('data', () => socket.destroy())
    await t.turns(3)
    peer.do('write', 0, 'enough')
    await t.closed(socket)
  })

  // --- writing ------------------------------------------------------------------------------------------------------

  parity(`${family}: 'data' and 'drain' that come together`, async t => {
    const { peer, socket } = await accepted(t)
    await t.turns(3)
    const chunk = Buffer.alloc(64 * 1024, 'x')
    while (socket._handle.writeQueueSize === 0) socket.write(chunk)
    const sent = socket.bytesWritten - socket._handle.writeQueueSize
    const turn = inTurns(t.log)
    mark(socket, turn)
    const both = ['data', 'drain'].map(event => new Promise(resolve => socket.once(event, resolve)))
    // In the middle of an iteration, which sees nothing of it.
    setImmediate(() => {
      peer.do('read', 0, sent)
      peer.do('write', 0, 'well read')
    })
    await Promise.all(both)
  })

  parity(`${family}: 'drain' and a write's callback`, async t => {
    const { peer, socket } = await accepted(t)
    await t.turns(3)
    const chunk = Buffer.alloc(64 * 1024, 'x')
    const turn = inTurns(t.log)
    while (socket._handle.writeQueueSize === 0) socket.write(chunk)
    const sent = socket.bytesWritten - socket._handle.writeQueueSize
    socket.write('last', () => turn('written'))
    mark(socket, turn)
    const drained = new Promise(resolve => socket.once('drain', resolve))
    setImmediate(() => peer.do('read', 0, sent))
    await drained
  })

  parity(`${family}: a server that answers from an immediate a request with FIN, 20 at a time`, async t => {
    const peer = await Peer.start(t.cleanup)
    let answered = 0
    let refused = 0
    const server = await listening(t, {}, socket => {
      socket.on('data', () =>
        setImmediate(() => {
          if (socket.writable) socket.end('answer')
          else refused++
        }),
      )
      socket.on('close', () => answered++)
    })
    for (let round = 1; round <= 10; round++) {
      const first = peer.do('requests', 20, target(server))
      await t.until(() => answered === 20 * round)
      if (refused === 0) peer.do('answered', first, 20, 'answer'.length)
    }
    t.log('answered', answered, 'refused', refused)
  })
}

// --- reset ----------------------------------------------------------------------------------------------------------

async function acceptedTcp(t, options = {}) {
  const peer = await Peer.start(t.cleanup)
  const server = await t.listen(options)
  peer.do('connect', server.address().port)
  const socket = await new Promise(resolve => server.once('connection', resolve))
  return { peer, server, socket }
}

parity(
  "bytes and a reset that wait together: 'data' and 'error'",
  async t => {
    const { peer, socket } = await acceptedTcp(t)
    const turn = inTurns(t.log)
    mark(socket, turn)
    await t.turns(3)
    peer.do('write', 0, 'last words')
    peer.do('reset', 0)
    await t.closed(socket)
  },
  [
    ['bytes', 10],
    ['error', 'ECONNRESET', later],
    ['close', later],
  ],
)

parity("a reset while 'data' is being handled", async t => {
  const { peer, socket } = await acceptedTcp(t)
  const turn = inTurns(t.log)
  mark(socket, turn).on('data', () => peer.do('reset', 0))
  await t.turns(3)
  peer.do('write', 0, 'last words')
  await t.closed(socket)
})

parity('a reset with nothing to read', async t => {
  const { peer, socket } = await acceptedTcp(t)
  const turn = inTurns(t.log)
  mark(socket, turn)
  await t.turns(3)
  peer.do('reset', 0)
  await t.closed(socket)
})

parity(
  'bytes and a reset, in a handler that pauses and resumes from an immediate',
  async t => {
    const { peer, socket } = await acceptedTcp(t)
    const turn = inTurns(t.log)
    mark(socket, turn).on('data', () => {
      socket.pause()
      setImmediate(() => {
        turn('resume')
        socket.resume()
      })
    })
    await t.turns(3)
    peer.do('write', 0, 'last words')
    peer.do('reset', 0)
    await t.closed(socket)
  },
  [
    ['bytes', 10],
    ['resume', later],
    ['error', 'ECONNRESET', same],
    ['close', later],
  ],
)

parity("bytes and a reset for a client that hears of 'connect' with them", async t => {
  const peer = await Peer.start(t.cleanup)
  const port = peer.do('listen')
  const turn = inTurns(t.log)
  const client = mark(t.own(new t.net.Socket()), turn)
  client.connect({ port, host: '127.0.0.1' })
  process.nextTick(() => {
    peer.do('accept', 0)
    peer.do('write', 0, 'no')
    peer.do('reset', 0)
  })
  await t.closed(client)
})

parity(
  "bytes and a reset behind 'connection'",
  async t => {
    const turn = inTurns(t.log)
    const peer = await Peer.start(t.cleanup)
    const server = await t.listen()
    peer.do('connect', server.address().port)
    peer.do('write', 0, 'hello')
    peer.do('reset', 0)
    const socket = await new Promise(resolve =>
      server.once('connection', socket => {
        turn('connection')
        resolve(mark(socket, turn))
      }),
    )
    await t.closed(socket)
  },
  ['connection', ['bytes', 5, later], ['error', 'ECONNRESET', later], ['close', later]],
)

parity(
  'a full reader: bytes for more than one read, and a reset',
  async t => {
    const { peer, socket } = await acceptedTcp(t)
    const turn = inTurns(t.log)
    let bytes = 0
    socket.on('error', error => turn('error', error.code))
    socket.on('data', chunk => {
      bytes += chunk.length
      if (bytes === 40_003) turn('the last bytes')
    })
    for (const event of ['end', 'close']) socket.on(event, () => turn(event))
    await t.turns(3)
    peer.do('write', 0, 20_000)
    peer.do('write', 0, 20_003)
    peer.do('reset', 0)
    await t.closed(socket)
  },
  ['the last bytes', ['error', 'ECONNRESET', later], ['close', later]],
)

// --- onread ---------------------------------------------------------------------------------------------------------

for (const family of ['TCP', 'Unix']) {
  parity(
    `${family}: bytes and FIN for a client that reads into its own buffer`,
    async t => {
      const peer = await Peer.start(t.cleanup)
      const path = family === 'TCP' ? undefined : t.socketPath()
      const port = peer.do('listen', path)
      const turn = inTurns(t.log)
      const buffer = Buffer.alloc(1024)
      const onread = { buffer, callback: nread => turn('bytes', nread) }
      const client = t.own(new t.net.Socket({ onread }))
      for (const event of ['connect', 'end', 'close']) client.on(event, () => turn(event))
      client.connect(path === undefined ? { port, host: '127.0.0.1' } : { path })
      await new Promise(resolve => client.once('connect', resolve))
      peer.do('accept', 0)
      await t.turns(3)
      peer.do('write', 0, 'last words')
      peer.do('close', 0)
      await t.closed(client)
    },
    ['connect', ['bytes', 10, later], ['end', later], ['close', later]],
  )
}

// --- bursts of several chunks: a Unix socket holds them all ------------------------------------------------------------

const burst = 160_000

async function acceptedUnix(t, options = {}) {
  const peer = await Peer.start(t.cleanup)
  const server = await t.listen({ ...options, path: t.socketPath() })
  peer.do('connect', server.address())
  const socket = await new Promise(resolve => server.once('connection', resolve))
  await t.turns(3)
  return { peer, socket, turn: inTurns(t.log) }
}

parity('the chunks of one burst', async t => {
  const { peer, socket, turn } = await acceptedUnix(t)
  mark(socket, turn).on('data', () => process.nextTick(() => t.log('tick')))
  peer.do('write', 0, burst)
  await t.until(() => socket.bytesRead === burst)
})

parity(
  'the chunks of one burst, and the peer has gone',
  async t => {
    const { peer, socket, turn } = await acceptedUnix(t)
    mark(socket, turn)
    peer.do('write', 0, burst)
    peer.do('close', 0)
    await t.closed(socket)
  },
  [
    ['bytes', 65_536],
    ['bytes', 65_536, same],
    ['bytes', 28_928, same],
    ['end', later],
    ['close', later],
  ],
)

for (const [how, again] of [
  ['at once', socket => socket.resume()],
  ['in a tick', socket => process.nextTick(() => socket.resume())],
  ['in a microtask', socket => queueMicrotask(() => socket.resume())],
  ['in an immediate', socket => setImmediate(() => socket.resume())],
]) {
  parity(`the chunks of one burst, for a handler that pauses and resumes ${how}`, async t => {
    const { peer, socket, turn } = await acceptedUnix(t)
    let bytes = 0
    mark(socket, turn).on('data', chunk => {
      bytes += chunk.length
      socket.pause()
      again(socket)
    })
    peer.do('write', 0, burst)
    await t.until(() => bytes === burst)
  })
}

parity('the chunks of one burst, for a handler that destroys the socket at the first', async t => {
  const { peer, socket, turn } = await acceptedUnix(t)
  mark(socket, turn).on('data', () => socket.destroy())
  peer.do('write', 0, burst)
  await t.closed(socket)
  t.log('bytes read', socket.bytesRead)
})

// Each on a track of its own: who is first is not promised, and ferronet's sockets take turns where node:net's do not.
parity('the chunks of one burst, for two sockets', async t => {
  const { peer, socket } = await acceptedUnix(t)
  peer.do('connect', socket.server.address())
  const other = await new Promise(resolve => socket.server.once('connection', resolve))
  await t.turns(3)
  mark(socket, inTurns(t.log.to('one')))
  mark(other, inTurns(t.log.to('other')))
  peer.do('write', 0, burst)
  peer.do('write', 1, burst)
  await t.until(() => socket.bytesRead === burst && other.bytesRead === burst)
})

parity('the chunks of one burst, each answered', async t => {
  const { peer, socket, turn } = await acceptedUnix(t)
  let written = 0
  mark(socket, turn).on('data', () =>
    socket.write('answer', () => {
      turn('written')
      written++
    }),
  )
  peer.do('write', 0, burst)
  await t.until(() => written === 3)
})
