package buildkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/solver/pb"
)

// FuzzCheck: no Dockerfile makes the check panic, hang, or name a mount on a line
// that there is not. What it cannot read is an error.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"FROM scratch AS a\nRUN --mount=type=secret,id=x,env=Y echo $Y\nFROM a\nCOPY --from=a . /\n",
		"# syntax=docker/dockerfile:1\n# check=error=true\nARG A=1\nFROM scratch\nARG A\nENV T=${A:-x} K=\"$T\"\nLABEL l=$K\n",
		"# escape=`\nFROM scratch\nONBUILD RUN --mount=type=secret,id=a x\nRUN <<EOF\nset -x\ncat /run/secrets/*\nEOF\n",
		"FROM scratch\nADD https://u:p@h/x /\nADD <<A <<B /\na\nA\nb\nB\nSHELL [\"a\"]\nCMD x\nHEALTHCHECK CMD y\n",
		"FROM --platform=$BUILDPLATFORM scratch\nARG V0=xx\nARG V1=$V0$V0\nRUN --mount=from=0,target=/x --mount=type=cache,target=/y if true; then cp /run/secrets/a /b; fi\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, dockerfile []byte) {
		if len(dockerfile) > 1<<14 {
			return // a longer one finds nothing more
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), dockerfile, 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		checked, err := Check(t.Context(), Request{Context: dir}, Given{IDs: []string{"a"}})
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
		if err != nil {
			return
		}
		lines := strings.Count(string(dockerfile), "\n") + 1
		for _, m := range checked.Mounts {
			if m.Line < 1 || m.Line > lines {
				t.Errorf("the mount of %q is in line %d of %d", m.ID, m.Line, lines)
			}
		}
		for _, p := range checked.Problems {
			if p.Line < 0 || p.Line > lines || p.Message == "" || p.Rule == "" {
				t.Errorf("a problem without a place or words: %+v", p)
			}
		}
	})
}

// FuzzStep: no script makes the walk through it panic or hang.
func FuzzStep(f *testing.F) {
	for _, seed := range []string{
		"cat /run/secrets/a | base64 | tee /x >/dev/null; set -x; echo \"$T$(</run/secrets/a)\"",
		"export -p; declare A=$(cat /run/secrets/a); f() { cp /run/secrets/* /y; }; f", "for i in $T; do printf %s $i; done >&2 <<<$T",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := checking{file: "Dockerfile"}
		s := scriptOf(&pb.ExecOp{
			Mounts:    []*pb.Mount{{MountType: pb.MountType_SECRET, Dest: "/run/secrets/a", SecretOpt: &pb.SecretOpt{ID: "a"}}},
			Secretenv: []*pb.SecretEnv{{Name: "T", ID: "t"}},
		})
		c.step(s, []string{"/bin/sh", "-c", text}, 1)
		for _, p := range c.problems {
			if p.Severity != "warning" || p.Remedy == "" {
				t.Errorf("got %+v", p)
			}
		}
	})
}

// FuzzContents: what a file is said to have is in words of ours and its own names,
// never its values.
func FuzzContents(f *testing.F) {
	f.Add(".env", "DB_PASSWORD=hunter22\n")
	f.Add(".npmrc", "//r/:_authToken=abc\n")
	f.Add("auth.json", `{"auth": "x", "a": {"pass": "y"}}`)
	f.Add(".netrc", "machine a login b password c")
	f.Fuzz(func(t *testing.T, name, text string) {
		what, sure := contents(name, text)
		if sure && what == "" {
			t.Error("sure of nothing")
		}
		if suspicious(name) && what == "" && vendorKey(text) && !encrypted.MatchString(text) {
			t.Errorf("a key was not seen in %q", text)
		}
	})
}
