package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Bounds of a picture: an image made to be scanned may have 10,000 layers.
const (
	maxPictures   = 16
	maxSlabs      = 130 // Docker's own bound is 127 layers
	maxLeakySlabs = 400
	maxChips      = 12
)

// A picture is one platform's image as a row of layers.
type picture struct {
	Title, Total, Alt string
	Strip             bool // sizes are known
	Slabs             []slab

	bytes int64
	leaky int
}

// A slab is one layer, or what is beside the layers.
type slab struct {
	Name, Size         string
	Instruction, About string  // what it is, in the Dockerfile's words or in ours
	Class              string  // hit, doubt or ""
	Grow               float64 // its part of the strip
	Width              float64 // in percent of the widest
	Chips              []chip

	index int // of the layer; -1 beside them
	bytes int64
	more  int // findings that have no chip
}

// A chip leads from a layer to what was found in it.
type chip struct{ Anchor, Class, Text string }

// pictures draws each platform, and what belongs to none if something was
// found there. Layers that only the findings know have no size.
func (r Run) pictures(anchors map[string]string) []picture {
	names, slabs := r.slabs()
	for _, f := range r.Findings.Findings {
		slabs[f.Platform].add(row{Finding: f}, anchors)
	}
	var out []picture
	for _, name := range names[:min(len(names), maxPictures)] {
		out = append(out, slabs[name].picture(name))
	}
	return out
}

// A stack is the slabs of one platform by their layer.
type stack map[int]*slab

// slabs are the layers of each platform, whether anything was found in them or
// not, and the platforms in their order.
func (r Run) slabs() (names []string, all map[string]stack) {
	all = map[string]stack{}
	at := func(platform string, index int) *slab {
		if all[platform] == nil {
			all[platform] = stack{}
			names = append(names, platform)
		}
		s := all[platform][index]
		if s == nil {
			s = &slab{Name: layerName(index), index: index}
			if index < 0 {
				s.Name, s.About = "settings", "environment, labels, history, annotations"
				if platform == "" {
					s.About = "the index and its annotations"
				}
			}
			all[platform][index] = s
		}
		return s
	}
	for _, l := range r.Layers {
		s := at(l.Platform, l.Index)
		s.bytes, s.Instruction = l.Size, instruction(l.Instruction)
	}
	for _, f := range r.Findings.Findings {
		s := at(f.Platform, max(f.Layer, -1))
		if s.index >= 0 && s.Instruction == "" {
			s.Instruction = instruction(f.Instruction)
		}
	}
	return names, all
}

// add hangs a finding on its layer.
func (s stack) add(r row, anchors map[string]string) {
	slab := s[max(r.Layer, -1)]
	c := chip{anchors[r.name()], class(r.Severity), shown(r.name())}
	if slab.Class != "hit" {
		slab.Class = c.Class
	}
	switch {
	case slices.Contains(slab.Chips, c):
	case len(slab.Chips) == maxChips || c.Anchor == "":
		slab.more++
	default:
		slab.Chips = append(slab.Chips, c)
	}
}

// picture puts the slabs in order: the layers, and then what is beside them.
func (s stack) picture(platform string) picture {
	p := picture{Title: shown(platform)}
	if platform == "" {
		p.Title = "Outside of all platforms"
	}
	var widest int64
	layers := 0
	for _, slab := range s {
		p.bytes += slab.bytes
		widest = max(widest, slab.bytes)
		if slab.index >= 0 {
			layers++
		}
		if slab.Class != "" && slab.index >= 0 {
			p.leaky++
		}
	}
	for _, slab := range s.bounded() {
		if slab.bytes > 0 { // however small, it shows
			slab.Width, slab.Grow = max(0.1, percent(slab.bytes, widest)), max(0.1, percent(slab.bytes, p.bytes))
			slab.Size = size(slab.bytes)
		}
		if slab.more > 0 {
			slab.Chips = append(slab.Chips, chip{"found", "doubt", "+" + strconv.Itoa(slab.more)})
		}
		p.Slabs = append(p.Slabs, slab)
	}
	p.Strip = p.bytes > 0
	if layers > 0 {
		p.Total = count(layers, "layer")
	}
	if p.Strip {
		p.Total += ", " + size(p.bytes)
	}
	p.Alt = fmt.Sprintf("The layers by size. Something was found in %d of %d.", p.leaky, layers)
	return p
}

// bounded returns the slabs in order: all with findings, the largest others,
// and one for the rest.
func (s stack) bounded() []slab {
	var kept, plain []slab
	for _, one := range s {
		if one.Class != "" {
			kept = append(kept, *one)
		} else {
			plain = append(plain, *one)
		}
	}
	order := func(a, b slab) int { return cmp.Compare(uint(a.index), uint(b.index)) } // -1 last
	slices.SortFunc(kept, order)
	slices.SortFunc(plain, func(a, b slab) int { return cmp.Or(cmp.Compare(b.bytes, a.bytes), order(a, b)) })
	shownPlain := min(len(plain), max(0, maxSlabs-len(kept)))
	rest := append(slices.Clone(kept[min(len(kept), maxLeakySlabs):]), plain[shownPlain:]...)
	out := append(slices.Clone(kept[:min(len(kept), maxLeakySlabs)]), plain[:shownPlain]...)
	slices.SortFunc(out, order)
	if len(rest) > 0 {
		sum := slab{Name: fmt.Sprintf("%d more", len(rest)), index: -1}
		for _, one := range rest {
			sum.bytes += one.bytes
			sum.Class = cmp.Or(sum.Class, one.Class)
		}
		out = append(out, sum)
	}
	return out
}
