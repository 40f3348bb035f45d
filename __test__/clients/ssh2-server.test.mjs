// ssh2 against its own server, with ferronet underneath: fixtures/clients/ssh2-server.mjs is what it does.

import { work } from '../helpers/clients.mjs'

work('ssh2-server', { alwaysNodes: null, client: 'ssh2', against: 'its own server' })
