// The arm64 binary for glibc: built for the oldest supported glibc, checked for what it asks of a system, and run by
// qemu's emulation of a processor in the arm64 Node from npm. The system below is this machine's kernel, seen through
// qemu, so what qemu lacks is listed and not counted.
//
//   node scripts/platforms/linux-arm64-gnu.mjs [--nodes 20,22,24] [FILE …]        these test files instead of a part of them

import { asked, library, some } from './linux.mjs'
import { build, built, launcher, leg, need, needFile, nodeBinary, smoke, stage, tests } from './tools.mjs'

const { nodes: versions, files = some() } = asked({ nodes: { type: 'string', default: '20,22,24' } })
const LIBRARIES = '/usr/aarch64-linux-gnu'

await leg('linux-arm64-gnu', async t => {
  const addon = build('linux-arm64-gnu')
  t.size('linux-arm64-gnu', addon)
  await library(t, addon, 'linux-arm64-gnu')

  const remedy = 'apt-get install qemu-user libc6-arm64-cross libstdc++6-arm64-cross libatomic1-arm64-cross.'
  const qemu = need('qemu-aarch64', remedy)
  for (const name of ['libc.so.6', 'libstdc++.so.6', 'libatomic.so.1'])
    needFile(`${LIBRARIES}/lib/${name}`, remedy)

  const project = stage('linux-arm64-gnu', addon, { slow: true })
  const nodes = new Map()
  for (const version of versions.split(',')) {
    const binary = nodeBinary('linux-arm64', version)
    nodes.set(version, launcher(built('arm64', version), [qemu, '-L', LIBRARIES, binary]))
  }
  for (const [version, node] of nodes) {
    for (const driver of ['in-loop', 'helper-thread']) {
      await t.check(`Node ${version} echoes, ${driver}`, () => smoke(project, node, driver))
    }
  }
  t.count(tests(project, [...nodes.values()].at(-1), files))
})
