// ioredis against redis-server, with ferronet underneath: fixtures/clients/ioredis.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { redis } from '../helpers/servers.mjs'

work('ioredis', { against: 'redis-server', server: redis, nodesOwn: ['tls', 'tls, not trusted'] })
