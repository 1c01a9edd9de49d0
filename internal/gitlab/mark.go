package gitlab

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/org/secure-build/internal/secret"
)

// A mark is what sync writes into the description of a variable that it makes:
// by it a later run knows its own, and, where the value is hidden, whether that
// is still the right one.
type mark struct {
	by     string // who made it: the name given to --owner, or ""
	origin string // secrets.yaml#db.password
	mac    string // of name, scope and value; "" without a key
}

// maxDescription is the length that GitLab allows, in characters.
const maxDescription = 255

const marked = "made by secure-build gitlab sync"

// The parts of a mark: made by secure-build gitlab sync (team) from
// secrets.yaml#db.password [v1 01234567.0123456789abcdef0123456789abcdef].
var markShape = regexp.MustCompile(`^` + marked + `(?: \(([A-Za-z0-9._/-]+)\))? from (.*) \[v1(?: ([0-9a-f]+\.[0-9a-f]+))?\]$`)

var markOwner = regexp.MustCompile(`^[A-Za-z0-9._/-]*$`)

func (m mark) String() string {
	by, mac := "", ""
	if m.by != "" {
		by = " (" + m.by + ")"
	}
	if m.mac != "" {
		mac = " " + m.mac
	}
	head, tail := marked+by+" from ", " [v1"+mac+"]"
	origin := strings.ToValidUTF8(oneLine(m.origin), "?")
	if room := maxDescription - utf8.RuneCountInString(head+tail); utf8.RuneCountInString(origin) > room {
		origin = "…" + string([]rune(origin)[utf8.RuneCountInString(origin)-room+1:])
	}
	return head + origin + tail
}

func parseMark(description string) (mark, bool) {
	m := markShape.FindStringSubmatch(description)
	if m == nil {
		return mark{}, false
	}
	return mark{by: m[1], origin: m[2], mac: m[3]}, true
}

// A sealer makes the codes of marks. Whoever can decrypt the SOPS files can
// make the same, and nobody else can try values against them; an unkeyed digest
// of a short password would give it away.
type sealer struct{ key []byte }

func newSealer(set secret.Set) sealer { return sealer{set.Key("gitlab variables")} }

// code of a value, which differs for each variable, so that no two of them can
// be seen to have the same. Before it stands which key it is by: that of other
// SOPS files, or of a rotated one, says nothing.
func (s sealer) code(name, scope, value string) string {
	if s.key == nil {
		return ""
	}
	return s.hex("key")[:8] + "." + s.hex("value", name, scope, value)[:32]
}

// hex is the hexadecimal code of several texts.
func (s sealer) hex(parts ...string) string {
	mac := hmac.New(sha256.New, s.key)
	for _, part := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		mac.Write(size[:])
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// same compares two codes; without one there is nothing to compare.
func (m mark) same(code string) bool {
	return code != "" && hmac.Equal([]byte(m.mac), []byte(code))
}

// comparable says whether two codes are by the same key.
func (m mark) comparable(code string) bool {
	return len(m.mac) > 8 && len(code) > 8 && m.mac[:8] == code[:8]
}

// A sum stands for a value, of whatever length, so that two can be compared in
// constant time. It is never kept nor shown.
type sum [sha256.Size]byte

func digest(value string) sum { return sha256.Sum256([]byte(value)) }

func (s sum) equal(other sum) bool { return hmac.Equal(s[:], other[:]) }

// checkOwner says what is wrong with the name given to --owner.
func checkOwner(by string) error {
	if len(by) > 64 || !markOwner.MatchString(by) {
		return fmt.Errorf("reading --owner %q: letters, digits and ._/- only, and at most 64", by)
	}
	return nil
}
