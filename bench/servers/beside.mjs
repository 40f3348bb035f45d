// Discards uploads and echoes everything else, on one server. The first byte of a connection says which it is.

import { listen, net, UPLOAD } from './program.mjs'

let bytes = 0

const server = net.createServer({ noDelay: true }, socket => {
  let uploads
  socket.on('data', data => {
    uploads ??= data[0] === UPLOAD
    if (uploads) bytes += data.length
    else socket.write(data)
  })
  socket.on('error', () => socket.destroy())
})

listen(server, () => ({ bytes }))
