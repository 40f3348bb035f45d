// tls.connect() with nothing but an address: handshake, a request, its answer, close, and again. What the options leave
// open is made anew by Node for each connection, the secure context above all.

import { performance } from 'node:perf_hooks'
import { connections, done, measure, net, port, REQUEST } from './program.mjs'

let next = 0

function visit() {
  const started = performance.now()
  // As in churn.mjs the server has 16 addresses. Its certificate is trusted by NODE_EXTRA_CA_CERTS.
  const socket = net.connect({ port, host: `127.0.0.${1 + (next++ % 16)}` }, () => socket.write(REQUEST))
  let missing = REQUEST.length
  socket.on('data', data => {
    missing -= data.length
    if (missing === 0) socket.end()
  })
  socket.on('close', () => {
    done(started)
    visit()
  })
}

for (let count = 0; count < connections; count++) visit()

measure()
