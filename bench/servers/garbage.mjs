// Echoes everything, and makes as much garbage as a service that parses what it gets and keeps some of it for a while:
// many objects that die young, and some that live long enough to be moved and then die.

import { listen, net } from './program.mjs'

const KEPT = 100_000

const recent = new Array(KEPT).fill(null)
let at = 0

const server = net.createServer({ noDelay: true }, socket => {
  socket.on('data', data => {
    const words = Array.from(data.toString('latin1'), (letter, index) => ({ letter, index }))
    recent[at] = { first: words[0], length: words.length, seen: [at, at + 1, at + 2] }
    at = (at + 1) % KEPT
    socket.write(data)
  })
  socket.on('error', () => socket.destroy())
})

listen(server)
