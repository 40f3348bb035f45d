// redis against redis-server, with ferronet underneath: fixtures/clients/redis.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { redis } from '../helpers/servers.mjs'

work('redis', {
  against: 'redis-server',
  server: redis,
  injectable: false,
  nodesOwn: ['tls', 'tls, not trusted'],
})
