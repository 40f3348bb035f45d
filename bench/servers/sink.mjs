// Counts the bytes it receives.

import { identity, listen, net, sharing } from './program.mjs'

let bytes = 0

const server = net.createServer({ ...sharing, ...identity }, socket => {
  socket.on('data', data => {
    bytes += data.length
  })
  socket.on('error', () => socket.destroy())
})

listen(server, () => ({ bytes }))
