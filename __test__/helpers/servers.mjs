// Real servers for testing their clients: PostgreSQL, Redis, MariaDB, mosquitto and sshd, each with its own temporary
// directory, certificate and ports, all on the loopback interface. There is a function for each server:
//
//   const { address, stop } = await redis()
//
// resolves when the server accepts connections, and `missing(redis)` says what this machine lacks to run it. A server
// does not outlive the thread that started it, however that thread ends.

import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const root = process.getuid?.() === 0

/** PostgreSQL: TCP with and without TLS on one port, and a Unix socket. */
export const postgresql = server({
  needs: ['setpriv', 'initdb', 'postgres', 'openssl'],
  account: 'postgres',
  async start({ directory, ports: [port], file, certificate, run, serve }) {
    const data = join(directory, 'data')
    const login = { user: 'tester', password: 'a password', database: 'postgres' }
    const password = file('password', login.password)
    const { key, cert, ca } = await certificate()
    await run('initdb', [
      ...['--pgdata', data, '--username', login.user, '--pwfile', password, '--auth', 'scram-sha-256'],
      ...['--encoding', 'UTF8', '--no-locale', '--no-sync'],
    ])
    const settings = {
      port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: directory,
      ssl: 'on',
      ssl_cert_file: cert,
      ssl_key_file: key,
      fsync: 'off',
      shared_buffers: '16MB',
      timezone: 'UTC',
    }
    await serve('postgres', ['-D', data, ...flags(settings, (name, value) => ['-c', `${name}=${value}`])], {
      ready: /ready to accept connections/,
      signal: 'SIGINT', // its fast shutdown; SIGTERM waits for the clients
    })
    return { host: '127.0.0.1', port, directory, ca, ...login }
  },
})

/** Redis: a port, a port with TLS and a Unix socket. */
export const redis = server({
  needs: ['setpriv', 'redis-server', 'openssl'],
  account: 'nobody',
  ports: 2,
  async start({ directory, ports: [port, tlsPort], certificate, serve }) {
    const { key, cert, ca } = await certificate()
    const path = join(directory, 'redis.sock')
    const password = 'a password'
    const settings = {
      port,
      'tls-port': tlsPort,
      bind: '127.0.0.1',
      unixsocket: path,
      'tls-cert-file': cert,
      'tls-key-file': key,
      'tls-auth-clients': 'no',
      requirepass: password,
      dir: directory,
      save: '',
    }
    await serve(
      'redis-server',
      flags(settings, (name, value) => [`--${name}`, String(value)]),
      {
        ready: /Ready to accept connections/,
      },
    )
    return { host: '127.0.0.1', port, tlsPort, path, password, ca }
  },
})

/** MariaDB: TCP with and without TLS on one port, and a Unix socket. */
export const mariadb = server({
  needs: ['setpriv', 'mariadb-install-db', 'mariadbd', 'openssl'],
  account: 'mysql',
  async start({ directory, ports: [port], file, certificate, run, serve }) {
    const { key, cert, ca } = await certificate()
    const data = join(directory, 'data')
    const path = join(directory, 'mariadb.sock')
    const login = { user: 'tester', password: 'a password', database: 'work' }
    const setUp = file(
      'set-up.sql',
      `CREATE DATABASE ${login.database};
       CREATE USER ${login.user} IDENTIFIED BY '${login.password}';
       GRANT ALL ON *.* TO ${login.user};`,
    )
    await run('mariadb-install-db', [
      ...['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal'],
      ...['--skip-test-db', '--skip-name-resolve'],
    ])
    const settings = {
      datadir: data,
      tmpdir: directory,
      socket: path,
      port,
      'bind-address': '127.0.0.1',
      'pid-file': join(directory, 'pid'),
      'ssl-cert': cert,
      'ssl-key': key,
      'init-file': setUp,
      'character-set-server': 'utf8mb4',
      'max-allowed-packet': '64M',
      'innodb-flush-log-at-trx-commit': 0,
    }
    await serve('mariadbd', ['--no-defaults', ...flags(settings, (name, value) => [`--${name}=${value}`])], {
      ready: /ready for connections/,
      signal: 'SIGKILL', // its data is deleted anyway
    })
    return { host: '127.0.0.1', port, path, ca, ...login }
  },
})

/** mosquitto: a port and a port with TLS. */
export const mosquitto = server({
  needs: ['setpriv', 'mosquitto', 'openssl'],
  account: 'nobody',
  ports: 2,
  async start({ ports: [port, tlsPort], file, certificate, serve }) {
    const { key, cert, ca } = await certificate()
    const configuration = file(
      'mosquitto.conf',
      `listener ${port} 127.0.0.1
       listener ${tlsPort} 127.0.0.1
       certfile ${cert}
       keyfile ${key}
       allow_anonymous true
       persistence false
       max_queued_messages 0
       max_inflight_messages 0
       log_dest stderr`.replace(/^ +/gm, ''),
    )
    await serve('mosquitto', ['-c', configuration], { ready: /mosquitto version \S+ running/ })
    return { host: '127.0.0.1', port, tlsPort, ca }
  },
})

/** OpenSSH's server, for the user that runs the tests. */
export const sshd = server({
  needs: ['setpriv', 'sshd', 'ssh-keygen'],
  async start({ directory, ports: [port], file, run, serve }) {
    const [hostKey, userKey] = [join(directory, 'host-key'), join(directory, 'user-key')]
    for (const key of [hostKey, userKey])
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const configuration = file(
      'sshd_config',
      `Port ${port}
       ListenAddress 127.0.0.1
       HostKey ${hostKey}
       AuthorizedKeysFile ${userKey}.pub
       PidFile none
       StrictModes no
       MaxSessions 100
       UsePAM no
       PasswordAuthentication no
       PermitRootLogin prohibit-password
       SetEnv HOME=${directory}
       Subsystem sftp internal-sftp`.replace(/^ +/gm, ''),
    )
    // As root, sshd confines its unprivileged process to this directory, which whatever starts sshd has to create. We do
    // not remove it, because other servers may use it by now.
    if (root) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
    await serve('sshd', ['-D', '-e', '-f', configuration], { ready: /Server listening on/ })
    const username = execFileSync('id', ['-un'], { encoding: 'utf8' }).trim()
    return {
      host: '127.0.0.1',
      port,
      directory,
      username,
      privateKey: readFileSync(userKey, 'utf8'),
      hostKey: readFileSync(`${hostKey}.pub`, 'utf8').split(' ')[1],
    }
  },
})

/** No server, only a directory and a certificate, for clients whose servers are JavaScript and run next to them. */
export const none = server({
  needs: ['openssl'],
  async start({ directory, certificate }) {
    const { key, ca } = await certificate()
    return { directory, key: readFileSync(key, 'utf8'), cert: ca }
  },
})

/** What this machine lacks to run the server, in a few words; '' if nothing is missing. */
export function missing({ needs }) {
  const lacking = needs.filter(name => !program(name))
  return lacking.length ? `no ${lacking.join(', no ')}` : ''
}

/** A key and a certificate for 127.0.0.1 and localhost that is its own authority, as files in a directory. */
export async function certificate(directory) {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-keyout', key, '-out', cert],
  ])
  return { key, cert, ca: readFileSync(cert, 'utf8') }
}

/** The path of a program. Debian keeps servers off a user's PATH, and PostgreSQL's programs off every PATH. */
export function program(name) {
  const postgresql = '/usr/lib/postgresql'
  const versions = existsSync(postgresql) ? readdirSync(postgresql).sort((a, b) => b - a) : []
  return [
    ...(process.env.PATH ?? '').split(delimiter),
    ...['/usr/sbin', '/usr/local/sbin'],
    ...versions.map(version => join(postgresql, version, 'bin')),
  ]
    .map(directory => join(directory, name))
    .find(path => existsSync(path))
}

// Something else may take a free port before the server listens on it. Then we try everything again.
function server({ needs, account, ports = 1, start }) {
  const begin = async () => {
    for (let attempt = 1; ; attempt++) {
      const { stop, ...place } = prepare(account)
      try {
        return { address: await start({ ...place, ports: await freePorts(ports) }), stop }
      } catch (error) {
        await stop()
        if (attempt === 5 || !/in use/i.test(error.message)) throw error
      }
    }
  }
  return Object.assign(begin, { needs })
}

/** A directory, and functions to run programs in it; for root, as another account. */
function prepare(account) {
  const id = flag => Number(execFileSync('id', [flag, account], { encoding: 'utf8' }))
  const ids = root && account ? { uid: id('-u'), gid: id('-g') } : undefined
  const own = path => {
    if (ids) chownSync(path, ids.uid, ids.gid)
    return path
  }
  const directory = own(mkdtempSync(join(tmpdir(), 'ferronet-server-')))
  let end = () => {}
  return {
    directory,

    file(name, text) {
      const path = join(directory, name)
      writeFileSync(path, text, { mode: 0o600 })
      return own(path)
    },

    async certificate() {
      const files = await certificate(directory)
      own(files.key)
      own(files.cert)
      return files
    },

    /** Runs a program to its end. */
    run: (name, args) => promisify(execFile)(program(name), args, { ...ids, cwd: directory }),

    /** Starts the server; resolves when its log says that it is ready. `signal` stops it. */
    async serve(name, args, { ready, signal = 'SIGTERM' }) {
      // With setpriv the kernel also sends it the signal when the thread that started it ends.
      const as = ids ? [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--clear-groups'] : []
      const child = spawn('setpriv', [`--pdeathsig=${signal.slice(3)}`, ...as, program(name), ...args], {
        cwd: directory,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const exited = once(child, 'exit')
      end = async () => {
        child.kill(signal)
        const timer = setTimeout(() => child.kill('SIGKILL'), 20_000) // in case the server does not react to the signal
        await exited
        clearTimeout(timer)
      }
      let log = ''
      await new Promise((resolve, reject) => {
        for (const stream of [child.stdout, child.stderr]) {
          stream.setEncoding('utf8').on('data', text => {
            log += text
            if (ready.test(log)) resolve()
          })
        }
        child.on('error', reject)
        child.on('close', code =>
          reject(new Error(`${name} ended with ${code} before it was ready:\n${log}`)),
        )
      })
    },

    async stop() {
      await end()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => server.address().port)
  await Promise.all(servers.map(server => once(server.close(), 'close')))
  return ports
}

function flags(settings, format) {
  return Object.entries(settings).flatMap(([name, value]) => format(name, value))
}
