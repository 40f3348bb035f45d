// Runs the fuzzer (fuzz/): on ferronet, where it should find nothing, and on a net that is broken on purpose, where it
// should. To look into a failure: `npm run fuzz -- --seeds N --verbose`.

import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { fuzz, spellCase } from '../../fuzz/fuzz.mjs'
import { generate } from '../../fuzz/program.mjs'

const drivers = process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at)

test.serial('three hundred random programs do on ferronet what they do on node:net', async t => {
  t.timeout(300_000)
  const onlyNode = process.env.FERRONET_TEST_ONLY === 'node'
  const suspects = []
  const found = ({ seeds }) => suspects.push(...seeds)
  const counts = await fuzz({ seeds: range(1, 300), jobs: 4, drivers, onlyNode, shrinkMost: 0, found })
  t.log(JSON.stringify(counts))
  // One seed in five pipes sockets to sockets.
  if (!onlyNode) t.true(counts.relays > 60)
  if (suspects.length === 0) {
    t.pass()
    return
  }
  // The other tests of this run may have held one side up time and again. Only what is different one by one counts.
  const texts = []
  t.timeout(300_000)
  const again = { seeds: suspects, jobs: 1, drivers, onlyNode, shrinkMost: 3, shrinkBudget: 6_000 }
  const { different } = await fuzz({ ...again, found: one => texts.push(spellCase(one)) })
  t.is(different, 0, texts.join('\n\n'))
})

const broken = how => new URL(`../fixtures/broken-net.mjs?${how}`, import.meta.url).href

async function findIn(how, seeds, more = {}) {
  const cases = []
  const counts = await fuzz({
    seeds,
    module: broken(how),
    // Long enough to come to an end by itself, on a machine that is busy with something else too.
    shrinkMost: 1,
    shrinkBudget: 100_000,
    found: found => cases.push(found),
    ...more,
  })
  return { counts, cases: cases.filter(({ traces }) => traces), text: cases.map(spellCase).join('\n\n') }
}

// The seeds are some of those that meet what is broken.
for (const [how, what, key, seeds] of [
  ['drain', "a net without 'drain'", /order, writing$/, range(28, 36)],
  ['order', 'a net that sends writes in the wrong order', /wrong$/, [76, 91, 106]],
  ['byte', 'a net that loses a byte', /wrong$|bytes received$/, range(1, 8)],
  ['pipe', 'a net that loses a byte between two sockets', /wrong$|bytes received$/, [5, 15, 20, 40, 60]],
  ['close', 'a net that leaves sockets open', /./, [12, 21, 84, 116]],
]) {
  test.serial(`the fuzzer finds ${what}, and makes it small`, async t => {
    t.timeout(300_000)
    const { counts, cases, text } = await findIn(how, seeds)
    t.true(counts.different > 0)
    t.true(
      cases.some(({ differences }) => differences.some(difference => key.test(difference.key))),
      text,
    )
    const smallest = Math.min(...cases.map(({ program }) => program.ops.length))
    t.true(smallest <= 4, text)
    t.regex(text, /node:net/)
    t.regex(text, /npm run fuzz -- --seeds \d+/)
  })
}

test.serial('the fuzzer survives a net that takes its process down, and says with which seed', async t => {
  t.timeout(300_000)
  const { counts, text } = await findIn('crash', range(16, 20))
  t.true(counts.different > 0)
  // Windows has no signals: there it is an exit code.
  t.regex(text, /the process ended: (SIGABRT|exit code 134)/)
})

test.serial('the fuzzer finds nothing in a net that is not broken', async t => {
  const { counts } = await findIn('nothing', range(1, 40))
  t.is(counts.different, 0)
})

test('a process of the fuzzer ends with its parent, even if that leaves at once', async t => {
  const host = fileURLToPath(new URL('../../fuzz/host.mjs', import.meta.url))
  const child = fork(host, ['node:net'], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  t.teardown(() => child.kill('SIGKILL'))
  child.disconnect()
  t.deepEqual(await once(child, 'exit'), [0, null])
})

test('a seed is the same program every time', t => {
  for (const seed of range(1, 50)) t.deepEqual(generate(seed), generate(seed))
  t.notDeepEqual(generate(1), generate(2))
})

for (const [args, message] of [
  [['--seeds', 'many'], /--seeds takes a range such as 1-500, not 'many'/],
  [['--seeds', '9-3'], /--seeds 9-3 ends before it begins/],
  [['--driver', 'fast'], /--driver takes in-loop, helper-thread or both, not 'fast'/],
  [['--node', '/no/such/node'], /no such Node: \/no\/such\/node/],
  [['--program', '/no/such/file'], /--program: ENOENT/],
  [['--jobs', '0'], /--jobs takes a whole number of at least 1, not '0'/],
  [['--sed', '1'], /Unknown option '--sed'/],
  [['--module', 'no-such-module', '--seeds', '1'], /no-such-module/],
]) {
  test(`npm run fuzz -- ${args.join(' ')} says what is wrong`, async t => {
    const { code, stderr } = await run(args)
    t.is(code, 2)
    t.regex(stderr, message)
  })
}

test('npm run fuzz -- --help says how to call it, and the last line of a run counts', async t => {
  t.regex((await run(['--help'])).stdout, /--seeds A-B/)
  const { code, stdout } = await run(['--only-node', '--seeds', '1-3'])
  t.is(code, 0)
  t.regex(stdout, /^3 seeds, \d alike, \d flaky, 0 known, 0 different\n$/m)
})

function run(args) {
  const file = fileURLToPath(new URL('../../fuzz/run.mjs', import.meta.url))
  return new Promise(resolve => {
    execFile(process.execPath, [file, ...args], (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }),
    )
  })
}
