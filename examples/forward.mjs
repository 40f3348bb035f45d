// Forwards connections to another address, without a byte passing through JavaScript: `relay()` joins the two sockets.
//
//   node examples/forward.mjs 127.0.0.1 5432               then connect to 127.0.0.1:8000
//   node examples/forward.mjs --port 6000 /tmp/room.sock   from TCP to a Unix socket

import net, { relay } from 'ferronet'
import { commandLine, destination, explain, listen, portNumber, text } from './common.mjs'

const usage = `usage: node examples/forward.mjs [options] [HOST] PORT
       node examples/forward.mjs [options] PATH

Accepts connections on 127.0.0.1 and forwards each to HOST PORT (HOST is localhost if left out) or to a Unix socket.

  --port N       TCP port to listen on (8000; 0 lets the system choose)
  --path PATH    listen on a Unix socket instead`

const { values, positionals } = commandLine(usage, {
  options: { port: { type: 'string', default: '8000' }, path: { type: 'string' } },
  allowPositionals: true,
})
const target = destination(positionals)
const ending = new AbortController()
let count = 0

const server = net.createServer({ noDelay: true }, async client => {
  const name = `connection ${++count}`
  try {
    // It need not be connected yet: what the client says meanwhile is passed on then.
    const upstream = net.connect({ ...target, noDelay: true })
    const { aToB, bToA } = await relay(client, upstream, { signal: ending.signal })
    console.log(`${name}: ${aToB} bytes there, ${bToA} back`)
  } catch (err) {
    console.log(`${name}: ${explain(err)}`)
  }
})

const endpoint = values.path ? { path: values.path } : { host: '127.0.0.1', port: portNumber(values.port) }
console.log(`listening on ${text(await listen(server, endpoint))}`)
console.log(`forwarding to ${text(target)}; stop with Ctrl+C`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close()
    ending.abort(new Error('stopped'))
  })
}
