// Writing to a connection whose peer is gone: when we find out, in which order it is reported, and the state of the
// socket meanwhile.

import { parity as parityOf } from '../helpers/parity.mjs'
import { Peer } from '../helpers/peer.mjs'

// The peer's helper looks at /proc to know when a reset has arrived.
const parity = (title, scenario) => parityOf(title, { on: 'linux' }, scenario)

const large = Buffer.alloc(20_000, 'x')
const few = Buffer.from('few')

function state(socket) {
  const { destroyed, closed, errored, readyState, writable, readable, writableEnded, writableFinished } =
    socket
  const { bytesWritten, writableLength, writableNeedDrain, writableErrored, pending } = socket
  return {
    ...{ destroyed, closed, errored: errored?.code ?? null, readyState, writable, readable, writableEnded },
    ...{ writableFinished, bytesWritten, writableLength, writableNeedDrain, pending },
    writableErrored: writableErrored?.code ?? writableErrored,
  }
}

function follow(t, socket) {
  for (const event of ['drain', 'end', 'prefinish', 'finish', 'error', 'close']) {
    socket.on(event, argument => t.log(event, argument?.code ?? argument, state(socket)))
  }
  return {
    write(name, ...args) {
      return t.log(
        `${name} returned`,
        socket.write(...args, error => t.log(`${name} called`, error ?? null, state(socket))),
      )
    },
  }
}

for (const family of ['TCP', 'Unix']) {
  /** A connection whose peer has gone; nobody here has heard of it, because nothing is read. */
  async function dead(t) {
    const peer = await Peer.start(t.cleanup)
    const server = await t.listen({
      pauseOnConnect: true,
      ...(family === 'Unix' && { path: t.socketPath() }),
    })
    peer.do('connect', family === 'TCP' ? server.address().port : server.address())
    const socket = await new Promise(resolve => server.once('connection', resolve))
    await t.turns(2)
    peer.do(family === 'TCP' ? 'reset' : 'close', 0)
    return socket
  }

  for (const [what, chunk] of [
    ['20 000 bytes', large],
    ['a long string', large.toString()],
    ['no bytes', Buffer.alloc(0)],
    ['an empty string', ''],
  ]) {
    parity(`${family}: ${what}, with a callback`, async t => {
      const socket = await dead(t)
      const { write } = follow(t, socket)
      write('first', chunk)
      t.log('then', state(socket))
      process.nextTick(() => t.log('tick', state(socket)))
      await t.closed(socket)
    })

    parity(`${family}: ${what}, without a callback`, async t => {
      const socket = await dead(t)
      follow(t, socket)
      t.log('returned', socket.write(chunk))
      t.log('then', state(socket))
      process.nextTick(() => t.log('tick', state(socket)))
      await t.closed(socket)
    })

    parity(`${family}: ${what}, and more in the same tick`, async t => {
      const socket = await dead(t)
      const { write } = follow(t, socket)
      write('first', chunk)
      write('second', 'more')
      t.log('third returned', socket.write('and more'))
      write('fourth', large)
      t.log('then', state(socket))
      process.nextTick(() => {
        t.log('tick', state(socket))
        write('fifth', 'late')
      })
      await t.closed(socket)
      write('sixth', 'too late')
      await t.turns(2)
    })

    parity(`${family}: end() with ${what}`, async t => {
      const socket = await dead(t)
      follow(t, socket)
      socket.end(chunk, error => t.log('end called', error ?? null, state(socket)))
      t.log('then', state(socket))
      await t.closed(socket)
    })

    parity(`${family}: ${what}, then end()`, async t => {
      const socket = await dead(t)
      const { write } = follow(t, socket)
      write('first', chunk)
      socket.end(error => t.log('end called', error ?? null, state(socket)))
      t.log('then', state(socket))
      await t.closed(socket)
    })

    parity(`${family}: ${what}, corked with more`, async t => {
      const socket = await dead(t)
      const { write } = follow(t, socket)
      socket.cork()
      write('first', chunk)
      write('second', 'more')
      t.log('then', state(socket))
      socket.uncork()
      t.log('uncorked', state(socket))
      await t.closed(socket)
    })

    parity(`${family}: ${what}, then destroy()`, async t => {
      const socket = await dead(t)
      const { write } = follow(t, socket)
      write('first', chunk)
      socket.destroy()
      t.log('then', state(socket))
      await t.closed(socket)
    })

    parity(`${family}: ${what}, in a callback that throws`, async t => {
      t.catchUncaught()
      const socket = await dead(t)
      const { write } = follow(t, socket)
      socket.write(chunk, () => {
        throw new Error('of the first')
      })
      write('second', 'more')
      // In node:net the exception keeps the socket from being destroyed.
      await t.quiet()
    })

    parity(`${family}: ${what}, the callback writes again`, async t => {
      const socket = await dead(t)
      const { write } = follow(t, socket)
      socket.write(chunk, error => {
        t.log('first called', error ?? null, state(socket))
        write('second', 'more')
      })
      await t.closed(socket)
      await t.turns(2)
    })

    parity(`${family}: ${what}, the callback destroys with another error`, async t => {
      const socket = await dead(t)
      follow(t, socket)
      socket.write(chunk, error => {
        t.log('first called', error ?? null, state(socket))
        socket.destroy(new Error('mine'))
      })
      await t.closed(socket)
      await t.turns(2)
    })
  }

  // Small writes fail when they leave, which may be after `write()` has returned (docs/api.md). From there on all is alike.
  for (const [how, body] of [
    ['with a callback', (socket, heard) => socket.write(few, heard('first'))],
    ['without a callback', socket => socket.write(few)],
    [
      'corked with more',
      (socket, heard) => {
        socket.cork()
        socket.write(few, heard('first'))
        socket.write('more', heard('second'))
        socket.uncork()
      },
    ],
    [
      'then destroy()',
      (socket, heard) => {
        socket.write(few, heard('first'))
        socket.destroy()
      },
    ],
    [
      'the callback destroys with another error',
      (socket, heard) =>
        socket.write(few, error => {
          heard('first')(error)
          socket.destroy(new Error('mine'))
        }),
    ],
    [
      'and again in its callback',
      (socket, heard) =>
        socket.write(few, error => {
          heard('first')(error)
          socket.write(large)
        }),
    ],
  ]) {
    parity(`${family}: a few bytes, ${how}`, async t => {
      const socket = await dead(t)
      follow(t, socket)
      const told = []
      socket.on('error', error => told.push(error))
      body(socket, name => error => {
        t.log(`${name} called`, error ?? null, state(socket))
        told.push(error)
      })
      await t.closed(socket)
      t.log('one and the same error', new Set(told).size === 1)
    })
  }

  for (const reading of [true, false]) {
    for (const throws of ['nobody', 'the first', 'the second', 'both']) {
      const which = `${reading ? 'a reader' : 'nobody reads'}, ${throws === 'nobody' ? 'no callback throws' : `${throws} throws`}`
      parity(`${family}: writes wait when the peer goes; ${which}`, async t => {
        t.catchUncaught()
        const peer = await Peer.start(t.cleanup)
        const path = family === 'Unix' && { path: t.socketPath() }
        const server = await t.listen({ pauseOnConnect: !reading, ...path })
        peer.do('connect', family === 'TCP' ? server.address().port : server.address())
        const socket = await new Promise(resolve => server.once('connection', resolve))
        if (reading) socket.resume()
        await t.turns(2)
        for (const event of ['error', 'close']) {
          socket.on(event, argument =>
            t.log(event, argument?.code ?? argument, socket.destroyed, socket.readyState),
          )
        }
        const chunk = Buffer.alloc(64 * 1024, 'x')
        while (socket._handle.writeQueueSize === 0) socket.write(chunk)
        const called = name => error => {
          const { destroyed, errored, readyState } = socket
          t.log(`${name} called`, error?.code ?? null, destroyed, errored?.code ?? null, readyState)
          if (throws === name || throws === 'both') throw new Error(`of ${name}`)
        }
        socket.write('few', called('the first'))
        socket.write('more', called('the second'))
        socket.write('and more')
        // What has been sent is not read: a reset on TCP.
        peer.do('close', 0)
        await t.quiet()
        await t.quiet()
        t.log('in the end', socket.destroyed, socket.closed)
      })
    }
  }
}
