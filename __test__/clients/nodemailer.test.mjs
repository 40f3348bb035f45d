// nodemailer against smtp-server, with ferronet underneath: fixtures/clients/nodemailer.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { none } from '../helpers/servers.mjs'

work('nodemailer', { against: 'smtp-server', server: none, nodesOwn: ['tls', 'tls, not trusted'] })
