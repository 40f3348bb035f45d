// Echoes everything. Used by ping-pong, bulk echo, churn and idle connections.

import { identity, listen, net, sharing } from './program.mjs'

const server = net.createServer({ noDelay: true, ...sharing, ...identity }, socket => {
  socket.on('data', data => socket.write(data))
  socket.on('error', () => socket.destroy())
})

listen(server)
