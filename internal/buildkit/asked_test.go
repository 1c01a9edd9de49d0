package buildkit

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
)

// TestMountsAreWhatTheBuildAsksFor: the check names exactly the secrets that a
// real daemon asks for while it builds the same.
func TestMountsAreWhatTheBuildAsksFor(t *testing.T) {
	e := private(t, t.TempDir())
	defer e.Close()
	for _, tt := range []struct {
		name, dockerfile string
		target           string
		args             map[string]string
	}{
		{"stages", shell + "FROM base AS unused\nRUN --mount=type=secret,id=none true\nFROM base AS used\nRUN --mount=type=secret,id=one touch /1\nFROM base\nCOPY --from=used /1 /\nRUN --mount=type=secret,id=two,env=TWO true\n", "", nil},
		{"target", shell + "FROM base AS a\nRUN --mount=type=secret,id=three true\nFROM a\nRUN --mount=type=secret,id=four true\n", "a", nil},
		{"arguments", "ARG WHICH=a\n" + shell + "FROM base AS a\nRUN --mount=type=secret,id=five true\nFROM base AS b\nARG TARGETARCH\nENV N=6\nRUN --mount=type=secret,id=s$N-$TARGETARCH true\nFROM $WHICH\nRUN --mount=type=secret,target=/x/seven true\n", "", map[string]string{"WHICH": "b"}},
		{"ONBUILD and heredocs", shell + "FROM base AS on\nONBUILD RUN --mount=type=secret,id=eight true\nFROM on\nRUN --mount=type=secret,id=nine <<EOF\ntrue\nEOF\n", "", nil},
		{"a mount from a stage", shell + "FROM base AS m\nRUN --mount=type=secret,id=ten mkdir /m\nFROM base\nRUN --mount=from=m,source=/m,target=/m --mount=type=secret,id=eleven,required=true true\n", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, err := contentlocal.NewStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			asked := map[string]bool{}
			req := Request{
				Context: buildContext(t, tt.dockerfile), Target: tt.target, BuildArgs: tt.args, Store: store,
				Secret: func(id string) ([]byte, error) {
					mu.Lock()
					defer mu.Unlock()
					asked[id] = true
					return []byte("x"), nil
				},
			}
			checked, err := Check(t.Context(), req, Given{})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			if _, err := e.Solve(t.Context(), req, output(&log)); err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			var named []string
			for _, m := range checked.Mounts {
				named = append(named, m.ID)
			}
			slices.Sort(named)
			if got, want := strings.Join(slices.Compact(named), " "), strings.Join(slices.Sorted(maps.Keys(asked)), " "); got != want || got == "" {
				t.Errorf("the check names %q, and the build asks for %q", got, want)
			}
		})
	}
}
