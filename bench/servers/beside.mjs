// Uploads are swallowed, everything else comes back: one server for both, who says which it is with the
// first byte it sends.

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
