// What keeps a process alive, what lets it exit, and what is still delivered when it does.

import { spawn } from 'node:child_process'
import { parityProcess } from '../helpers/parity.mjs'
import { nodeProgram } from '../helpers/runtime.mjs'

// Says on the shared stdout what a node:net client in a process of its own got until the end.
const witness = `
  const client = require('node:net').connect(+process.argv[1], '127.0.0.1')
  let bytes = 0, text = ''
  client.on('data', data => { bytes += data.length; text = (text + data).slice(0, 60) })
  client.on('error', error => console.log('witness error', error.code))
  client.on('close', () => console.log('witness got', bytes, text))
`
const invite = server =>
  spawn(nodeProgram, ['-e', witness, server.address().port], { stdio: ['ignore', 'inherit', 'inherit'] })

// Whether the process is still there a moment later: an unreferenced timer fires only in a living one.
const later = task => setTimeout(task, 400).unref()

parityProcess('the process ends when its last socket has closed', async ({ listen, connect, to, log }) => {
  process.on('beforeExit', () => log('beforeExit'))
  const server = await listen({}, peer => {
    peer.resume().end('bye')
    server.close()
  })
  const client = connect(to(server)).resume()
  client.on('close', () => log.to('client')('close'))
  server.on('close', () => log.to('server')('close'))
})

parityProcess('a listening server keeps the process', async ({ listen, log }) => {
  const server = await listen()
  later(() => {
    log('still here')
    server.close()
  })
})

parityProcess('an unreferenced server lets the process go', async ({ listen, log }) => {
  const server = await listen()
  server.unref()
  later(() => log('still here'))
})

parityProcess('a server unreferenced before it listens lets the process go', async ({ net, log, seen }) => {
  const server = net.createServer().unref()
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  later(() => log('still here'))
})

parityProcess('a server referenced again keeps the process', async ({ listen, log }) => {
  const server = await listen()
  server.unref().ref()
  later(() => {
    log('still here')
    server.unref()
  })
})

parityProcess(
  'an unreferenced path server lets the process go',
  { on: 'unix' },
  async ({ listen, log, socketPath, finish }) => {
    const path = socketPath()
    const server = await listen({ path })
    server.unref()
    process.on('exit', finish)
    later(() => log('still here'))
  },
)

parityProcess('an open connection keeps the process', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  server.unref()
  peer.unref()
  later(() => {
    log('still here', client.readyState)
    client.destroy()
  })
})

parityProcess('an accepted connection keeps the process', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  server.unref()
  client.unref()
  later(() => {
    log('still here', peer.readyState)
    peer.destroy()
  })
})

parityProcess('unreferenced connections let the process go', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  for (const each of [server, client, peer]) each.unref()
  later(() => log('still here'))
})

parityProcess(
  'a connection unreferenced before connect lets the process go once connected',
  async ({ net, listen, to, log }) => {
    const server = await listen({}, peer => peer.unref())
    const client = new net.Socket().unref()
    client.connect(to(server), () => {
      log('connected')
      server.unref()
    })
    later(() => log('still here'))
  },
)

parityProcess('ref after unref keeps the process', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  for (const each of [server, client, peer]) each.unref()
  client.ref()
  later(() => {
    log('still here')
    client.unref()
  })
})

parityProcess('ref twice needs one unref', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  for (const each of [server, client, peer]) each.ref().ref().unref()
  later(() => log('still here'))
})

parityProcess('an accepted socket that does not read holds no process', async ({ pair, log }) => {
  const { server, client, peer } = await pair({ server: { pauseOnConnect: true } })
  server.unref()
  client.unref()
  log('paused', peer.isPaused())
  later(() => log('still here'))
})

parityProcess(
  'a paused client with a full buffer holds no process',
  { on: 'linux' },
  async ({ pair, log, until }) => {
    const { server, client, peer } = await pair({ client: { highWaterMark: 1000 } })
    client.pause()
    // As much as the kernel takes at once: a write that waits would hold the process by itself.
    await new Promise(resolve => peer.write(Buffer.alloc(200_000), resolve))
    await until(() => client.readableLength >= 1000)
    server.unref()
    peer.unref()
    later(() => log('still here'))
  },
)

parityProcess('a paused client with room in its buffer keeps the process', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  client.pause()
  server.unref()
  peer.unref()
  later(() => {
    log('still here')
    client.destroy()
  })
})

parityProcess(
  'a write that waits keeps the process of a paused socket',
  { on: 'linux' },
  async ({ pair, log }) => {
    const { server, client, peer } = await pair({ server: { pauseOnConnect: true } })
    server.unref()
    peer.unref()
    client.write(Buffer.alloc(32_000_000))
    later(() => {
      log('still here', client.writableLength > 0)
      client.destroy()
    })
  },
)

parityProcess(
  'a write that waits keeps the process even of an unreferenced socket',
  { on: 'linux' },
  async ({ pair, log }) => {
    const { server, client, peer } = await pair({ server: { pauseOnConnect: true } })
    for (const each of [server, client, peer]) each.unref()
    client.write(Buffer.alloc(32_000_000))
    later(() => {
      log('still here', client.writableLength > 0)
      client.destroy()
    })
  },
)

parityProcess('a timeout alone keeps no process', async ({ net, log }) => {
  new net.Socket().setTimeout(150, () => log('timeout'))
})

parityProcess('a fresh socket and a fresh server keep no process', async ({ net, log }) => {
  new net.Socket()
  net.createServer()
  process.on('beforeExit', () => log('beforeExit'))
})

parityProcess('a destroyed connection attempt lets the process go', async ({ listen, connect, to, log }) => {
  const server = await listen()
  server.unref()
  connect(to(server)).destroy()
  later(() => log('still here'))
})

parityProcess('a connection attempt keeps the process until it is refused', async ({ connect, log }) => {
  connect(1, '127.0.0.1').on('error', error => log('error', error.code))
})

parityProcess('a lookup keeps the process', async ({ net, log }) => {
  const client = net.connect({ port: 1, host: 'localhost', autoSelectFamily: false })
  client.on('lookup', () => log('lookup'))
  client.on('error', error => log('error', error.code))
})

parityProcess('beforeExit may open another connection', async ({ net, listen, to, log }) => {
  const server = await listen({}, peer => peer.resume().end('late'))
  const target = to(server)
  server.unref()
  process.once('beforeExit', () => {
    log('beforeExit')
    net.connect(target).on('data', data => log('data', String(data)))
  })
})

parityProcess('process.exit with open sockets is clean', async ({ pair, log }) => {
  const { client, peer } = await pair()
  peer.write(Buffer.alloc(1_000_000))
  client.once('data', () => {
    log('data')
    process.exit(3)
  })
})

parityProcess('process.exit in the connection listener is clean', async ({ listen, connect, to }) => {
  const server = await listen({}, () => process.exit(4))
  connect(to(server))
})

parityProcess('process.exit while connecting is clean', async ({ connect, listen, to }) => {
  const server = await listen()
  connect(to(server))
  process.exit(5)
})

parityProcess('process.exit with many connections open is clean', async ({ listen, connect, to, until }) => {
  let accepted = 0
  const server = await listen({}, peer => {
    accepted++
    peer.write('x')
  })
  for (let at = 0; at < 50; at++) connect(to(server)).resume()
  await until(() => accepted === 50)
  process.exit(6)
})

parityProcess('exit code is kept when sockets close', async ({ pair }) => {
  process.exitCode = 7
  const { server, client, peer } = await pair()
  server.close()
  peer.resume()
  client.resume().end()
})

parityProcess('process.exit right after write delivers what was written', async ({ listen }) => {
  const server = await listen({}, peer => {
    peer.write('written, then gone')
    process.exit()
  })
  invite(server)
})

parityProcess('process.exit right after many small writes delivers them all', async ({ listen }) => {
  const server = await listen({}, peer => {
    for (let at = 0; at < 500; at++) peer.write(`${at} `)
    process.exit()
  })
  invite(server)
})

parityProcess('process.exit right after end delivers the data and the end', async ({ listen }) => {
  const server = await listen({}, peer => {
    peer.end('ended, then gone')
    process.exit()
  })
  invite(server)
})

parityProcess('process.exit after writes in a later tick delivers them all', async ({ listen }) => {
  const server = await listen({}, peer => {
    setImmediate(() => {
      for (let at = 0; at < 100; at++) peer.write('.')
      process.nextTick(() => {
        peer.write('!')
        process.exit()
      })
    })
  })
  invite(server)
})

parityProcess('process.exit after a corked write delivers nothing of it', async ({ listen }) => {
  const server = await listen({}, peer => {
    peer.write('before ')
    peer.cork()
    peer.write('corked')
    process.exit()
  })
  invite(server)
})

parityProcess('a write in an exit listener is delivered', async ({ listen }) => {
  const server = await listen({}, peer => {
    process.on('exit', () => {
      peer.write('from ')
      peer.write('exit')
    })
    process.exit()
  })
  invite(server)
})

parityProcess('an uncaught exception right after write delivers what was written', async ({ listen }) => {
  const server = await listen({}, peer => {
    peer.write('last words')
    throw new Error('gone')
  })
  invite(server)
})

parityProcess('the process waits for a large write before it ends', async ({ listen }) => {
  const server = await listen({}, peer => {
    peer.end(Buffer.alloc(20_000_000))
    server.close()
  })
  invite(server)
})

parityProcess('the process ends when the peer is gone', async ({ listen, log }) => {
  const server = await listen({}, peer => {
    peer.on('close', () => log('peer close'))
    peer.resume()
    server.close()
    stranger.kill('SIGKILL')
  })
  const stranger = invite(server)
  stranger.on('exit', (_code, signal) => log.to('stranger')('gone', signal))
})

parityProcess('a signal ends a process with open sockets', { on: 'unix' }, async ({ pair }) => {
  await pair()
  process.kill(process.pid, 'SIGTERM')
})

// --- a death without 'exit', in the tick of a write

// In a handler, where small writes are collected, and outside of one.
const moments = {
  'in a handler': (peer, task) => peer.once('data', task),
  'in a timer': (peer, task) => peer.once('data', () => setTimeout(task)),
  'in an immediate': (peer, task) => peer.once('data', () => setImmediate(task)),
  'in a tick of a handler': (peer, task) => peer.once('data', () => process.nextTick(task)),
  'in a microtask of an immediate': (peer, task) =>
    peer.once('data', () => setImmediate(async () => task(await 0))),
}
const deaths = {
  'process.reallyExit()': () => process.reallyExit(3),
  'process.kill() of itself': () => process.kill(process.pid, 'SIGKILL'),
  ...(process.platform === 'win32' ? {} : { 'process.abort()': () => process.abort() }),
}

// The witness says something first, so that all is set up.
const talkative = `${witness}client.write('go')`
const inviteToTalk = server =>
  spawn(nodeProgram, ['-e', talkative, server.address().port], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })

for (const [death, die] of Object.entries(deaths)) {
  for (const [moment, arrange] of Object.entries(moments)) {
    parityProcess(`${death} ${moment}, right after two small writes, delivers them`, async ({ listen }) => {
      const server = await listen({}, peer => {
        arrange(peer, () => {
          peer.write('last ')
          peer.write('words')
          die()
        })
      })
      inviteToTalk(server)
    })
  }
}

parityProcess(
  'a worker that is terminated in the tick of a write has delivered it',
  async ({ worker, log }) => {
    const spinning = worker(({ net, port }) => {
      const server = net.createServer(peer =>
        peer.once('data', () => {
          peer.write('last ')
          peer.write('words')
          port.postMessage('spinning')
          for (;;);
        }),
      )
      server.listen(0, '127.0.0.1', () => port.postMessage(server.address().port))
    })
    spinning.on('message', message => {
      if (message === 'spinning') spinning.terminate().then(() => log('terminated'))
      else inviteToTalk({ address: () => ({ port: message }) })
    })
  },
)
