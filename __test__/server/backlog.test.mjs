// The backlog reaches the system, also when the listening socket is not the Server's own (in cluster workers: see
// fixtures/cluster). A path tells how long its queue is: on Linux a connect beyond it fails at once.

import { parity } from '../helpers/parity.mjs'

const node = process.getBuiltinModule('node:net')

/** How many of Node's clients get into the queue of `path` before anybody accepts: all connect in this very tick. */
async function room(t, path, count = 24) {
  const clients = Array.from({ length: count }, () => t.own(node.connect(path)))
  const outcomes = clients.map(client => {
    return new Promise(resolve => client.once('connect', () => resolve('in')).once('error', resolve))
  })
  const codes = (await Promise.all(outcomes)).map(outcome => outcome.code ?? outcome)
  for (const client of clients) client.destroy()
  return { in: codes.filter(code => code === 'in').length, others: [...new Set(codes)].sort() }
}

const handles = {
  "a handle of Node's": path => node._createServerHandle(path, -1, -1),
  'a handle of the module': (path, net) => net._createServerHandle(path, -1, -1),
  "{ _handle } of Node's": path => ({ _handle: node._createServerHandle(path, -1, -1) }),
  "{ handle } of Node's": path => ({ handle: node._createServerHandle(path, -1, -1) }),
  '{ _handle } of the module': (path, net) => ({ _handle: net._createServerHandle(path, -1, -1) }),
  '{ fd }': path => ({ fd: node._createServerHandle(path, -1, -1).fd }),
  '{ handle, backlog }, which is no option here': path => ({
    handle: node._createServerHandle(path, -1, -1),
    backlog: 2,
  }),
  'a path': path => path,
}
const lists = {
  'a backlog': [3],
  'null and a backlog': [null, 3],
  'a callback and a backlog': [() => {}, 3],
  'no backlog': [],
  'a backlog of 0': [0],
  'a negative backlog': [-4],
  'a backlog as a string': ['3'],
}
for (const [what, make] of Object.entries(handles)) {
  parity(`listen(${what}) gives the system its backlog`, { on: 'linux' }, async t => {
    const { net, own, log, socketPath } = t
    for (const [label, args] of Object.entries(lists)) {
      const path = socketPath(`${label.length}.sock`)
      const server = own(
        net.createServer(peer =>
          own(peer)
            .on('error', () => {})
            .resume(),
        ),
      )
      const listening = new Promise(resolve => server.once('listening', resolve).once('error', resolve))
      // Bound and asked in one tick, before the server can accept.
      server.listen(make(path, net), ...args)
      const found = room(t, path)
      log(label, (await listening)?.code, await found)
    }
  })
}
