package scan

import (
	"strings"
	"testing"
)

// TestPackedInConfig: base64 of packed data in a label, however the document
// spells it, and what is wrapped in one string of it.
func TestPackedInConfig(t *testing.T) {
	packed := b64(gz(t, noisy()))
	for name, label := range map[string]string{
		"as it is": packed, `\/`: strings.ReplaceAll(packed, "/", `\/`), "each": strings.ReplaceAll(packed, "A", `\u0041`),
		"wrapped": wrap(b64([]byte(strings.Repeat("u", 44)+password+strings.Repeat("u", 50))), 76, `\u000a`),
	} {
		s := blobs{}
		config := s.put(ociConfig, []byte(`{"os":"linux","architecture":"amd64","config":{"Labels":{"x":"`+label+`"}}}`))
		rep := scanAll(t, s, s.json(ociManifest, object{"config": desc(config, nil), "layers": []object{}}), true)
		if len(rep.Findings) != 1 || rep.Findings[0].Field != "config.Labels.x" || len(rep.Coverage.Unread) > 0 {
			t.Errorf("%s: got %s, %+v", name, shorts(rep), rep.Coverage)
		}
	}
}
