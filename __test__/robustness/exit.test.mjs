// Data written right before a process ends is delivered, wherever it was written.

import { spawn } from 'node:child_process'
import { parityProcess } from '../helpers/parity.mjs'
import { nodeProgram } from '../helpers/runtime.mjs'

// Says on the shared stdout what it got until the end.
const witness = `
  const client = require('node:net').connect(+process.argv[1], '127.0.0.1')
  let text = ''
  client.write('hello')
  client.on('data', data => (text += data))
  client.on('error', error => console.log('witness error', error.code))
  client.on('close', () => console.log('witness got', text))
`

const ways = {
  'in the connection listener': (_peer, exit) => exit(),
  'in a data handler': (peer, exit) => peer.once('data', exit),
  'in a tick': (_peer, exit) => process.nextTick(exit),
  'in a tick of a tick': (_peer, exit) => process.nextTick(() => process.nextTick(exit)),
  'in a promise': (_peer, exit) => Promise.resolve().then(exit),
  'in a microtask of a data handler': (peer, exit) => peer.once('data', () => queueMicrotask(exit)),
  'in an immediate': (_peer, exit) => setImmediate(exit),
  'in a timer': (_peer, exit) => setTimeout(exit, 1),
  'in a write callback': (peer, exit) => peer.write('first ', exit),
}

function invite(server) {
  const child = spawn(nodeProgram, ['-e', witness, server.address().port], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  child.unref()
}

// Several small writes, then the end; the server is read from, so that nothing unread turns the FIN into an RST.
function say(peer, words) {
  for (const word of words) peer.write(word)
}

for (const [where, when] of Object.entries(ways)) {
  parityProcess(`process.exit right after writes ${where}`, async ({ listen }) => {
    const server = await listen({}, peer => {
      const ready = new Promise(resolve => peer.once('data', resolve))
      const exit = () => {
        say(peer, ['written ', Buffer.from('and '), 'gone'])
        process.exit(3)
      }
      if (where.includes('data handler')) when(peer, exit)
      else ready.then(() => when(peer, exit))
    })
    invite(server)
  })

  parityProcess(`an exception right after writes ${where} ends the process, not them`, async ({ listen }) => {
    const server = await listen({}, peer => {
      const ready = new Promise(resolve => peer.once('data', resolve))
      const fail = () => {
        say(peer, ['written ', Buffer.from('and '), 'gone'])
        throw new Error('boom')
      }
      if (where.includes('data handler')) when(peer, fail)
      else ready.then(() => setImmediate(() => when(peer, fail)))
    })
    invite(server)
  })
}

parityProcess('process.exit in one handler delivers the writes of the others', async ({ listen }) => {
  const peers = []
  const server = await listen({}, peer => {
    peer.once('data', () => {
      peers.push(peer)
      peer.write('welcome ')
      if (peers.length < 4) return
      for (const each of peers) say(each, ['good', 'bye'])
      process.exit()
    })
  })
  for (let at = 0; at < 4; at++) invite(server)
})

parityProcess(
  'process.exit in a close handler delivers the writes to others',
  async ({ listen, connect, to }) => {
    const peers = []
    const server = await listen({}, peer => {
      peer.once('data', () => {
        peers.push(peer)
        if (peers.length === 2) peers.find(each => each.remotePort === client.localPort).destroy()
      })
      peer.on('close', () => {
        for (const each of peers) if (!each.destroyed) say(each, ['one ', 'is ', 'left'])
        process.exit()
      })
    })
    const client = connect(to(server)).on('connect', () => client.write('hello'))
    client.on('connect', () => invite(server))
  },
)

parityProcess('process.exit right after writes on a connection that is not made yet', async t => {
  const server = await t.listen()
  const client = t.connect(t.to(server))
  say(client, ['never ', 'sent'])
  process.exit(4)
})

parityProcess('process.exit in connect right after writes delivers them', async ({ net, listen, log }) => {
  // The witness listens this time, so that the one who exits is the client.
  const source = `
    const server = require('node:net').createServer(peer => {
      let text = ''
      peer.on('data', data => (text += data))
      peer.on('error', () => {})
      peer.on('close', () => { console.log('witness got', text); server.close() })
    })
    server.listen(0, '127.0.0.1', () => process.send(server.address().port))
  `
  await listen()
  const child = spawn(nodeProgram, ['-e', source], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  child.once('message', port => {
    log('listens')
    const client = net.connect(port, '127.0.0.1')
    say(client, ['before '])
    client.on('connect', () => {
      say(client, ['after ', 'connect'])
      process.exit(5)
    })
  })
})

parityProcess(
  'a process killed in a write callback has delivered that write',
  { on: 'unix' },
  async ({ listen }) => {
    const server = await listen({}, peer => {
      peer.once('data', () => {
        peer.write('sent', () => process.kill(process.pid, 'SIGKILL'))
      })
    })
    invite(server)
  },
)
