package buildkit

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
)

func TestCompress(t *testing.T) {
	for _, tt := range []struct {
		outputs       string // one a word
		method, level string
		force         bool
		want, err     string
	}{
		{},
		{method: "zstd", want: "compression=zstd"},
		{method: "gzip", level: "0", force: true, want: "compression-level=0 compression=gzip force-compression=true"},
		{level: "9", want: "compression-level=9"},
		{level: "10", err: "reading --compression: compression-level=10 is no level of gzip, which has 0 to 9"},
		{method: "zstd", level: "22", want: "compression-level=22 compression=zstd"},
		{method: "zstd", level: "23", err: "0 to 22"},
		{method: "estargz", level: "-1", err: "compression-level=-1 is no level of estargz"},
		{method: "zstd", level: "fast", err: "compression-level=fast is no level of zstd"},
		{method: "uncompressed", want: "compression=uncompressed"},
		{method: "uncompressed", level: "0", err: "has no levels"},
		{method: "lz4", err: "reading --compression: compression=lz4 is not known"},
		{method: "GZIP", err: "is not known"},

		{outputs: "type=oci,dest=a,compression=zstd,compression-level=12", want: "compression-level=12 compression=zstd"},
		{outputs: "type=oci,dest=a,compression-level=12", method: "zstd", want: "compression-level=12 compression=zstd"},
		{outputs: "type=oci,dest=a,compression=zstd type=oci,dest=b", level: "3", want: "compression-level=3 compression=zstd"},
		{outputs: "type=registry,name=a,compression=zstd", method: "zstd", want: "compression=zstd"},
		{outputs: "type=registry,name=a,compression=zstd", method: "gzip", err: "reading --compression: another output says compression=zstd"},
		{outputs: "type=oci,dest=a,compression=brotli", err: "reading --output: compression=brotli is not known"},
		{outputs: "type=oci,dest=a,compression-level=12", err: "reading --output: compression-level=12 is no level of gzip"},
		{outputs: "type=oci,dest=a,force-compression=often", err: "force-compression=often is neither true nor false"},
		{outputs: "type=oci,dest=a,force-compression=", want: "force-compression="},
	} {
		o, err := ParseOutputs(strings.Fields(tt.outputs))
		if err != nil {
			t.Fatal(err)
		}
		before := maps.Clone(o.Image)
		err = o.Compress(tt.method, tt.level, tt.force)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%+v: got %v", tt, err)
			}
			if !maps.Equal(o.Image, before) {
				t.Errorf("%+v: refused, and got %v", tt, o.Image)
			}
			continue
		}
		var attrs []string
		for k, v := range o.Image {
			attrs = append(attrs, k+"="+v)
		}
		slices.Sort(attrs)
		if got := strings.Join(attrs, " "); err != nil || got != tt.want {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
	}
}

func TestPacking(t *testing.T) {
	at := func(seconds int) *time.Time { at := time.Unix(int64(seconds), 0); return &at }
	p := &packing{map[string]time.Duration{}}
	for _, st := range []*client.VertexStatus{
		{ID: "exporting layers", Started: at(10)},
		{ID: "exporting layers", Started: at(10), Completed: at(15)},
		{ID: "exporting layers", Started: at(10), Completed: at(15)}, // said twice
		{ID: "exporting manifest sha256:0", Started: at(15), Completed: at(99)},
		{ID: "rewriting layers with source-date-epoch 1 (1970)", Started: at(15), Completed: at(17)},
		{ID: "sending tarball", Started: at(10), Completed: at(99)},
	} {
		p.note(st)
	}
	if got, want := p.took(), 7*time.Second; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	(*packing)(nil).note(&client.VertexStatus{ID: "exporting layers", Started: at(1), Completed: at(2)})
}
