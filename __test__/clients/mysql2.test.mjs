// mysql2 against MariaDB, with ferronet underneath: fixtures/clients/mysql2.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { mariadb } from '../helpers/servers.mjs'

work('mysql2', { against: 'MariaDB', server: mariadb })
