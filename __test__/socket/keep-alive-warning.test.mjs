// KeepAliveWarning: a delay of less than a second counts as none. No released node:net warns yet.

import { parityProcess } from '../helpers/parity.mjs'

const text = delay =>
  `A keep-alive delay of ${delay} ms is less than a second and counts as 0, the system's default.`

// The warnings of a process, in which `scenario` is everything that happens.
function warnings(title, delay, scenario) {
  const warned = delay === undefined ? [] : [['warning', 'KeepAliveWarning', text(delay), '<undefined>']]
  const expected = {
    main: [...warned, ['process exit', 0]],
    end: { code: 0, signal: null, stdout: '', stderr: [] },
  }
  parityProcess(title, { since: '99', expected }, t => {
    process.removeAllListeners('warning')
    process.on('warning', ({ name, message, code }) => t.log('warning', name, message, code))
    return scenario(t)
  })
}

warnings('setKeepAlive(true, 500) warns', 500, ({ net }) => {
  new net.Socket().setKeepAlive(true, 500)
})

warnings('setKeepAlive({ initialDelay: 1 }) warns', 1, ({ net }) => {
  new net.Socket().setKeepAlive({ enable: true, initialDelay: 1 })
})

warnings('999.9 ms warns', 999.9, ({ net }) => {
  new net.Socket().setKeepAlive(true, 999.9)
})

warnings('the keepAliveInitialDelay option warns', 250, ({ net }) => {
  new net.Socket({ keepAlive: true, keepAliveInitialDelay: 250 })
})

warnings('the keepAliveInitialDelay option of connect() warns', 250, async ({ net, listen, to }) => {
  const server = await listen()
  net.connect(to(server, { keepAlive: true, keepAliveInitialDelay: 250 }), function () {
    this.destroy()
    server.close()
  })
})

warnings('it is said once in a process', 500, ({ net }) => {
  new net.Socket().setKeepAlive(true, 500).setKeepAlive(true, 600)
  new net.Socket({ keepAliveInitialDelay: 700 }).setKeepAlive({ enable: true, initialDelay: 800 })
})

warnings('on a connection too', 500, async ({ net, listen, to }) => {
  const server = await listen()
  const socket = net.connect(to(server), () => {
    socket.setKeepAlive(true, 500)
    socket.destroy()
    server.close()
  })
})

warnings('0, a second and more, and no number are no reason', undefined, ({ net }) => {
  const socket = new net.Socket()
  for (const delay of [0, 1000, 1500, 60_000, -1, Number.NaN, undefined, null, '500', Infinity]) {
    socket.setKeepAlive(true, delay)
    socket.setKeepAlive({ enable: true, initialDelay: delay })
  }
  socket.setKeepAlive(true).setKeepAlive(false).setKeepAlive()
  new net.Socket({ keepAlive: true, keepAliveInitialDelay: 0 })
  new net.Socket({ keepAlive: true, keepAliveInitialDelay: -5 })
  new net.Socket({ keepAlive: true, keepAliveInitialDelay: 1000 })
})
