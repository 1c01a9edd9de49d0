package index

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Parts of a long value, so that a prefix, a suffix, or one row of a wrapped
// encoding is found. Sizes in bytes.
const (
	leastWhole = 32  // a value below this has no parts
	rawPart    = 16  // of the value itself
	rawEnds    = 4   // of it, at either end of a value, that need not look random
	codedPart  = 12  // of the value: 16 characters of base64, 24 of hex
	row        = 60  // rows of this many characters and more have a whole part in them
	mostParts  = 256 // per encoding
)

// parts enters the parts of a value, of its base64 and its hex.
func (b *builder) parts(v []byte) {
	if len(v) < leastWhole {
		return
	}
	b.anchors("raw-part", bytes.Clone(v), rawPart, opaque(v, rawEnds), func(i int) (int, int) { return i, i + rawPart })
	if body := pemBody(v); body != nil {
		b.anchors("joined-part", body, rawPart, opaque(body, rawEnds), func(i int) (int, int) { return i, i + rawPart })
	}
	open := opaque(v, 0)
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			text, skipped := base64Shifted(enc, v, shift)
			name := "base64-part"
			if enc == base64.URLEncoding {
				name = "base64url-part"
			}
			b.anchors(name, text, codedPart*4/3, open, func(i int) (int, int) {
				bit := 6*i + skipped
				return bit / 8, (bit + 8*codedPart + 7) / 8
			})
		}
	}
	lower := hex.AppendEncode(nil, v)
	for _, text := range [][]byte{lower, bytes.ToUpper(lower)} {
		b.anchors("hex-part", text, 2*codedPart, open, func(i int) (int, int) { return i / 2, (i + 2*codedPart + 1) / 2 })
	}
}

// lastRow enters the last row of what base64(1) and PEM encoders make of v, in
// rows of 76 and 64 characters, if it is too short to have a part for certain.
// Its beginning is where a text ends as many others do, so it is looked for in
// logs and small texts only.
func (b *builder) lastRow(v []byte) {
	const least = 12
	text, _ := base64Shifted(base64.StdEncoding, v, 0)
	for _, width := range []int{76, 64} {
		from := len(text) / width * width
		if from == 0 || len(text)-from < least || !wordy(beforeArmour(v, from/4*3)) {
			continue
		}
		if n := b.needle("base64-part", text[from:], false); n != nil {
			n.class = Short
		}
	}
}

// beforeArmour is v from a place on, without the line that ends a PEM block: in
// base64 that is the same for every key of its length.
func beforeArmour(v []byte, from int) []byte {
	end := len(v)
	if last := bytes.LastIndexByte(v, '\n') + 1; bytes.HasPrefix(v[last:], []byte("-----END ")) {
		end = last
	}
	return v[min(from, end):end]
}

// wordy says whether a text has six letters or digits in a row.
func wordy(v []byte) bool {
	run := 0
	for _, c := range v {
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			if run++; run == MinPattern {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}

// anchors enters parts of size bytes of a text: the first and the last one that
// tell, and between them so many that each row has one. The source of text[i:]
// is the range of the value that source returns.
func (b *builder) anchors(name string, text []byte, size int, open []bool, source func(i int) (from, to int)) {
	tells := func(i int) bool {
		from, to := source(i)
		if i < 0 || i+size > len(text) || to > len(open) {
			return false
		}
		for k := from; k < to; k++ {
			if !open[k] {
				return false
			}
		}
		return true
	}
	put := func(i int) {
		if n := b.needle(name, text[i:i+size], false); n != nil {
			n.whole, n.at = text, i
		}
	}
	step := max(row-size, len(text)/mostParts)
	for i := 0; i+size <= len(text); {
		if !tells(i) {
			i++
			continue
		}
		put(i)
		next := i + step
		for next > i+1 && !tells(next) { // rather a smaller step than a gap
			next--
		}
		i = next
	}
	for i := len(text) - size; i >= 0; i-- {
		if tells(i) {
			put(i)
			return
		}
	}
}

// opaque marks the bytes of v that lie in a stretch that looks random and that
// is not the public beginning of something. For ends see closeGaps.
func opaque(v []byte, ends int) []bool {
	open := make([]bool, len(v))
	for i := 0; i+codedPart <= len(v); i++ {
		if telling(v[i:min(i+rawPart, len(v))]) {
			for k := i; k < min(i+rawPart, len(v)); k++ {
				open[k] = true
			}
		}
	}
	closeGaps(v, open, ends)
	for i := 0; i < len(v); i++ {
		if i == 0 || v[i-1] == '\n' {
			for k := i; k < min(i+publicHead(v[i:]), len(v)); k++ {
				open[k] = false
			}
		}
	}
	for i, public := range sshPublic(v) {
		open[i] = open[i] && !public
	}
	return open
}

// publicPrefixes are what all keys and tokens of some makers begin with, where
// that is long enough to be most of a part.
var publicPrefixes = []string{
	"AGE-SECRET-KEY-1", "AGE-PLUGIN-", "github_pat_", "dckr_pat_", "pypi-AgEIcHlwaS5vcmc",
	"sk-ant-api03-", "sk-ant-admin01-", "sk-proj-", "sk-svcacct-", "sk_live_", "sk_test_", "rk_live_", "rk_test_",
}

// publicHead is the number of bytes that v shares with others of its kind.
func publicHead(v []byte) int {
	s := string(v[:min(len(v), 20)])
	for _, prefix := range publicPrefixes {
		if strings.HasPrefix(s, prefix) {
			return len(prefix)
		}
	}
	switch {
	case strings.HasPrefix(s, "eyJ"): // JSON in base64: the header of a JWT, or all of it
		if dot := bytes.IndexByte(v, '.'); dot > 0 {
			return dot
		}
		return 48
	case strings.HasPrefix(s, "b3BlbnNzaC1rZXk"): // an OpenSSH key: ciphers, then the public key
		return 140
	case strings.HasPrefix(s, "LS0tLS1"): // the armour of PEM in base64
		return 116
	case strings.HasPrefix(s, "MI"), strings.HasPrefix(s, "MC4CAQ"), strings.HasPrefix(s, "MHcCAQ"): // ASN.1: version and algorithm
		return 52
	case strings.HasPrefix(s, "H4sI"), strings.HasPrefix(s, "UEsDB"): // gzip, zip
		return 24
	}
	return 0
}
