package main_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// A hunt looks for every canary in every encoding wherever a run may have left
// it.
type hunt struct {
	needles *needles
	pieces  *needles
	found   []string         // "canary encoding in place"
	bytes   map[string]int64 // searched, by kind of place
	files   map[[2]uint64]bool
}

// [!] hunt [-except-daemon]: the canaries are nowhere. With -except-daemon, the
// daemon's state may hold the image that leaks. With !, they are somewhere, and
// the places go to stdout.
func huntCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(sceneKey{}).(*scene)
	exceptDaemon := slices.Equal(args, []string{"-except-daemon"})
	if len(args) > 0 && !exceptDaemon {
		ts.Fatalf("usage: [!] hunt [-except-daemon]")
	}
	h, err := s.hunt(exceptDaemon)
	ts.Check(err)
	ts.Logf("searched, in bytes: %v; processes seen: %d", h.bytes, len(s.sampler.seen))
	found := strings.Join(h.found, "\n")
	fmt.Fprintln(ts.Stdout(), found)
	switch {
	case neg == (found == ""):
		ts.Fatalf("found: %q", h.found)
	case h.bytes["output"] == 0 || h.bytes["work"] == 0:
		ts.Fatalf("there was nothing to search in")
	case !exceptDaemon && h.bytes["daemon"] == 0:
		ts.Fatalf("the daemon's state was not searched")
	}
}

func newHunt(canaries []canary) *hunt {
	return &hunt{newNeedles(canaries), newPieces(canaries), nil, map[string]int64{}, map[[2]uint64]bool{}}
}

func (s *scene) hunt(exceptDaemon bool) (*hunt, error) {
	h := newHunt(s.canaries)
	if len(h.needles.first) == 0 {
		return nil, errors.New("there are no canaries to look for")
	}
	for i, r := range s.runs {
		for name, text := range map[string]string{"stdout": r.stdout, "stderr": r.stderr} {
			place := fmt.Sprintf("%s of run %d", name, i+1)
			h.look("output", place, []byte(text))
			h.look("output", place+" without line breaks and prefixes", []byte(squeeze(text)))
			for _, name := range h.pieces.in([]byte(text)) {
				h.found = append(h.found, name+" in "+place)
			}
		}
	}
	for _, r := range s.registry.log() {
		h.look("registry", "the request "+r.line, []byte(r.line))
		h.look("registry", "the request "+r.line, r.body)
	}
	h.found = append(h.found, s.sampler.found()...)
	h.memfds()
	skip := []string{filepath.Join(s.work, "plain")}
	if exceptDaemon {
		skip = append(skip, filepath.Join(s.work, "cache", "buildkit"))
	}
	err := h.walk("work", s.work, skip...)
	if !exceptDaemon {
		err = errors.Join(err, h.walk("daemon", s.daemon))
	}
	if s.engine != nil && !exceptDaemon {
		err = errors.Join(err, h.walk("engine", s.engine.State()))
	}
	for _, tmpfs := range []string{"/dev/shm", "/run"} {
		err = errors.Join(err, h.walk("tmpfs", tmpfs))
	}
	slices.Sort(h.found)
	return h, err
}

func (h *hunt) look(kind, place string, data []byte) {
	h.bytes[kind] += int64(len(data))
	for _, name := range h.needles.deep(data) {
		h.found = append(h.found, name+" in "+place)
	}
}

// walk looks at the names, links and contents of files below root. Files come
// and go in a daemon that runs.
func (h *hunt) walk(kind, root string, skip ...string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
			return nil
		case err != nil:
			return err
		case slices.Contains(skip, path):
			return fs.SkipDir
		}
		h.look(kind, "the name "+path, []byte(d.Name()))
		switch d.Type() {
		case fs.ModeSymlink:
			target, _ := os.Readlink(path)
			h.look(kind, "the link "+path, []byte(target))
		case 0:
			return h.file(kind, path)
		}
		return nil
	})
}

func (h *hunt) file(kind, path string) error {
	fi, err := os.Lstat(path)
	if err == nil {
		st := fi.Sys().(*syscall.Stat_t)
		if id := [2]uint64{uint64(st.Dev), st.Ino}; h.files[id] {
			return nil // a hard link to what was searched
		} else {
			h.files[id] = true
		}
		var data []byte
		if data, err = os.ReadFile(path); err == nil {
			h.look(kind, path, data)
			return nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE) || errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return nil
	}
	return err
}

// maxMemfd is how much of an anonymous file is read, in bytes. None of ours is
// larger than a secret may be; those of a browser have terabytes of nothing.
const maxMemfd = 8 << 20

// memfds looks at the anonymous files that any process still holds.
func (h *hunt) memfds() {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || !strings.HasPrefix(target, "/memfd:") {
			continue
		}
		f, err := os.Open(fd)
		if err != nil {
			continue
		}
		// Not os.ReadFile: it makes room for the whole size, which ends the process
		// if there is not so much memory.
		if data, err := io.ReadAll(io.LimitReader(f, maxMemfd)); err == nil {
			h.look("memfd", fd, data)
		}
		_ = f.Close()
	}
}

var (
	controls = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")
	prefixes = regexp.MustCompile(`(?m)^#\d+ (\d+\.\d+ )?`)
)

// squeeze undoes what a display does to a step's output: numbers and times in
// front of each line, colours, and line breaks.
func squeeze(text string) string {
	text = prefixes.ReplaceAllString(controls.ReplaceAllString(text, ""), "")
	return strings.NewReplacer("\r", "", "\n", "").Replace(text)
}
