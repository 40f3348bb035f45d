// ws against its own server, with ferronet underneath: fixtures/clients/ws.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { none } from '../helpers/servers.mjs'

work('ws', { against: 'its own server', server: none, nodesOwn: ['tls'] })
