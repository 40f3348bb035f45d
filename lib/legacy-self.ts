// The entry module `ferronet/legacy` as a value, for its own `default` export.

import self = require('../legacy.js')

export = self
