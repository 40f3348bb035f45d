// On every connection: sends a message, waits for its echo, sends the next.

import { performance } from 'node:perf_hooks'
import { connections, done, measure, net, port, REQUEST, sharing } from './program.mjs'

for (let count = 0; count < connections; count++) {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, ...sharing })
  let started = 0
  let missing = 0
  const ask = () => {
    started = performance.now()
    missing = REQUEST.length
    socket.write(REQUEST)
  }
  socket.on('connect', ask)
  socket.on('data', data => {
    missing -= data.length
    if (missing === 0) {
      done(started)
      ask()
    }
  })
}

measure()
