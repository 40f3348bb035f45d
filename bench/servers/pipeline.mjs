// One answer for each 64-byte request, and one `write()` for each answer, as protocol servers do.

import { ANSWER, FRAME, listen, net } from './program.mjs'

const server = net.createServer({ noDelay: true }, socket => {
  let partial = 0
  socket.on('data', data => {
    partial += data.length
    for (; partial >= FRAME; partial -= FRAME) socket.write(ANSWER)
  })
  socket.on('error', () => socket.destroy())
})

listen(server)
