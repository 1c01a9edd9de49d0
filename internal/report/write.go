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
	FindingsFile = "findings.json"
	SummaryFile  = "summary.md"
	ReceiptFile  = "receipt.json"
)

// Write puts all files of a run into dir, which is made if it is missing. What
// redact returns is what is written; nil writes nothing and is an error. Files
// appear whole or not at all, and if one cannot be made, none appears.
func Write(dir string, run Run, redact func([]byte) []byte) error {
	if redact == nil {
		return errors.New("writing the reports: no redactor")
	}
	run, err := redacted(run, redact)
	if err != nil {
		return fmt.Errorf("redacting the reports: %w", err)
	}
	findings, err := encode(run.Findings, redact)
	if err != nil {
		return fmt.Errorf("writing %s: %w", FindingsFile, err)
	}
	receipt, err := encode(run.receipt(), redact)
	if err != nil {
		return fmt.Errorf("writing %s: %w", ReceiptFile, err)
	}
	summary := redact([]byte(run.summary()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the report folder: %w", err)
	}
	return replace(dir, []file{{FindingsFile, findings}, {SummaryFile, summary}, {ReceiptFile, receipt}})
}

// encode writes v as indented JSON, which it must still be when it is redacted.
func encode(v any, redact func([]byte) []byte) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	out := redact(text.Bytes())
	if !json.Valid(out) {
		return nil, errors.New("redacting it leaves no valid JSON: is a secret a part of JSON's own syntax?")
	}
	return out, nil
}

// redacted redacts every string of a run by itself: once JSON or Markdown has
// escaped it, the redactor might not know a value any more.
func redacted(run Run, redact func([]byte) []byte) (clean Run, err error) {
	text, err := json.Marshal(run)
	if err != nil {
		return clean, err
	}
	if text, err = redactStrings(text, redact); err != nil {
		return clean, err
	}
	return clean, json.Unmarshal(text, &clean)
}

// redactStrings redacts the strings of a compact JSON text, except keys, which
// are ours.
func redactStrings(text []byte, redact func([]byte) []byte) ([]byte, error) {
	var out bytes.Buffer
	for {
		start := bytes.IndexByte(text, '"')
		if start < 0 {
			out.Write(text)
			return out.Bytes(), nil
		}
		end := start + 1
		for ; text[end] != '"'; end++ {
			if text[end] == '\\' {
				end++
			}
		}
		end++
		literal := text[start:end]
		if end == len(text) || text[end] != ':' {
			var s string
			err := json.Unmarshal(literal, &s)
			if err == nil {
				literal, err = json.Marshal(string(redact([]byte(s))))
			}
			if err != nil {
				return nil, err
			}
		}
		out.Write(text[:start])
		out.Write(literal)
		text = text[end:]
	}
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
