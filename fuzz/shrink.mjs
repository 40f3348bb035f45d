// Makes a program smaller while a condition holds. Removes whole sockets first, then operations, in halves and one by
// one, then options, and simplifies what is left. Deterministic, except for what `holds` answers.

/** The smallest program found within `budget` ms for which `holds(program)` is still true. */
export async function shrink(program, holds, budget = 30_000) {
  const end = performance.now() + budget
  let best = program
  const attempt = async candidate => {
    if (candidate === undefined || performance.now() > end) return false
    if (!(await holds(candidate))) return false
    best = candidate
    return true
  }
  for (let progress = true; progress && performance.now() < end; ) {
    progress = false
    for (let number = best.sockets.length; number > 1; number--) {
      progress = (await attempt(withoutLastSocket(best, number))) || progress
    }
    progress = (await fewerOps(() => best, attempt)) || progress
    for (const simpler of simplifications(best)) {
      progress = (await attempt(simpler(best))) || progress
    }
  }
  return best
}

// Sockets are referred to by number, so only the last one can be removed.
function withoutLastSocket(program, number) {
  if (number !== program.sockets.length) return undefined
  const gone = new Set([`client${number}`, `accepted${number}`])
  return {
    ...program,
    sockets: program.sockets.slice(0, -1),
    ops: program.ops.filter(({ actor, on }) => !gone.has(actor) && !gone.has(on[0])),
  }
}

async function fewerOps(current, attempt) {
  let progress = false
  for (let size = Math.ceil(current().ops.length / 2); size >= 1; size >>= 1) {
    for (let at = current().ops.length - size; at >= 0; at -= size) {
      const { ops } = current()
      if (await attempt({ ...current(), ops: [...ops.slice(0, at), ...ops.slice(at + size)] }))
        progress = true
    }
  }
  return progress
}

/** Functions that simplify a program in one place, or return undefined if there is nothing to simplify. */
function* simplifications(program) {
  for (const option of Object.keys(program.server)) {
    yield now => ({ ...now, server: without(now.server, option) })
  }
  for (let at = 0; at < program.sockets.length; at++) {
    const change = more => now => ({
      ...now,
      sockets: now.sockets.map((socket, index) => (index === at ? { ...socket, ...more(socket) } : socket)),
    })
    const { client, accepted, hop, made, start } = program.sockets[at]
    if (hop !== 'sync') yield change(() => ({ hop: 'sync' }))
    if (made !== 'connect') yield change(() => ({ made: 'connect' }))
    if (start[0] !== 'server') yield change(() => ({ start: ['server', 'listening'] }))
    for (const side of ['client', 'accepted']) {
      const settings = program.sockets[at][side]
      if (settings.reads !== 'flow') yield change(() => ({ [side]: { reads: 'flow' } }))
      for (const option of Object.keys(side === 'client' ? client : accepted)) {
        if (['reads', 'buffer', 'by', 'signal', 'with'].includes(option)) continue
        yield change(socket => ({ [side]: without(socket[side], option) }))
      }
    }
  }
  for (const { id } of program.ops) {
    const change = more => now => {
      const op = now.ops.find(each => each.id === id)
      const changes = op && more(op)
      if (!changes) return undefined
      return { ...now, ops: now.ops.map(each => (each.id === id ? { ...each, ...changes } : each)) }
    }
    yield change(({ hop }) => hop !== 'sync' && { hop: 'sync' })
    yield change(({ hop }) => hop !== 'sync' && hop !== 'immediate' && { hop: 'immediate' })
    yield change(({ callback }) => callback && { callback: undefined })
    yield change(({ as }) => as && as !== 'buffer' && { as: 'buffer' })
    for (const size of [1, 10, 1024, 16 * 1024, 64 * 1024]) {
      yield change(op => op.as && op.size > size && { size })
    }
    yield change(({ count }) => count > 4 && { count: 4 })
    yield change(({ turns }) => turns > 0 && { turns: 0 })
    yield change(({ on }) => on[1] === 'received' && on[2] > 1 && { on: [on[0], on[1], 1] })
  }
}

function without(object, key) {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key))
}
