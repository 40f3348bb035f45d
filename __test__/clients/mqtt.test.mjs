// mqtt against mosquitto, with ferronet underneath: fixtures/clients/mqtt.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { mosquitto } from '../helpers/servers.mjs'

work('mqtt', { against: 'mosquitto', server: mosquitto, nodesOwn: ['tls', 'tls, not trusted'] })
