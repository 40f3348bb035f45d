// A module for its effect, with nothing to import. Never run.

import 'ferronet/register'
