// Pipes each connection to one of the server behind it, and back.

import { listen, net } from './program.mjs'

const behind = { host: '127.0.0.1', port: Number(process.env.BENCH_BEHIND), noDelay: true }

const server = net.createServer({ noDelay: true }, socket => {
  const other = net.connect(behind)
  for (const [one, another] of [
    [socket, other],
    [other, socket],
  ]) {
    one.on('error', () => one.destroy())
    one.on('close', () => another.destroy())
    one.pipe(another)
  }
})

listen(server)
