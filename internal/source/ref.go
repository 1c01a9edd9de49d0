package source

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

type kind int

const (
	fromSOPS kind = iota
	fromFile
	fromEnv
	fromEither   // Docker's bare id: the variable of that name, or else the file
	fromVariable // a CI's variable, or the file that a CI has made of it
	fromValue    // one of several in a variable: the input secrets of the action
)

// A Ref is one line of --sops or one --secret: it names secrets, and holds none.
type Ref struct {
	kind   kind
	id     string // "" when the ids follow from the key paths
	file   string
	env    string
	key    string   // as written, "" for a whole file
	path   []string // key, taken apart
	format string   // "" when the file's name tells
}

// ID is the id that the user chose, or "" when ids follow from key paths.
func (r Ref) ID() string { return r.id }

// Env is the environment variable that the secret is read from, or "".
func (r Ref) Env() string { return r.env }

// File is the file that the secret is read from, as written, or "".
func (r Ref) File() string { return r.file }

// String writes the ref as an origin: "secrets.yaml#db.password", "$NPM_TOKEN".
func (r Ref) String() string {
	switch {
	case r.kind == fromEnv, r.kind == fromVariable:
		return "$" + r.env
	case r.kind == fromValue:
		return "$" + r.env + "#" + r.id
	case r.key != "":
		return r.file + "#" + r.key
	}
	return r.file
}

const grammar = "write FILE, FILE#KEY, ID=FILE#KEY or ID=FILE, each with ,format=yaml|json|dotenv|ini|binary if the name does not tell"

// ParseSOPS reads one line of --sops:
//
//	secrets.yaml                  every encrypted leaf, ids by key path
//	secrets.yaml#db.password      one leaf, id db_password
//	pw=secrets.yaml#db.password   one leaf, named
//	config=secrets.enc.json       the whole decrypted document as one file
//	.env.production,format=dotenv a format that the name does not tell
//
// A key path goes through lists by index from 0 (hosts.0.password) and into
// the second document of a YAML file by doc2, where ids begin with doc2_ too.
// A key with a dot in its name is quoted ("a.b".c). A value that SOPS left in
// clear text becomes a secret only if it is named. A binary file has its own
// name, without .enc or .sops, for its id. A "=" belongs to the file's name
// once a "/" came before it (./a=b.yaml).
func ParseSOPS(line string) (Ref, error) {
	ref, err := parseSOPS(strings.TrimSpace(line))
	if err != nil {
		return Ref{}, fmt.Errorf("parsing --sops %q: %w", line, err)
	}
	return ref, nil
}

func parseSOPS(text string) (Ref, error) {
	text, format, err := cutFormat(text)
	if err != nil {
		return Ref{}, err
	}
	ref := Ref{kind: fromSOPS, format: format}
	ref.file, ref.key, _ = strings.Cut(text, "#")
	hasKey := strings.Contains(text, "#")
	if id, file, ok := strings.Cut(ref.file, "="); ok && !strings.Contains(id, "/") {
		if err := secret.CheckID(id); err != nil {
			return Ref{}, hint.Wrap(err, grammar)
		}
		ref.id, ref.file = id, file
	}
	switch {
	case ref.file == "":
		return Ref{}, hint.Wrap(errors.New("no file"), grammar)
	case strings.ContainsAny(ref.file, "\x00\n"):
		return Ref{}, errors.New("a file name with a line break or a NUL byte")
	case hasKey && ref.key == "":
		return Ref{}, hint.Wrap(errors.New("no key after #"), grammar)
	case hasKey:
		ref.path, err = parseKey(ref.key)
	}
	return ref, err
}

func cutFormat(text string) (rest, format string, err error) {
	i := strings.LastIndex(text, ",format=")
	if i < 0 {
		return text, "", nil
	}
	rest, format = text[:i], text[i+len(",format="):]
	if _, ok := formatNames[format]; !ok {
		err = fmt.Errorf("the format %q is not known", format)
		if near := hint.Nearest(format, []string{"yaml", "json", "dotenv", "ini", "binary"}); near != "" {
			return "", "", hint.Wrap(err, "did you mean format=%s?", near)
		}
		return "", "", hint.Wrap(err, "the formats are yaml, json, dotenv, ini and binary")
	}
	return rest, format, nil
}

// ParseSecret reads one --secret as docker buildx does (util/buildflags and
// BuildKit's secretsprovider): comma separated fields, type=file|env, id=,
// src= or source=, env=. A bare id means the variable of that name if it is
// set, or else the file of that name. Ours on top: sops=FILE#KEY.
func ParseSecret(flag string) (Ref, error) {
	ref, err := parseSecret(flag)
	if err != nil {
		return Ref{}, fmt.Errorf("parsing --secret %q: %w", flag, err)
	}
	return ref, nil
}

const secretGrammar = "write id=ID,src=FILE, id=ID,env=NAME or id=ID,sops=FILE#KEY"

func parseSecret(flag string) (Ref, error) {
	fields, err := csvFields(flag)
	if err != nil {
		return Ref{}, hint.Wrap(err, secretGrammar)
	}
	var typ, id, src, env, sops string
	slots := map[string]*string{"type": &typ, "id": &id, "src": &src, "source": &src, "env": &env, "sops": &sops}
	format := ""
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		key = strings.ToLower(key)
		slot, known := slots[key]
		switch {
		case !ok:
			return Ref{}, hint.Wrap(fmt.Errorf("the field %q is no key=value pair", field), secretGrammar)
		case key == "format":
			format = ",format=" + value
		case !known:
			return Ref{}, hint.Wrap(fmt.Errorf("the field %q is not known", key), secretGrammar)
		default:
			*slot = value
		}
	}
	switch {
	case typ != "" && typ != "file" && typ != "env":
		return Ref{}, hint.Wrap(fmt.Errorf("the type %q is neither file nor env", typ), secretGrammar)
	case typ == "env" && env == "": // as buildx: type=env,src=NAME
		src, env = "", src
	}
	if err := secret.CheckID(id); err != nil {
		return Ref{}, hint.Wrap(err, secretGrammar)
	}
	return secretRef(id, src, env, sops, format)
}

func secretRef(id, src, env, sops, format string) (Ref, error) {
	given := 0
	for _, s := range []string{src, env, sops} {
		if s != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return Ref{}, hint.Wrap(errors.New("more than one of src, env and sops"), secretGrammar)
	case format != "" && sops == "":
		return Ref{}, hint.Wrap(errors.New("format without sops"), secretGrammar)
	case strings.ContainsRune(src+env, 0):
		return Ref{}, errors.New("a name with a NUL byte")
	case sops != "":
		return parseSOPS(id + "=" + sops + format)
	case src != "":
		return Ref{kind: fromFile, id: id, file: src}, nil
	case env != "":
		return Ref{kind: fromEnv, id: id, env: env}, nil
	}
	return Ref{kind: fromEither, id: id, file: id, env: id}, nil
}

// csvFields reads exactly one record.
func csvFields(text string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	fields, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("nothing given")
	}
	if err != nil {
		return nil, errors.New("not comma separated fields")
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one line")
	}
	return fields, nil
}
