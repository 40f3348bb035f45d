// ssh2 against OpenSSH's sshd, with ferronet underneath: fixtures/clients/ssh2.mjs is what it does.

import { work } from '../helpers/clients.mjs'
import { sshd } from '../helpers/servers.mjs'

work('ssh2', { alwaysNodes: null, against: 'sshd', server: sshd })
