// Each run uses the driver it says it does; otherwise the other files would test one of them twice.

import { readdirSync, readFileSync } from 'node:fs'
import { parity } from '../helpers/parity.mjs'

parity(
  'the helper thread exists where it was asked for and nowhere else',
  { on: 'linux' },
  async ({ pair, log }) => {
    await pair()
    const threads = readdirSync('/proc/self/task').map(id =>
      readFileSync(`/proc/self/task/${id}/comm`, 'utf8'),
    )
    const helper = threads.some(name => name.trim() === 'ferronet')
    log('as asked', helper === (process.env.FERRONET_DRIVER === 'helper-thread'))
  },
)
