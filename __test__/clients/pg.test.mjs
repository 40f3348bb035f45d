// pg against PostgreSQL, with ferronet underneath: fixtures/clients/pg.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { postgresql } from '../helpers/servers.mjs'

work('pg', { against: 'PostgreSQL', server: postgresql })
