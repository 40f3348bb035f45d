// Tests a running counter-echo server with two clients, which must get consecutive numbers and hear their echo.
//
//   node examples/counter-echo.mjs        and then, in another terminal:  node examples/counter-echo-check.mjs 8000

import net from 'ferronet'
import { commandLine, destination, explain, fail, text } from './common.mjs'

const usage = `usage: node examples/counter-echo-check.mjs [HOST] PORT
       node examples/counter-echo-check.mjs PATH

HOST is localhost if left out. Prints what it saw and exits with 0, or prints what was wrong and exits with 1. The
server must have no other clients meanwhile, because they would take numbers too.`

const { positionals } = commandLine(usage, { allowPositionals: true })
const endpoint = destination(positionals)

// One client. It sends `words` and ends its side; `done` is called with its number after the server has ended too.
// The test fails if the server sends something else, or nothing for a while.
function runTest(expected, words, done) {
  const client = net.connect({ ...endpoint, allowHalfOpen: true }, () => client.end(words))
  let heard = ''
  client.setEncoding('utf8')
  client.on('data', data => (heard += data))
  client.setTimeout(5000, () => fail(`no answer, only ${JSON.stringify(heard)}`))
  client.on('error', err => fail(`${text(endpoint)}: ${explain(err)}`))
  client.on('end', () => {
    const [number, ...echo] = heard.split('\n')
    if (!/^\d+$/.test(number)) fail(`greeted with ${JSON.stringify(number)} instead of a number`)
    if (expected !== undefined && Number(number) !== expected) {
      fail(`greeted with ${number} instead of ${expected}`)
    }
    if (echo.join('\n') !== words) fail(`echoed ${JSON.stringify(echo.join('\n'))} instead of our words`)
    console.log(`client ${number}: greeted, and its ${words.length} characters echoed`)
  })
  client.on('close', () => done(Number.parseInt(heard, 10)))
}

runTest(undefined, 'one line\nand another', first => {
  runTest(first + 1, 'äöü 🦀 '.repeat(10_000), () => console.log('all is well'))
})
