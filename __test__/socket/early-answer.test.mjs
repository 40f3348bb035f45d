// The peer answers and leaves while we are still sending: its answer is delivered before our write fails.

import { parity } from '../helpers/parity.mjs'
import { Peer } from '../helpers/peer.mjs'

const ANSWER = 150_000

for (const [family, how] of [
  ['Unix', 'close'],
  ['TCP', 'end'],
]) {
  parity(`${family}: an early answer arrives whole although the upload cannot go on`, async t => {
    const ROUNDS = 10
    const peer = await Peer.start(t.cleanup)
    const server = await t.listen(family === 'Unix' ? { path: t.socketPath() } : {})
    for (let round = 0; round < ROUNDS; round++) {
      const accepted = new Promise(resolve => server.once('connection', resolve))
      peer.do('connect', family === 'Unix' ? server.address() : server.address().port)
      const socket = await accepted
      let received = 0
      let failure
      socket.on('error', error => {
        failure = error.code
      })
      // More than the kernel takes: a write is waiting when the answer comes.
      const upload = () => socket.write(Buffer.alloc(200_000), error => error || upload())
      for (let at = 0; at < 20; at++) upload()
      socket.on('data', chunk => {
        received += chunk.length
      })
      await t.turns(3)
      peer.do('start', round, ANSWER)
      await t.until(() => socket.bytesRead > 0)
      peer.do(how, round)
      await t.until(() => received === ANSWER || socket.closed)
      t.log('received', received)
      if (how === 'close') {
        await t.closed(socket)
        t.log('failed of', failure)
      } else socket.destroy()
    }
  })
}

// A pipe of Windows takes no such write while nobody reads.
parity('Unix: an answer of many reads and the end of the peer, sent in one go', { on: 'unix' }, async t => {
  const peer = await Peer.start(t.cleanup)
  const server = await t.listen({ path: t.socketPath() })
  const accepted = new Promise(resolve => server.once('connection', resolve))
  peer.do('connect', server.address())
  const socket = await accepted
  let received = 0
  socket.on('error', () => {})
  for (let at = 0; at < 20; at++) socket.write(Buffer.alloc(200_000))
  await t.turns(3)
  peer.do('write', 0, ANSWER)
  peer.do('close', 0)
  socket.on('data', chunk => {
    received += chunk.length
  })
  await t.closed(socket)
  t.log('received', received)
})
