// The differences that are meant: each is described in docs/api.md, and has a predicate that fits it and little else.
// A program whose differences are all covered by one of them counts as known.

const list = [
  {
    reason: 'the first write of a tick to a connection that has just died may return true (docs/api.md)',
    covers: ({ ops }, differences) =>
      differences.some(({ key, node, subject }) => callOf(key) && `${node} ${subject}` === 'false true') &&
      differences.every(({ key }) => ops.some(({ id, verb }) => id === callOf(key) && verb === 'write')),
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

/** The reason why these differences of a program are meant, or undefined. */
export function known(program, differences) {
  if (differences.length === 0) return undefined
  return list.find(({ covers }) => covers(program, differences))?.reason
}

/** The operation whose result, or the properties right after it, a fact is about. */
function callOf(key) {
  return / call (\w+)(?:, \w+)?$/.exec(key)?.[1]
}

function says(words) {
  return value => value?.includes(words) ?? false
}
