// The intended differences. Each is described in docs/api.md and has a predicate that matches it and little else. A
// program counts as known if one of them covers all of its differences.

const list = [
  {
    reason:
      'the first write of a tick to a connection that has just died may return true, and count as not sent (docs/api.md)',
    covers: ({ ops }, differences) =>
      differences.some(
        ({ key, node, subject }) =>
          callOf(key) &&
          (`${node} ${subject}` === 'false true' ||
            (/writableLength$/.test(key) && node.some(value => `${value}` === '0') && Number(subject) > 0)),
      ) &&
      differences.every(({ key }) =>
        ops.some(({ id, verb }) => id === callOf(key) && (verb === 'write' || verb === 'end')),
      ),
  },
  {
    // And what follows from it: that side's next operations, the callbacks, the state seen in 'error' and 'close'.
    reason:
      'that a connection is dead is known when collected small writes are sent, not in write() (docs/api.md)',
    covers: ({ ops, sockets }, differences) => {
      const sides = new Set(differences.map(({ key }) => sideOf(key)))
      if (sides.size !== 1) return false
      const [side] = sides
      const writes = ops.some(({ actor, verb }) => actor === side && (verb === 'write' || verb === 'end'))
      const echoes = side.startsWith('accepted') && /echo/.test(JSON.stringify(sockets))
      // Visible as a system error, or in the state seen in 'error' and 'close'.
      const dead = ({ key, node, subject }) =>
        /EPIPE|ECONNRESET/.test([...node, ...subject].join()) || /: at '(error|close)'/.test(key)
      return (writes || echoes) && differences.some(dead) && nothingIsLost(differences)
    },
  },
  {
    // With libuv before 1.52 (Node 20 and 22); ferronet behaves like the newest on every Node.
    reason:
      'both directions closed: the end comes an iteration after the last bytes, as with libuv 1.52 (docs/api.md)',
    covers: (program, differences, { libuv = '' }) =>
      older(libuv, [1, 52]) &&
      sidesOf(program, differences).every(side => mayHangUp(program, side)) &&
      nothingIsLost(differences),
  },
  {
    // The same versions of libuv: a reset behind bytes and FIN is an end to them, which a paused stream does not tell.
    reason: 'a reset is told as an error, as with libuv 1.52 (docs/api.md)',
    covers: (_program, differences, { libuv = '' }) => {
      const orders = differences.filter(({ key }) => /: order/.test(key))
      const reset = /^, error\(Error ECONNRESET: read ECONNRESET \[read\]\), close\(true\)$/
      const swallowed = ({ node, subject }) =>
        subject.every(told =>
          node.every(usual => told?.startsWith(usual) && reset.test(told.slice(usual.length))),
        )
      return older(libuv, [1, 52]) && orders.length > 0 && orders.every(swallowed)
    },
  },
  {
    // A program with an error of its own (a write after the end) cuts its connection off sooner or later.
    reason: 'of two sockets that are ready at the same time the kernel chooses the first (docs/api.md)',
    covers: (program, differences) => {
      const connections = new Set(sidesOf(program, differences).map(side => side.replace(/\D+/, '')))
      const [at] = connections
      const speaks = actor =>
        program.ops.some(op => op.actor === actor && (op.verb === 'write' || op.verb === 'end')) ||
        (actor.startsWith('accepted') && /echo/.test(JSON.stringify(program.sockets)))
      const cutOff = ({ key, node, subject }) =>
        /: order/.test(key) && /close\(true\)/.test([...node, ...subject].join())
      const errs = actor =>
        ['end', 'write'].every(verb => program.ops.some(op => op.actor === actor && op.verb === verb))
      const soonerOrLater = ({ key }) => /: bytes received$|, bytesRead$/.test(key) && errs(sideOf(key))
      return (
        connections.size === 1 &&
        speaks(`client${at}`) &&
        speaks(`accepted${at}`) &&
        (differences.some(cutOff) ? nothingIsLost(differences) : differences.every(soonerOrLater))
      )
    },
  },
  {
    reason:
      'writes that leave together take less of the buffer of a Unix socket, so that more of them fit (docs/api.md)',
    covers: ({ transport, ops }, differences) =>
      transport === 'unix' &&
      ops.some(({ verb, size }) => verb === 'write' && size >= 100 * 1024) &&
      differences.every(({ key }) => /writableLength|writableNeedDrain|order, writing$/.test(key)),
  },
  {
    reason: "resetAndDestroy() between end() and 'finish' resets and closes (docs/api.md)",
    covers: ({ ops }, differences) =>
      ops.some(({ verb }) => verb === 'reset') &&
      differences.some(({ node }) => node.some(says('reset EINVAL'))),
  },
  {
    reason:
      'a write under way when its socket is destroyed fails with ECANCELED, as in Node 26; before, it did not',
    covers: (_program, differences) =>
      differences.every(
        ({ node, subject }) => node.every(value => value === 'null') && subject.every(says('ECANCELED')),
      ),
  },
]

/** The reason why these differences are intended, or undefined. `libuv`: the version under node:net. */
export function known(program, differences, facts) {
  if (differences.length === 0) return undefined
  return list.find(({ covers }) => covers(program, differences, facts))?.reason
}

// Events that a difference in timing may add, remove or move. All others must be the same.
const timing = /^(data|end|finish|error|callback|iterated|sink finish)\b/

/**
 * Whether these differences can come from timing alone: no byte is wrong, everything closes, and each socket has the same
 * events. Fewer bytes, or no 'drain', only if an error has cut the connection off.
 */
function nothingIsLost(differences) {
  const values = ({ node, subject }) => [...node, ...subject].filter(value => value !== undefined)
  const orders = differences.filter(({ key }) => /: order/.test(key))
  const cutOff = orders.some(order => values(order).some(value => value.includes('close(true)')))
  const spine = value =>
    value
      .split(/, (?=[a-z]+(?:\(|,|$| ))/)
      .filter(event => !timing.test(event) && !(cutOff && event === 'drain'))
      .map(event => event.replace(/^close\(.*/, 'close'))
      .join()
  return differences.every(difference => {
    const { key } = difference
    if (/wrong|did not close|^the program/.test(key)) return false
    if (/: bytes received$/.test(key)) return cutOff || difference.subject.every(value => value === undefined)
    if (orders.includes(difference)) {
      const [usual, told] = [difference.node, difference.subject].map(side =>
        side.filter(value => value !== undefined).map(spine),
      )
      return told.every(order => usual.includes(order))
    }
    return true
  })
}

/** The actors whose facts differ. If the program failed on one side only, all of its actors. */
function sidesOf({ ops }, differences) {
  const told = differences.filter(({ subject }) => subject.some(value => value !== undefined))
  const sides = told.length > 0 ? told.map(({ key }) => sideOf(key)) : ops.map(({ actor }) => actor)
  return [...new Set(sides)].filter(side => /^(client|accepted)\d/.test(side))
}

/** The actor a fact is about: `client1`, `accepted2`. */
function sideOf(key) {
  return key.split(/[: ]/)[0]
}

function older(version, [major, minor]) {
  const [x, y] = version.split('.').map(Number)
  return x < major || (x === major && y < minor)
}

const ends = ['end', 'destroy', 'destroyError', 'destroySoon', 'reset', 'abort']

/** Whether both directions of this side's connection may be closed when its last bytes are read. */
function mayHangUp({ transport, ops, server }, side) {
  const peer = side.startsWith('client')
    ? side.replace('client', 'accepted')
    : side.replace('accepted', 'client')
  const closes = actor => ops.some(op => op.actor === actor && ends.includes(op.verb))
  if (!closes(peer) && server?.allowHalfOpen) return false
  return transport === 'unix' || closes(side) || ops.some(({ verb }) => verb === 'reset')
}

/** The operation whose result, or the properties right after it, a fact is about. */
function callOf(key) {
  return / call (\w+)(?:, \w+)?$/.exec(key)?.[1]
}

function says(words) {
  return value => value?.includes(words) ?? false
}
