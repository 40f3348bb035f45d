// Bytes from another realm: Jest runs tests in one, node:vm creates them. `instanceof` does not recognise their
// classes.

import { runInNewContext } from 'node:vm'
import { parity } from '../helpers/parity.mjs'

for (const [what, source] of [
  ['a Uint8Array', 'new Uint8Array(1024)'],
  ['a function that makes a Uint8Array', '() => new Uint8Array(1024)'],
  ['a DataView', 'new DataView(new ArrayBuffer(1024))'],
  ['a Uint16Array', 'new Uint16Array(512)'],
]) {
  parity(`onread into ${what} of another realm`, async ({ listen, connect, to, watch, closed, log }) => {
    const server = await listen({}, peer => peer.end('answer'))
    const buffer = runInNewContext(source)
    const callback = (nread, into) => log('read', nread, Buffer.from(into).toString('latin1', 0, nread))
    const client = watch(connect(to(server, { onread: { buffer, callback } })), 'client')
    client.on('data', data => log('data', data))
    await closed(client)
    log('bytes read', client.bytesRead)
  })
}

for (const [what, source] of [
  ['a Uint8Array', 'new Uint8Array([65, 66, 67])'],
  ['an empty Uint8Array', 'new Uint8Array(0)'],
  ['a large Uint8Array', 'new Uint8Array(100_000).fill(65)'],
  ['a DataView', 'new DataView(new Uint8Array([65, 66, 67]).buffer, 1)'],
  ['a Uint16Array', 'new Uint16Array([0x4241])'],
  ['an ArrayBuffer', 'new ArrayBuffer(3)'],
  ['a String object', 'new String("text")'],
  ['an array', '[65, 66]'],
  ['what only pretends to be a Uint8Array', 'Object.create(Uint8Array.prototype)'],
]) {
  parity(`writing ${what} of another realm`, async ({ pair, drained, attempt, closed, log }) => {
    const { client, peer } = await pair()
    const received = drained(peer)
    const chunk = runInNewContext(source)
    attempt('write', () => client.write(chunk))
    attempt('write with a callback', () => client.write(chunk, () => {}))
    attempt('write corked', () => {
      client.cork()
      client.write(chunk)
      client.write(chunk)
      client.uncork()
    })
    attempt('bytes written', () => client.bytesWritten)
    attempt('end', () => client.end(chunk).writableEnded)
    client.end()
    log('received', await received)
    await closed(client)
  })
}

parity('writing what only pretends to be a Uint8Array', async ({ pair, attempt }) => {
  const { client } = await pair()
  attempt('write', () => client.write(Object.create(Uint8Array.prototype)))
})
