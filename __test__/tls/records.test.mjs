// Records that are none, behind the handshake: the words in which both ends hear of them.

import { createServer, connect as plainConnect } from 'node:net'
import { first, secured } from '../helpers/tls.mjs'

const zeros = '00'.repeat(32)
const records = {
  'cannot be opened': `1703030020${zeros}`,
  'is of no type': `9903030020${zeros}`,
  'is too long': `170303ffff${zeros}`,
  'is of another version': `1709090020${zeros}`,
  'is an alert in the clear': '15030300020228',
  'is a request of HTTP': Buffer.from('GET / HTTP/1.0\r\n\r\n').toString('hex'),
}

/** All of it but the number of the thread. */
const words = ({ code, message, library, reason }) => ({
  code,
  message: message.replace(/^[0-9A-F]{8,}:/, ''),
  library,
  reason,
})

for (const [name, record] of Object.entries(records)) {
  secured(`a record ${name}`, { both: true }, async (t, kit) => {
    for (const victim of ['server', 'client']) {
      const server = await kit.listen()
      const between = t.own(createServer())
      const joined = first(between, 'connection').then(near => {
        const far = t.own(plainConnect(server.address().port, '127.0.0.1'))
        for (const end of [near, far]) t.own(end).on('error', () => {})
        near.pipe(far).pipe(near)
        return { server: far, client: near }
      })
      await new Promise(resolve => between.listen(0, '127.0.0.1', resolve))
      const { client, peer } = await kit.meet({ over: server, through: between })
      const ends = { server: peer, client }
      // What comes behind the handshake is read before.
      peer.write('a word')
      await first(client, 'data')
      client.write('another')
      await first(peer, 'data')
      const errors = Object.entries(ends).map(async ([end, socket]) => [
        end,
        words(await first(socket, 'error')),
      ])
      ;(await joined)[victim].write(Buffer.from(record, 'hex'))
      t.log(victim, await Promise.all(errors))
      client.destroy()
      peer.destroy()
      await t.closed(client, peer)
    }
  })
}

/** How many records begin in these bytes. */
function countRecords(bytes) {
  let records = 0
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) records++
  return records
}

// One record, and one system call, also where no event is being handled.
secured('what is corked leaves together', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const between = t.own(createServer())
  const sent = []
  between.on('connection', near => {
    const far = t.own(plainConnect(server.address().port, '127.0.0.1'))
    for (const end of [near, far]) t.own(end).on('error', () => {})
    near.on('data', chunk => sent.push(chunk)).pipe(far)
    far.pipe(near)
  })
  await new Promise(resolve => between.listen(0, '127.0.0.1', resolve))
  const { client, peer } = await kit.meet({ over: server, through: between })
  peer.write('a word')
  await first(client, 'data')
  client.write('another')
  await first(peer, 'data')
  sent.length = 0
  const writes = [['text'], ['ä', 'latin1'], ['YQ==', 'base64'], [Buffer.from('bytes')]]
  await new Promise(setImmediate)
  client.cork()
  for (const write of writes) client.write(...write)
  client.uncork()
  await first(peer, 'data')
  t.log('records', countRecords(Buffer.concat(sent)))
  client.destroy()
  peer.destroy()
  await t.closed(client, peer)
})
