package buildkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// folderOf writes the files of a test's build context.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// said is what a check says, a line for each problem: error missing-secret 3 …
func said(problems []finding.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s %s %d %s | %s\n", p.Severity, p.Rule, p.Line, p.Message, p.Remedy)
	}
	return b.String()
}

func TestContract(t *testing.T) {
	tests := []struct {
		name, dockerfile string
		req              Request
		given            Given
		mounted          string // id:line
		want             string // problems: "severity rule line …" with the start of the message; "" for none
		remedy           string
	}{
		{"all there", "FROM scratch\nRUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B x\n",
			Request{}, Given{IDs: []string{"a", "b"}}, "a:2 b:2env", "", ""},
		{"typo", "FROM scratch\n\nRUN --mount=type=secret,id=npm_tokn x\n",
			Request{}, Given{IDs: []string{"npm_token"}}, "npm_tokn:3", `warning unused-secret 0 no step mounts npm_token; error missing-secret 3 no source gives the secret "npm_tokn"`, `did you mean "npm_token"?`},
		{"no secrets at all", "FROM scratch\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{}, "a:2", `error missing-secret 2`, "no secrets were given"},
		{"none near", "FROM scratch\nRUN --mount=type=secret,id=database x\n",
			Request{}, Given{IDs: []string{"npm"}}, "database:2", `warning unused-secret 0 no step mounts npm; error missing-secret 2`, "there are npm"},
		{"another stage's", "FROM scratch AS other\nRUN --mount=type=secret,id=a x\nFROM scratch\nRUN x\n",
			Request{}, Given{}, "", "", ""},
		{"target", "FROM scratch AS one\nRUN --mount=type=secret,id=a x\nFROM scratch\nRUN x\n",
			Request{Target: "one"}, Given{}, "a:2", `error missing-secret 2`, ""},
		{"copied stage", "FROM scratch AS one\nRUN --mount=type=secret,id=a x\nFROM scratch\nCOPY --from=one /x /x\n",
			Request{}, Given{}, "a:2", `error missing-secret 2`, ""},
		{"copied by number", "FROM scratch\nRUN --mount=type=secret,id=a x\nFROM scratch\nCOPY --from=0 /x /x\n",
			Request{}, Given{}, "a:2", `error missing-secret 2`, ""},
		{"mounted stage", "FROM scratch AS one\nRUN --mount=type=secret,id=a x\nFROM scratch\nRUN --mount=from=one,target=/one x\n",
			Request{}, Given{}, "a:2", `error missing-secret 2`, ""},
		{"base stage", "FROM scratch AS one\nRUN --mount=type=secret,id=a x\nFROM one\nRUN x\n",
			Request{}, Given{}, "a:2", `error missing-secret 2`, ""},
		{"stage by ARG", "ARG E=dev\nFROM scratch AS dev\nRUN --mount=type=secret,id=d x\nFROM scratch AS prod\nRUN --mount=type=secret,id=p x\nFROM $E\nRUN x\n",
			Request{BuildArgs: map[string]string{"E": "prod"}}, Given{}, "p:5", `error missing-secret 5`, ""},
		{"ARG in the id", "FROM scratch\nARG E=dev\nRUN --mount=type=secret,id=key_${E} x\n",
			Request{BuildArgs: map[string]string{"E": "prod"}}, Given{IDs: []string{"key_dev"}}, "key_prod:3", `warning unused-secret 0; error missing-secret 3 no source gives the secret "key_prod"`, "key_dev"},
		{"global ARG in the id", "ARG E=dev\nFROM scratch\nARG E\nRUN --mount=type=secret,id=key_${E} x\n",
			Request{}, Given{IDs: []string{"key_dev"}}, "key_dev:4", "", ""},
		{"ENV in the id", "FROM scratch\nENV WHICH=ab\nRUN --mount=type=secret,id=${WHICH}c x\n",
			Request{}, Given{IDs: []string{"abc"}}, "abc:3", "", ""},
		{"platform in the id", "FROM scratch\nARG TARGETARCH TARGETOS\nRUN --mount=type=secret,id=key_${TARGETOS}_$TARGETARCH x\n",
			Request{Platforms: []string{"linux/amd64", "linux/arm64"}}, Given{IDs: []string{"key_linux_amd64"}}, "key_linux_amd64:3 key_linux_arm64:3",
			`error missing-secret 3 no source gives the secret "key_linux_arm64"`, `did you mean "key_linux_amd64"?`},
		{"TARGETPLATFORM in FROM", "FROM --platform=$BUILDPLATFORM scratch AS b\nARG TARGETPLATFORM\nRUN --mount=type=secret,id=a echo $TARGETPLATFORM\n",
			Request{Platforms: []string{"linux/arm64"}}, Given{IDs: []string{"a"}}, "a:3", "", ""},
		{"TARGETSTAGE", "FROM scratch AS web\nARG TARGETSTAGE\nRUN --mount=type=secret,id=$TARGETSTAGE x\n",
			Request{Target: "web"}, Given{IDs: []string{"web"}}, "web:3", "", ""},
		{"heredoc", "FROM scratch\nRUN --mount=type=secret,id=a <<EOF\nx\nEOF\n",
			Request{}, Given{}, "a:2", `error missing-secret 2`, ""},
		{"a mount within a heredoc is none", "FROM scratch\nRUN <<EOF\nRUN --mount=type=secret,id=a x\nEOF\n",
			Request{}, Given{}, "", "", ""},
		{"continued line", "FROM scratch\nRUN \\\n  # a comment\n  --mount=type=secret,id=a \\\n  x\n",
			Request{}, Given{}, "a:2", `error missing-secret 2`, ""},
		{"escape directive", "# escape=`\nFROM scratch\nRUN `\n  --mount=type=secret,id=a `\n  x\n",
			Request{}, Given{}, "a:3", `error missing-secret 3`, ""},
		{"id from the target", "FROM scratch\nRUN --mount=type=secret,target=/run/x/npmrc cat x\n",
			Request{}, Given{IDs: []string{"npmrc"}}, "npmrc:2", "", ""},
		{"src is the id", "FROM scratch\nRUN --mount=type=secret,src=npmrc,dst=/x y\n",
			Request{}, Given{IDs: []string{"npmrc"}}, "npmrc:2", "", ""},
		{"twice", "FROM scratch\nRUN --mount=type=secret,id=a x\nRUN --mount=type=secret,id=a y\n",
			Request{}, Given{}, "a:2 a:3", "error missing-secret 2; error missing-secret 3", ""},
		{"ONBUILD of a stage", "FROM scratch AS base\nONBUILD RUN --mount=type=secret,id=a x\n\nFROM base\n",
			Request{}, Given{}, "a:4", `error missing-secret 4 no source gives the secret "a", which an ONBUILD of the base mounts`, ""},
		{"ONBUILD of the target itself", "FROM scratch AS base\nONBUILD RUN --mount=type=secret,id=a x\n",
			Request{}, Given{}, "", "", ""},
		{"ONBUILD that copies from a stage", "FROM scratch AS src\nRUN --mount=type=secret,id=s x\nFROM scratch AS base\nONBUILD COPY --from=src /x /x\nFROM base\n",
			Request{}, Given{IDs: []string{"s"}}, "s:2", "", ""},
		{"base image", "FROM registry.example.com/base\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{IDs: []string{"a"}}, "a:2", "", ""},
		{"base image for another platform", "FROM registry.example.com/base\nRUN --mount=type=secret,id=a x\n",
			Request{Platforms: []string{"linux/s390x"}}, Given{IDs: []string{"a"}}, "a:2", "", ""},
		{"unused", "FROM scratch\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{IDs: []string{"a", "b", "c"}}, "a:2", "warning unused-secret 0 no step mounts b, c", ""},
		{"optional", "FROM scratch\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{Optional: []string{"a"}}, "a:2", "", ""},
		{"optional and required", "FROM scratch\nRUN --mount=type=secret,id=a,required=true x\n",
			Request{}, Given{Optional: []string{"a"}}, "a:2required", "error missing-secret 2", ""},
		{"optional and not there", "FROM scratch\nRUN x\n",
			Request{}, Given{Optional: []string{"a"}}, "", "warning unused-secret 0 --optional-secret a", ""},
		{"check=error does not hide it", "# check=error=true\nFROM scratch as a\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{}, "a:3", "error build-check 1; warning FromAsCasing 2; error missing-secret 3", ""},
		{"check=skip=all does not hide it", "# check=skip=all\nFROM scratch as a\nARG NPM_TOKEN\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{}, "a:4", "warning secret-in-arg 3; error missing-secret 4", ""},
		{"a check directive that is none", "# check=skip\nFROM scratch\n",
			Request{}, Given{}, "", "error build-check 1 the check directive cannot be read: failed to parse check options", ""},
		{"a check directive further below", "# a comment\n# check=error=true\nFROM scratch as a\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{}, "a:4", "warning FromAsCasing 3; error missing-secret 4", ""},
		{"an error in a stage that is not built", "FROM scratch AS a\nCOPY --from=later / /\nFROM scratch AS later\nRUN x\n",
			Request{}, Given{}, "", "", ""},
		{"Docker's own syntax", "# syntax=docker/dockerfile:1.7-labs@sha256:0000\nFROM scratch\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{}, "a:3", "error missing-secret 3", ""},
		{"a syntax of somebody else", "# syntax=example.com/frontend:1\nFROM scratch\nRUN --mount=type=secret,id=a x\n",
			Request{}, Given{}, "a:3", "warning unknown-syntax 1 example.com/frontend:1 reads this file; error missing-secret 3", ""},
		{"a syntax that is no Dockerfile's", "#syntax=docker.io/example/pack\nsteps:\n  - build\n",
			Request{}, Given{IDs: []string{"a"}}, "", "warning unknown-syntax 1 docker.io/example/pack reads this file in the build, and it is no Dockerfile", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.req.Context = folderOf(t, map[string]string{"Dockerfile": tt.dockerfile})
			checked, err := Check(t.Context(), tt.req, tt.given)
			if err != nil {
				t.Fatal(err)
			}
			var mounted []string
			for _, m := range checked.Mounts {
				text := fmt.Sprintf("%s:%d", m.ID, m.Line)
				if m.Env {
					text += "env"
				}
				if m.Required {
					text += "required"
				}
				mounted = append(mounted, text)
			}
			if got := strings.Join(mounted, " "); got != tt.mounted {
				t.Errorf("mounted: got %q, want %q", got, tt.mounted)
			}
			wantProblems(t, checked.Problems, tt.want)
			if got := said(checked.Problems); !strings.Contains(got, tt.remedy) {
				t.Errorf("got no %q in\n%s", tt.remedy, got)
			}
		})
	}
}

// wantProblems compares with "severity rule line message; …", of which the
// message may be its beginning.
func wantProblems(t *testing.T, problems []finding.Problem, want string) {
	t.Helper()
	var wants []string
	if want != "" {
		wants = strings.Split(want, "; ")
	}
	if len(wants) != len(problems) {
		t.Fatalf("got %d problems, want %d:\n%s", len(problems), len(wants), said(problems))
	}
	for i, p := range problems {
		if got := fmt.Sprintf("%s %s %d %s", p.Severity, p.Rule, p.Line, p.Message); !strings.HasPrefix(got, wants[i]) {
			t.Errorf("got %q, want %q", got, wants[i])
		}
	}
}

func TestUnreadable(t *testing.T) {
	twice := func(n int) string { // a variable of 2^n bytes
		var b strings.Builder
		b.WriteString("FROM scratch\nARG V0=xx\n")
		for i := range n {
			fmt.Fprintf(&b, "ARG V%d=$V%d${V%d}\n", i+1, i, i)
		}
		return b.String()
	}
	for _, tt := range []struct{ name, dockerfile, want string }{
		{"not a Dockerfile", "HELLO\n", "reading Dockerfile: dockerfile parse error on line 1: unknown instruction: HELLO"},
		{"empty", "", "reading Dockerfile: file with no instructions"},
		{"only a comment", "# nothing\n", "reading Dockerfile:1: file with no instructions"},
		{"a cycle in stages", "FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /\nFROM b\n", "circular dependency detected on stage: "},
		{"a stage from itself", "FROM scratch AS a\nCOPY --from=a / /\n", "reading Dockerfile:2: circular dependency"},
		{"a line of 1 MB", "FROM scratch\nRUN " + strings.Repeat("x", 1<<20) + "\n", "reading Dockerfile: dockerfile line greater than max allowed size of 65535"},
		{"1 MB of instructions", "FROM scratch\n" + strings.Repeat("RUN a\n", 1<<20/6), "reading Dockerfile: it has 174763 instructions, more than 5000"},
		{"more than 4 MiB", strings.Repeat("# hello\n", 1<<19+1), "is larger than 4194304 bytes"},
		{"a variable that doubles", twice(40), "its variables grow to more than"},
		{"an unknown target", "FROM scratch\n", "reading Dockerfile: target stage \"tset\" could not be found"},
		{"a bad mount", "FROM scratch\nRUN --mount=type=secert,id=a x\n", "reading Dockerfile:2: "},
		{"nested ONBUILD", "FROM scratch AS a\nONBUILD ONBUILD RUN x\nFROM a\n", "reading Dockerfile"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := Request{Context: folderOf(t, map[string]string{"Dockerfile": tt.dockerfile})}
			if strings.Contains(tt.want, "tset") {
				req.Target = "tset"
			}
			checked, err := Check(t.Context(), req, Given{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v with\n%s, want %q", err, said(checked.Problems), tt.want)
			}
		})
	}
}

// TestLargeDockerfile: 1 MB of what is allowed takes seconds at most.
func TestLargeDockerfile(t *testing.T) {
	var stages strings.Builder // each copied twice by the next: 2^60 paths
	stages.WriteString("FROM scratch AS s0\nRUN --mount=type=secret,id=a x\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&stages, "FROM s%d AS s%d\nCOPY --from=s%d / /\n", i-1, i, i-1)
	}
	for name, dockerfile := range map[string]string{
		"comments":       "FROM scratch\n" + strings.Repeat("# hello world\n", 1<<20/14) + "RUN --mount=type=secret,id=a x\n",
		"continued line": "FROM scratch\nRUN --mount=type=secret,id=a true \\\n" + strings.Repeat(" && echo hello \\\n", 1<<20/17) + " && true\n",
		"heredoc":        "FROM scratch\nRUN --mount=type=secret,id=a <<EOF\n" + strings.Repeat("echo hello\n", 1<<20/11) + "EOF\n",
		"instructions":   "FROM scratch\n" + strings.Repeat("ENV A=b\n", 2000) + "RUN --mount=type=secret,id=a x\n",
		"stages":         stages.String(),
		"brackets":       "FROM scratch\nRUN --mount=type=secret,id=a <<EOF\n" + strings.Repeat(strings.Repeat("(", 1000)+"\n", 1000) + "EOF\n",
	} {
		t.Run(name, func(t *testing.T) {
			checked, err := Check(t.Context(), Request{Context: folderOf(t, map[string]string{"Dockerfile": dockerfile})}, Given{IDs: []string{"a"}})
			if err != nil || len(checked.Mounts) != 1 {
				t.Errorf("got %v, %v", checked.Mounts, err)
			}
		})
	}
}
