package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// An element is one start tag of a page.
type element struct {
	name  string
	attrs map[string]string
}

// elements reads a page as strictly as XML wants it, with all its text.
func elements(t *testing.T, page []byte) (all []element, text string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Entity = xml.HTMLEntity
	var b strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all, b.String()
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{token.Name.Local, map[string]string{}}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			all = append(all, e)
		case xml.CharData:
			b.Write(token)
		}
	}
}

// TestPageStandsAlone: no script, nothing from elsewhere, each link within the
// page leads somewhere, each part has a name that assistive technology reads.
func TestPageStandsAlone(t *testing.T) {
	allowed := strings.Fields("html head meta link title style body header svg circle path div h1 p dl dt dd main section h2 figure figcaption strong span ol li code a article h3 ul table tbody tr th td footer time")
	for name, run := range runs() {
		t.Run(name, func(t *testing.T) {
			all, text := elements(t, read(t, written(t, run), PageFile))
			ids, links := map[string]int{}, map[string]bool{}
			headings := map[string]int{}
			for _, e := range all {
				if !slices.Contains(allowed, e.name) {
					t.Errorf("<%s> is on the page", e.name)
				}
				for attr, value := range e.attrs {
					switch {
					case strings.HasPrefix(attr, "on"), attr == "src", attr == "srcdoc", attr == "action":
						t.Errorf("<%s> has %s=%q", e.name, attr, value)
					case attr == "href" && strings.HasPrefix(value, "#"):
						links[value[1:]] = true
					case attr == "href" && value != "data:,":
						t.Errorf("<%s> leads to %q", e.name, value)
					case attr == "id":
						ids[value]++
					case attr == "aria-labelledby":
						links[value] = true
					case attr == "style" && strings.ContainsAny(value, "(;\"'"):
						t.Errorf("<%s> has style=%q", e.name, value)
					case attr == "role" && value == "img" && e.attrs["aria-label"] == "":
						t.Errorf("a picture has no words")
					}
				}
				headings[e.name]++
			}
			for id, n := range ids {
				if n != 1 {
					t.Errorf("%d elements are called %s", n, id)
				}
			}
			for id := range links {
				if ids[id] == 0 {
					t.Errorf("a link leads to #%s, which is not there", id)
				}
			}
			if headings["h1"] != 1 || headings["h2"] == 0 || headings["title"] != 1 {
				t.Errorf("got headings %v", headings)
			}
			if strings.ContainsAny(text, "\x1b\u202e\r") || strings.Contains(text, "ZgotmplZ") {
				t.Error("a text of the image is on the page as it is")
			}
		})
	}
}

// TestPageSaysIt: what was found is there, with where it is and what to do.
func TestPageSaysIt(t *testing.T) {
	for name, tt := range map[string]struct {
		run  Run
		want []string
	}{
		"leaked":     {leaked(), []string{"2 secrets in the image", "Nothing was pushed.", "db_password", "secrets.yaml#npm_token", "app/.env", "line 4: COPY . /app", "RUN --mount=type=secret,id=db_password,env=NAME", "88.0 MB", "4 layers, 118.4 MB", "reading gzip", "12.3 s", "erased from RAM", "e208eed50b790171574619f1c5f60bb6", "docker/app.Dockerfile"}},
		"clean":      {clean(), []string{"Clean", "Pushed.", "searched for 2 known secrets", "linux/arm64"}},
		"incomplete": {incomplete(), []string{"Not everything could be read", "1 part could not be read", "Nothing was pushed."}},
		"patterns":   {patterns(), []string{"Something in the image looks like a secret", "github-pat", "baseline"}},
	} {
		_, text := elements(t, read(t, written(t, tt.run), PageFile))
		for _, want := range tt.want {
			if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
				t.Errorf("%s: %q is not on the page", name, want)
			}
		}
	}
}

// TestPageIsBounded: neither 10,000 layers nor 100,000 findings make a page
// that no browser opens, and what is left out is counted.
func TestPageIsBounded(t *testing.T) {
	run := leaked()
	run.Layers = nil
	for i := range 10_000 {
		run.Layers = append(run.Layers, Layer{Platform: "linux/amd64", Index: i, Size: int64(i), Instruction: "RUN x"})
	}
	f := run.Findings.Findings[1]
	for i := range 100_000 {
		f.Layer, f.Path = i%10_000, fmt.Sprint(i)
		f.Secret = fmt.Sprint("s", i%1000)
		f.Sign()
		run.Findings.Findings = append(run.Findings.Findings, f)
	}
	page, err := run.page()
	if err != nil {
		t.Fatal(err)
	}
	_, text := elements(t, page)
	if len(page) > 20_000_000 || !strings.Contains(text, "10000 layers") || !strings.Contains(text, "9601 more") && !strings.Contains(text, "9600 more") {
		t.Errorf("got %d bytes", len(page))
	}
}

// TestPictureWithoutSizes: an image whose layers nobody told us is drawn from
// what was found in it.
func TestPictureWithoutSizes(t *testing.T) {
	run := leaked()
	run.Layers = nil
	_, anchors := run.cards()
	got := run.pictures(anchors)
	if len(got) != 3 || got[0].Strip || got[0].Total != "1 layer" || len(got[0].Slabs) != 2 || got[0].Slabs[0].Chips[0].Text != "db_password" {
		t.Errorf("got %+v", got)
	}
	if none := (Run{Findings: nothing()}).pictures(nil); len(none) != 0 {
		t.Errorf("got %+v", none)
	}
}

// chromium opens a page in a browser without a window, and returns the page as
// the browser has it and what its console said.
func chromium(t *testing.T, file string) (dom, console string) {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Fatal("no chromium in PATH (make test installs it)")
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
		"--enable-logging=stderr", "--v=0", "--dump-dom", "file://"+file)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", program, err, errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		if strings.Contains(line, "CONSOLE") {
			console += line
		}
	}
	return out.String(), console
}

// TestPageInChromium opens the pages in a real browser: its console says
// nothing, no hostile name has become an element, and the findings are there.
func TestPageInChromium(t *testing.T) {
	for _, name := range []string{"leaked", "huge names"} {
		run := runs()[name]
		dom, console := chromium(t, filepath.Join(written(t, run), PageFile))
		if console != "" {
			t.Errorf("%s: %s", name, console)
		}
		for _, f := range run.Findings.Findings {
			if !strings.Contains(dom, f.Fingerprint) && f.Platform != "linux/arm64" { // one line for both platforms
				t.Errorf("%s: the finding %s is not on the page", name, f.Fingerprint)
			}
		}
		if strings.Contains(dom, "<script") || strings.Contains(dom, "<b>") || !strings.Contains(dom, `data-verdict="leaked"`) {
			t.Errorf("%s: got %.2000s", name, dom)
		}
	}
	// The page's policy stops a script that got into it, and the console says so.
	broken := filepath.Join(t.TempDir(), "broken.html")
	page := bytes.Replace(read(t, written(t, clean()), PageFile), []byte("<main>"), []byte("<main><script>document.title='ran'</script>"), 1)
	if err := os.WriteFile(broken, page, 0o600); err != nil {
		t.Fatal(err)
	}
	if dom, console := chromium(t, broken); !strings.Contains(console, "Content Security Policy") || strings.Contains(dom, "<title>ran") {
		t.Errorf("a script in the page: console %q", console)
	}
}

func TestHeadlines(t *testing.T) {
	warned := clean()
	warned.Findings.Findings = []finding.Finding{{Rule: "dot-env-file", Severity: finding.Warning, Layer: 0, Path: ".env"}}
	warned.Findings.Judge()
	all := runs()
	all["warned"] = warned
	got := map[string]string{}
	for name, run := range all {
		got[name] = run.class() + ": " + run.headline()
	}
	want := map[string]string{
		"leaked": "leaked: 2 secrets in the image", "hostile": "leaked: 2 secrets in the image", "huge names": "leaked: 2 secrets in the image",
		"clean": "clean: Clean", "incomplete": "incomplete: Not everything could be read", "nothing known": "incomplete: Not everything could be read",
		"patterns": "leaked: Something in the image looks like a secret", "warned": "warned: Clean, with 1 warning",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
