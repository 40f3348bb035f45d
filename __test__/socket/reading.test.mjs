// Reading: chunks and encodings, pause and resume, the high-water mark, and onread.

import { parity } from '../helpers/parity.mjs'

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
  parity(`setEncoding('${encoding}') decodes across chunks`, async ({ pair, watch, log, closed, until }) => {
    const { client, peer } = await pair()
    log('returned', client.setEncoding(encoding) === client, client.readableEncoding)
    watch(client, 'client').resume()
    const bytes = Buffer.from('Aé€😀', encoding === 'utf16le' || encoding === 'ucs2' ? 'utf16le' : 'utf8')
    peer.resume()
    for (let at = 0; at < bytes.length; at++) {
      peer.write(bytes.subarray(at, at + 1))
      await until(() => client.bytesRead === at + 1)
    }
    peer.end()
    await closed(client)
  })
}

parity('an incomplete character at the end is replaced', async ({ pair, watch, closed }) => {
  const { client, peer } = await pair()
  watch(client.setEncoding('utf8'), 'client').resume()
  peer.resume().end(Buffer.from([0x61, 0xf0, 0x9f]))
  await closed(client)
})

parity('setEncoding of an unknown encoding throws', async ({ pair, attempt }) => {
  const { client } = await pair()
  attempt('setEncoding', () => client.setEncoding('klingon'))
})

parity('a chunk is a Buffer of at most 64 KiB', async ({ pair, log, seen }) => {
  const { client, peer } = await pair()
  let largest = 0
  let buffers = true
  client.on('data', chunk => {
    largest = Math.max(largest, chunk.length)
    buffers &&= Buffer.isBuffer(chunk)
  })
  peer.end(Buffer.alloc(2_000_000))
  await seen(client, 'end')
  log('chunks', largest <= 65_536, buffers, client.bytesRead)
})

parity('small messages keep their own memory', async ({ pair, log, until }) => {
  const { client, peer } = await pair()
  const chunks = []
  client.on('data', chunk => chunks.push(chunk))
  for (let at = 0; at < 50; at++) {
    peer.write(`message ${at};`)
    await until(() => chunks.length === at + 1)
  }
  log('kept', Buffer.concat(chunks))
})

parity(
  'pause stops the data events at once, resume starts them again',
  async ({ pair, log, until, seen }) => {
    const { client, peer } = await pair()
    let text = ''
    client.setEncoding('utf8').on('data', data => {
      text += data
      log('data', data)
      client.pause()
    })
    peer.write('first')
    await until(() => text === 'first')
    log('paused', client.isPaused(), client.readableFlowing)
    peer.write('second')
    await until(() => client.bytesRead === 11)
    log('buffered', client.readableLength, text)
    log('resumed', client.resume() === client, client.isPaused(), client.readableFlowing)
    await until(() => text === 'firstsecond')
    client.resume()
    peer.end()
    await seen(client, 'end')
  },
)

parity(
  'a paused socket stops reading at its high-water mark',
  { on: 'linux' },
  async ({ pair, log, until, quiet, drained }) => {
    const { client, peer } = await pair({ client: { highWaterMark: 65_536 } })
    client.pause()
    peer.write(Buffer.alloc(4_000_000))
    await until(() => client.readableLength >= 65_536)
    await quiet()
    log('held', client.readableLength, client.bytesRead)
    const arrived = drained(client)
    client.resume()
    peer.end()
    log('arrived', (await arrived).length)
  },
)

parity('a socket nobody listens to stops reading at its high-water mark', { on: 'linux' }, async t => {
  const { pair, log, until, quiet } = t
  const { client, peer } = await pair({ client: { highWaterMark: 1000 } })
  peer.write(Buffer.alloc(4_000_000))
  await until(() => client.readableLength >= 1000)
  await quiet()
  log('held', client.readableFlowing, client.readableLength >= 1000, client.readableLength <= 65_536)
})

parity(
  'a paused socket sees no end before it resumes',
  async ({ pair, watch, log, until, quiet, closed }) => {
    const { client, peer } = await pair()
    watch(client, 'client')
    client.on('data', () => {})
    client.pause()
    peer.resume().end('text')
    await until(() => client.bytesRead === 4)
    await quiet()
    log('paused', client.readableEnded, client.destroyed)
    client.resume()
    await closed(client)
  },
)

parity('pause before connect reads nothing until resumed', async t => {
  const { net, own, listen, to, watch, log, until, quiet, closed } = t
  let sent = false
  const server = await listen({}, peer => peer.resume().end('early', () => (sent = true)))
  const client = watch(own(new net.Socket()), 'client')
  client.pause()
  client.connect(to(server))
  await until(() => sent)
  await quiet()
  log('held', client.bytesRead, client.readableLength, client.isPaused())
  client.resume()
  await closed(client)
})

parity('a listener that comes late gets everything', async ({ pair, log, until, seen }) => {
  const { client, peer } = await pair()
  peer.write('before ')
  await until(() => client.bytesRead === 7)
  let text = ''
  client.on('data', data => (text += data))
  peer.end('after')
  await seen(client, 'end')
  log('text', text)
})

parity('read(n) takes as many bytes as asked', async ({ pair, log, until }) => {
  const { client, peer } = await pair()
  peer.write('0123456789')
  await until(() => client.bytesRead === 10)
  log('read', client.read(3), client.read(0), client.readableLength, client.read(20), client.read())
})

parity('unshift gives back what was read too much', async ({ pair, log, seen }) => {
  const { client, peer } = await pair()
  client.once('data', chunk => {
    client.pause()
    client.unshift(chunk.subarray(2))
    client.on('data', rest => log('rest', rest))
    client.resume()
  })
  peer.end('ab-rest')
  await seen(client, 'end')
})

parity(
  'onread with a buffer calls back with the bytes in it',
  async ({ listen, net, own, to, log, closed, watch }) => {
    const server = await listen({}, peer => peer.resume().end('straight in'))
    const buffer = Buffer.alloc(64)
    const client = own(
      net.connect(
        to(server, {
          onread: {
            buffer,
            callback(nread, buf) {
              log('callback', nread, buf === buffer, buf.subarray(0, nread), this === client)
              return true
            },
          },
        }),
      ),
    )
    watch(client, 'client')
    await closed(client)
    log('after', client.bytesRead, client.readableLength)
  },
)

parity(
  'onread with a function asks for a buffer before each read',
  async ({ net, own, listen, to, log, until, closed }) => {
    const accepted = []
    const server = await listen({}, peer => accepted.push(peer.resume()))
    const buffers = []
    const got = []
    const client = own(
      net.connect(
        to(server, {
          onread: {
            buffer: () => {
              const buffer = new Uint8Array(16)
              buffers.push(buffer)
              return buffer
            },
            callback: (nread, buffer) => {
              got.push([nread, buffers.includes(buffer), Buffer.from(buffer.subarray(0, nread)).toString()])
              return true
            },
          },
        }),
      ),
    )
    await until(() => accepted.length === 1)
    for (const text of ['one', 'three', 'seventeen']) {
      const before = got.length
      accepted[0].write(text)
      await until(() => got.length > before)
    }
    accepted[0].end()
    await closed(client)
    log('got', got)
    log('distinct', new Set(buffers).size === buffers.length, buffers.length >= got.length)
  },
)

parity(
  'onread with a buffer smaller than the data calls back for each part',
  async ({ listen, net, own, to, log, closed }) => {
    const server = await listen({}, peer => peer.resume().end('0123456789'))
    const parts = []
    const client = own(
      net.connect(
        to(server, {
          onread: {
            buffer: Buffer.alloc(4),
            callback: (nread, buffer) => {
              parts.push(buffer.toString('latin1', 0, nread))
              return true
            },
          },
        }),
      ),
    )
    await closed(client)
    log('parts', parts)
  },
)

parity(
  'onread that returns false stops until resume',
  async ({ listen, net, own, to, log, closed, quiet, until }) => {
    const server = await listen({}, peer => peer.resume().end('0123456789'))
    const parts = []
    const client = own(
      net.connect(
        to(server, {
          onread: {
            buffer: Buffer.alloc(4),
            callback: (nread, buffer) => {
              parts.push(buffer.toString('latin1', 0, nread))
              return false
            },
          },
        }),
      ),
    )
    for (let many = 1; many <= 3; many++) {
      await until(() => parts.length === many)
      await quiet()
      log('stopped', parts.length, client.bytesRead)
      client.resume()
    }
    await closed(client)
    log('parts', parts)
  },
)

parity('onread obeys pause and resume', async ({ listen, net, own, to, log, closed, quiet, until, seen }) => {
  const accepted = []
  const server = await listen({}, peer => accepted.push(peer.resume()))
  const parts = []
  const client = own(
    net.connect(
      to(server, {
        onread: {
          buffer: Buffer.alloc(100),
          callback: (nread, buffer) => {
            parts.push(buffer.toString('latin1', 0, nread))
            return true
          },
        },
      }),
    ),
  )
  await seen(client, 'connect')
  client.pause()
  await until(() => accepted.length === 1)
  await new Promise(resolve => accepted[0].end('held back', resolve))
  await quiet()
  log('paused', parts, client.bytesRead)
  client.resume()
  await closed(client)
  log('resumed', parts, client.bytesRead)
})

parity('onread gives no data events', async ({ listen, net, own, to, watch, closed }) => {
  const server = await listen({}, peer => peer.resume().end('text'))
  const client = own(net.connect(to(server, { onread: { buffer: Buffer.alloc(8), callback: () => true } })))
  watch(client, 'client')
  client.on('data', () => {})
  await closed(client)
})

parity(
  'an error in an onread socket is an error event',
  { on: 'linux' },
  async ({ listen, net, own, to, watch, closed, seen, until }) => {
    const accepted = []
    const server = await listen({}, peer => accepted.push(peer))
    const client = own(net.connect(to(server, { onread: { buffer: Buffer.alloc(8), callback: () => true } })))
    watch(client, 'client')
    await seen(client, 'connect')
    await until(() => accepted.length === 1)
    accepted[0].resetAndDestroy()
    await closed(client)
  },
)

parity(
  'a socket that is readable: false reads nothing',
  async ({ net, own, listen, to, log, seen, quiet, watch }) => {
    const server = await listen({}, peer => peer.write('unwanted'))
    const client = watch(own(new net.Socket({ readable: false })), 'client')
    client.connect(to(server))
    await seen(client, 'ready')
    await quiet()
    log('after', client.bytesRead, client.readable, client.readyState)
  },
)
