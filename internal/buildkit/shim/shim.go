// Package shim is what our binary does as the first process of a private daemon's
// namespaces: it prepares them, and becomes the daemon.
//
// It does that while the program initialises its packages. Those of the key
// services' SDKs take some 25 ms, which each run would wait for once more; Go
// initialises packages in the order of their import paths, as far as what they
// import allows (go.dev/ref/spec#Program_initialization), so one that imports
// little comes before most of them.
package shim

import "os"

// Command is the hidden first argument that asks for it. The state folder, the
// daemon's binary and the daemon's arguments follow.
const Command = "__buildkitd"

// Snapshotters that buildkitd may use: each has a folder runc-NAME for the steps
// that run.
var Snapshotters = []string{"overlayfs", "native", "fuse-overlayfs", "stargz"}

// Asked says whether this process was to become a daemon. It has not then, for the
// reason that is Err.
var Asked bool

// Err is why this process did not become a daemon, though it was to.
var Err error

func init() {
	if Asked = len(os.Args) > 1 && os.Args[1] == Command; Asked {
		Err = run(os.Args[2:])
	}
}
