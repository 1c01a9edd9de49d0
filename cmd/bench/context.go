package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

const (
	folders  = 97 // that the files of a context are spread over
	large    = 81 // of them are one layer: 1 GB of 1.2
	perLayer = 4  // of the others are one layer each time
)

// dockerfile brings the files in as one large layer and some small ones, with a
// step in between that mounts the secret.
func dockerfile() string {
	var text strings.Builder
	text.WriteString("FROM scratch\nCOPY busybox /bin/sh\n")
	text.WriteString(`RUN --mount=type=secret,id=token ["/bin/sh", "-c", "test -s /run/secrets/token"]` + "\n")
	layer := func(first, end int) {
		text.WriteString("COPY")
		for folder := first; folder < end; folder++ {
			fmt.Fprintf(&text, " files/%02d", folder)
		}
		fmt.Fprintf(&text, " /files/%d/\n", first)
	}
	layer(0, large)
	for first := large; first < folders; first += perLayer {
		layer(first, min(first+perLayer, folders))
	}
	return text.String()
}

// largest is how much of the files goes into the large layer, in bytes.
func (b *bench) largest() (n int64, err error) {
	for folder := range large {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(b.folder(), "files", fmt.Sprintf("%02d", folder)), func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			fi, err := d.Info()
			if err == nil {
				n += fi.Size()
			}
			return err
		}))
	}
	return n, err
}

func (b *bench) folder() string { return filepath.Join(b.dir, "context") }

// context copies this machine's files until there are size bytes of them; more
// than once if there are too few.
func (b *bench) context(size int64) error {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("%w (the package busybox-static has it)", err)
	}
	files := filepath.Join(b.folder(), "files")
	for folder := range folders { // COPY wants each, be it empty
		if err := os.MkdirAll(filepath.Join(files, fmt.Sprintf("%02d", folder)), 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(b.folder(), "busybox"), busybox, 0o755),
		os.WriteFile(filepath.Join(b.folder(), "Dockerfile"), []byte(dockerfile()), 0o644)); err != nil {
		return err
	}
	goroot, _ := exec.Command("go", "env", "GOROOT").Output()
	modules, _ := exec.Command("go", "env", "GOMODCACHE").Output()
	p := pouring{files: files, left: size, small: size * (folders - large) / folders}
	for before := p.left + 1; p.left > 0 && p.left < before; {
		before = p.left
		for _, root := range []string{strings.TrimSpace(string(goroot)), "/usr/lib", "/usr/share", strings.TrimSpace(string(modules))} {
			if err := p.pour(root); err != nil {
				return err
			}
		}
	}
	if p.left > 0 {
		return fmt.Errorf("there are only %d MB of files here; -size takes fewer", (size-p.left)>>20)
	}
	return nil
}

// A pouring fills the folders of a context, those of the large layer first.
type pouring struct {
	files string // where the folders are
	n     int    // files so far
	left  int64  // bytes that are still wanted
	small int64  // of them, those for the small layers
}

// pour copies the files below root until there are as many bytes as are wanted.
func (p *pouring) pour(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if p.left <= 0 {
			return fs.SkipAll
		}
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		p.n++
		folder, most := p.n%large, p.left-p.small
		if most <= 0 {
			folder, most = large+p.n%(folders-large), p.left
		}
		copied, err := copyFile(filepath.Join(p.files, fmt.Sprintf("%02d", folder), fmt.Sprintf("%d-%s", p.n, d.Name())), path, most)
		p.left -= copied
		return err
	})
}

func copyFile(to, from string, most int64) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, nil // not ours to read
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, io.LimitReader(in, most))
	return n, errors.Join(err, out.Close())
}

// secret makes one SOPS file with the real sops, and the same value in a plain
// file for the other side.
func (b *bench) secret(ctx context.Context) error {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	value := "bench-" + key.Recipient().String()
	yaml := filepath.Join(b.dir, "secrets.yaml")
	if err := errors.Join(
		os.WriteFile(filepath.Join(b.dir, "plain"), []byte(value), 0o600),
		os.WriteFile(yaml, []byte("token: "+value+"\n"), 0o600)); err != nil {
		return err
	}
	b.env = append(os.Environ(), "SOPS_AGE_KEY="+key.String(), "SOPS_AGE_RECIPIENTS="+key.Recipient().String())
	_, err = b.command(ctx, filepath.Join(b.tools, "sops"), "encrypt", "--in-place", yaml)
	return err
}
