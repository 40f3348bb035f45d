// Connects, sends a request, reads the answer, closes, and starts again.

import { performance } from 'node:perf_hooks'
import { connections, done, measure, net, port, REQUEST } from './program.mjs'

// Every connection leaves a port in TIME_WAIT, one set of ports for each destination: the server listens
// on 16 addresses.
let next = 0

function visit() {
  const started = performance.now()
  const socket = net.connect({ port, host: `127.0.0.${1 + (next++ % 16)}`, noDelay: true })
  let missing = REQUEST.length
  socket.on('connect', () => socket.write(REQUEST))
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
