// The published declarations with the @types/node of every supported Node, by TypeScript 5 and 7, in each module
// resolution, with skipLibCheck off. The programs are those of __test__/types: they must compile, and each line of
// __test__/types/wrong must bring the error that its comment names and no other.
//
//   node scripts/platforms/types.mjs                     the whole matrix, a minute or two
//   node scripts/platforms/types.mjs --types 20,22       only these @types/node
//   node scripts/platforms/types.mjs --typescript 7      only this TypeScript
//   node scripts/platforms/types.mjs --update            looks for newer ones than those in .cache/types
//
// It needs the compiled package (`npm run build:ts`) and, the first time, npm's registry.

import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(root, '.cache', 'types')
const programs = join(root, '__test__', 'types')
const windows = process.platform === 'win32'

const { values } = parseArgs({
  options: {
    types: { type: 'string', default: '20,22,24,26' },
    typescript: { type: 'string', default: '5,7' },
    update: { type: 'boolean', default: false },
  },
})

/** The module setting that goes with each resolution, and which kinds of file are compiled under it. */
const resolutions = {
  node16: { module: 'node16', kinds: ['commonjs', 'module'] },
  nodenext: { module: 'nodenext', kinds: ['commonjs', 'module'] },
  bundler: { module: 'esnext', kinds: ['module'] },
}

/** Programs that are about one kind of file, or one @types/node. */
const only = {
  'commonjs.ts': { kind: 'commonjs' },
  'wrong.ts': { kind: 'module' },
  'exchange.ts': { types: '26' },
}

if (!existsSync(join(root, 'dist', 'index.d.ts'))) {
  console.error('There are no declarations yet: run `npm run build:ts` first')
  process.exit(1)
}
mkdirSync(cache, { recursive: true })
const scratch = mkdtempSync(join(cache, 'run-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

const total = { passed: 0, failed: 0 }
const packed = pack()
const compilers = values.typescript.split(',').map(version => installed('typescript', version))
for (const major of values.types.split(',')) {
  const project = makeProject(major, installed('@types/node', major))
  for (const compiler of compilers) {
    for (const resolution of Object.keys(resolutions)) check(project, compiler, resolution)
  }
}
console.log(`\n${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed ? 1 : 0

// --- one compilation ------------------------------------------------------------------------------------------------

function check(project, compiler, resolution) {
  const { module, kinds } = resolutions[resolution]
  const files = kinds.flatMap(kind => programsOf(project, kind))
  const expected = files.flatMap(file => errorsWanted(project, file))
  const config = {
    compilerOptions: {
      target: 'es2022',
      lib: ['es2023'],
      module,
      moduleResolution: resolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      esModuleInterop: true,
      skipLibCheck: false,
      noEmit: true,
      // With an empty list, which is TypeScript 7's default, it is ferronet's declarations that bring @types/node in.
      types: resolution === 'bundler' ? [] : ['node'],
    },
    files,
  }
  const name = `tsconfig.${resolution}.json`
  writeFileSync(join(project.directory, name), JSON.stringify(config, null, 2))
  const tsc = [join(compiler.path, 'bin', 'tsc'), '-p', name, '--pretty', 'false']
  const { status, stdout, stderr, error } = spawnSync(process.execPath, tsc, {
    cwd: project.directory,
    encoding: 'utf8',
  })
  if (error) throw error

  // Lines that are indented belong to the error above them.
  const found = new Set()
  const complaints = []
  for (const line of `${stdout}${stderr}`.split(/\r?\n/).filter(line => /^\S/.test(line))) {
    const [, file, number, code] = /^(.*)\((\d+),\d+\): error (TS\d+)/.exec(line) ?? []
    const wanted = expected.find(({ at, codes }) => at === `${file}:${number}` && codes.includes(code))
    if (wanted) found.add(wanted)
    else complaints.push(line)
  }
  for (const wanted of expected) {
    if (!found.has(wanted)) complaints.push(`no error ${wanted.codes.join(' or ')} at ${wanted.at}`)
  }
  if (expected.length > 0 && status === 0) complaints.push('the compiler has accepted everything')
  const ok = complaints.length === 0
  total[ok ? 'passed' : 'failed']++
  const counts = `${files.length} programs, ${found.size} of ${expected.length} errors`
  console.log(
    `${ok ? 'ok' : 'not ok'} @types/node ${project.version}, TypeScript ${compiler.version}, ${resolution}: ${counts}`,
  )
  for (const line of complaints) console.log(`    ${line}`)
}

function programsOf({ directory, major }, kind) {
  return readdirSync(join(directory, kind))
    .filter(name => name.endsWith('.ts'))
    .filter(name => (only[name]?.kind ?? kind) === kind && (only[name]?.types ?? major) === major)
    .map(name => `${kind}/${name}`)
}

/** The errors that a program's comments ask for: `// TS2322` at the end of a line, or several, of which one must come. */
function errorsWanted({ directory }, file) {
  const lines = readFileSync(join(directory, file), 'utf8').split(/\r?\n/)
  return lines.flatMap((line, index) => {
    const codes = / \/\/ (TS\d+(?: TS\d+)*)$/.exec(line)?.[1].split(' ')
    return codes ? [{ at: `${file}:${index + 1}`, codes }] : []
  })
}

// --- what it is compiled with ---------------------------------------------------------------------------------------

/** An empty project with that @types/node and the packed ferronet, and the programs as each kind of file. */
function makeProject(major, types) {
  const directory = join(scratch, major)
  for (const kind of ['commonjs', 'module']) {
    mkdirSync(join(directory, kind), { recursive: true })
    writeFileSync(join(directory, kind, 'package.json'), JSON.stringify({ type: kind }))
    for (const from of [programs, join(programs, 'wrong')]) {
      for (const file of readdirSync(from).filter(name => name.endsWith('.ts'))) {
        cpSync(join(from, file), join(directory, kind, file))
      }
    }
  }
  writeFileSync(join(directory, 'package.json'), '{ "private": true }\n')
  cpSync(join(types.path, '..', '..'), join(directory, 'node_modules'), { recursive: true })
  cpSync(packed, join(directory, 'node_modules', 'ferronet'), { recursive: true })
  return { directory, major, version: types.version }
}

/** The package as npm would publish it, unpacked. */
function pack() {
  npm(['pack', root, '--ignore-scripts', '--silent', '--pack-destination', scratch], scratch)
  const archive = readdirSync(scratch).find(name => name.endsWith('.tgz'))
  run('tar', ['-xzf', archive], scratch)
  return join(scratch, 'package')
}

/** The newest of a major version, as .cache/types has it or else as npm does. */
function installed(name, version) {
  const directory = join(cache, `${name.replace('/', '-')}-${version}`)
  const path = join(directory, 'node_modules', name)
  if (values.update || !existsSync(join(path, 'package.json'))) {
    console.log(`> fetching ${name}@${version} …`)
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, 'package.json'), '{ "private": true }\n')
    npm(
      ['install', `${name}@${version}`, '--ignore-scripts', '--no-audit', '--no-fund', '--silent'],
      directory,
    )
  }
  return { path, version: JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')).version }
}

function npm(args, cwd) {
  run(windows ? 'npm.cmd' : 'npm', args, cwd)
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    shell: windows,
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`)
}
