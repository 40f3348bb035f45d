import mqtt, { MqttClient } from 'mqtt'
import nodeNet from 'node:net'
import ferronet from 'ferronet'
import { once } from 'node:events'
const { host, port } = JSON.parse(process.argv[3])
const net = process.argv[2] === 'node' ? nodeNet : ferronet
const t0 = performance.now()
const log = (...a) => console.log((performance.now() - t0).toFixed(2), ...a)
const mk = (name, o) => { const c = new MqttClient(() => { const s = net.connect(port, host); for (const e of ['connect','end','error','close','finish']) s.on(e, x => log(name, 'socket', e, x?.message ?? x ?? '')); return s }, { protocolVersion: 5, reconnectPeriod: 1, ...o });
 for (const e of ['connect','close','error','disconnect','reconnect']) c.on(e, x => log(name, e, x?.message ?? x?.reasonCode ?? '')); c.on('packetsend', p => log(name, '>', p.cmd)); c.on('packetreceive', p => log(name, '<', p.cmd)); return c }
const options = { clientId: 'persistent', clean: false, properties: { sessionExpiryInterval: 600 } }
const a = mk('sub', options); await once(a, 'connect'); await a.subscribeAsync('news', { qos: 2 })
const closed = new Promise(r => a.once('close', r))
const b = mk('thief', { ...options, reconnectPeriod: 0, resubscribe: false }); await once(b, 'connect'); await closed
log('end'); await b.endAsync(); log('ended'); if (!a.connected) await once(a, 'connect')
await a.endAsync()
