// Sends 64 KiB chunks for ever once it has been asked, and waits for 'drain' when told to.

import { CHUNK, listen, net } from './program.mjs'

const server = net.createServer(socket => {
  const fill = () => {
    // A reader that keeps up would hold this loop for ever: after a megabyte the others have their turn.
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
