// Sends 64 KiB chunks endlessly once asked to, and waits for 'drain' when write() returns false.

import { CHUNK, identity, listen, net } from './program.mjs'

const server = net.createServer(identity, socket => {
  const fill = () => {
    // With a reader that keeps up this loop would never end, so after a megabyte other connections get a turn.
    for (let count = 0; count < 16; count++) {
      if (!socket.write(CHUNK)) {
        socket.once('drain', fill)
        return
      }
    }
    if (!socket.destroyed) setImmediate(fill)
  }
  socket.once('data', fill)
  socket.on('error', () => socket.destroy())
})

listen(server)
