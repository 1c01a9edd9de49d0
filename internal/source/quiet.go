package source

import (
	"io"
	"sync"

	"github.com/getsops/sops/v3/logging"
)

// quiet silences the sops library's loggers, which write to the process'
// stderr, and some of whose lines hold clear text ("possibly unencrypted
// comment"). They are the process' own, so once is enough.
var quiet = sync.OnceFunc(func() {
	for _, logger := range logging.Loggers {
		logger.SetOutput(io.Discard)
	}
})
