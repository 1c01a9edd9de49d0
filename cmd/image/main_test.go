package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSamePartsGiveTheSameArchive: whatever the files' own times are.
func TestSamePartsGiveTheSameArchive(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	parts := t.TempDir()
	var archives [2][]byte
	for i := range archives {
		for _, name := range []string{"secure-build", "buildkitd"} {
			file := filepath.Join(parts, name)
			if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			when := time.Unix(int64(1_600_000_000+i*1000), 0)
			if err := os.Chtimes(file, when, when); err != nil {
				t.Fatal(err)
			}
		}
		out := filepath.Join(t.TempDir(), "rootfs.tar")
		if err := run(filepath.Join("..", ".."), filepath.Join(parts, "secure-build"), parts, out); err != nil {
			t.Fatalf("%v (make setup)", err)
		}
		var err error
		if archives[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same parts differ")
	}
	look(t, archives[0])
}

// look holds an archive to what the image needs of it.
func look(t *testing.T, archive []byte) {
	t.Helper()
	entries, previous := map[string]*tar.Header{}, ""
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name <= previous || h.ModTime.Unix() != 1700000000 || h.Uid != h.Gid {
			t.Errorf("%s, after %s: of %v, owner %d:%d", h.Name, previous, h.ModTime, h.Uid, h.Gid)
		}
		if h.Mode&0o6000 != 0 || h.Mode&0o022 != 0 && h.Typeflag != tar.TypeSymlink && h.Mode&0o1000 == 0 {
			t.Errorf("%s: mode %o", h.Name, h.Mode)
		}
		entries[h.Name], previous = h, h.Name
	}
	for name, want := range map[string]struct {
		uid  int
		caps string
	}{
		"usr/bin/sh": {}, "usr/bin/secure-build": {}, "usr/bin/runc": {}, "tmp/": {},
		"home/user/": {uid: 1000}, "usr/bin/newuidmap": {caps: capSetuid}, "usr/bin/newgidmap": {caps: capSetgid},
	} {
		h := entries[name]
		if h == nil || h.Uid != want.uid || h.PAXRecords["SCHILY.xattr.security.capability"] != want.caps {
			t.Errorf("%s: got %+v, want %+v", name, h, want)
		}
	}
	for _, caps := range []string{capSetgid, capSetuid} {
		if len(caps) != 20 { // vfs_cap_data of revision 2
			t.Errorf("capabilities of %d bytes", len(caps))
		}
	}
}
