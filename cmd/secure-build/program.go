package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// buildIDStart is where a program that is not ELF has Go's build ID, and
// buildIDWithin how far in, in bytes
// (https://go.dev/src/cmd/internal/buildid/buildid.go).
const (
	buildIDStart  = "\xff Go build ID: \""
	buildIDWithin = 32 << 10
)

// thisProgram identifies the build that is running. A version does not: it is
// "dev" of whatever was built by hand, and a branch's name of what an action
// builds. A program that cannot be read is like no other, and remembers nothing.
var thisProgram = sync.OnceValue(func() string {
	for _, find := range []func() (string, error){
		func() (string, error) { return "/proc/self/exe", nil }, // what runs, also if another lies there now
		os.Executable,
	} {
		name, err := find()
		if err != nil {
			continue
		}
		if id, err := programID(name); err == nil {
			return id
		}
	}
	return rand.Text()
})

// programID identifies a program by its build ID, which the linker derives from
// all that went in, and one that has none (-ldflags=-buildid=) by its bytes: they
// take some 40 ms to read.
func programID(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if id := buildID(f); id != "" {
		return "build ID " + id, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256 %x", sum.Sum(nil)), nil
}

// buildID returns the build ID of a program, "" for none.
func buildID(r io.ReaderAt) string {
	if f, err := elf.NewFile(r); err == nil {
		note := f.Section(".note.go.buildid")
		if note == nil {
			return ""
		}
		text, err := note.Data()
		if err != nil {
			return ""
		}
		return fmt.Sprintf("%q", text)
	}
	start := make([]byte, buildIDWithin)
	n, err := r.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	_, text, _ := bytes.Cut(start[:n], []byte(buildIDStart))
	id, _, ok := bytes.Cut(text, []byte{'"'})
	if !ok {
		return ""
	}
	return string(id)
}
