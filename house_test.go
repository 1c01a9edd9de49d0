// Package securebuild_test holds the rules of the house that no compiler
// knows: who may import what, and what may not be called below main. It reads
// the source itself, files for other systems included.
package securebuild_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/org/secure-build/"

// A layer says what a package may import of this module.
type layer string

const (
	noun  layer = "noun"  // nouns only, and nothing from outside the standard library
	story layer = "story" // the same: it is handed the stages as funcs
	stage layer = "stage" // nouns only
	wires layer = "wires" // anything of ours
	tool  layer = "tool"  // anything: a program for who works on this one
)

// layers places every package. A package below one of these belongs to it
// (scan/rules to scan). Whoever adds a package decides here where it stands.
var layers = map[string]layer{
	"internal/authfile": noun,
	"internal/canary":   noun,
	"internal/finding":  noun,
	"internal/held":     noun,
	"internal/hint":     noun,
	"internal/index":    noun,
	"internal/maskable": noun,
	"internal/secret":   noun,

	"internal/config":   story,
	"internal/pipeline": story,

	"internal/buildkit": stage,
	"internal/command":  stage,
	"internal/gitlab":   stage,
	"internal/image":    stage,
	"internal/platform": stage,
	"internal/push":     stage,
	"internal/redact":   stage,
	"internal/report":   stage,
	"internal/scan":     stage,
	"internal/source":   stage,
	"internal/vault":    stage,
	"internal/verdict":  stage,

	"cmd/secure-build": wires,

	"cmd/bench":           tool,
	"cmd/image":           tool, // collects the parts of the image
	"internal/corpus":     tool, // makes images full of leaks
	"internal/dockertest": tool, // starts a Docker engine for tests
}

// importers says who may import a module from outside, by prefix. What is not
// here may be imported by nobody: a new dependency is a decision.
var importers = map[string][]string{
	"filippo.io/age":                         {"internal/source"},
	"github.com/compose-spec/compose-go":     {"internal/source"}, // Compose files as docker compose reads them
	"github.com/aws/aws-sdk-go-v2/aws":       {"internal/source"}, // credentials as sops' KMS key takes them
	"github.com/hashicorp/vault/api":         {"internal/source"}, // the login whose token sops' Vault key takes
	"github.com/containerd/containerd":       {"internal/buildkit", "internal/image"},
	"github.com/containerd/platforms":        {"internal/buildkit"}, // reads linux/arm64/v8 as BuildKit does
	"github.com/containerd/console":          {"internal/buildkit", "cmd/secure-build"},
	"github.com/sirupsen/logrus":             {"internal/buildkit"}, // to quiet it
	"google.golang.org/grpc":                 {"internal/buildkit"}, // to quiet it, and for its buffers
	"github.com/creack/pty":                  {"internal/command"},
	"github.com/distribution/reference":      {"internal/buildkit"},                                      // names of contexts, which are names of images
	"github.com/docker/cli":                  {"internal/buildkit", "internal/push", "cmd/secure-build"}, // where credentials are kept
	"github.com/docker/go-units":             {"internal/buildkit"},                                      // sizes and limits as Docker writes them
	"github.com/getsops/sops":                {"internal/source"},
	"github.com/google/go-containerregistry": {"internal/image", "internal/push"},
	"github.com/gofrs/flock":                 {"internal/image"},
	"github.com/google/shlex":                {"internal/source"},
	"github.com/klauspost/compress":          {"internal/image", "internal/scan"},
	"github.com/moby/buildkit":               {"internal/buildkit"},
	"github.com/moby/patternmatcher":         {"internal/buildkit"}, // as BuildKit reads .dockerignore
	"mvdan.cc/sh":                            {"internal/buildkit"}, // what a RUN prints and keeps
	"github.com/opencontainers/":             {"internal/buildkit", "internal/image"},
	"github.com/owenrumney/go-sarif":         {"internal/report"},
	"github.com/spf13/":                      {"cmd/secure-build"},
	"github.com/tonistiigi/fsutil":           {"internal/buildkit"},
	"github.com/ulikunitz/xz":                {"internal/scan"},
	"gitlab.com/gitlab-org/api/client-go":    {"internal/gitlab"},
	"go.yaml.in/yaml":                        {"internal/source"},
	"golang.org/x/":                          {"internal/buildkit", "internal/command", "internal/redact", "internal/source", "internal/vault", "cmd/secure-build"},
}

// forbidden says what code below main may not use, and why.
var forbidden = map[string]string{
	"os.Exit":        "every defer is skipped, the shred too",
	"log.Fatal":      "every defer is skipped, the shred too",
	"log.Fatalf":     "every defer is skipped, the shred too",
	"log.Fatalln":    "every defer is skipped, the shred too",
	"log.Panic":      "errors are values",
	"log.Panicf":     "errors are values",
	"log.Panicln":    "errors are values",
	"panic":          "errors are values",
	"os.Stdout":      "it writes past the redactor",
	"os.Stderr":      "it writes past the redactor",
	"syscall.Stdout": "it writes past the redactor",
	"syscall.Stderr": "it writes past the redactor",
	"fmt.Print":      "it writes past the redactor",
	"fmt.Printf":     "it writes past the redactor",
	"fmt.Println":    "it writes past the redactor",
	"log.Print":      "it writes past the redactor",
	"log.Printf":     "it writes past the redactor",
	"log.Println":    "it writes past the redactor",
	"print":          "it writes past the redactor",
	"println":        "it writes past the redactor",
}

// maxReveals bounds the places where a plaintext is taken out of a Secret, so
// that each of them can be known by heart.
const maxReveals = 12

// home is the entry of layers that a package belongs to.
func home(pkg string) string {
	for p := pkg; p != "."; p = path.Dir(p) {
		if layers[p] != "" {
			return p
		}
	}
	return ""
}

// within says whether a path lies in the module or folder of a prefix.
func within(p, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return p == prefix || strings.HasPrefix(p, prefix+"/")
}

// mayImport says what is wrong with one import, or "".
func mayImport(pkg, imp string) string {
	from := home(pkg)
	switch layers[from] {
	case "":
		return "no layer is set for this package"
	case tool:
		return ""
	}
	if own, ok := strings.CutPrefix(imp, module); ok {
		to := home(own)
		switch {
		case to == from, layers[from] == wires, layers[to] == noun:
			return ""
		}
		return fmt.Sprintf("a %s may import nouns only, and %s is not one", layers[from], own)
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for prefix, who := range importers {
		if !within(imp, prefix) {
			continue
		}
		if slices.Contains(who, from) {
			return ""
		}
		return fmt.Sprintf("only %s may import %s", strings.Join(who, " and "), prefix)
	}
	return "nobody may import it yet: add it to the table in house_test.go, with its one importer"
}

func TestImports(t *testing.T) {
	_, files := source(t)
	for _, f := range files {
		if home(f.pkg) == "" {
			t.Errorf("%s: no layer is set for its package: add it to the table in house_test.go", f.name)
			continue
		}
		for _, imp := range f.imports() {
			if wrong := mayImport(f.pkg, imp); wrong != "" {
				t.Errorf("%s imports %s: %s", f.name, imp, wrong)
			}
		}
	}
}

// TestImportRules shows that the rules can be broken.
func TestImportRules(t *testing.T) {
	for _, tt := range []struct {
		pkg, imp string
		ok       bool
	}{
		{"internal/scan", module + "internal/index", true},
		{"internal/scan", module + "internal/push", false},
		{"internal/scan/rules", module + "internal/scan", true},
		{"internal/scan/rules", module + "internal/vault", false},
		{"internal/scan", module + "internal/pipeline", false},
		{"internal/pipeline", module + "internal/finding", true},
		{"internal/pipeline", module + "internal/scan", false},
		{"internal/pipeline", "golang.org/x/sys/unix", false},
		{"internal/secret", module + "internal/hint", true},
		{"internal/secret", module + "internal/vault", false},
		{"internal/secret", "log/slog", true},
		{"internal/secret", "github.com/moby/buildkit/client", false},
		{"internal/source", "github.com/getsops/sops/v3/decrypt", true},
		{"internal/vault", "github.com/getsops/sops/v3/decrypt", false},
		{"internal/scan", "github.com/google/go-containerregistry/pkg/v1", false},
		{"internal/buildkit", "github.com/moby/buildkit/client", true},
		{"internal/image", "github.com/moby/buildkit/client", false},
		{"internal/push", "example.com/new", false},
		{"internal/unknown", "fmt", false},
		{"cmd/secure-build", module + "internal/vault", true},
		{"cmd/secure-build", "github.com/moby/buildkit/client", false},
		{"internal/scan", module + "cmd/bench", false},
	} {
		if wrong := mayImport(tt.pkg, tt.imp); (wrong == "") != tt.ok {
			t.Errorf("%s imports %s: got %q, want ok=%v", tt.pkg, tt.imp, wrong, tt.ok)
		}
	}
}

func TestNothingEndsTheProcessOrPrintsBelowMain(t *testing.T) {
	fset, files := source(t)
	for _, f := range files {
		used := f.uses(fset)
		if f.ast.Name.Name == "main" { // it may, but ends in one place only
			if lines := used["os.Exit"]; len(lines) > 0 && path.Base(f.name) != "main.go" {
				t.Errorf("%s:%d: os.Exit outside main.go: %s", f.name, lines[0], forbidden["os.Exit"])
			}
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(forbidden)) {
			for _, line := range used[name] {
				t.Errorf("%s:%d: %s: %s", f.name, line, name, forbidden[name])
			}
		}
	}
}

// TestFindsForbidden shows that a forbidden name is seen.
func TestFindsForbidden(t *testing.T) {
	const src = `package p
import ("os"; l "log"; "fmt")
func f() { defer panic("no"); g := os.Exit; g(1); l.Fatalf("x"); fmt.Fprintln(os.Stderr); s.Reveal() }`
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "p.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	used := file{ast: tree}.uses(fset)
	for _, name := range []string{"panic", "os.Exit", "log.Fatalf", "os.Stderr", ".Reveal"} {
		if !slices.Equal(used[name], []int{3}) {
			t.Errorf("%s: got lines %v, want [3]", name, used[name])
		}
	}
}

func TestFewPlacesReveal(t *testing.T) {
	fset, files := source(t)
	var places []string
	for _, f := range files {
		for _, line := range f.uses(fset)[".Reveal"] {
			places = append(places, fmt.Sprintf("%s:%d", f.name, line))
		}
	}
	if len(places) == 0 || len(places) > maxReveals {
		t.Errorf("Reveal is called in %d places, want 1 to %d: is each one needed?\n%s", len(places), maxReveals, strings.Join(places, "\n"))
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	_, files := source(t)
	said := map[string]bool{}
	for _, f := range files {
		name := f.ast.Name.Name
		doc := f.ast.Doc.Text()
		said[f.pkg] = said[f.pkg] || strings.HasPrefix(doc, "Package "+name+" ") || name == "main" && doc != ""
	}
	for _, pkg := range slices.Sorted(maps.Keys(said)) {
		if !said[pkg] {
			t.Errorf("%s: no file opens with a sentence on what the package is for", pkg)
		}
	}
}
