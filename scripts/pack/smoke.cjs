// Copied into a project that has installed ferronet, and run there: each entry, by require and by import, in a worker
// and in child processes. Prints a line `ok NAME` for each; the first failure ends it with exit code 1.
//
//   node smoke.cjs [worker]

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { once } = require('node:events')
const { isMainThread, parentPort, Worker } = require('node:worker_threads')

const nodeNet = require('node:net')

async function main() {
  const ferronet = require('ferronet')
  await ok('require("ferronet")', () => echo(ferronet))
  await ok('import "ferronet"', async () => {
    const imported = await import('ferronet')
    assert.equal(imported.default, ferronet)
    assert.equal(imported.Socket, ferronet.Socket)
    await echo(imported)
  })
  await ok('it is not node:net', () => assert.notEqual(ferronet.Socket, nodeNet.Socket))
  await ok('node:net as client', () =>
    echo({ createServer: ferronet.createServer, connect: nodeNet.connect }),
  )
  await ok('require("ferronet/promises")', () => promises(require('ferronet/promises')))
  await ok('import "ferronet/promises"', async () => promises(await import('ferronet/promises')))
  await ok('require("ferronet/legacy")', () => legacy(require('ferronet/legacy')))
  await ok('import "ferronet/legacy"', async () => legacy((await import('ferronet/legacy')).default))
  await ok('in a worker', async () => {
    const [message] = await once(new Worker(__filename), 'message')
    assert.equal(message, 'hello')
  })
  for (const flag of ['--require', '--import']) {
    await ok(`${flag} ferronet/register`, () => {
      const code = `
        const net = require('net')
        const server = net.createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
          const client = net.connect(server.address().port, '127.0.0.1', () => client.end('hello'))
          client.on('data', data => console.log(String(data), net === require('ferronet')))
          client.on('close', () => server.close())
        })`
      const args = [...process.execArgv, flag, 'ferronet/register', '-e', code]
      assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8' }), 'hello true\n')
    })
  }
  await ok('register in the first line', () => {
    const code =
      "require('ferronet/register'); import('net').then(n => console.log(n.default === require('ferronet')))"
    const args = [...process.execArgv, '-e', code]
    assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8' }), 'true\n')
  })
  await ok('one version', () => {
    const { version } = require('ferronet/package.json')
    assert.match(version, /^\d+\.\d+\.\d+/)
  })
}

async function ok(name, run) {
  await run()
  console.log(`ok ${name}`)
}

async function echo({ createServer, connect }) {
  const server = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect(server.address().port, '127.0.0.1')
  client.end('hello')
  client.setEncoding('utf8')
  let text = ''
  for await (const chunk of client) text += chunk
  assert.equal(text, 'hello')
  server.close()
  await once(server, 'close')
  return text
}

async function promises({ connect, listen }) {
  const server = await listen({
    port: 0,
    host: '127.0.0.1',
    connectionListener: socket => socket.end('hello'),
  })
  const client = await connect(server.address().port, '127.0.0.1')
  let text = ''
  for await (const chunk of client) text += chunk
  assert.equal(text, 'hello')
  server.close()
  await once(server, 'close')
}

async function legacy(net) {
  const server = net.createServer(stream => {
    stream.on('connect', () => stream.end('hello'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.createConnection(server.address().port)
  client.setEncoding('utf8')
  let text = ''
  client.on('data', data => (text += data))
  client.on('end', () => client.end())
  await once(client, 'close')
  assert.equal(text, 'hello')
  server.close()
  await once(server, 'close')
}

if (isMainThread) {
  main().catch(error => {
    console.error(error)
    process.exit(1)
  })
} else {
  echo(require('ferronet')).then(text => parentPort.postMessage(text))
}
