// A program in the style of 2010: an echo server and its client on net.Stream, as in Node 0.1.
//
//   node examples/legacy.mjs hello world

import net from 'ferronet/legacy'
import { commandLine, explain, fail, listen, portNumber, text } from './common.mjs'

const usage = `usage: node examples/legacy.mjs [options] [WORD...]

Starts an echo server, sends each WORD to it as a client, prints what both see, and exits.

  --port N       TCP port (0: the system chooses)
  --path PATH    use a Unix socket instead of TCP`

const { values, positionals } = commandLine(usage, {
  options: { port: { type: 'string', default: '0' }, path: { type: 'string' } },
  allowPositionals: true,
})
const words = positionals.length ? positionals : ['hello', 'world']

const server = net.createServer(function (stream) {
  stream.setEncoding('utf8')
  stream.addListener('connect', function () {
    stream.write('welcome\n')
  })
  stream.addListener('data', function (data) {
    stream.write(data)
  })
  stream.addListener('end', function () {
    console.log(`server: ${stream.readyState}, the client has ended`)
    stream.end('goodbye\n') // the stream is half-open and would stay so without this
    server.close()
  })
  stream.addListener('error', function (err) {
    console.error(`server: ${explain(err)}`)
  })
})

const where = values.path ? { path: values.path } : { host: '127.0.0.1', port: portNumber(values.port) }
const endpoint = await listen(server, where)
console.log(`listening on ${text(endpoint)}`)

let heard = ''
const client = net.createConnection(endpoint.path ?? endpoint.port) // the host is 127.0.0.1 unless given
console.log(`client: ${client.readyState}`)
client.setEncoding('utf8')
client.addListener('connect', function () {
  console.log(`client: ${client.readyState}`)
  for (const word of words) client.write(`${word}\n`)
  client.end()
  console.log(`client: ${client.readyState}`)
})
client.addListener('data', function (data) {
  heard += data // a chunk is not a line
})
client.addListener('end', function () {
  for (const line of heard.split('\n').slice(0, -1)) console.log(`client: heard ${line}`)
})
client.addListener('error', function (err) {
  fail(`${text(endpoint)}: ${explain(err)}`)
})
client.addListener('close', function () {
  console.log(`client: ${client.readyState}`)
})
