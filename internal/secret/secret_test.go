package secret

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"
)

const value = "s3cr3t-canary-value"

// holders are the ways in which a Secret may lie in something that is printed.
type holders struct {
	Field    Secret
	Pointer  *Secret
	Slice    []Secret
	Map      map[string]Secret
	Any      any
	hidden   Secret
	hiddenP  *Secret
	hiddenS  []Secret
	Set      Set
	SetP     *Set
	Document Secret
}

func all(t *testing.T) []any {
	t.Helper()
	s := New("id", "origin", []byte(value)).Keyed([]byte(value))
	doc := NewDocument("doc", "origin", []byte("a: "+value), []Secret{s})
	var set Set
	if err := set.Add(s); err != nil {
		t.Fatal(err)
	}
	set.AddHidden(s)
	set.AddKey([]byte(value))
	h := holders{s, &s, []Secret{s}, map[string]Secret{"k": s}, s, s, &s, []Secret{s}, set, &set, doc}
	return []any{s, &s, []Secret{s}, []*Secret{&s}, map[string]Secret{"k": s}, doc, set, &set, h, &h, struct{ any }{h}, fmt.Errorf("wrapped: %v", s)}
}

// shows looks for the value as text and as what %d, %x and %v make of bytes.
func shows(out string) bool {
	for _, form := range []string{
		value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
		strings.Trim(fmt.Sprint([]byte(value)), "[]"), strings.Trim(fmt.Sprintf("%#v", []byte(value)), "[]byte{}"),
		fmt.Sprintf("%q", value), fmt.Sprintf("% x", value), fmt.Sprintf("%#x", value),
	} {
		if strings.Contains(out, form) {
			return true
		}
	}
	return false
}

// TestSecretCannotBePrinted holds I1 for everything in Go that prints values.
func TestSecretCannotBePrinted(t *testing.T) {
	for i, v := range all(t) {
		for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "60", ".3"} {
				format := "%" + flags + string(verb)
				if out := fmt.Sprintf(format, v); shows(out) {
					t.Errorf("case %d (%T): %s shows it: %s", i, v, format, out)
				}
			}
		}
		if out, err := json.Marshal(v); err == nil && shows(string(out)) {
			t.Errorf("case %d (%T): JSON shows it: %s", i, v, out)
		}
		if out, err := xml.Marshal(v); err == nil && shows(string(out)) {
			t.Errorf("case %d (%T): XML shows it: %s", i, v, out)
		}
		var buf bytes.Buffer
		if err := gob.NewEncoder(&buf).Encode(v); err == nil && shows(buf.String()) {
			t.Errorf("case %d (%T): gob shows it", i, v)
		}
		buf.Reset()
		if err := template.Must(template.New("").Parse("{{.}} {{printf \"%v %s %q\" . . .}}")).Execute(&buf, v); err == nil && shows(buf.String()) {
			t.Errorf("case %d (%T): a template shows it: %s", i, v, &buf)
		}
		buf.Reset()
		for _, h := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
			slog.New(h).Info("message", "key", v, slog.Group("g", "v", v))
		}
		if shows(buf.String()) {
			t.Errorf("case %d (%T): slog shows it: %s", i, v, &buf)
		}
	}
}

// TestShows makes sure that the test above can fail.
func TestShows(t *testing.T) {
	for _, format := range []string{"%s", "%v", "%x", "%X", "%q", "%d", "%#v", "% x"} {
		if !shows(fmt.Sprintf(format, []byte(value))) {
			t.Errorf("%s of the bytes is not recognised", format)
		}
	}
}

func TestSecret(t *testing.T) {
	given := []byte(value)
	s := New("id", "origin", given)
	given[0] = 'X'
	if got := string(s.Reveal()); got != value || s.Len() != len(value) {
		t.Errorf("got %q: a Secret has to keep its own copy", got)
	}
	if got := s.String(); got != "[masked:id]" {
		t.Errorf("got %q", got)
	}
	if (Secret{}).Reveal() != nil || (Secret{}).Len() != 0 {
		t.Error("the zero Secret is not empty")
	}
}

func TestSet(t *testing.T) {
	var set Set
	a := New("a", "one.yaml#a", []byte("1"))
	if err := set.Add(a); err != nil {
		t.Fatal(err)
	}
	err := set.Add(New("a", "two.yaml#a", []byte("2")))
	if err == nil || !strings.Contains(err.Error(), "one.yaml#a") || !strings.Contains(err.Error(), "two.yaml#a") {
		t.Errorf("two with one id: got %v, want both origins", err)
	}
	set.AddHidden(New("comment", "one.yaml", []byte("3")))
	if err := set.Add(NewDocument("doc", "doc.yaml", []byte("k: v"), []Secret{New("doc_k", "doc.yaml#k", []byte("v"))})); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(set.IDs(), " "); got != "a doc" {
		t.Errorf("ids: got %q", got)
	}
	if _, ok := set.Get("comment"); ok {
		t.Error("a hidden value can be mounted")
	}
	var searched []string
	for _, s := range set.Searched() {
		searched = append(searched, s.ID())
	}
	if got := strings.Join(searched, " "); got != "a doc_k comment" {
		t.Errorf("searched: got %q, want a document's parts in its place", got)
	}
}

func TestKey(t *testing.T) {
	key := func(purpose string, material ...string) string {
		var set Set
		for _, m := range material {
			set.AddKey([]byte(m))
		}
		return string(set.Key(purpose))
	}
	if key("p") != "" {
		t.Error("there is a key without material")
	}
	one := key("p", "a")
	if again := key("p", "a"); again != one || len(one) != 32 {
		t.Error("the same material makes another key")
	}
	for _, other := range []string{key("q", "a"), key("p", "b"), key("p", "a", "b"), key("p")} {
		if other == one {
			t.Error("another purpose or other material makes the same key")
		}
	}
}

func TestMAC(t *testing.T) {
	s := New("id", "origin", []byte(value))
	if s.MAC("p", nil) != nil || s.MAC("p", []byte{}) != nil || (Secret{}).MAC("p", []byte("k")) != nil {
		t.Error("there is a digest without a key")
	}
	mac := func(s Secret, purpose, other string) string { return string(s.MAC(purpose, []byte(other))) }
	one := mac(s, "p", "k")
	if len(one) != 32 || mac(New("id", "elsewhere", []byte(value)), "p", "k") != one {
		t.Error("the same secret has another digest")
	}
	if own := s.Keyed([]byte("m")); mac(own, "p", "k") != mac(own, "p", "other") {
		t.Error("another's key takes the place of its own")
	}
	for name, other := range map[string]string{
		"value": mac(New("id", "origin", []byte("other")), "p", "k"), "id": mac(New("other", "origin", []byte(value)), "p", "k"),
		"purpose": mac(s, "q", "k"), "key": mac(s, "p", "l"), "own key": mac(s.Keyed([]byte("k")), "p", "k"),
	} {
		if other == one {
			t.Errorf("another %s has the same digest", name)
		}
	}
}

func TestID(t *testing.T) {
	for _, tt := range []struct {
		parts []string
		want  string
	}{
		{[]string{"db", "password"}, "db_password"},
		{[]string{"hosts", "0", "key"}, "hosts_0_key"},
		{[]string{"..", "..", "etc/passwd"}, ".._.._etc_passwd"},
		{[]string{"a b", "ü"}, "a_b__"},
	} {
		if got := ID(tt.parts...); got != tt.want {
			t.Errorf("ID(%q): got %q, want %q", tt.parts, got, tt.want)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "../x", "a b", "a\x00", "a\n", "ü", strings.Repeat("a", 129)} {
		if CheckID(id) == nil {
			t.Errorf("CheckID(%q): want an error", id)
		}
	}
	for _, id := range []string{"a", "db_password", "tls.key", "A-1", strings.Repeat("a", 128)} {
		if err := CheckID(id); err != nil {
			t.Errorf("CheckID(%q): got %v", id, err)
		}
	}
}
