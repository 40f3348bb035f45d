// undici against Node's http and https, with ferronet underneath: fixtures/clients/undici.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { none } from '../helpers/servers.mjs'

work('undici', { against: "Node's http", server: none, nodesOwn: ['tls', 'tls, not trusted'] })
