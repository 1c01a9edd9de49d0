package corpus

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
)

// A file is a real one of this machine.
type file struct {
	path string
	size int64
}

// A root is a folder that a machine with Go has, and how much of an image comes
// from there, in percent.
type root struct {
	dir, but string // all of dir but this folder
	percent  int64
}

// roots are the Go SDK, documents, archives (as many as the jars of an image
// that is not only jars), sources, and shared libraries, which there are most of.
func roots() ([]root, error) {
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("asking go for its folders: %w", err)
	}
	dirs := strings.Fields(string(out))
	if len(dirs) != 2 {
		return nil, fmt.Errorf("asking go for its folders: got %q", out)
	}
	archives := filepath.Join(dirs[1], "cache", "download")
	return []root{{dirs[0], "", 30}, {"/usr/share", "", 10}, {archives, "", 5}, {dirs[1], filepath.Dir(archives), 20}, {"/usr/lib", "", 35}}, nil
}

// errEnough ends a walk.
var errEnough = errors.New("enough files")

// collect lists files of size bytes in sum, in the order of a walk. What one
// root does not have, the last one gives.
func collect(size int64) ([]file, error) {
	all, err := roots()
	if err != nil {
		return nil, err
	}
	var files []file
	left := size
	for i, r := range all {
		share := size * r.percent / 100
		if i == len(all)-1 {
			share = left
		}
		err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && path == r.but {
				return fs.SkipDir
			}
			if err != nil || !d.Type().IsRegular() {
				return nil // not ours to read
			}
			fi, err := d.Info()
			if err != nil || fi.Size() > share {
				return nil
			}
			files = append(files, file{path, fi.Size()})
			left -= fi.Size()
			if share -= fi.Size(); share < 4<<10 {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, fmt.Errorf("looking for files: %w", err)
		}
	}
	if left > size/4 || len(files) == 0 {
		return nil, fmt.Errorf("there are only %d MB of files here, want %d", (size-left)>>20, size>>20)
	}
	return files, nil
}
