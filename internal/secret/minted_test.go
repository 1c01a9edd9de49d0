package secret

import (
	"testing"
	"time"
)

func TestLasting(t *testing.T) {
	now := time.Now()
	var set Set
	if rest, since := set.Lasting(); len(rest.Searched()) != 0 || !since.IsZero() {
		t.Errorf("of nothing: got %v since %v", rest.Searched(), since)
	}
	parts := []Secret{New("doc_a", "doc#a", []byte("part")), New("doc_b", "doc#b", []byte("new")).MintedSince(now)}
	for _, s := range []Secret{
		New("a", "a", []byte("1")), New("token", "$T", []byte("2")).MintedSince(now.Add(-time.Minute)),
		NewDocument("doc", "doc", []byte("3"), parts),
	} {
		if err := set.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	set.AddHidden(New("key", "k", []byte("4")))
	set.AddHidden(New("session", "s", []byte("5")).MintedSince(now.Add(-time.Hour)))
	rest, since := set.Lasting()
	var ids string
	for _, s := range rest.Searched() {
		ids += s.ID() + " "
	}
	if ids != "a doc_a key " || !since.Equal(now.Add(-time.Hour)) || len(rest.Mounted()) != 0 {
		t.Errorf("got %s since %v, want a doc_a key since an hour ago", ids, since)
	}
	if n := len(set.Searched()); n != 6 {
		t.Errorf("the set itself has %d values, want 6", n)
	}
}
