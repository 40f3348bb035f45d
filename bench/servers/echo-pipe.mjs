// Echoes everything, by piping each connection to itself.

import { listen, net } from './program.mjs'

const server = net.createServer({ allowHalfOpen: true }, socket => {
  socket.on('error', () => socket.destroy())
  socket.pipe(socket)
})

listen(server)
