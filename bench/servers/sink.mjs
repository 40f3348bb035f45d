// Counts the bytes it receives.

import { listen, net, sharing } from './program.mjs'

let bytes = 0

const server = net.createServer(sharing, socket => {
  socket.on('data', data => {
    bytes += data.length
  })
  socket.on('error', () => socket.destroy())
})

listen(server, () => ({ bytes }))
