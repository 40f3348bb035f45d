require('net')
