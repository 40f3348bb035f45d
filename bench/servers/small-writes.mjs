// Sixteen small writes for each request: a header, fields and a trailer, each written as soon as it is ready.

import { ANSWER, FRAME, identity, listen, net } from './program.mjs'

const server = net.createServer({ noDelay: true, ...identity }, socket => {
  let partial = 0
  socket.on('data', data => {
    partial += data.length
    for (; partial >= FRAME; partial -= FRAME) {
      for (let part = 0; part < 16; part++) socket.write(ANSWER)
    }
  })
  socket.on('error', () => socket.destroy())
})

listen(server)
