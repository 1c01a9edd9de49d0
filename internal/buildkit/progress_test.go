package buildkit

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

const word = "canary"

// TestCleanCoversEveryField fills every text of a SolveStatus with the canary,
// by reflection, so that a field which a later BuildKit adds is not forgotten.
func TestCleanCoversEveryField(t *testing.T) {
	s := &client.SolveStatus{}
	fill(reflect.ValueOf(s), 0)
	s.Vertexes[0].Digest, s.Logs[0].Vertex = "sha256:v", "sha256:v"
	out := output(nil)
	got := out.clean(s, newLogs(out.NewLog))
	if left := search(reflect.ValueOf(got), "status"); len(left) > 0 {
		t.Errorf("the canary is left in %s", strings.Join(left, ", "))
	}
	if len(got.Logs) == 0 || !strings.Contains(string(got.Logs[0].Data), "[masked]") {
		t.Error("the log is gone instead of redacted")
	}
}

var skip = map[reflect.Type]bool{
	reflect.TypeOf(time.Time{}):       true,
	reflect.TypeOf(digest.Digest("")): true, // a digest is no text of anybody's
	reflect.TypeOf(pb.Definition{}):   true,
}

func fill(v reflect.Value, depth int) {
	if skip[v.Type()] || depth > 12 || !v.CanSet() && v.Kind() != reflect.Pointer {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(word))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.String:
		v.SetString(word)
	}
}

func search(v reflect.Value, path string) (found []string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			found = search(v.Elem(), path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				found = append(found, search(v.Field(i), path+"."+v.Type().Field(i).Name)...)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if strings.Contains(string(v.Bytes()), word) {
				found = append(found, path)
			}
			return found
		}
		for i := range v.Len() {
			found = append(found, search(v.Index(i), path+"[]")...)
		}
	case reflect.String:
		if strings.Contains(v.String(), word) && !skip[v.Type()] {
			found = append(found, path)
		}
	}
	return found
}

// TestLogsAreJoined: a value that BuildKit cuts into chunks, with another
// step's chunks in between, is one value again before it is looked at.
func TestLogsAreJoined(t *testing.T) {
	in, out := make(chan *client.SolveStatus), make(chan *client.SolveStatus)
	o := output(nil)
	go o.redact(in, out)
	go func() {
		defer close(in)
		for _, chunk := range []client.VertexLog{
			{Vertex: "a", Data: []byte("one can")},
			{Vertex: "b", Data: []byte("other can")},
			{Vertex: "a", Stream: 2, Data: []byte("err")},
			{Vertex: "a", Data: []byte("ary two\n")},
			{Vertex: "b", Data: []byte("dy\n")},
		} {
			in <- &client.SolveStatus{Logs: []*client.VertexLog{&chunk}}
		}
	}()
	got := map[string]string{}
	for s := range out {
		for _, l := range s.Logs {
			got[l.Vertex.String()+string(rune('0'+l.Stream))] += string(l.Data)
		}
	}
	want := map[string]string{"a0": "one [masked] two\n", "b0": "other candy\n", "a2": "err"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStepNames: whatever makes a layer counts as a step that runs again while a
// cache is published, also what a base image has said with ONBUILD.
func TestStepNames(t *testing.T) {
	for name, want := range map[string]bool{
		"[2/3] RUN x": true, "[linux/arm64 builder 2/3] COPY a b": true, "[base 1/2] ADD https://example.com/x /": true, "[1/1] WORKDIR /x": true,
		"[d 1/2] ONBUILD RUN x": true, "[linux/amd64 d 1/2] ONBUILD COPY a b": true,
		"[base 1/2] FROM docker.io/library/alpine": false, "[internal] load build context": false, "exporting to GitHub Actions Cache": false,
	} {
		ran := false
		now := time.Now()
		out := Output{Redact: func(s string) string { return s }, ran: func(string) { ran = true }}
		out.note(&client.Vertex{Name: name, Started: &now})
		if ran != want {
			t.Errorf("%s: got %v", name, ran)
		}
	}
}
