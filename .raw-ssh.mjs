import ssh2 from 'ssh2'
import { promisify } from 'node:util'
const a = JSON.parse(process.argv[3])
const c = new ssh2.Client(); c.connect({ ...a }); await new Promise(r => c.on('ready', r))
for (const cmd of ['echo 1', 'echo 2', 'kill -TERM $$', 'echo 3', 'env; echo $-']) { const t = performance.now(); const ch = await promisify(c.exec.bind(c))(cmd); ch.resume(); ch.on('data', d => cmd.startsWith('env') && console.log(String(d))); await new Promise(r => ch.on('close', r)); console.log(cmd, performance.now() - t) }
c.end()
