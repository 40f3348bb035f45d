// Runs the examples as a newcomer would: each as its own program, over TCP and over a Unix path, on node:net and on
// ferronet with each of its drivers. The clients are Node's own sockets, the telnet-client example, and nc.

import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import nodeNet from 'node:net'
import { join } from 'node:path'
import ava from 'ava'
import { TelnetLines } from '../../examples/telnet-lines.mjs'
import {
  client,
  directory,
  example,
  inTurn,
  program,
  serve,
  targets,
  transports,
} from '../fixtures/examples.mjs'

const test = (title, body) => ava(title, inTurn(body))
const unix = (title, body) => (process.platform === 'win32' ? ava.skip : ava)(title, inTurn(body))
// On Windows a signal ends a process at once, whatever it listens to.
const hearsSignals = process.platform !== 'win32'
const IAC = 255

for (const target of targets) {
  for (const transport of transports) {
    const on = `${target.name} over ${transport.name}`

    test(`counter-echo greets two clients with 1 and 2, echoes, and closes after both left: ${on}`, async t => {
      const server = await serve(t, target, transport, 'counter-echo', ['--idle', '60000', '--clients', '2'])
      const first = await client(t, server.endpoint)
      t.is(await first.line(), '1')
      const second = await client(t, server.endpoint)
      t.is(await second.line(), '2')

      second.say('to the second\n')
      first.say('to the ')
      first.say('first\n')
      t.is(await first.line(), 'to the first')
      t.is(await second.line(), 'to the second')

      first.socket.end('last words\n')
      t.is(await first.line(), 'last words')
      await first.closed
      t.is(await server.line(/left/), 'client 1 left')
      second.say('still here\n')
      t.is(await second.line(), 'still here')
      second.socket.end()
      await second.closed
      t.is(await server.line(/left/), 'client 2 left')

      const { code, stdout, stderr } = await server.exited
      t.is(code, 0)
      t.is(stderr, '')
      t.is(stdout.match(/^closed$/gm).length, 1)
    })

    test(`counter-echo tells idle clients and ends their connections: ${on}`, async t => {
      const server = await serve(t, target, transport, 'counter-echo', ['--idle', '40', '--clients', '2'])
      const clients = [await client(t, server.endpoint), await client(t, server.endpoint)]
      await Promise.all(clients.map(({ ended }) => ended))
      t.is(clients[0].text(), '1\ntimeout\n')
      t.is(clients[1].text(), '2\ntimeout\n')
      await Promise.all(clients.map(({ closed }) => closed))
      t.is((await server.exited).code, 0)
    })

    test(`counter-echo drops an idle client that does not answer its FIN: ${on}`, async t => {
      const options = ['--idle', '40', '--clients', '1']
      const server = await serve(t, target, transport, 'counter-echo', options)
      const stubborn = await client(t, server.endpoint, { allowHalfOpen: true })
      await stubborn.ended
      t.is(await server.line(/left/), 'client 1 left')
      t.is((await server.exited).code, 0)
    })

    test(`counter-echo echoes a megabyte unchanged: ${on}`, async t => {
      const server = await serve(t, target, transport, 'counter-echo', ['--idle', '60000', '--clients', '1'])
      const sent = Buffer.alloc(1 << 20, 'a line of some length, and another\n')
      const received = []
      const { socket } = await client(t, server.endpoint, { silent: true })
      socket.on('data', chunk => received.push(chunk))
      socket.end(sent)
      await once(socket, 'end')
      t.true(Buffer.concat(received).equals(Buffer.concat([Buffer.from('1\n'), sent])))
      t.is((await server.exited).code, 0)
    })

    unix(`counter-echo says goodbye and exits with 0 on SIGTERM: ${on}`, async t => {
      const server = await serve(t, target, transport, 'counter-echo', ['--idle', '60000'])
      const guest = await client(t, server.endpoint)
      await guest.line()
      server.kill('SIGTERM')
      t.is(await guest.line(), 'closing')
      await guest.closed
      const { code, signal, stderr } = await server.exited
      t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
      if (server.endpoint.path) t.false(existsSync(server.endpoint.path))
    })

    test(`counter-echo-check finds nothing wrong with counter-echo: ${on}`, async t => {
      const server = await serve(t, target, transport, 'counter-echo', ['--idle', '60000', '--clients', '3'])
      await client(t, server.endpoint) // number 1
      const words = transport.words(server.endpoint)
      const { code, stdout, stderr } = await example(t, target, 'counter-echo-check', words).exited
      t.is(stderr, '')
      t.regex(stdout, /^client 2: .*\nclient 3: .*\nall is well\n$/)
      t.is(code, 0)
    })

    test(`counter-echo-check tells what is wrong with another server: ${on}`, async t => {
      const faults = [
        [/^greeted with "hello" instead of a number$/, () => 'hello\n'],
        [/^greeted with 1 instead of 2$/, words => `1\n${words}`],
        [/^echoed "ONE LINE.*" instead of our words$/, words => `1\n${words.toUpperCase()}`],
      ]
      for (const [wrong, answer] of faults) {
        const server = nodeNet.createServer({ allowHalfOpen: true }, socket => {
          let heard = ''
          socket.setEncoding('utf8')
          socket.on('data', text => (heard += text))
          socket.on('end', () => socket.end(answer(heard)))
          socket.on('error', () => {}) // the client leaves when it knows
        })
        t.teardown(() => server.close())
        const here = transport.name === 'TCP' ? [0, '127.0.0.1'] : [join(directory(t), 'wrong.sock')]
        server.listen(...here)
        await once(server, 'listening')
        const address = server.address()
        const words = typeof address === 'string' ? [address] : ['127.0.0.1', String(address.port)]
        const { code, stderr } = await example(t, target, 'counter-echo-check', words).exited
        t.is(code, 1)
        t.regex(stderr.replace('counter-echo-check: ', '').trimEnd(), wrong)
      }
    })

    // node:net has no such streams any more.
    if (target.name !== 'node:net') {
      test(`legacy tells of a conversation as in 2010: ${on}`, async t => {
        const words = ['one', 'two', 'drei']
        const options = transport.listen(t)
        const { code, stdout, stderr } = await example(t, target, 'legacy', [...options, ...words]).exited
        t.is(stderr, '')
        const [listening, ...lines] = stdout.trimEnd().split('\n')
        t.regex(listening, /^listening on /)
        t.deepEqual(
          lines.filter(line => line.startsWith('client')),
          [
            'client: opening',
            'client: open',
            'client: readOnly',
            ...['welcome', ...words, 'goodbye'].map(line => `client: heard ${line}`),
            'client: closed',
          ],
        )
        t.deepEqual(
          lines.filter(line => !line.startsWith('client')),
          ['server: writeOnly, the client has ended'],
        )
        t.is(code, 0)
      })
    }

    if (target.name !== 'node:net') {
      test(`forward joins each client to the target, in both directions and to both ends: ${on}`, async t => {
        const behind = nodeNet.createServer({ allowHalfOpen: true }, socket => {
          const heard = createHash('sha256')
          socket.on('data', chunk => heard.update(chunk))
          socket.on('end', () => socket.end(`${heard.digest('hex')}\n`))
        })
        t.teardown(() => behind.close())
        behind.listen(0, '127.0.0.1')
        await once(behind, 'listening')
        const { port } = behind.address()

        const server = await serve(t, target, transport, 'forward', ['127.0.0.1', String(port)])
        const bytes = randomBytes(3_000_000)
        for (const name of ['connection 1', 'connection 2']) {
          const user = await client(t, server.endpoint, { allowHalfOpen: true })
          user.socket.end(bytes)
          t.is(await user.line(), createHash('sha256').update(bytes).digest('hex'))
          await user.closed
          t.is(await server.line(/^connection/), `${name}: ${bytes.length} bytes there, 65 back`)
        }

        const joined = once(behind, 'connection')
        const open = await client(t, server.endpoint)
        await joined
        if (!hearsSignals) return
        server.kill('SIGTERM')
        await open.closed
        const { code, stdout, stderr } = await server.exited
        t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
        t.regex(stdout, /^connection 3: /m)
      })

      test(`forward drops a client when nobody is at the target: ${on}`, async t => {
        const server = await serve(t, target, transport, 'forward', [join(directory(t), 'no.sock')])
        const user = await client(t, server.endpoint)
        await user.closed
        t.is(await server.line(/^connection/), 'connection 1: no such path (ENOENT)')
      })

      // There is no detach() on Windows.
      unix(`threads answers from one thread after the other: ${on}`, async t => {
        const server = await serve(t, target, transport, 'threads')
        const clients = []
        for (let i = 0; i < 3; i++) clients.push(await client(t, server.endpoint))
        for (const { socket } of clients) socket.end('hello\nworld\n')
        await Promise.all(clients.map(({ closed }) => closed))
        const answers = clients.map(each => each.text().trimEnd().split('\n'))
        const hashes = answers.map(lines => lines.map(line => line.split(' ')[0]))
        t.is(hashes[0].length, 2)
        t.true(hashes[0].every(hash => /^[0-9a-f]{64}$/.test(hash)))
        t.deepEqual(hashes[1], hashes[0])
        t.is(new Set(answers.flat().map(line => line.split(' ').at(-1))).size, 2)
        server.kill('SIGTERM')
        await server.exited
      })
    }

    // node:net cannot turn a connection secure in place.
    if (target.name !== 'node:net') {
      test(`starttls-chat turns who asks for it secure, in the middle of a conversation: ${on}`, async t => {
        const server = await serve(t, target, transport, 'starttls-chat')
        const certificate = (await server.line(/^certificate: /)).replace('certificate: ', '')
        const ann = await member(t, server, 'ann')
        const words = ['--join', ...transport.words(server.endpoint), '--trust', certificate]
        const bob = example(t, target, 'starttls-chat', words)
        bob.type('bob\n')
        t.is(await ann.line(), '* bob joined')
        bob.type('in the clear\n/secure\nfor few ears\n')
        t.is(await ann.line(), 'bob: in the clear')
        t.is(await ann.line(), '* bob is secure now')
        t.is(await ann.line(), 'bob (secure): for few ears')
        ann.say('so be it\n')
        t.is(await bob.line(/^\* You are secure now/), '* You are secure now, with TLSv1.3.')
        t.is(await bob.line(), 'ann: so be it')
        await member(t, server, 'cat', 'Here are: ann, bob (secure).')
        bob.endInput()
        t.is(await ann.line(/left/), '* bob left')
        const { code, stderr } = await bob.exited
        t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
        if (!hearsSignals) return
        server.kill('SIGTERM')
        t.is(await ann.line(/closing/), '* The room is closing. Goodbye.')
        t.is((await server.exited).code, 0)
        t.false(existsSync(certificate), 'it tidies up')
      })

      test(`starttls-chat believes nothing that stands in the clear behind STARTTLS: ${on}`, async t => {
        const server = await serve(t, target, transport, 'starttls-chat')
        const ann = await member(t, server, 'ann')
        const eve = await member(t, server, 'eve')
        t.is(await ann.line(), '* eve joined')
        eve.say('STARTTLS\r\nsaid by whom?\r\n')
        await eve.closed
        t.is(await ann.line(), '* eve left')
        t.regex(await server.line(/^eve: /), /wrong.version.number|packet.length|http.request/i)
      })

      test(`starttls-chat leaves a room whose certificate it does not trust: ${on}`, async t => {
        const server = await serve(t, target, transport, 'starttls-chat')
        const bob = example(t, target, 'starttls-chat', ['--join', ...transport.words(server.endpoint)])
        bob.type('bob\n/secure\nmy secret\n')
        const { code, stdout, stderr } = await bob.exited
        t.is(code, 1)
        t.regex(stderr, /^starttls-chat: .*self[- ]signed certificate.*\n$/)
        t.notRegex(stdout, /secure now/)
        server.kill('SIGTERM')
        t.notRegex((await server.exited).stdout, /my secret/)
      })
    }

    test(`chat-room greets, broadcasts, and tells who joins and leaves: ${on}`, async t => {
      const server = await serve(t, target, transport, 'chat-room')
      const ann = await member(t, server, 'ann', 'You are the first here.')
      const bob = await member(t, server, 'bob', 'Here are: ann.')
      t.is(await ann.line(), '* bob joined')

      ann.say('hello bob\r\n')
      t.is(await bob.line(), 'ann: hello bob')
      bob.say('one\ntwo\r\n\r\nthr')
      t.is(await ann.line(), 'bob: one')
      t.is(await ann.line(), 'bob: two')
      bob.say('ee\n')
      t.is(await ann.line(), 'bob: three')

      bob.socket.end('no line end')
      t.is(await ann.line(), 'bob: no line end')
      t.is(await ann.line(), '* bob left')
      await bob.closed
      t.notRegex(bob.text(), /bob: /, 'nobody hears their own words')
      t.regex(bob.text(), /^(.*\r\n)+$/, 'every line ends as telnet wants it')
    })

    test(`chat-room refuses a name that is taken, or is none: ${on}`, async t => {
      const server = await serve(t, target, transport, 'chat-room')
      await member(t, server, 'Ann')
      const other = await client(t, server.endpoint)
      await other.line(/name/)
      other.say('ann\n')
      t.is(await other.line(), '* ann is already here. Choose another name.')
      for (const bad of ['', 'two words', 'x'.repeat(21)]) {
        other.say(`${bad}\n`)
        t.regex(await other.line(), /^\* A name has 1 to 20 letters/)
      }
      other.say('änne\n')
      t.is(await other.line(), '* Hello, änne. Here are: Ann.')
      other.socket.destroy()
      t.is(await server.line(/left/), '* änne left')
      await member(t, server, 'änne') // free again
    })

    test(`chat-room puts characters together that were cut between chunks, and drops telnet's bytes: ${on}`, async t => {
      const server = await serve(t, target, transport, 'chat-room')
      const ann = await member(t, server, 'ann')
      const bob = await member(t, server, 'bob')
      await ann.line(/joined/)
      bob.socket.setNoDelay(true)
      const bytes = Buffer.concat([
        Buffer.from([IAC, 253, 6]), // DO TIMING-MARK
        Buffer.from('grüße, 日本 '),
        Buffer.from([IAC, 250, 24, 0, 120, IAC, 240]), // a subnegotiation: the terminal's type
        Buffer.from('🦀\u001b[31m'), // and an escape sequence, which must not reach other terminals
        Buffer.from([IAC, 241]), // NOP
        Buffer.from('\r\n'),
      ])
      for (const byte of bytes) await new Promise(written => bob.socket.write(Buffer.of(byte), written))
      t.is(await ann.line(), 'bob: grüße, 日本 🦀[31m')
    })

    test(`chat-room sends away who never ends a line: ${on}`, async t => {
      const server = await serve(t, target, transport, 'chat-room')
      const ann = await member(t, server, 'ann')
      const bob = await member(t, server, 'bob')
      bob.say('x'.repeat(5000))
      t.is(await bob.line(), '* Goodbye: a line has more than 4096 characters.')
      await bob.closed
      t.is(await ann.line(/left/), '* bob left')
    })

    test(`chat-room drops who reads too slowly, and nobody else: ${on}`, async t => {
      const server = await serve(t, target, transport, 'chat-room', ['--max-buffered', '100000'])
      const ann = await member(t, server, 'ann')
      const slow = await client(t, server.endpoint, { silent: true })
      slow.socket.pause()
      slow.say('slow\n')
      t.is(await ann.line(), '* slow joined')
      const bob = await member(t, server, 'bob')

      // One line at a time, so that ann, who reads, is never behind.
      const line = `${'x'.repeat(4000)}\n`
      let heard
      do {
        bob.say(line)
        heard = await ann.line(/^bob: x|^\* slow left/)
      } while (heard.startsWith('bob'))
      t.is(heard, '* slow left: reads too slowly')
      bob.say('over\n')
      t.is(await ann.line(/over/), 'bob: over')
    })

    unix(`chat-room tells everybody and exits with 0 on SIGTERM and on SIGINT: ${on}`, async t => {
      for (const signal of ['SIGTERM', 'SIGINT']) {
        const server = await serve(t, target, transport, 'chat-room')
        const ann = await member(t, server, 'ann')
        const stranger = await client(t, server.endpoint)
        await stranger.line()
        await server.line(/Ctrl\+C/)
        server.kill(signal)
        t.is(await ann.line(), '* The room is closing. Goodbye.')
        t.is(await stranger.line(), '* The room is closing. Goodbye.')
        await Promise.all([ann.closed, stranger.closed])
        const { code, stderr } = await server.exited
        t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
        if (server.endpoint.path) t.false(existsSync(server.endpoint.path))
      }
    })

    unix(`chat-room does not wait for ever for a client that ignores its goodbye: ${on}`, async t => {
      const server = await serve(t, target, transport, 'chat-room')
      const stubborn = await client(t, server.endpoint, { allowHalfOpen: true })
      await stubborn.line()
      await server.line(/Ctrl\+C/)
      server.kill('SIGTERM')
      await stubborn.ended
      t.is((await server.exited).code, 0)
    })

    test(`chat-room outlives a client that is killed: ${on}`, async t => {
      const server = await serve(t, target, transport, 'chat-room')
      const ann = await member(t, server, 'ann')
      const bob = telnet(t, target, transport, server)
      bob.type('bob\n')
      t.is(await ann.line(), '* bob joined')
      bob.kill('SIGKILL')
      t.regex(await ann.line(), /^\* bob left/)
      await member(t, server, 'bob')
    })

    test(`telnet-client chats, and its input's end is a half-close: ${on}`, async t => {
      const server = await serve(t, target, transport, 'chat-room')
      const ann = await member(t, server, 'ann')
      const bob = telnet(t, target, transport, server)
      t.is(await bob.line(), '* Welcome. What is your name?')
      bob.type('bob\n')
      t.is(await bob.line(), '* Hello, bob. Here are: ann.')
      t.is(await ann.line(), '* bob joined')
      ann.say('hello\n')
      t.is(await bob.line(), 'ann: hello')
      bob.type('good day\n')
      t.is(await ann.line(), 'bob: good day')
      bob.endInput()
      t.is(await ann.line(), '* bob left')
      const { code, stderr } = await bob.exited
      t.is(code, 0)
      t.regex(stderr, /^connected to .*\nconnection closed\n$/)
    })

    test(`telnet-client receives what a server sends after the half-close: ${on}`, async t => {
      const server = nodeNet.createServer({ allowHalfOpen: true }, socket => {
        let heard = ''
        socket.setEncoding('utf8')
        socket.on('data', text => (heard += text))
        socket.on('end', () => socket.end(`after the end: ${heard}`))
      })
      t.teardown(() => server.close())
      server.listen(
        transport.name === 'TCP' ? { port: 0, host: '127.0.0.1' } : join(directory(t), 'half.sock'),
      )
      await once(server, 'listening')
      const address = server.address()
      const words = typeof address === 'string' ? [address] : ['127.0.0.1', String(address.port)]
      const telnet = example(t, target, 'telnet-client', words)
      telnet.type('question')
      telnet.endInput()
      const { code, stdout } = await telnet.exited
      t.is(stdout, 'after the end: question')
      t.is(code, 0)
    })

    test(`telnet-client leaves when the server ends, though its input is open: ${on}`, async t => {
      const server = await serve(t, target, transport, 'counter-echo', ['--idle', '40', '--clients', '1'])
      const { code, stdout } = await telnet(t, target, transport, server).exited
      t.is(stdout, '1\ntimeout\n')
      t.is(code, 0)
      t.is((await server.exited).code, 0)
    })
  }

  test(`a taken port is one clear line and exit code 1: ${target.name}`, async t => {
    const taken = nodeNet.createServer().listen(0, '127.0.0.1')
    t.teardown(() => taken.close())
    await once(taken, 'listening')
    const port = String(taken.address().port)
    for (const [name, args, env] of [
      ['counter-echo', ['--port', port], {}],
      ['chat-room', ['--port', port], {}],
      ['chat-room', [], { PORT: port }],
      ...(target.name === 'node:net' ? [] : [['legacy', ['--port', port], {}]]),
    ]) {
      const { code, stdout, stderr } = await example(t, target, name, args, env).exited
      t.is(code, 1)
      t.is(stdout, '')
      const line = `${name}: cannot listen on 127.0.0.1:${port}: it is in use by another program (EADDRINUSE)`
      t.is(stderr.split(';')[0].trimEnd(), line)
      t.is(stderr.match(/\n/g).length, 1)
    }
  })

  unix(
    `a taken path is one clear line; one left over by a killed server is taken over: ${target.name}`,
    async t => {
      const transport = transports[1]
      const first = await serve(t, target, transport, 'chat-room')
      const { path } = first.endpoint
      const second = await example(t, target, 'chat-room', ['--path', path]).exited
      t.is(second.code, 1)
      t.is(
        second.stderr,
        `chat-room: cannot listen on ${path}: it is in use by another program (EADDRINUSE)\n`,
      )
      first.kill('SIGKILL')
      await first.exited
      t.true(existsSync(path), 'the killed server left its path')
      const third = example(t, target, 'chat-room', ['--path', path])
      t.is(await third.line(), `listening on ${path}`)

      const file = join(directory(t), 'not a socket')
      writeFileSync(file, 'dear')
      const fourth = await example(t, target, 'chat-room', ['--path', file]).exited
      t.is(fourth.code, 1)
      t.true(existsSync(file), 'a file is never removed')
    },
  )

  unix(
    `chat-room started with nothing said is on TCP and on a Unix socket at once: ${target.name}`,
    async t => {
      // Port 0 keeps the test off ports in use; npm start has 8000.
      const server = example(t, target, 'chat-room', [], { PORT: '0', TMPDIR: directory(t) })
      const tcp = transports[0].endpoint(await server.line(/^listening on 127\.0\.0\.1:\d+$/))
      const path = transports[1].endpoint(await server.line(/^listening on .*\.sock$/))
      t.is(await server.line(/nc \d/), `  nc 127.0.0.1 ${tcp.port}`)
      t.is(await server.line(/telnet/), `  node examples/telnet-client.mjs 127.0.0.1 ${tcp.port}`)
      t.is(await server.line(/nc/), `  nc -U ${path.path}`)
      const ann = await member(t, { endpoint: tcp }, 'ann')
      const bob = await member(t, { endpoint: path }, 'bob')
      t.is(await ann.line(), '* bob joined')
      ann.say('hello\n')
      t.is(await bob.line(), 'ann: hello')
    },
  )

  test(`nobody there is one clear line and exit code 1: ${target.name}`, async t => {
    const free = nodeNet.createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const port = String(free.address().port)
    free.close()
    await once(free, 'close')
    for (const [words, line] of [
      [['127.0.0.1', port], `127.0.0.1:${port}: nothing is listening there (ECONNREFUSED)`],
      [[port], `localhost:${port}: nothing is listening there (ECONNREFUSED)`],
      [[join(directory(t), 'no.sock')], /no\.sock: no such path \(ENOENT\)/],
      [['no-such-host.invalid', port], /no such host|EAI_AGAIN/],
    ]) {
      if (words[0].endsWith('.sock') && process.platform === 'win32') continue
      const telnet = example(t, target, 'telnet-client', words)
      const { code, stdout, stderr } = await telnet.exited
      t.is(code, 1)
      t.is(stdout, '')
      if (typeof line === 'string') t.is(stderr, `telnet-client: ${line}\n`)
      else t.regex(stderr, line)
      t.is(stderr.match(/\n/g).length, 1)
    }
  })

  for (const [name, args, line] of [
    ['counter-echo', ['--port', 'abc'], "--port must be a whole number from 0 to 65535, not 'abc'"],
    ['counter-echo', ['--prot', '1'], "Unknown option '--prot'"],
    ['chat-room', ['--port', '65536'], "--port must be a whole number from 0 to 65535, not '65536'"],
    ['chat-room', ['8000'], "Unexpected argument '8000'"],
    ['starttls-chat', ['8000'], "Unexpected argument '8000'"],
    ['starttls-chat', ['--trust', 'cert.pem'], '--trust is an option of --join'],
    ['telnet-client', [], 'expected HOST PORT, PORT or PATH'],
    ['counter-echo-check', ['a', '1', 'c'], 'expected HOST PORT, PORT or PATH'],
    ['telnet-client', ['localhost', 'x'], "PORT must be a whole number from 0 to 65535, not 'x'"],
  ]) {
    test(`${name} ${args.join(' ')} is one line about the mistake and exit code 2: ${target.name}`, async t => {
      const { code, stdout, stderr } = await example(t, target, name, args).exited
      t.is(code, 2)
      t.is(stdout, '')
      t.true(stderr.startsWith(`${name}: ${line}`), stderr)
      t.is(stderr.match(/\n/g).length, 1)
    })
  }

  if (target.name !== 'node:net') {
    test(`starttls-chat says what it lacks for a certificate: ${target.name}`, async t => {
      for (const [args, exitCode, message] of [
        [[], 1, 'openssl is missing, which makes the certificate: install it, or give --key and --cert\n'],
        [['--key', 'a'], 2, '--key and --cert belong together (--help shows the usage)\n'],
        [['--key', 'no.pem', '--cert', 'no.pem'], 1, 'cannot read no.pem: no such path (ENOENT)\n'],
      ]) {
        // Not an empty PATH, for which Bun and Deno have another one.
        const nowhere = { PATH: '/nowhere' }
        const { code, stdout, stderr } = await example(t, target, 'starttls-chat', args, nowhere).exited
        t.deepEqual(
          { code, stdout, stderr },
          { code: exitCode, stdout: '', stderr: `starttls-chat: ${message}` },
        )
      }
    })
  }

  test(`--help prints the usage: ${target.name}`, async t => {
    const names = ['counter-echo', 'counter-echo-check', 'chat-room', 'telnet-client']
    if (target.name !== 'node:net') names.push('forward', 'legacy', 'starttls-chat', 'threads')
    for (const name of names) {
      const { code, stdout, stderr } = await example(t, target, name, ['--help']).exited
      t.is(code, 0)
      t.regex(stdout, new RegExp(`^usage: node examples/${name}.mjs`))
      t.is(stderr, '')
    }
  })
}

// netcat comes in several makes: some have -U for Unix sockets, and they differ in when they leave after their input
// has ended, so the test ends them from the other side.
const netcat = spawnSync('nc', ['-h'], { encoding: 'utf8' })
const netcatHelp = `${netcat.stdout}${netcat.stderr}`

for (const target of targets) {
  for (const transport of transports) {
    const flags = transport.name === 'TCP' ? [] : ['-U']
    const missing = netcat.error
      ? 'no nc'
      : flags.length && !/-\w*U/.test(netcatHelp)
        ? 'this nc has no -U'
        : ''
    const declare = missing ? ava.skip : test
    declare(
      `two of nc and one telnet-client talk in the chat-room: ${target.name} over ${transport.name}${missing && ` (${missing})`}`,
      async t => {
        const server = await serve(t, target, transport, 'chat-room')
        const to = transport.words(server.endpoint)
        const ann = program(t, 'nc', [...flags, ...to])
        ann.type('ann\n')
        t.is(await ann.line(/Hello/), '* Hello, ann. You are the first here.')
        const bob = program(t, 'nc', [...flags, ...to])
        bob.type('bob\n')
        t.is(await bob.line(/Hello/), '* Hello, bob. Here are: ann.')
        const cat = telnet(t, target, transport, server)
        cat.type('cat\n')
        t.is(await cat.line(/Hello/), '* Hello, cat. Here are: ann, bob.')
        t.is(await ann.line(/cat/), '* cat joined')
        t.is(await bob.line(/cat/), '* cat joined')
        for (const [name, speaker, others] of [
          ['ann', ann, [bob, cat]],
          ['bob', bob, [ann, cat]],
          ['cat', cat, [ann, bob]],
        ]) {
          speaker.type(`this is ${name}\n`)
          for (const other of others) t.is(await other.line(/this is/), `${name}: this is ${name}`)
        }
        if (!hearsSignals) return
        server.kill('SIGTERM')
        for (const one of [ann, bob, cat]) t.is(await one.line(/closing/), '* The room is closing. Goodbye.')
        t.is((await server.exited).code, 0)
      },
    )
  }
}

function telnet(t, target, transport, server) {
  return example(t, target, 'telnet-client', transport.words(server.endpoint))
}

async function member(t, server, name, company) {
  const socket = await client(t, server.endpoint)
  t.is(await socket.line(), '* Welcome. What is your name?')
  socket.say(`${name}\r\n`)
  const hello = await socket.line()
  t.true(hello.startsWith(`* Hello, ${name}. ${company ?? ''}`), hello)
  return socket
}

ava('TelnetLines: the same lines come out wherever the bytes are cut', t => {
  const bytes = Buffer.concat([
    Buffer.from([IAC, 251, 31]),
    Buffer.from('first\r\nzweite – ü\n'),
    Buffer.from([IAC, 250, 1, IAC, IAC, 10, IAC, 240]), // an escaped 255 and a line feed inside: no line end
    Buffer.from('🦀\r\0\r\n\n'),
    Buffer.from([IAC, IAC, IAC, 249]),
    Buffer.from('rest'),
  ])
  const expected = ['first', 'zweite – ü', '🦀', '', 'rest']
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const lines = new TelnetLines()
      const cuts = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]
      t.deepEqual([...cuts.flatMap(chunk => lines.push(chunk)), ...lines.end()], expected)
    }
  }
})

ava('TelnetLines: a line has a limit, with its line end and without', t => {
  t.deepEqual(new TelnetLines(3).push(Buffer.from('abc\nabc')), ['abc'])
  t.throws(() => new TelnetLines(3).push(Buffer.from('abcd')), { instanceOf: RangeError })
  t.throws(() => new TelnetLines(3).push(Buffer.from('abcd\n')), { instanceOf: RangeError })
})
