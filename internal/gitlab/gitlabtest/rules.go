package gitlabtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// What GitLab holds a variable against. The copies are its own lines; \S is
// what Ruby means by it.
var (
	keyRule     = regexp.MustCompile(`\A[a-zA-Z0-9_]+\z`)
	maskRule    = regexp.MustCompile(`\A[a-zA-Z0-9_+=/@:.~-]{8,}\z`)
	maskRawRule = regexp.MustCompile(`\A[^ \t\r\n\f\v]{8,}\z`)
	scopeRule   = regexp.MustCompile(`\A[a-zA-Z0-9_/\\${}. *-]+\z`)
)

// input is what a request may say; a field that is not given is nil.
type input struct {
	Key, Value, Description, EnvironmentScope, VariableType *string
	Masked, MaskedAndHidden, Protected, Raw                 *bool
	Filter                                                  *struct{ EnvironmentScope string }
}

// parse reads a body. A field that GitLab does not know is dropped by it, and
// is an error here.
func parse(body []byte) (input, error) {
	var fields struct {
		Key              *string `json:"key"`
		Value            *string `json:"value"`
		Description      *string `json:"description"`
		EnvironmentScope *string `json:"environment_scope"`
		VariableType     *string `json:"variable_type"`
		Masked           *bool   `json:"masked"`
		MaskedAndHidden  *bool   `json:"masked_and_hidden"`
		Protected        *bool   `json:"protected"`
		Raw              *bool   `json:"raw"`
		Filter           *struct {
			EnvironmentScope string `json:"environment_scope"`
		} `json:"filter"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&fields); err != nil {
		return input{}, err
	}
	in := input{
		Key: fields.Key, Value: fields.Value, Description: fields.Description, EnvironmentScope: fields.EnvironmentScope, VariableType: fields.VariableType,
		Masked: fields.Masked, MaskedAndHidden: fields.MaskedAndHidden, Protected: fields.Protected, Raw: fields.Raw,
	}
	if fields.Filter != nil {
		in.Filter = &struct{ EnvironmentScope string }{fields.Filter.EnvironmentScope}
	}
	return in, nil
}

// into writes what is given over what is there.
func (in input) into(v *Variable) {
	for _, f := range []struct{ to, from *string }{
		{&v.Value, in.Value}, {&v.Description, in.Description}, {&v.EnvironmentScope, in.EnvironmentScope}, {&v.VariableType, in.VariableType},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for _, f := range []struct{ to, from *bool }{{&v.Masked, in.Masked}, {&v.Protected, in.Protected}, {&v.Raw, in.Raw}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
}

func (s *Server) post(r *http.Request, owner string, body []byte) Answer {
	in, err := parse(body)
	if err != nil || in.Filter != nil {
		return s.strange(r, "a body that is not known")
	}
	if in.Key == nil || in.Value == nil {
		return encode(http.StatusBadRequest, map[string]any{"error": "key is missing, value is missing"})
	}
	if s.drops(owner) {
		in.EnvironmentScope = nil
	}
	v := Variable{Key: strings.TrimSpace(*in.Key), VariableType: "env_var", EnvironmentScope: "*"}
	in.into(&v)
	if in.MaskedAndHidden != nil && *in.MaskedAndHidden && !s.NoHidden {
		v.Masked, v.Hidden = true, true
	}
	if a, ok := s.valid(owner, v, -1); !ok {
		return a
	}
	s.owners[owner] = append(s.owners[owner], v)
	return encode(http.StatusCreated, entity(v))
}

func (s *Server) put(r *http.Request, owner, key string, body []byte) Answer {
	in, err := parse(body)
	if err != nil || in.MaskedAndHidden != nil || in.Filter == nil || in.Filter.EnvironmentScope == "" {
		return s.strange(r, "a body that is not known, or names no scope")
	}
	if s.drops(owner) {
		in.EnvironmentScope = nil
	}
	i, a := s.find(owner, key, in.Filter.EnvironmentScope)
	if i < 0 {
		return a
	}
	v := s.owners[owner][i]
	masked := v.Masked
	in.into(&v)
	if v.Hidden && v.Masked != masked {
		return invalid("base", "Updating masked attribute is not allowed on updates for hidden variables.")
	}
	if a, ok := s.valid(owner, v, i); !ok {
		return a
	}
	s.owners[owner][i] = v
	return encode(http.StatusOK, entity(v))
}

// valid are the validations of the models. self is the index of the variable
// that is changed, or -1.
func (s *Server) valid(owner string, v Variable, self int) (Answer, bool) {
	for i, other := range s.owners[owner] {
		if i != self && other.Key == v.Key && other.EnvironmentScope == v.EnvironmentScope {
			return invalid("key", "("+v.Key+") has already been taken"), false
		}
	}
	limit, kind := 8000, "project"
	if strings.HasPrefix(owner, "groups/") {
		limit, kind = 30000, "group"
	}
	if s.Limit > 0 {
		limit = s.Limit
	}
	rule := maskRule
	if v.Raw {
		rule = maskRawRule
	}
	switch {
	case self < 0 && len(s.owners[owner]) >= limit:
		return invalid("base", fmt.Sprintf("Maximum number of %s ci variables (%d) exceeded", kind, limit)), false
	case !keyRule.MatchString(v.Key) || len(v.Key) > 255:
		return invalid("key", "can contain only letters, digits and '_'."), false
	case !scopeRule.MatchString(v.EnvironmentScope) || len(v.EnvironmentScope) > 255:
		return invalid("environment_scope", "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces"), false
	case v.Masked && !rule.MatchString(v.Value), strings.ContainsRune(v.Value, 0):
		return invalid("value", "is invalid"), false
	case v.VariableType != "env_var" && v.VariableType != "file":
		return encode(http.StatusBadRequest, map[string]any{"error": "variable_type does not have a valid value"}), false
	case utf8.RuneCountInString(v.Description) > 255:
		return invalid("description", "is too long (maximum is 255 characters)"), false
	}
	return Answer{}, true
}

// Takes says whether GitLab would store the variable.
func Takes(v Variable) bool {
	_, ok := new(Server).valid("projects/1", v, -1)
	return ok && utf8.ValidString(v.Value)
}

func invalid(field, text string) Answer {
	return encode(http.StatusBadRequest, map[string]any{"message": map[string]any{field: []string{text}}})
}

// entity is API::Entities::Ci::Variable: a hidden one comes without its value.
func entity(v Variable) map[string]any {
	out := map[string]any{
		"key": v.Key, "value": v.Value, "variable_type": v.VariableType, "protected": v.Protected, "masked": v.Masked, "hidden": v.Hidden,
		"raw": v.Raw, "environment_scope": v.EnvironmentScope, "description": v.Description,
	}
	if v.Hidden {
		out["value"] = nil
	}
	return out
}
