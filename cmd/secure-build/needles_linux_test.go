package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// needles finds any of many texts, each of at least 8 bytes, in one pass: by
// the first 8 bytes of each.
type needles struct {
	maybe [1 << 13]uint64 // a bit for each hash that a needle begins with
	first map[uint64][]needle
}

type needle struct {
	name  string // the canary and its encoding
	bytes []byte
}

func newNeedles(canaries []canary) *needles {
	n := &needles{first: map[uint64][]needle{}}
	for _, c := range canaries {
		for name, form := range forms(c.value) {
			n.add(c.name+" "+name, form)
		}
	}
	return n
}

// newPieces finds 8 bytes in a row of any value. It is for what is printed,
// where a value may be torn apart by other output.
func newPieces(canaries []canary) *needles {
	n := &needles{first: map[uint64][]needle{}}
	for _, c := range canaries {
		for line := range strings.Lines(c.value) {
			for i := 0; i+8 <= len(line); i++ {
				// The frame of a key, and AGE-SECRET-KEY-1, are no secret.
				if piece := line[i : i+8]; !strings.HasPrefix(line, "--") && !strings.ContainsAny(piece, "-\n") {
					n.add("a piece of "+c.name, piece)
				}
			}
		}
	}
	return n
}

func (n *needles) add(name, text string) {
	head := binary.LittleEndian.Uint64([]byte(text))
	n.first[head] = append(n.first[head], needle{name, []byte(text)})
	h := hash(head)
	n.maybe[h/64] |= 1 << (h % 64)
}

func hash(head uint64) uint64 { return head * 0x9e3779b97f4a7c15 >> 45 }

// in lists the needles that are in data, each once.
func (n *needles) in(data []byte) []string {
	var found []string
	for i := 0; i+8 <= len(data); i++ {
		head := binary.LittleEndian.Uint64(data[i:])
		if h := hash(head); n.maybe[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, c := range n.first[head] {
			if bytes.HasPrefix(data[i:], c.bytes) && !slices.Contains(found, c.name) {
				found = append(found, c.name)
			}
		}
	}
	return found
}

// unpackings bounds how many layers of compression are taken off.
const unpackings = 3

// deep is in, also of what data unpacks to.
func (n *needles) deep(data []byte) []string {
	found := n.in(data)
	for range unpackings {
		next, err := unpack(data)
		if err != nil {
			found = append(found, fmt.Sprintf("(cannot be unpacked: %v)", err))
		}
		if next == nil {
			break
		}
		data = next
		found = append(found, n.in(data)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// unpack takes one compression off, or returns nil. What breaks off in the
// middle is unpacked as far as it goes.
func unpack(data []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b, 8}):
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		out, _ := io.ReadAll(r)
		return out, nil
	case bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		out, _ := io.ReadAll(r)
		return out, nil
	}
	return nil, nil
}
