package rules

import (
	"math/rand/v2"
	"regexp/syntax"
	"strings"
	"testing"
)

// write makes something that an expression matches, from its own shape. So no
// token has to be kept in this repository for others' scanners to find.
func write(rnd *rand.Rand, b *strings.Builder, re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		b.WriteByte(pick(rnd, re.Rune))
	case syntax.OpAnyChar:
		b.WriteByte('\n')
	case syntax.OpAnyCharNotNL:
		b.WriteByte("abcdefgh23456789"[rnd.IntN(16)])
	case syntax.OpStar, syntax.OpQuest:
		if rnd.IntN(2) == 0 {
			write(rnd, b, re.Sub[0])
		}
	case syntax.OpPlus:
		for range 1 + rnd.IntN(9) {
			write(rnd, b, re.Sub[0])
		}
	case syntax.OpRepeat:
		n, most := re.Min, re.Max
		if most < 0 || most > n+3 {
			most = n + 3
		}
		for range n + rnd.IntN(most-n+1) {
			write(rnd, b, re.Sub[0])
		}
	case syntax.OpAlternate:
		write(rnd, b, re.Sub[rnd.IntN(len(re.Sub))])
	default:
		for _, sub := range re.Sub {
			write(rnd, b, sub)
		}
	}
}

// pick takes one character of a class, a letter or a digit where there is one.
func pick(rnd *rand.Rand, ranges []rune) byte {
	var plain, other []byte
	for i := 0; i < len(ranges); i += 2 {
		for c := ranges[i]; c <= ranges[i+1] && c < 0x7f; c++ {
			switch {
			case isWord(byte(c)) && c != '_':
				plain = append(plain, byte(c))
			case c >= ' ' || c == '\n' || c == '\t':
				other = append(other, byte(c))
			}
		}
	}
	if plain == nil {
		plain = other
	}
	return plain[rnd.IntN(len(plain))]
}

// pathFor gives a path to the rules that are for certain files.
var pathFor = map[string]string{
	"freemius-secret-key":    "srv/a.php",
	"hashicorp-tf-password":  "srv/main.tf",
	"kubernetes-secret-yaml": "srv/secret.yaml",
	"nuget-config-password":  "srv/NuGet.Config",
}

// sample writes a file with something that a rule matches, and says where.
func sample(t testing.TB, rnd *rand.Rand, d definition) (text string, from, to int) {
	t.Helper()
	tree, err := syntax.Parse(d.regex, syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("first line\n")
	if len(d.keywords) > 0 {
		b.WriteString("# " + d.keywords[0] + "\n")
	}
	from = b.Len()
	write(rnd, &b, tree)
	to = b.Len()
	if d.id == "jwt" { // JSON in base64, which its expression does not say
		whole := b.String()
		b.Reset()
		b.WriteString(whole[:from] + "eyJ" + whole[from+3:])
	}
	b.WriteString("\nlast line\n")
	return b.String(), from, to
}

func definitions(t testing.TB) []definition {
	t.Helper()
	defs, _, err := parse(gitleaks)
	if err != nil {
		t.Fatal(err)
	}
	return defs
}

// TestEveryRuleFindsItsOwnShape plants what each rule is for.
func TestEveryRuleFindsItsOwnShape(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 1))
	_, global, err := parse(gitleaks)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range definitions(t) {
		if d.regex == "" {
			continue
		}
		r, err := compile([]definition{d}, global)
		if err != nil {
			t.Fatal(err)
		}
		const tries = 12
		n := 0
		for range tries {
			text, from, to := sample(t, rnd, d)
			for _, h := range hits(r, pathFor[d.id], text) {
				if h.Rule == d.id && from <= int(h.Offset) && int(h.Offset) < to {
					n++
					break
				}
			}
		}
		if n < tries/6 { // what is written by chance may be allowed, or too plain, or at a "$" that is not the end
			t.Errorf("%s: %d of %d found", d.id, n, tries)
		}
	}
}

// hits searches a text that is written at once.
func hits(r *Rules, path, text string) []Hit {
	var list []Hit
	s := r.Stream(path, func(h Hit) { list = append(list, h) })
	_, _ = s.Write([]byte(text))
	_ = s.Close()
	return list
}
