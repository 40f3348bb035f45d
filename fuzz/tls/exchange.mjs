// One case, on one implementation: a client, a server and the proxy between them. Says what each end has come to. The
// end that is judged is ferronet's or node:tls's, the other one always node:tls's.

import tls from 'node:tls'
import { identity, trust } from '../../__test__/fixtures/interop/certificate.mjs'
import { proxy } from './proxy.mjs'
import { spoken } from './scheme.mjs'

/** A case in which nothing has moved for so long does not go on by itself. */
const IDLE = 250

/** `ours`: ferronet, or null for node:tls on both ends. `slowly`: more patience, for a verdict in doubt. */
export async function exchange(scheme, ours, slowly = false) {
  const { role, version, tickets, rounds, changes } = scheme
  const options = { minVersion: version, maxVersion: version }
  const ends = { client: watched(), server: watched() }
  let timer
  let waits
  const stalls = new Promise(resolve => {
    waits = resolve
  })
  const touch = () => {
    clearTimeout(timer)
    timer = setTimeout(waits, slowly ? IDLE * 6 : IDLE)
  }
  const serverOptions = { ...identity, ...options, secureOptions: tickets ? 0 : 1 << 14 }
  const server =
    role === 'server' && ours !== null
      ? ourServer(ours, serverOptions, ends.server, touch, rounds)
      : nodeServer(serverOptions, ends.server, touch, rounds)
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const between = await proxy(server.address().port, changes, touch)
  touch()
  const where = { port: between.port, host: '127.0.0.1' }
  const client =
    role === 'client' && ours !== null
      ? ours.connect(where).startTLS({ ...options, ...trust })
      : tls.connect({ ...where, ...options, ...trust })
  ask(client, client.startTLS ? 'secure' : 'secureConnect', ends.client, touch, rounds)
  await Promise.race([stalls, Promise.all([ends.client.over, ends.server.over])])
  clearTimeout(timer)
  client.destroy()
  ends.server.socket?.destroy()
  between.close()
  server.close()
  return { client: ends.client.verdict(), server: ends.server.verdict() }
}

/** What is noted of one end. */
function watched() {
  let isOver
  const end = {
    secure: false,
    ended: false,
    error: undefined,
    received: [],
    closed: false,
    socket: undefined,
    over: new Promise(resolve => {
      isOver = resolve
    }),
    close() {
      end.closed = true
      isOver()
    },
    verdict() {
      const { secure, ended, error, closed } = end
      const received = Buffer.concat(end.received)
      const right = expected(end).subarray(0, received.length).equals(received)
      const outcome = error ?? (closed ? 'closed' : 'waits')
      // Beside an error it is left to chance whether there was 'end' too.
      const isEnd = ended && error === undefined
      return {
        secure,
        ended: isEnd,
        outcome,
        received: received.length,
        wrong: right ? undefined : 'other bytes',
      }
    },
  }
  return end
}

const expected = end => Buffer.concat(end.expects ?? [])

function watch(stream, end, touch, onBytes) {
  end.socket = stream
  stream.on('data', chunk => {
    touch()
    end.received.push(chunk)
    onBytes()
  })
  stream.on('end', () => {
    touch()
    end.ended = true
  })
  stream.on('error', error => {
    end.error ??= error.code ?? error.message
  })
  stream.on('close', () => end.close())
}

const length = end => end.received.reduce((sum, { length }) => sum + length, 0)

function ask(stream, secure, end, touch, rounds) {
  end.expects = rounds.map(({ answer }, at) => spoken(answer, 2 * at + 1))
  let next = 0
  let wanted = 0
  const goOn = () => {
    if (length(end) < wanted) return
    if (next === rounds.length) {
      stream.end()
      return
    }
    wanted += rounds[next].answer
    stream.write(spoken(rounds[next].question, 2 * next))
    next++
  }
  watch(stream, end, touch, () => next > 0 && goOn())
  stream.once(secure, () => {
    touch()
    end.secure = true
    goOn()
  })
}

function reply(stream, end, touch, rounds) {
  end.expects = rounds.map(({ question }, at) => spoken(question, 2 * at))
  let next = 0
  let wanted = rounds[0].question
  watch(stream, end, touch, () => {
    while (next < rounds.length && length(end) >= wanted) {
      stream.write(spoken(rounds[next].answer, 2 * next + 1))
      next++
      wanted += rounds[next]?.question ?? 0
    }
  })
  stream.on('end', () => stream.end())
}

function nodeServer(options, end, touch, rounds) {
  const server = tls.createServer(options, stream => {
    end.secure = true
    reply(stream, end, touch, rounds)
  })
  server.on('tlsClientError', (error, stream) => {
    end.error ??= error.code ?? error.message
    end.socket = stream
    if (stream.destroyed) end.close()
    else stream.once('close', () => end.close())
  })
  return server
}

function ourServer(ours, options, end, touch, rounds) {
  return ours.createServer(socket => {
    socket.startTLS({ ...options, isServer: true })
    reply(socket, end, touch, rounds)
    socket.once('secure', () => {
      touch()
      end.secure = true
    })
  })
}
