package corpus

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// A bed is where the leaks are planted: the layers' entries and the image's
// documents.
type bed struct {
	rand    *rand.Rand
	entries [layers][]entry
	next    int // layer of the next entry
	plants  []Plant
	forms   []string

	config, statement                                 object
	layerNotes, manifestNotes, imageNotes, indexNotes map[string]string
}

func newBed(seed uint64) *bed {
	b := &bed{
		rand:       newRand(seed, "surroundings"),
		layerNotes: map[string]string{}, manifestNotes: map[string]string{}, imageNotes: map[string]string{}, indexNotes: map[string]string{},
	}
	var history []object
	for i := range layers {
		history = append(history, object{"created_by": fmt.Sprintf("COPY part%d / # buildkit", i)})
	}
	b.config = object{
		"os": "linux", "architecture": "amd64", "history": history,
		"config": object{"Env": []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, "Labels": map[string]string{}},
	}
	b.statement = object{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1", "predicate": object{}}
	return b
}

// plantAll plants each value in each form that can hold it.
func (b *bed) plantAll(values []Value, bigFile int64) error {
	for _, v := range values {
		text, one := string(v.Bytes), v.Kind != key
		for _, f := range texts {
			if one || !f.single {
				b.text(f, v.Kind, f.write(b.rand, text))
			}
		}
		for _, f := range packed {
			data, err := f.write(b.rand, text)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			b.plant(entry{Header: tar.Header{Name: b.name("opt/packed", f.name, v.Kind, f.file)}, data: data},
				Plant{Form: f.name, Kind: v.Kind, Nested: true})
		}
		b.positions(v.Kind, text, bigFile)
		b.overlaid(v.Kind, text)
		b.headers(v.Kind, text, one)
		b.settings(v.Kind, text, one)
	}
	return nil
}

// name is the path of a file that only one plant has.
func (b *bed) name(dir, form, kind, file string) string {
	clean := strings.NewReplacer(" ", "-", "/", "-", `\`, "", "'", "", "%", "")
	return path.Join(dir, clean.Replace(form), kind, file)
}

// plant puts an entry into the next layer.
func (b *bed) plant(e entry, p Plant) {
	b.plantIn(b.next%layers, e, p)
	b.next++
}

func (b *bed) plantIn(layer int, e entry, p Plant) {
	b.entries[layer] = append(b.entries[layer], e)
	if p.Path == "" {
		p.Path = strings.TrimSuffix(e.Name, "/")
	}
	b.list(p)
}

// list adds a plant to what is to be found.
func (b *bed) list(p Plant) {
	b.plants = append(b.plants, p)
	if !slices.Contains(b.forms, p.Form) {
		b.forms = append(b.forms, p.Form)
	}
}

func (b *bed) text(f text, kind, data string) {
	dir := f.dir
	if dir == "" {
		dir = "opt/app"
	}
	b.plant(entry{Header: tar.Header{Name: b.name(dir, f.name, kind, f.file)}, data: []byte(data)}, Plant{Form: f.name, Kind: kind})
}

// positions are places in the stream where a reader may lose a value: on the
// border of two chunks, in a long line, at the end of a large file.
func (b *bed) positions(kind, v string, bigFile int64) {
	n := int64(len(v))
	for _, border := range []int64{32 << 10, 64 << 10, 128 << 10, 1 << 20} {
		for _, cut := range []struct {
			name string
			n    int64
		}{{"after its first byte", 1}, {"in its middle", n / 2}, {"before its last byte", n - 1}} {
			form := fmt.Sprintf("raw, cut %s by a border of %d KiB", cut.name, border>>10)
			b.plant(entry{
				Header: tar.Header{Name: b.name("srv/borders", form, kind, "data.txt")},
				data:   []byte(v + "\n" + words(b.rand, 50)), border: border, cut: cut.n,
			}, Plant{Form: form, Kind: kind})
		}
	}
	line := words(b.rand, 100)
	line = strings.Repeat(line, (3<<20)/len(line)/2)
	b.plant(entry{Header: tar.Header{Name: b.name("srv/www", "raw in a line of 3 MB", kind, "app.min.js")}, data: []byte(line + v + line)},
		Plant{Form: "raw in a line of 3 MB", Kind: kind})
	b.plant(entry{Header: tar.Header{Name: b.name("var/lib", "raw at the end of a large file", kind, "volume.img")}, data: []byte(v), before: bigFile},
		Plant{Form: "raw at the end of a large file", Kind: kind})
}

// overlaid are files that a later layer deletes or overwrites: a container does
// not show them, and whoever pulls the image has them.
func (b *bed) overlaid(kind, v string) {
	leak := []byte("password = " + v + "\n")
	for _, tt := range []struct{ form, over string }{
		{"raw in a file that is deleted", ".wh.config"},
		{"raw in a folder that is deleted", ".wh..wh..opq"},
		{"raw in a file that is overwritten", "config"},
	} {
		name := b.name("etc/overlaid", tt.form, kind, "config")
		b.plantIn(0, entry{Header: tar.Header{Name: name}, data: leak}, Plant{Form: tt.form, Kind: kind})
		b.entries[1] = append(b.entries[1], entry{Header: tar.Header{Name: path.Join(path.Dir(name), tt.over)}, data: nil})
	}
}

// words is text such as documentation has.
func words(r *rand.Rand, n int) string {
	const syllables = "the of and to in is that it for as with on be at by this from or an are not have when which all there can will each make how up out many then them some would other into more time has two see number way could than first water been call who"
	list := strings.Fields(syllables)
	var b strings.Builder
	for range n {
		b.WriteString(list[r.IntN(len(list))] + " ")
	}
	return b.String()
}

// noise is bytes such as a compiled program has.
func noise(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32() >> (r.Uint32() % 8))
	}
	return string(b)
}
