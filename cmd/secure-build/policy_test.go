package main

import (
	"encoding/base64"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan/rules"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/source"
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

// TestMemoryOfAJobsToken: jobs of one folder, one after the other, each with a
// token of its own. A layer that is older than the token is left alone, a younger
// one is not, and a JWT of somebody's is looked for in all of them.
func TestMemoryOfAJobsToken(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // where time passes as we like
		jwt := func(at time.Time) string {
			claims := fmt.Sprintf(`{"iat": %d}`, at.Unix())
			return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmF0dXJl"
		}
		job := func(token string, by source.Keyless) (remembered bool) {
			opts := source.Options{Keyless: by, LookupEnv: func(name string) (string, bool) {
				return map[string]string{"ID_TOKEN": token}[name], name == "ID_TOKEN"
			}}
			set := run("AGE-1", "", time.Time{})
			set.AddHidden(opts.Hidden("ID_TOKEN", "$ID_TOKEN", token))
			book := (policy{}).memory(dir, set, index.Compile(set))
			_, remembered = book.Get("sha256:aaaa")
			if err := book.Put("sha256:aaaa", []byte("clean")); err != nil {
				t.Fatal(err)
			}
			return remembered
		}
		keyless := source.Keyless{Tokens: []string{"ID_TOKEN"}}
		for _, tc := range []struct {
			name  string
			after time.Duration
			from  time.Duration // the token, from the moment of the job
			by    source.Keyless
			want  bool
		}{
			{"the first", 0, 0, keyless, false},
			{"after the layer was scanned", time.Hour, -time.Minute, keyless, true},
			{"and again", 24 * time.Hour, -time.Minute, keyless, true},
			{"before the layer was scanned", 0, -26 * time.Hour, keyless, false},
			{"of the future", 0, time.Hour, keyless, false},
			{"somebody's, after the layer was scanned", time.Hour, -time.Minute, source.Keyless{}, false},
			{"somebody's, of the future", 0, time.Hour, source.Keyless{}, false},
			{"after all that", time.Hour, -time.Minute, keyless, true},
		} {
			time.Sleep(tc.after)
			if got := job(jwt(time.Now().Add(tc.from)), tc.by); got != tc.want {
				t.Errorf("%s: remembered: got %v, want %v", tc.name, got, tc.want)
			}
		}
	})
}

// TestRulesThatPanic: it is the scan that panics, under whose guard everything
// is erased, and not what compiles the rules before it.
func TestRulesThatPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		compiled := ahead(func() (*rules.Rules, error) { panic("as asked") })
		synctest.Wait() // until the goroutine has ended
		defer func() {
			if p := recover(); p != "as asked" {
				t.Errorf("got %v, want the panic", p)
			}
		}()
		_, _ = compiled()
	})
}
