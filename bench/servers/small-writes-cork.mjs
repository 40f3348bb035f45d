// small-writes.mjs with cork() added by hand, as a careful user would.

import { ANSWER, FRAME, listen, net } from './program.mjs'

const server = net.createServer({ noDelay: true }, socket => {
  let partial = 0
  socket.on('data', data => {
    socket.cork()
    partial += data.length
    for (; partial >= FRAME; partial -= FRAME) {
      for (let part = 0; part < 16; part++) socket.write(ANSWER)
    }
    socket.uncork()
  })
  socket.on('error', () => socket.destroy())
})

listen(server)
