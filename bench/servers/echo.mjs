// Everything comes back. Ping-pong, bulk echo, churn and idle connections use it.

import { listen, net, sharing } from './program.mjs'

const server = net.createServer({ noDelay: true, ...sharing }, socket => {
  socket.on('data', data => socket.write(data))
  socket.on('error', () => socket.destroy())
})

listen(server)
