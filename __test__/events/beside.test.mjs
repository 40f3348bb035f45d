// The rest of the program has its turn while ferronet always has something to do.

import { parity } from '../helpers/parity.mjs'

const MB = 1024 * 1024
const chunk = Buffer.alloc(64 * 1024)

function writeForEver(socket) {
  while (socket.write(chunk));
  socket.once('drain', () => writeForEver(socket))
}

parity('timers, immediates and ticks come while streams in both directions never end', async t => {
  const sockets = []
  for (let at = 0; at < 4; at++) {
    const { client, peer } = await t.pair()
    sockets.push(client, peer)
  }
  const came = { timer: 0, immediate: 0, tick: 0 }
  const timer = setInterval(() => came.timer++, 1)
  t.cleanup(() => clearInterval(timer))
  let immediate = setImmediate(function again() {
    came.immediate++
    process.nextTick(() => came.tick++)
    immediate = setImmediate(again)
  })
  t.cleanup(() => clearImmediate(immediate))
  let bytes = 0
  await new Promise(resolve => {
    for (const socket of sockets) {
      writeForEver(socket)
      // Asked here and not by a timer: it is the timers that might not come.
      socket.on('data', ({ length }) => {
        bytes += length
        if (bytes > 4000 * MB || Object.values(came).every(count => count >= 10)) resolve()
      })
    }
  })
  for (const socket of sockets) socket.destroy()
  for (const [what, count] of Object.entries(came)) t.log(what, count >= 10)
})
