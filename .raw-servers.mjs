import * as s from './__test__/helpers/servers.mjs'
for (const n of process.argv[2]?.split(',') ?? ['postgresql','redis','mariadb','mosquitto','sshd']) {
  console.log(n, 'missing:', s.missing(s[n]))
  let t = performance.now()
  const { address, stop } = await s[n]()
  console.log(n, Math.round(performance.now() - t), { ...address, ca: undefined, privateKey: undefined })
  t = performance.now()
  await stop()
  console.log('stopped', Math.round(performance.now() - t))
}
