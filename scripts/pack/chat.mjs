// The chat example as a user would try it: started in the project that installed ferronet, with two clients of Node's
// own `net` talking to each other in it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { createInterface } from 'node:readline'

export async function chatRoom(directory, env) {
  const room = spawn(process.execPath, ['examples/chat-room.mjs', '--port', '0'], {
    cwd: directory,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(room, 'exit')
  let errors = ''
  room.stderr.setEncoding('utf8').on('data', text => {
    errors += text
  })
  const clients = []
  try {
    const said = createInterface({ input: room.stdout })[Symbol.asyncIterator]()
    const { value = '' } = await said.next()
    const port = /^listening on 127\.0\.0\.1:(\d+)$/.exec(value)?.[1]
    assert.ok(port, `${value}${errors}`)

    const enter = async name => {
      const socket = net.connect(port, '127.0.0.1')
      const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
      const client = {
        socket,
        line: async () => (await lines.next()).value,
        say: text => socket.write(`${text}\r\n`),
      }
      clients.push(client)
      assert.equal(await client.line(), '* Welcome. What is your name?')
      client.say(name)
      return client
    }
    const ann = await enter('ann')
    assert.equal(await ann.line(), '* Hello, ann. You are the first here.')
    const bob = await enter('bob')
    assert.equal(await bob.line(), '* Hello, bob. Here are: ann.')
    assert.equal(await ann.line(), '* bob joined')
    ann.say('hello bob')
    assert.equal(await bob.line(), 'ann: hello bob')
    bob.socket.end('bye\r\n')
    assert.equal(await ann.line(), 'bob: bye')
    assert.equal(await ann.line(), '* bob left')

    room.kill('SIGTERM')
    // Windows has no signals: there it is ended at once.
    if (process.platform !== 'win32') {
      assert.equal(await ann.line(), '* The room is closing. Goodbye.')
      assert.deepEqual(await exited, [0, null])
    }
    await exited
    assert.equal(errors, '')
  } finally {
    for (const { socket } of clients) socket.destroy()
    room.kill('SIGKILL')
  }
}
