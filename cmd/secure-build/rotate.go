package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// digestBytes is how much of a MAC enters the build graph: enough that no two
// values meet.
const digestBytes = 16

// rotation gives BuildKit the keyed digests by which it tells that a secret has
// changed. For a value from a SOPS file the key is made of that file's own data
// key, so that the digest is the same wherever the file can be decrypted, and
// a shared cache keeps serving. For other secrets it is made of all the SOPS
// files of the run, or, without any, it is this machine's own.
func rotation(set secret.Set, cacheDir string) (func(id string) string, error) {
	const purpose = "rotation"
	key := set.Key(purpose)
	if key == nil {
		var err error
		if key, err = machineKey(filepath.Join(cacheDir, "rotation.key")); err != nil {
			return nil, err
		}
	}
	return func(id string) string {
		sec, ok := set.Get(id)
		if !ok {
			return ""
		}
		return hex.EncodeToString(sec.MAC(purpose, key)[:digestBytes])
	}, nil
}

// keySize is the size of a machine's key in bytes.
const keySize = 32

// machineKey reads the random key in a file, which the first run makes. Who
// has it can test guesses of a value against the provenance of an image, so
// it is the user's own.
func machineKey(name string) ([]byte, error) {
	key, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = newKey(name); err == nil {
			key, err = os.ReadFile(name)
		}
	}
	if err == nil && len(key) != keySize {
		err = hint.Wrap(fmt.Errorf("it has %d bytes, want %d", len(key), keySize), "remove %s: the next run makes another, and runs the steps with secrets once more", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key for rotations: %w", err)
	}
	return key, nil
}

// newKey makes the file whole or not at all. A run that began with us may have
// made it too: then its key is the one.
func newKey(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".rotation-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	_, err = f.Write(key)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
