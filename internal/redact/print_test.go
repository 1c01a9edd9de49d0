package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAWriterCannotBePrinted(t *testing.T) {
	r := New()
	r.SetIndex(compile(t, "hunter2-password"))
	w := r.Writer(new(bytes.Buffer))
	_, _ = w.Write([]byte("hunter2-password"))
	_ = r.String("hunter2-password")
	type holder struct {
		r  *Redactor
		w  *Writer
		wv Writer
	}
	h := holder{r, w, *w}
	var out strings.Builder
	for _, v := range []any{r, w, *w, h, &h, []any{h}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		js, _ := json.Marshal(v)
		out.Write(js)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	for _, form := range []string{"hunter2", "104 117 110", "0x68, 0x75", "68 75 6e", "68756e"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("printing shows %q", form)
		}
	}
}
