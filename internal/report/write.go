package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The files of a report folder.
const (
	FindingsFile          = "findings.json"
	SummaryFile           = "summary.md"
	ReceiptFile           = "receipt.json"
	SARIFFile             = "results.sarif"
	PageFile              = "report.html"
	GitLabSecretsFile     = "gl-secret-detection.json"
	GitLabCodeQualityFile = "gl-codequality.json"
)

// A form is one of the files, and how it is made from a run whose strings have
// been redacted.
type form struct {
	name  string
	write func(Run) ([]byte, error)
	plain func([]byte) []byte // what it says, without its escapes
}

var forms = []form{
	{FindingsFile, func(r Run) ([]byte, error) { return encode(r.Findings) }, literals},
	{SummaryFile, func(r Run) ([]byte, error) { return []byte(r.summary()), nil }, unescaped},
	{ReceiptFile, func(r Run) ([]byte, error) { return encode(r.receipt()) }, literals},
	{SARIFFile, Run.sarif, literals},
	{GitLabSecretsFile, func(r Run) ([]byte, error) { return encode(r.gitLabSecrets()) }, literals},
	{GitLabCodeQualityFile, func(r Run) ([]byte, error) { return encode(r.gitLabCodeQuality()) }, literals},
	{PageFile, Run.page, unescaped},
}

// A Check looks for values in a text that is about to be written, and returns
// an error if one is still there.
type Check func(text []byte) error

// Write puts all files of a run into dir, which is made if it is missing. What
// redact returns is what is written; nil writes nothing and is an error. Each
// check sees every file as it will be, and once more without its escapes.
// Files appear whole or not at all, and if one cannot be made, none appears.
func Write(dir string, run Run, redact func([]byte) []byte, checks ...Check) error {
	if redact == nil {
		return errors.New("writing the reports: no redactor")
	}
	run = redacted(run, redact)
	files := make([]file, 0, len(forms))
	for _, form := range forms {
		text, err := form.text(run, redact, checks)
		if err != nil {
			return fmt.Errorf("writing %s: %w", form.name, err)
		}
		files = append(files, file{form.name, text})
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the report folder: %w", err)
	}
	return replace(dir, files)
}

// Summary is the text of the summary, for the page of a job, made with the care
// of [Write].
func Summary(run Run, redact func([]byte) []byte, checks ...Check) ([]byte, error) {
	if redact == nil {
		return nil, errors.New("writing the summary: no redactor")
	}
	for _, f := range forms {
		if f.name == SummaryFile {
			text, err := f.text(redacted(run, redact), redact, checks)
			if err != nil {
				return nil, fmt.Errorf("writing the summary: %w", err)
			}
			return text, nil
		}
	}
	return nil, errors.New("writing the summary: there is no such form")
}

// text is a form's text: redacted as a whole, and looked at by each check.
func (f form) text(run Run, redact func([]byte) []byte, checks []Check) ([]byte, error) {
	text, err := f.write(run)
	if err != nil {
		return nil, err
	}
	isJSON := json.Valid(text)
	if text = redact(text); isJSON && !json.Valid(text) {
		return nil, errors.New("redacting it leaves no valid JSON: is a secret a part of JSON's own syntax?")
	}
	for _, check := range checks {
		if err := errors.Join(check(text), check(f.plain(text))); err != nil {
			return nil, fmt.Errorf("it would show a secret: %w", err)
		}
	}
	return text, nil
}

// encode writes v as indented JSON.
func encode(v any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return text.Bytes(), err
}

type file struct {
	name    string
	content []byte
}

// replace writes all files beside their places first, then moves them there.
func replace(dir string, files []file) (err error) {
	staged := make([]string, len(files))
	defer func() {
		for _, name := range staged {
			if err != nil && name != "" {
				_ = os.Remove(name)
			}
		}
	}()
	for i, f := range files {
		if staged[i], err = stage(dir, f); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	for i, f := range files {
		if err = os.Rename(staged[i], filepath.Join(dir, f.name)); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	return nil
}

func stage(dir string, f file) (name string, err error) {
	tmp, err := os.CreateTemp(dir, "."+f.name+".*")
	if err != nil {
		return "", err
	}
	_, err = tmp.Write(f.content)
	return tmp.Name(), errors.Join(err, tmp.Chmod(0o644), tmp.Close())
}
