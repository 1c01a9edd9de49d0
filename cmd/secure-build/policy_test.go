package main

import (
	"testing"
	"time"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

// run is the values of one run: a value of a SOPS file, an age identity, and the
// credentials of a session.
func run(identity, session string, since time.Time) secret.Set {
	var set secret.Set
	set.AddKey([]byte("the data key"))
	_ = set.Add(secret.New("db_password", "secrets.yaml#db.password", []byte("a-password-that-lasts")))
	set.AddHidden(secret.New("SOPS_AGE_KEY", "SOPS_AGE_KEY (age1…)", []byte(identity)))
	if session != "" {
		set.AddHidden(secret.New("AWS_SESSION_TOKEN", "$AWS_SESSION_TOKEN", []byte(session)).MintedSince(since))
	}
	return set
}

// TestMemoryOfMintedValues: credentials that are new in every run leave what is
// remembered of older blobs alone. They cannot be in a blob that was scanned
// before they existed; in one that may be younger they are looked for.
func TestMemoryOfMintedValues(t *testing.T) {
	const blob, one, two = "sha256:aaaa", "the-first-session-0123456789", "the-second-session-0123456789"
	before, later := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, tc := range []struct {
		name         string
		first, later secret.Set
		remembered   bool
	}{
		{"the same", run("AGE-1", "", before), run("AGE-1", "", before), true},
		{"another identity", run("AGE-1-of-mine", "", before), run("AGE-1-of-yours", "", before), false},
		{"a session after it", run("AGE-1", "", before), run("AGE-1", two, later), true},
		{"another session after it", run("AGE-1", one, before), run("AGE-1", two, later), true},
		{"a session that may be older", run("AGE-1", "", before), run("AGE-1", two, before), false},
		{"another session that may be older", run("AGE-1", one, before), run("AGE-1", two, before), false},
		{"the same session", run("AGE-1", one, before), run("AGE-1", one, before), true},
		{"no session any more", run("AGE-1", one, before), run("AGE-1", "", before), true},
		{"a session after it, and another identity", run("AGE-1-of-mine", one, before), run("AGE-1-of-yours", two, later), false},
	} {
		dir := t.TempDir()
		if err := (policy{}).memory(dir, tc.first, index.Compile(tc.first)).Put(blob, []byte("clean")); err != nil {
			t.Fatal(err)
		}
		if _, ok := (policy{}).memory(dir, tc.later, index.Compile(tc.later)).Get(blob); ok != tc.remembered {
			t.Errorf("%s: remembered: got %v, want %v", tc.name, ok, tc.remembered)
		}
	}
}
