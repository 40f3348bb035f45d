// The differences that are meant: each is described in docs/api.md, and has a predicate that fits it and little else.
// A program whose differences are all covered by one of them counts as known.

const list = []

/** The reason why these differences of a program are meant, or undefined. */
export function known(program, differences) {
  return list.find(({ covers }) => covers(program, differences))?.reason
}
