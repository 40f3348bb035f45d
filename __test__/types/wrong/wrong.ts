// What must not compile, with the error that each line must bring: one of the numbers, where compilers differ.
// scripts/platforms/types.mjs compares. Never run.

import * as nodeNet from 'node:net'
import net, { type AddressInfo } from 'ferronet'
import legacy from 'ferronet/legacy'
import { Handle } from 'ferronet/lib/engine/once.js' // TS2307
import * as promises from 'ferronet/promises'

const socket = new net.Socket()
const server = net.createServer()

net.connect({ port: '80' }) // TS2769
net.connect({ host: 'localhost' }) // TS2769
net.connect(true) // TS2769
net.createServer({ allowHalfOpen: 'yes' }) // TS2769
net.createServer({ allowHalfClosed: true }) // TS2769
net.createServer((peer: number) => peer) // TS2769
new net.Socket({ fd: '3' }) // TS2322
new net.Socket({ handle: 3 }) // TS2322
new net.BoundSocket({ address: '127.0.0.1' }) // TS2353
new net.BoundSocket({ host: '127.0.0.1' }).listen() // TS2339
net.isIP(4) // TS2345
net.listen(80) // TS2339
net._normalizeArgs([]) // TS2339

socket.write(1) // TS2769
socket.setTimeout('10') // TS2345
socket.setNoDelay(1) // TS2345
socket.setKeepAlive({ enabled: true }) // TS2769
socket.setKeepAlive({ initialDelay: '1' }) // TS2769
socket.setTypeOfService('low') // TS2345
socket.setEncoding('uft8') // TS2345
socket.bytesRead = 0 // TS2540
socket.readyState === 'half-open' // TS2367
socket.getTypeOfService().length // TS2339
socket._handle // TS2339
socket.startTLS({ isServr: true }) // TS2769
socket.sendFile('file', { from: 1 }) // TS2353
net.relay(socket, new nodeNet.Socket()) // TS2739 TS2740 TS2345 TS2379
const address: AddressInfo = socket.address() // TS2322

server.listening = true // TS2540
server.close(1) // TS2345
server.getConnections() // TS2554
server.dropMaxConnection = 1 // TS2322
const peer: number = (await server[Symbol.asyncIterator]().next()).value // TS2322
const place: string = server.address() // TS2322

promises.connect(80, () => {}) // TS2345
promises.listen(80) // TS2559
net.detach(new nodeNet.Server()) // TS2769
net.attach({ ferronet: 'Socket' }) // TS2769
net.toNodeSocket(server) // TS2345 TS2379 TS2740
const never: number = legacy.Stream().setSecure().length // TS2339
legacy.setDefaultEncoding('uft8') // TS2345

// Node's own server has no iterator.
const iterable: net.Server = new nodeNet.Server() // TS2741 TS2375 TS2739

export { address, Handle, iterable, never, peer, place }
