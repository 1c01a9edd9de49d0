package platform

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

// Bounds of a dotenv report (Ci::ParseDotenvArtifactService; the count is that
// of a self-managed instance's default).
const (
	dotenvSize  = 5 << 10 // bytes; a report has to be smaller
	dotenvLines = 20
)

// gitlab is a job of GitLab CI.
type gitlab struct {
	log  io.Writer
	path string
	now  func() time.Time

	mu       sync.Mutex
	known    *index.Index
	sections int
	lines    []string // of the dotenv report, so far
}

// Mask prints nothing: a job of GitLab cannot add masks. A runner obeys
// ::add-mask:: only with the experimental proxy_exec; everywhere else that line
// would be shown, with the value in it. The redactor is the protection.
func (g *gitlab) Mask(set secret.Set) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = index.Compile(set)
	return nil
}

// Section writes the marks of a collapsible section
// (https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections).
func (g *gitlab) Section(title string) (end func()) {
	if title == "" { // nothing here obeys what is printed
		return func() {}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sections++
	// The title is shown, the name is an id: it must be unique, and plain.
	name := "secure_build_" + strconv.Itoa(g.sections)
	fmt.Fprintf(g.log, "\x1b[0Ksection_start:%d:%s\r\x1b[0K%s\n", g.now().Unix(), name, heading(title))
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		fmt.Fprintf(g.log, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", g.now().Unix(), name)
	})
}

func (*gitlab) Annotate([]Note) error                    { return nil }
func (*gitlab) Findings([]finding.Finding, string) error { return nil }
func (*gitlab) Summary([]byte) error                     { return nil }
func (*gitlab) Debug(string)                             {}

// Output adds a line to the dotenv report: digest becomes SECURE_BUILD_DIGEST.
// A report of an earlier run is replaced.
func (g *gitlab) Output(name, value string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.path == "" {
		return nil
	}
	if err := checkOutput(g.known, name, value); err != nil {
		return err
	}
	key, err := dotenvKey(name)
	if err != nil {
		return err
	}
	if err := checkDotenvValue(value); err != nil {
		return hint.Wrap(fmt.Errorf("writing the output %q: %w", name, err), "GitLab's dotenv reports hold plain text on one line")
	}
	lines := append(g.lines[:len(g.lines):len(g.lines)], key+"="+value+"\n")
	text := strings.Join(lines, "")
	if len(lines) > dotenvLines || len(text) >= dotenvSize {
		return fmt.Errorf("writing the output %q: a dotenv report holds %d lines and less than %d bytes", name, dotenvLines, dotenvSize)
	}
	if err := replaceFile(g.path, text); err != nil {
		return fmt.Errorf("writing the output %q: %w", name, err)
	}
	g.lines = lines
	return nil
}

// dotenvKey is a variable's name for the name of an output.
func dotenvKey(name string) (string, error) {
	if !plainName(name) {
		return "", fmt.Errorf("writing the output %q: a name has letters, digits, - and _ only", heading(name))
	}
	return "SECURE_BUILD_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")), nil
}

// checkDotenvValue refuses what GitLab would read as something else: blanks are
// cut off, a $ is expanded, quotes are left in place or not.
func checkDotenvValue(value string) error {
	if !utf8.ValidString(value) {
		return fmt.Errorf("it is not UTF-8")
	}
	bad := func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == 0x85 || r == 0xa0 || strings.ContainsRune("\"'`$\\", r)
	}
	if i := strings.IndexFunc(value, bad); i >= 0 {
		r, _ := utf8.DecodeRuneInString(value[i:])
		return fmt.Errorf("%q is in it", r)
	}
	return nil
}

// replaceFile writes a file anew rather than into what is there: the repository
// may hold a symbolic link of that name.
func replaceFile(path, text string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// plainName says whether a name is one that both CIs take.
func plainName(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '-'):
		default:
			return false
		}
	}
	return name != "" && len(name) <= 100
}
