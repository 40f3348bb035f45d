// Sockets and servers for other processes, under ferronet/register as without it: the same program, the same things
// seen. And what is said to a program that has ferronet without the hook.

import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import ava from 'ava'

const test = ava.serial
const root = fileURLToPath(new URL('../..', import.meta.url))
const program = fileURLToPath(new URL('../fixtures/register/sending.cjs', import.meta.url))
const names = createRequire(import.meta.url)(program)
const drivers = process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']

const cleanEnv = { ...process.env }
for (const name of ['NODE_OPTIONS', 'FERRONET_REGISTER', 'FERRONET_DRIVER', 'NODE_CHANNEL_FD'])
  delete cleanEnv[name]

async function run(args, env) {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...cleanEnv, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  const closed = new Promise(resolve => child.on('close', (code, signal) => resolve(code ?? signal)))
  const [out, error, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  try {
    return { code, seen: JSON.parse(out) }
  } catch {
    return { code, out, error }
  }
}

// Paths are named pipes on Windows, and libuv passes on neither those nor sockets as stdio.
const unixOnly = ['a server on a path', 'sockets as a child’s stdio']
const windowsOnly = ['named pipes', 'what no child inherits']
for (const name of [...unixOnly, ...windowsOnly])
  if (!names.includes(name)) throw new Error(`there is no scenario '${name}'`)
const elsewhere = process.platform === 'win32' ? unixOnly : windowsOnly
for (const name of names) {
  if (elsewhere.includes(name)) continue
  test(`sending: ${name}`, async t => {
    const plain = run([program, name])
    const ours = drivers.map(driver =>
      run(['--require', 'ferronet/register', program, name], { FERRONET_DRIVER: driver }),
    )
    const wanted = await plain
    t.is(wanted.code, 0, JSON.stringify(wanted))
    for (const result of await Promise.all(ours)) t.deepEqual(result, wanted)
  })
}

const explained = `
  const { fork } = require('child_process')
  const net = require('ferronet')
  const child = fork(${JSON.stringify(program)}, ['child'])
  const tell = (sender, ours) => {
    try { sender.send('x', ours) } catch (error) {
      return [error.name, error.code, error.message, error.stack.includes(error.message)]
    }
  }
  const seen = [tell(child, new net.Socket()), tell(child, net.createServer()), tell(child, {})]
  seen.push(Object.keys(child).includes('send'), child.send.length, tell(process, new net.Socket()) ?? 'no channel')
  child.disconnect()
  console.log(JSON.stringify(seen))
`

test('without the hook the error says what to import', async t => {
  const { code, seen, error } = await run([
    '-e',
    explained.replace('tell(process, new net.Socket())', 'null'),
  ])
  t.is(code, 0, error)
  const start = 'This handle type cannot be sent'
  const [socket, server, other, own] = seen
  for (const [kind, found] of Object.entries({ Socket: socket, Server: server })) {
    const [name, errorCode, message, inStack] = found
    t.deepEqual([name, errorCode, inStack], ['TypeError', 'ERR_INVALID_HANDLE_TYPE', true])
    t.true(message.startsWith(`${start}: `))
    for (const word of [`a ${kind} of ferronet`, 'ferronet/register', `toNode${kind}()`]) {
      t.true(message.includes(word), message)
    }
  }
  t.deepEqual(other.slice(0, 3), ['TypeError', 'ERR_INVALID_HANDLE_TYPE', start])
  t.true(own)
})

test('without the hook a child too is told what to import', async t => {
  const code = `
    const net = require('ferronet')
    try { process.send('x', new net.Socket()) } catch (error) { process.send(error.message) }
    process.disconnect()
  `
  const child = spawn(process.execPath, ['-e', code], {
    cwd: root,
    env: cleanEnv,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const closed = new Promise(resolve => child.on('close', resolve))
  const message = await new Promise(resolve => child.once('message', resolve))
  t.regex(message, /a Socket of ferronet\. Import 'ferronet\/register'/)
  t.is(await closed, 0)
})

test('without the hook a process that sends nothing of ferronet’s sends as before', async t => {
  const code = `
    const { fork } = require('child_process')
    const net = require('ferronet')
    const server = require('net').createServer().listen(0, '127.0.0.1', () => {
      const child = fork(${JSON.stringify(program)}, ['child'])
      child.send(['say'], server, { keepOpen: true }, error => {
        child.once('message', message => {
          console.log(JSON.stringify([error, message]))
          child.kill()
          server.close()
        })
      })
    })
  `
  t.deepEqual(await run(['-e', code]), { code: 0, seen: [null, 'Server'] })
})
