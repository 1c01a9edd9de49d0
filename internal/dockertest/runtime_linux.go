package dockertest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/cap"
)

// withoutCapabilities is runc, which is not asked for the capabilities that
// nobody on this machine can have: a privileged container gets all others.
// (dockerd before 23 asks for all that the kernel knows.)
const withoutCapabilities = `#!/bin/sh
before=
for arg; do
	case $before in
	--bundle) sed -i 's/,"\(MISSING\)"//g; s/"\(MISSING\)",//g' "$arg/config.json" || exit ;;
	--process) sed -i 's/,"\(MISSING\)"//g; s/"\(MISSING\)",//g' "$arg" || exit ;;
	esac
	before=$arg
done
exec runc "$@"
`

// runtime returns what the engine starts containers with.
func (e *Engine) runtime() (path string, err error) {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return "", err
	}
	defer status.Close()
	sets, err := cap.ParseProcPIDStatus(status)
	if err != nil {
		return "", fmt.Errorf("reading what this machine may give away: %w", err)
	}
	given, _ := cap.FromBitmap(sets[cap.Bounding])
	missing := slices.DeleteFunc(slices.Clone(cap.Known()), func(name string) bool { return slices.Contains(given, name) })
	script := "#!/bin/sh\nexec runc \"$@\"\n"
	if len(missing) > 0 {
		script = strings.ReplaceAll(withoutCapabilities, "MISSING", strings.Join(missing, `\|`))
	}
	path = filepath.Join(e.dir, "runc")
	return path, os.WriteFile(path, []byte(script), 0o755)
}
