// Counts what it is sent.

import { listen, net } from './program.mjs'

let bytes = 0

const server = net.createServer(socket => {
  socket.on('data', data => {
    bytes += data.length
  })
  socket.on('error', () => socket.destroy())
})

listen(server, () => ({ bytes }))
