// 64 bytes for each request over HTTP: Node's http on the connections of the module.

import http from 'node:http'
import { ANSWER, identity, listen, net } from './program.mjs'

const web = http.createServer((_request, response) => response.end(ANSWER))

const server = net.createServer({ noDelay: true, ...identity }, socket => {
  web.emit('connection', socket)
  socket.on('error', () => socket.destroy())
})

listen(server)
