// The descriptor table: what happens when it is full, and which processes inherit descriptors.
//
// When the table is full while clients are pending, Node (20, 22, 24 and 26 alike) emits no event: libuv closes a
// descriptor that it keeps in reserve, accepts the pending clients with it one by one, and closes them at once.
// ferronet emits nothing either, and leaves the clients in the backlog until there is room.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const fixture = fileURLToPath(new URL('../fixtures/robustness/crowded.mjs', import.meta.url))
const drivers = process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']

// The server of crowded.mjs, with room for few descriptors. `ask(name, argument)` has it answer.
async function crowded(t, module, driver) {
  const child = spawn('sh', ['-c', 'ulimit -n 64 && exec "$@"', 'sh', process.execPath, fixture, module], {
    env: { ...process.env, FERRONET_DRIVER: driver ?? '' },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const gone = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await gone
  })
  const died = gone.then(([code, signal]) => Promise.reject(new Error(`the server died: ${code ?? signal}`)))
  died.catch(() => {})
  const message = async () => (await Promise.race([once(child, 'message'), died]))[0]
  const { port } = await message()
  return {
    port,
    child,
    ask: async (name, argument) => {
      child.send([name, argument])
      return (await message()).answer
    },
  }
}

// A client that resolves `welcomed` or `closed`, whichever comes.
function client(t, port) {
  const socket = net.connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  const connected = new Promise(resolve => socket.on('connect', resolve))
  const state = { socket, connected, outcome: undefined }
  state.told = new Promise(resolve => {
    const tell = outcome => () => {
      state.outcome ??= outcome
      resolve(state.outcome)
    }
    socket.on('data', tell('welcomed')).on('close', tell('closed'))
  })
  return state
}

async function until(condition) {
  while (!(await condition())) await new Promise(resolve => setImmediate(resolve))
}

const title = driver => `, ${driver}`

for (const driver of process.platform === 'win32' ? [] : drivers) {
  test.serial(
    `a server whose descriptors have run out goes on when there are some${title(driver)}`,
    async t => {
      t.timeout(30_000)
      const { port, ask } = await crowded(t, 'ferronet', driver)
      // Both drivers are there, and the first connection has made all that is made once.
      const early = client(t, port)
      t.is(await early.told, 'welcomed')

      await ask('fill', 3)
      const clients = Array.from({ length: 10 }, () => client(t, port))
      await Promise.all(clients.map(({ connected }) => connected))
      await until(async () => (await ask('facts')).open === 4)
      await ask('turns', 100)
      const full = await ask('facts')
      t.deepEqual(full, { connection: 4, error: 0, drop: 0, close: 0, open: 4, listening: true })
      t.is(clients.filter(({ outcome }) => outcome !== undefined).length, 3, 'the others wait')

      // It does not spin: those who are connected are served, and waiting costs next to nothing.
      const before = await ask('cpu')
      await new Promise(resolve => setTimeout(resolve, 500))
      const spent = (await ask('cpu')) - before
      t.true(spent < 150_000, `${spent} µs of CPU in half a second of waiting`)

      // One of its own makes room for one.
      await ask('destroy')
      await until(async () => (await ask('facts')).connection === 5)
      await ask('turns', 100)
      t.like(await ask('facts'), { connection: 5, error: 0, open: 4 })

      // Others make room: nobody tells, and yet all who wait get in.
      await ask('free', 10)
      t.deepEqual(await Promise.all(clients.map(({ told }) => told)), Array(10).fill('welcomed'))
      t.is(await client(t, port).told, 'welcomed')
      t.like(await ask('facts'), { error: 0, drop: 0, close: 0, listening: true })
    },
  )

  test.serial(`a client without descriptors gets node:net's error${title(driver)}`, async t => {
    const servers = await Promise.all([crowded(t, 'node:net'), crowded(t, 'ferronet', driver)])
    const errors = await Promise.all(
      servers.map(async ({ ask }) => {
        await ask('fill', 0)
        const error = await ask('connect')
        await ask('free', 8)
        return [error.replace(/\d{4,5}/, '<port>'), await ask('connect')]
      }),
    )
    t.deepEqual(errors[1], errors[0])
    t.regex(errors[1][0], /EMFILE/)
  })

  test.serial(`a client of a path without descriptors gets node:net's events${title(driver)}`, async t => {
    const servers = await Promise.all([crowded(t, 'node:net'), crowded(t, 'ferronet', driver)])
    const events = await Promise.all(
      servers.map(async ({ ask }) => {
        await ask('fill', 0)
        const full = await ask('connectPath')
        await ask('free', 8)
        return [full, await ask('connectPath')]
      }),
    )
    t.deepEqual(events[1], events[0])
    t.regex(JSON.stringify(events[1][0]), /connect EMFILE/)
  })
}
