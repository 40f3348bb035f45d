// `ferronet/register`: which `net` a program gets, in processes of their own. The programs are in fixtures/register;
// those about packages and odd paths are written to a temporary folder with a copy of ferronet's JavaScript.

import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import Module from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath, pathToFileURL } from 'node:url'
import ava from 'ava'
import ferronet from 'ferronet'

const test = ava.serial
const root = fileURLToPath(new URL('../..', import.meta.url))
const fixtures = join(root, '__test__', 'fixtures', 'register')
const fixture = name => join(fixtures, name)
const fixtureUrl = name => pathToFileURL(fixture(name)).href
const registerFile = join(root, 'dist', 'register.js')

const [major, minor] = process.versions.node.split('.').map(Number)
// Before 22.15 `import` goes through a thread for hooks, which not everything asks.
const synchronous = typeof Module.registerHooks === 'function'
const permissionFlag = major === 20 ? '--experimental-permission' : '--permission'
const stripsTypes = process.features.typescript === 'strip'
const drivers = process.platform === 'linux' ? ['in-loop', 'helper-thread'] : ['helper-thread']

const flags = {
  '--require': ['--require', 'ferronet/register'],
  '--import': ['--import', 'ferronet/register'],
}

// What this process was started with must not reach the programs.
const cleanEnv = { ...process.env }
for (const name of ['NODE_OPTIONS', 'FERRONET_REGISTER', 'FERRONET_DRIVER', 'NODE_PATH'])
  delete cleanEnv[name]

async function node(args, { env, cwd = root, input = '' } = {}) {
  const child = spawn(process.execPath, args, { cwd, env: { ...cleanEnv, ...env }, timeout: 60_000 })
  child.stdin.on('error', () => {}).end(input)
  const closed = new Promise(resolve => child.on('close', (code, signal) => resolve(code ?? signal)))
  const [out, error, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  return { code, out: out.trim(), error }
}

// The one thing a program said, when all went well; otherwise how it went.
async function said(args, options) {
  const { code, out, error } = await node(args, options)
  return code === 0 ? out : `exit ${code}: ${out} ${error}`
}

async function seen(t, args, options) {
  const out = await said(args, options)
  try {
    return JSON.parse(out)
  } catch {
    t.fail(out)
    return {}
  }
}

const everywhere = (object, value) => Object.fromEntries(Object.keys(object).map(key => [key, value]))

const whoseIsNet = "console.log(net === process.getBuiltinModule('net') ? 'node' : 'ferronet')"
const quoted = code => JSON.stringify(code)

function directory(t, name = '') {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'ferronet-')))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  const inner = join(path, name)
  mkdirSync(inner, { recursive: true })
  return inner
}

function write(base, files) {
  for (const [name, content] of Object.entries(files)) {
    const path = join(base, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  }
}

// ferronet as npm installs it; the addon, which is large, by a link.
function install(base, { where = join(base, 'node_modules', 'ferronet'), addon = true } = {}) {
  mkdirSync(where, { recursive: true })
  cpSync(join(root, 'dist'), join(where, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(where, 'package.json'))
  if (addon) symlinkSync(join(root, 'native'), join(where, 'native'), 'junction')
  return where
}

const whosePackage = {
  'node_modules/whose/package.json': { name: 'whose', main: 'index.js' },
  'node_modules/whose/index.js': `
    const nodes = process.getBuiltinModule('node:net')
    module.exports = net => (net === nodes ? 'node' : net === require('ferronet') ? 'ferronet' : 'neither')
  `,
}

// --- who asks -----------------------------------------------------------------------------------------------------

for (const [name, flag] of Object.entries(flags)) {
  test(`with ${name} every way to require net gives ferronet`, async t => {
    const ways = await seen(t, [...flag, fixture('ways.cjs')])
    t.deepEqual(ways, { ...everywhere(ways, 'ferronet'), getBuiltinModule: 'node' })
    t.is(Object.keys(ways).length, 9)
  })

  test(`with ${name} every way to import net gives ferronet`, async t => {
    const ways = await seen(t, [...flag, fixture('ways.mjs')])
    checkModuleWays(t, ways)
  })
}

// The exports of Node 26's net; ferronet's are among them.
const exportsOfNode26 = [
  'BlockList',
  'BoundSocket',
  'Server',
  'Socket',
  'SocketAddress',
  'Stream',
  '_createServerHandle',
  '_normalizeArgs',
  'connect',
  'createConnection',
  'createServer',
  'getDefaultAutoSelectFamily',
  'getDefaultAutoSelectFamilyAttemptTimeout',
  'isIP',
  'isIPv4',
  'isIPv6',
  'setDefaultAutoSelectFamily',
  'setDefaultAutoSelectFamilyAttemptTimeout',
]

function checkModuleWays(t, ways) {
  const { 'named exports': names, 'differ from the module': differing, ...rest } = ways
  t.deepEqual(rest, {
    ...everywhere(rest, 'ferronet'),
    getBuiltinModule: 'node',
    'every Socket is the same': true,
  })
  const wanted = exportsOfNode26.filter(name => name in ferronet)
  t.true(wanted.length >= 16)
  t.deepEqual(
    wanted.filter(name => !names.includes(name)),
    [],
  )
  t.deepEqual(differing, [])
}

test('required in the first line of a program it serves what the program requires after', async t => {
  const ways = await seen(t, [fixture('first-line.cjs')])
  t.deepEqual(ways, { ...everywhere(ways, 'ferronet'), getBuiltinModule: 'node' })
})

test('imported in the first line of a module it serves what is imported dynamically after', async t => {
  checkModuleWays(t, await seen(t, [fixture('first-line.mjs')]))
})

test('imported in the first line of a module it is too late for the import statements below', async t => {
  t.is(await said([fixture('too-late.mjs')]), 'node ferronet')
})

test('without it net is Node’s', async t => {
  t.is(await said([fixture('say.cjs')]), 'node')
  t.is(await said([fixture('say.mjs')]), 'node')
})

for (const off of ['0', 'off']) {
  test(`FERRONET_REGISTER=${off} turns it off, and nothing is inherited`, async t => {
    const env = { FERRONET_REGISTER: off }
    t.is(await said([...flags['--require'], fixture('say.cjs')], { env }), 'node')
    t.is(await said([...flags['--import'], fixture('say.mjs')], { env }), 'node')
    t.is(await said([...flags['--import'], '-p', 'process.env.NODE_OPTIONS'], { env }), 'undefined')
  })
}

for (const on of ['1', 'on', '', 'no such value']) {
  test(`FERRONET_REGISTER=${on} leaves it on`, async t => {
    const env = { FERRONET_REGISTER: on }
    t.is(await said([...flags['--require'], fixture('say.cjs')], { env }), 'ferronet')
  })
}

const whoseTls = `
  const { createRequire } = require('node:module')
  const ours = require('ferronet/tls').connect
  const all = [require('tls'), require('node:tls'), createRequire(process.cwd() + '/x.js')('tls')]
  Promise.all([import('tls'), import('node:tls')]).then(modules => {
    for (const { default: each } of modules) all.push(each)
    console.log(all.map(each => (each.connect === ours ? 'ferronet' : 'node')).join(' '), require('net') === require('ferronet'))
  })`

for (const [wanted, tls, net] of [
  ['net,tls', 'ferronet', true],
  ['tls', 'ferronet', false],
  ['net', 'node', true],
  ['', 'node', true],
  ['off', 'node', false],
]) {
  for (const flag of Object.keys(flags)) {
    test(`FERRONET_REGISTER=${wanted}, with ${flag}: whose tls and whose net`, async t => {
      const env = { FERRONET_REGISTER: wanted }
      t.is(await said([...flags[flag], '-e', whoseTls], { env }), `${Array(5).fill(tls).join(' ')} ${net}`)
    })
  }
}

// --- packages and paths -------------------------------------------------------------------------------------------

const dependencies = {
  ...whosePackage,
  'node_modules/client-cjs/package.json': {
    name: 'client-cjs',
    main: 'lib/index.js',
    dependencies: { deep: '*' },
  },
  'node_modules/client-cjs/lib/index.js': `
    const { Socket } = require('net')
    const whose = require('whose')
    exports.net = whose(require('net'))
    exports.Socket = Socket
    exports.deep = require('deep')
    exports.connect = port => new Socket().connect(port, '127.0.0.1')
  `,
  // A dependency of a dependency, found only from there.
  'node_modules/client-cjs/node_modules/deep/package.json': { name: 'deep' },
  'node_modules/client-cjs/node_modules/deep/index.js': `module.exports = require('whose')(require('node:net'))`,
  'node_modules/server-esm/package.json': {
    name: 'server-esm',
    type: 'module',
    exports: { import: './index.js', require: './index.cjs' },
    imports: { '#net': { browser: './none.js', default: 'net' } },
  },
  'node_modules/server-esm/index.js': `
    import { createServer, Socket } from 'node:net'
    import byName from '#net'
    import whose from 'whose'
    export { Socket }
    export const net = whose(byName)
    export const listen = ready => {
      const server = createServer(peer => peer.end('from ' + (peer instanceof Socket)))
      server.listen(0, '127.0.0.1', () => ready(server))
    }
  `,
  'node_modules/server-esm/index.cjs': `exports.net = require('whose')(require('net'))`,
  'main.cjs': `
    const client = require('client-cjs')
    const required = require('server-esm')
    import('server-esm').then(server => {
      server.listen(listening => {
        let got = ''
        const socket = client.connect(listening.address().port)
        socket.setEncoding('utf8').on('data', data => (got += data)).on('close', () => {
          listening.close()
          console.log(client.net, client.deep, server.net, required.net, got,
            server.Socket === client.Socket)
        })
      })
    })
  `,
  'main.mjs': `
    import client from 'client-cjs'
    import { net } from 'server-esm'
    import './main.cjs'
  `,
}
const dependenciesSay = `${'ferronet '.repeat(4)}from true true`

test('packages get ferronet, CommonJS and modules, and what they depend on', async t => {
  const base = directory(t)
  write(base, dependencies)
  install(base)
  for (const flag of Object.values(flags)) {
    t.is(await said([...flag, 'main.cjs'], { cwd: base }), dependenciesSay)
    t.is(await said([...flag, 'main.mjs'], { cwd: base }), dependenciesSay)
  }
})

test('a bundle in CommonJS gets ferronet', async t => {
  const base = directory(t)
  install(base)
  write(base, {
    ...whosePackage,
    'bundle.js': `
      "use strict"
      var __commonJS = (modules) => (id) => modules[id](module.exports)
      var load = __commonJS({ 0: () => { var import_net = require("net"), n = require("node:net")
        console.log(require("whose")(import_net), import_net === n) } })
      load(0)
    `,
  })
  t.is(await said([...flags['--require'], 'bundle.js'], { cwd: base }), 'ferronet true')
})

// Characters that are escaped in URLs, end a URL's path, or need quotes in NODE_OPTIONS.
const oddName = process.platform === 'win32' ? 'sp ace #1 %20 é' : 'sp ace #1 %20? "é"'

test('its own files keep Node’s net in a folder with an odd name, and children find it there', async t => {
  const base = directory(t, oddName)
  write(base, {
    ...dependencies,
    'child.cjs': `
      const { spawnSync } = require('child_process')
      const { stdout, stderr } = spawnSync(process.execPath, ['main.mjs'], { cwd: __dirname, encoding: 'utf8' })
      console.log(stdout.trim() || stderr)
    `,
  })
  install(base)
  for (const flag of Object.values(flags)) {
    t.is(await said([...flag, 'main.mjs'], { cwd: base }), dependenciesSay)
    t.is(await said([...flag, 'child.cjs'], { cwd: base }), dependenciesSay)
  }
  const url = pathToFileURL(join(base, 'node_modules', 'ferronet', 'dist', 'register.js')).href
  t.is(await said(['--import', url, 'child.cjs'], { cwd: base }), dependenciesSay)
})

test('its own files keep Node’s net when they are reached by links', async t => {
  const base = directory(t)
  write(base, dependencies)
  mkdirSync(join(base, 'store'))
  const real = install(base, { where: join(base, 'store', 'ferronet') })
  symlinkSync(real, join(base, 'node_modules', 'ferronet'), 'junction')
  for (const flag of Object.values(flags)) {
    for (const links of [[], ['--preserve-symlinks', '--preserve-symlinks-main']]) {
      t.is(await said([...links, ...flag, 'main.cjs'], { cwd: base }), dependenciesSay)
      t.is(await said([...links, ...flag, 'main.mjs'], { cwd: base }), dependenciesSay)
    }
  }
})

test('its own files keep Node’s net when they are loaded by a path that is not their real one', async t => {
  const base = directory(t)
  symlinkSync(root, join(base, 'link'), 'junction')
  const path = join(base, 'link', 'dist', 'index.js')
  const code = `const copy = require(${quoted(path)}); console.log(copy.isIP === process.getBuiltinModule('net').isIP)`
  for (const links of [[], ['--preserve-symlinks']]) {
    t.is(await said([...links, ...flags['--require'], '-e', code]), 'true')
  }
  const href = `${pathToFileURL(path).href.replace('dist', '%64ist')}?again#here`
  const imported = `const { isIP, Socket } = await import(${quoted(href)}); new Socket(); console.log(isIP('::1'))`
  t.is(await said([...flags['--import'], '--input-type=module', '-e', imported]), '6')
})

test('of two copies of ferronet the first to register serves everybody', async t => {
  const base = directory(t)
  const [first, second] = ['first', 'second'].map(name => install(base, { where: join(base, name) }))
  const code = `
    const net = require('net')
    const nodes = process.getBuiltinModule('net')
    console.log(net === require(${quoted(first)}), new (require(${quoted(second)}).Socket)() instanceof net.Socket)
    console.log(new nodes.Socket() instanceof net.Socket, process.env.NODE_OPTIONS.match(/--require/g).length)
  `
  const at = copy => ['--require', join(copy, 'dist', 'register.js')]
  t.is(await said([...at(first), ...at(second), '-e', code]), 'true false\ntrue 1')
})

// --- ways to run Node ---------------------------------------------------------------------------------------------

for (const [name, flag] of Object.entries(flags)) {
  test(`with ${name} it serves -e, -p, standard input and the REPL`, async t => {
    const required = `const net = require('net'); ${whoseIsNet}`
    const imported = `import net from 'net'; ${whoseIsNet}`
    t.is(await said([...flag, '-e', whoseIsNet]), 'ferronet')
    t.is(await said([...flag, '-p', `${required}; 1`]), 'ferronet\n1')
    t.is(await said([...flag, '-e', `import('net').then(({ default: net }) => ${whoseIsNet})`]), 'ferronet')
    t.is(await said([...flag, '--input-type=module', '-e', imported]), 'ferronet')
    t.is(await said(flag, { input: required }), 'ferronet')
    t.is(await said([...flag, '--input-type=module'], { input: imported }), 'ferronet')
    const repl = await said([...flag, '-i'], {
      input: `net === process.getBuiltinModule('net')\nrequire('node:net') === net\n(await import('net')).default === net\n`,
      env: { NODE_REPL_HISTORY: '' },
    })
    t.deepEqual(repl.match(/\b(true|false)\b/g), ['false', 'true', 'true'], repl)
  })

  test(`with ${name} it serves the files of Node’s test runner`, async t => {
    const { code, out, error } = await node(
      [...flag, '--test', '--test-reporter=tap', fixture('node-runner.mjs')],
      // Set by ava's own process, or by the test runner that runs this.
      { env: { NODE_TEST_CONTEXT: undefined } },
    )
    t.is(code, 0, out + error)
    t.regex(out, /# net is ferronet/)
  })
}

test('a program that is watched gets ferronet', async t => {
  const child = spawn(process.execPath, ['--watch', ...flags['--import'], fixture('say.mjs')], {
    cwd: root,
    env: cleanEnv,
  })
  const closed = new Promise(resolve => child.on('close', resolve))
  t.teardown(async () => {
    child.kill()
    await closed
  })
  let out = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    out += chunk
    if (/^(ferronet|node|neither)$/m.test(out)) break
  }
  t.regex(out, /^ferronet$/m)
})

if (stripsTypes) {
  test('a program in TypeScript gets ferronet', async t => {
    t.is(await said([...flags['--import'], fixture('stripped.mts')]), 'ferronet true')
  })
}

test('it goes with source maps, NODE_DEBUG and its own name in NODE_OPTIONS', async t => {
  t.is(await said(['--enable-source-maps', ...flags['--import'], fixture('say.mjs')]), 'ferronet')
  t.is(
    await said([...flags['--require'], fixture('say.cjs')], { env: { NODE_DEBUG: 'net,module' } }),
    'ferronet',
  )
  const env = { NODE_OPTIONS: '--import ferronet/register' }
  t.is(await said([fixture('say.mjs')], { env }), 'ferronet')
})

test('a module that is required gets ferronet where Node’s hooks are synchronous', async t => {
  const base = directory(t)
  install(base)
  write(base, {
    ...whosePackage,
    'module.mjs': `import net from 'node:net'\nimport whose from 'whose'\nexport const answer = whose(net)`,
    'main.cjs': `
      process.removeAllListeners('warning')
      console.log(require('./module.mjs').answer)
    `,
  })
  const out = await said([...flags['--require'], 'main.cjs'], { cwd: base })
  if (major === 22 && minor < 12) t.regex(out, /ERR_REQUIRE_ESM/)
  else t.is(out, synchronous ? 'ferronet' : 'node')
})

// --- twice, and beside others -------------------------------------------------------------------------------------

test('naming it twice loads it once, and children are told once, by its path', async t => {
  const both = [
    ...flags['--import'],
    ...flags['--require'],
    `--import=ferronet/register`,
    '-r',
    'ferronet/register',
  ]
  const { NODE_OPTIONS, files, execArgv } = await seen(t, [...both, fixture('twice.cjs')])
  t.is(files, 1)
  t.is(NODE_OPTIONS, optionFor(registerFile))
  const url = pathToFileURL(registerFile).href
  t.deepEqual(execArgv, ['--import', url, '--require', registerFile, `--import=${url}`, '-r', registerFile])

  const inherited = await seen(t, [...both, fixture('twice.cjs')], { env: { NODE_OPTIONS } })
  t.is(inherited.files, 1)
  t.is(inherited.NODE_OPTIONS, NODE_OPTIONS)
})

// As Node reads it: quotes around what has spaces, quotes or backslashes, and backslashes before the last two.
function optionFor(file) {
  const option = `--require=${file}`
  return /[ "\\]/.test(option) ? `"${option.replace(/["\\]/g, '\\$&')}"` : option
}

test('what stood in NODE_OPTIONS stays there', async t => {
  const base = directory(t, 'sp ace')
  write(base, { 'other.cjs': 'globalThis.other = true' })
  const other = `--require "${join(base, 'other.cjs').replace(/\\/g, '\\\\')}"`
  const show = ['-p', 'JSON.stringify({ NODE_OPTIONS: process.env.NODE_OPTIONS, other: globalThis.other })']
  const NODE_OPTIONS = `--conditions=odd  ${other} --title=a`
  const first = await seen(t, [...flags['--require'], ...show], { env: { NODE_OPTIONS } })
  t.deepEqual(first, { NODE_OPTIONS: `${NODE_OPTIONS} ${optionFor(registerFile)}`, other: true })
  const again = await seen(t, [...flags['--require'], ...show], { env: { NODE_OPTIONS: first.NODE_OPTIONS } })
  t.deepEqual(again, first)

  // Its name there becomes its path, so that a child in another folder finds it.
  const named = await seen(t, show, { env: { NODE_OPTIONS: `${other} --import ferronet/register` } })
  t.true(named.NODE_OPTIONS.endsWith(` --import ${pathToFileURL(registerFile).href}`), named.NODE_OPTIONS)
  const moved = await seen(t, show, { env: { NODE_OPTIONS: named.NODE_OPTIONS }, cwd: tmpdir() })
  t.deepEqual(moved, named)
})

for (const [order, preloads] of Object.entries({
  before: ['--require', fixture('hooks-sync.cjs'), ...flags['--require']],
  after: [...flags['--require'], '--require', fixture('hooks-sync.cjs')],
})) {
  if (!synchronous) break
  test(`it works with another user of hooks that comes ${order} it`, async t => {
    const { resolved, ...rest } = await seen(t, [...preloads, fixture('hooked.cjs')])
    t.deepEqual(rest, { net: 'ferronet', imported: 'ferronet', virtual: 'ferronet', mocked: true })
    // Whoever comes later sees what those before have made of it.
    t.deepEqual(resolved, [order === 'before' ? 'node:net' : 'dist/index.js'])
  })
}

for (const [order, preloads] of Object.entries({
  before: ['--require', fixture('hooks-apm.cjs'), ...flags['--require']],
  after: [...flags['--require'], '--require', fixture('hooks-apm.cjs')],
})) {
  test(`it works with a tracer that patches Module._load ${order} it`, async t => {
    const traced = await said([...preloads, fixture('traced.cjs')])
    // Where the hook patches Module._load too, a tracer that came first is not asked about net.
    t.regex(traced, synchronous || order === 'after' ? /^ferronet true (node:)?net$/ : /^ferronet true$/)
  })
}

for (const [order, preloads] of Object.entries({
  before: ['--require', fixture('hooks-require.cjs'), ...flags['--import']],
  after: [...flags['--require'], '--require', fixture('hooks-require.cjs')],
})) {
  test(`it works with a tracer that remembers what require gave, loaded ${order} it`, async t => {
    t.is(await said([...preloads, fixture('remembered.mjs')]), 'ferronet ferronet')
    t.is(await said([...preloads, fixture('say.cjs')]), 'ferronet')
  })
}

for (const [order, preloads] of Object.entries({
  before: ['--import', fixtureUrl('hooks-async.mjs'), ...flags['--import']],
  after: [...flags['--import'], '--import', fixtureUrl('hooks-async.mjs')],
  'after, required,': [...flags['--require'], '--import', fixtureUrl('hooks-async.mjs')],
})) {
  test(`it works with asynchronous hooks of others that come ${order} it, and in children`, async t => {
    const virtual = `import net from 'virtual:net'; ${whoseIsNet}`
    t.is(await said([...preloads, fixture('say.mjs')]), 'ferronet')
    t.is(await said([...preloads, '--input-type=module', '-e', virtual]), 'ferronet')
    const inherited = { env: { NODE_OPTIONS: optionFor(registerFile) } }
    t.is(await said([...preloads, fixture('say.mjs')], inherited), 'ferronet')
  })
}

// --- what it leaves alone -----------------------------------------------------------------------------------------

test('Node’s modules keep their own net, whose sockets and servers are instances of ferronet’s classes', async t => {
  const withHook = await seen(t, [...flags['--require'], fixture('internals.cjs')])
  const without = await seen(t, [fixture('internals.cjs')])
  t.is(withHook.whose, 'ferronet')
  t.is(without.whose, 'node')
  t.deepEqual(withHook.heirs, { ...everywhere(withHook.heirs, true) })
  for (const [name, facts] of Object.entries(withHook)) {
    if (name === 'whose' || name === 'heirs') continue
    const own = name === 'net.createServer()'
    t.deepEqual(facts, { 'is an instance': true, "is an instance of Node's": !own }, name)
    t.true(without[name]['is an instance'], name)
  }
  t.true(Object.keys(withHook).length >= 10)
})

test('without it Node’s sockets and servers are no instances of ferronet’s classes', async t => {
  const code = `
    const { Server, Socket } = require('ferronet')
    const nodes = require('net')
    console.log(new nodes.Socket() instanceof Socket, new nodes.Server() instanceof Server,
      Object.hasOwn(Socket, Symbol.hasInstance), new Socket() instanceof Socket)
  `
  t.is(await said(['-e', code]), 'false false false true')
})

test('loaded after ferronet it teaches the classes too, by a property that is not seen', async t => {
  const code = `
    const { Server, Socket } = require('ferronet')
    require('ferronet/register')
    const nodes = process.getBuiltinModule('net')
    console.log(new nodes.Socket() instanceof Socket, new nodes.Server() instanceof Server,
      Object.getOwnPropertyDescriptor(Socket, Symbol.hasInstance).enumerable)
  `
  t.is(await said(['-e', code]), 'true true false')
})

test('the classes of a copy that is loaded later are taught as well', async t => {
  const code = `
    const first = require('net')
    for (const file of Object.keys(require.cache)) delete require.cache[file]
    const { Server, Socket } = require('net')
    const nodes = process.getBuiltinModule('net')
    console.log(new nodes.Socket() instanceof Socket, new nodes.Server() instanceof Server,
      new nodes.Socket() instanceof first.Socket)
  `
  for (const flag of Object.values(flags)) t.is(await said([...flag, '-e', code]), 'true true true')
})

for (const driver of drivers) {
  test(`a program over net, http and http2 says what it says on node:net: ${driver}`, async t => {
    const onNode = await said([fixture('talk.mjs')])
    t.regex(onNode, /^echo hello 5 5 6\n200 .over-net IPv4\nhttp2 over net\nclosed$/)
    for (const flag of Object.values(flags)) {
      t.is(await said([...flag, fixture('talk.mjs')], { env: { FERRONET_DRIVER: driver } }), onNode)
    }
  })
}

for (const wanted of ['net', 'net,tls']) {
  test(`it warns of nothing that Node may deprecate some day: FERRONET_REGISTER=${wanted}`, async t => {
    const strict = ['--pending-deprecation', '--throw-deprecation']
    const env = { FERRONET_REGISTER: wanted }
    const onNode = await said([...strict, fixture('talk.mjs')])
    for (const flag of Object.values(flags)) {
      const { code, out, error } = await node([...strict, ...flag, fixture('talk.mjs')], { env })
      t.deepEqual([code, out, error], [0, onNode, ''])
    }
  })
}

test('a program that does not ask for net does not load ferronet', async t => {
  const loaded = "Object.keys(require.cache).some(file => file.endsWith('socket.js'))"
  t.is(await said([...flags['--require'], '-p', `require('http'); ${loaded}`]), 'false')
  t.is(await said([...flags['--require'], '-p', `require('net'); ${loaded}`]), 'true')
})

// --- inheritance --------------------------------------------------------------------------------------------------

for (const [name, flag] of Object.entries(flags)) {
  test(`with ${name} child processes inherit it, but for those told otherwise`, async t => {
    const children = await seen(t, [...flag, fixture('children.cjs')])
    t.deepEqual(children, {
      ...everywhere(children, 'ferronet'),
      'spawn with a clear environment': 'node',
      'spawn with FERRONET_REGISTER=0': 'node',
      'spawn of an ES module with FERRONET_REGISTER=off': 'node',
    })
    t.is(Object.keys(children).length, 13)
  })
}

test('child processes of a program that required it itself inherit it', async t => {
  const code = `require('ferronet/register'); require(${quoted(fixture('children.cjs'))})`
  const children = await seen(t, ['-e', code])
  t.is(children['spawn of an ES module'], 'ferronet')
  t.is(children['fork with execArgv: []'], 'ferronet')
  t.is(children['a child of a child'], 'ferronet')
})

const same = whose => ({ file: whose, module: whose, eval: whose })
const reached = {
  'without options': same('ferronet'),
  'execArgv: []': same('ferronet'),
  'env: SHARE_ENV': same('ferronet'),
  'a copy of the environment': same('ferronet'),
  'a clear environment': same('ferronet'),
  'a clear environment and execArgv: []': same('node'),
  'FERRONET_REGISTER=0': same('node'),
  nested: 'ferronet',
  'an heir of Worker': ['ferronet', true, true],
}

test('with --require workers inherit it, but for those told otherwise', async t => {
  t.deepEqual(await seen(t, [...flags['--require'], fixture('workers.cjs')]), reached)
})

test('with --import workers with eval that do not have the environment are not reached', async t => {
  t.deepEqual(await seen(t, [...flags['--import'], fixture('workers.cjs')]), {
    ...reached,
    'env: SHARE_ENV': { ...same('ferronet'), eval: 'node' },
    'a clear environment': { ...same('ferronet'), eval: 'node' },
  })
})

test('workers of a program that required it itself inherit it with the environment', async t => {
  t.deepEqual(await seen(t, [fixture('workers-first-line.cjs')]), {
    ...reached,
    'env: SHARE_ENV': same('node'),
    'a clear environment': same('node'),
  })
})

test('workers get the flags, environment and data they would have without it', async t => {
  const code = `
    const { once } = require('node:events')
    const { Worker } = require('node:worker_threads')
    const report = "const { parentPort, workerData } = require('worker_threads');" +
      "parentPort.postMessage({ env: process.env.COLOUR, execArgv: process.execArgv, workerData, gc: typeof gc, argv: process.argv.slice(2) })"
    process.env.COLOUR = 'red'
    const worker = new Worker(report, { eval: true, workerData: { a: 1 }, argv: ['x'] })
    process.env.COLOUR = 'blue'
    once(worker, 'message').then(([message]) => console.log(JSON.stringify(message)))
    for (const wrong of [null, 5]) {
      try { new Worker(report, wrong) } catch (error) { console.log(error.name) }
    }
  `
  const args = ['--expose-gc', '--max-old-space-size=200', '--conditions=odd']
  const without = await said(args, { input: code })
  const withHook = await said(args, { input: `require('ferronet/register'); ${code}` })
  t.regex(without, /"env":"red".*"--expose-gc".*"gc":"function"/)
  t.is(withHook, without)
})

// --- where it cannot work -----------------------------------------------------------------------------------------

test('without a binary for the platform the error is clear, and comes when net is asked for', async t => {
  const base = directory(t)
  install(base, { addon: false })
  const program = join(base, 'addon-fails.cjs')
  cpSync(fixture('addon-fails.cjs'), program)
  const error = await seen(t, [...flags['--require'], program], { cwd: base })
  t.is(error.code, 'ERR_FERRONET_ADDON')
  t.regex(
    error.message,
    /^ferronet cannot load its native addon on .*\n.* is not installed\.\n(.*\n)+With FERRONET_REGISTER=0 .* node:net\.$/,
  )
  t.is(await said([...flags['--require'], '-p', '"no net, no error"'], { cwd: base }), 'no net, no error')
  t.is(await said([...flags['--require'], program], { cwd: base, env: { FERRONET_REGISTER: '0' } }), '')
})

test('where addons are not allowed the error says which flag allows them', async t => {
  const allowed = ['--allow-fs-read=*', ...(synchronous ? [] : ['--allow-worker'])]
  for (const denial of [['--no-addons'], [permissionFlag, ...allowed]]) {
    const error = await seen(t, [...denial, ...flags['--require'], fixture('addon-fails.cjs')])
    t.is(error.code, 'ERR_FERRONET_ADDON')
    t.regex(error.message, /\nAddons are disabled: --permission needs --allow-addons, and --no-addons /)
  }
  t.is(
    await said([permissionFlag, ...allowed, '--allow-addons', ...flags['--require'], fixture('say.cjs')]),
    'ferronet',
  )
})

if (!synchronous) {
  test('where workers are not allowed the error says which flag allows them', async t => {
    const { code, error } = await node([
      permissionFlag,
      '--allow-fs-read=*',
      ...flags['--require'],
      '-e',
      '0',
    ])
    t.not(code, 0)
    t.regex(error, /ferronet\/register needs --allow-worker here/)
  })
}

test('a Node that is too old is an error where the hook is named, and nothing where it is inherited', async t => {
  const old = ['--require', fixture('old-node.cjs')]
  const named = await node([...old, ...flags['--require'], '-e', '0'])
  t.not(named.code, 0)
  t.regex(named.error, /ferronet\/register needs Node 20\.19 or newer; this is v/)
  const whose = "require('net') === process.getBuiltinModule('net')"
  const env = { NODE_OPTIONS: `--require ${quoted(fixture('old-node.cjs'))} ${optionFor(registerFile)}` }
  t.is(await said(['-p', whose], { env }), 'true')
})

for (const [name, flag] of Object.entries(flags)) {
  for (const driver of drivers) {
    test(`with ${name} sockets and servers are sent to child processes as without it: ${driver}`, async t => {
      const program = fixture('send.cjs')
      const asWithout = await seen(t, [program])
      t.is(asWithout.length, 5)
      t.deepEqual(await seen(t, [...flag, program], { env: { FERRONET_DRIVER: driver } }), asWithout)
    })
  }
}
