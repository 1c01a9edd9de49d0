package report

import (
	"bytes"
	"encoding/json"
	"html"
	"reflect"
)

// redacted redacts every string of a run by itself: once a form has escaped or
// shortened it, the redactor might not know a value any more.
func redacted(run Run, redact func([]byte) []byte) Run {
	return mapped(reflect.ValueOf(run), func(s string) string { return string(redact([]byte(s))) }).Interface().(Run)
}

// mapped copies v with f applied to every string in it, the keys of maps too.
// What has fields that are not exported (a time) is kept as it is.
func mapped(v reflect.Value, f func(string) string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		out.SetString(f(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(mapped(v.Elem(), f))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(mapped(v.Field(i), f))
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			break
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(mapped(v.Index(i), f))
		}
	case reflect.Map:
		if v.IsNil() {
			break
		}
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(mapped(it.Key(), f), mapped(it.Value(), f))
		}
	}
	return out
}

// literals returns the strings of a JSON text without their escapes, keys
// included, each on a line.
func literals(text []byte) []byte {
	var out bytes.Buffer
	for {
		start := bytes.IndexByte(text, '"')
		if start < 0 {
			return out.Bytes()
		}
		end := start + 1
		for ; end < len(text) && text[end] != '"'; end++ {
			if text[end] == '\\' {
				end++
			}
		}
		end = min(end+1, len(text))
		literal := text[start:end]
		if bytes.IndexByte(literal, '\\') < 0 {
			out.Write(bytes.Trim(literal, `"`))
		} else {
			var s string
			_ = json.Unmarshal(literal, &s) // our own JSON
			out.WriteString(s)
		}
		out.WriteByte('\n')
		text = text[end:]
	}
}

// unescaped returns an HTML or Markdown text without its character references.
func unescaped(text []byte) []byte { return []byte(html.UnescapeString(string(text))) }
