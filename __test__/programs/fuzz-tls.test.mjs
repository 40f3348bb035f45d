// Runs the fuzzer of TLS records (fuzz/tls/): on ferronet, where it should find nothing, and on one that hands on what is
// not right, where it should. To look into a failure: `npm run fuzz:tls -- --seeds N --verbose`.

import test from 'ava'
import { driversHere, fuzz } from '../../fuzz/tls/run.mjs'

test.serial('sixty damaged connections come to what they come to on node:tls', async t => {
  t.timeout(300_000)
  const lines = []
  const report = line => lines.push(line)
  const { different, wrong, crashed, ...counts } = await fuzz({
    to: 60,
    drivers: driversHere(),
    jobs: 3,
    report,
  })
  t.log(JSON.stringify(counts))
  t.deepEqual({ different, wrong, crashed }, { different: 0, wrong: 0, crashed: 0 }, lines.join('\n'))
  t.is(counts.seeds, 60 * driversHere().length)
})

test.serial('a ferronet that delivers what was not sent is found', async t => {
  t.timeout(200_000)
  const module = new URL('../fixtures/broken-tls.mjs?bytes', import.meta.url).href
  const { wrong } = await fuzz({ to: 6, drivers: driversHere().slice(0, 1), module })
  t.true(wrong > 0)
})

test.serial('a ferronet that takes an attack for an end is found', async t => {
  t.timeout(200_000)
  const module = new URL('../fixtures/broken-tls.mjs?silent', import.meta.url).href
  const { different } = await fuzz({ to: 16, drivers: driversHere().slice(0, 1), module })
  t.true(different > 0)
})
