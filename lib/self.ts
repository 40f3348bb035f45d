// The entry module as a value, for its own `default` export.

import self = require('../index.js')

export = self
