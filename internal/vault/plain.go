package vault

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/org/secure-build/internal/hint"
)

// plain keeps values as files in a folder. Erasing them is the folder's part.
type plain struct {
	folder *folder
	pinned
}

func (p *plain) put(id string, value []byte) error {
	// O_EXCL and the Root see to it that no link is followed.
	f, err := p.folder.root.OpenFile(id, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return plainCause(err)
	}
	_, err = f.Write(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(tooLittle(plainCause(err)), p.folder.root.Remove(id))
	}
	r, err := p.folder.root.Open(id)
	if err != nil {
		return plainCause(err)
	}
	defer r.Close()
	p.pin(r, len(value))
	return nil
}

// tooLittle explains a full tmpfs.
func tooLittle(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return hint.Wrap(err, "the tmpfs is full: give the job a larger /dev/shm (docker run --shm-size=64m)")
	}
	return err
}

func (p *plain) get(id string) ([]byte, error) {
	value, err := p.folder.root.ReadFile(id)
	if err != nil {
		return nil, fmt.Errorf("the vault's file: %w", plainCause(err))
	}
	return value, nil
}

func (p *plain) close() error { return p.unpin() }
