// Node's tls on ferronet's sockets, with the interface of tls: a program that keeps `tls` and gets its `net` from ferronet.

import tls from 'node:tls'
import net from 'ferronet'

function createServer({ noDelay, ...options }, listener) {
  const sessions = tls.createServer(options, listener)
  return net.createServer({ noDelay }, socket => sessions.emit('connection', socket))
}

function connect(options, listener) {
  return tls.connect({ ...options, socket: net.connect(options) }, listener)
}

export default { createServer, connect }
