package index

import "strings"

// tellingScore is how many surprises a window of rawPart bytes has if it looks
// random. Two in a hundred windows of random letters have fewer, and one in
// several hundred of real texts has as many.
const tellingScore = 6

// Kinds of character in a window.
const (
	lower = 1 + iota
	upper
	digit
	joint // of base64 and of names: tells nothing
	sign  // what people and generators put into passwords
	point // of hosts, versions and settings
)

var kinds = func() (t [256]byte) {
	for kind, chars := range map[byte]string{
		lower: "abcdefghijklmnopqrstuvwxyz", upper: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", digit: "0123456789",
		joint: "+/_=-", sign: "!\"#$%&'()*,;<>?@[\\]^`{|}~", point: ".:",
	} {
		for i := range len(chars) {
			t[chars[i]] = kind
		}
	}
	return t
}()

// signGroups are signs that come together in source code and settings; each
// group counts as one.
var signGroups = []string{"(),;", "[]", "{}", "<>", "\"'\\"}

// follow lists the letters that follow a, b, … in words and names: 95 in a
// hundred pairs of the texts and the source code on a Debian machine, and the
// pairs of the alphabet itself. Of random pairs they are 40 in a hundred.
var follow = strings.Fields(`
	bcdfgiklmnprstuvxy aceilorsuy acdehiklorstu adeilorsu abcdefgilmnopqrstvwxy aefgilorstu aehilnorsu aeiot
	abcdefgjlmnoprstvxz ek aeils adeilmostuy abeilmnopsu acdefgiklnostuvy abcdfgiklmnoprstuvw aeilopqrstuy ru
	acdefgiklmnoprstuvy acdehiklopstuy acdefhilmoprstuwy abcdefgilmnprstv aeiw aehiorx ceipsty lprstz e`)

// unusual says of two letters of one case whether words hardly have them.
var unusual = func() (t [32][32]bool) {
	for a := range t {
		for b := range t[a] {
			t[a][b] = a >= 1 && a <= 26 && b >= 1 && b <= 26 && strings.IndexByte(follow[a-1], byte('a'+b-1)) < 0
		}
	}
	return t
}()

// telling says whether a window looks random: half of its characters differ, and
// the kind (upper case, lower case, digit) changes often, or pairs of letters
// surprise, or both. Words, names, host names and versions are not like that.
// Signs count if they are of several groups; a blank is in no window.
func telling(w []byte) bool {
	return mixed(w) || surprising(w)
}

// mixed judges what has characters of base64 and its relatives only.
func mixed(w []byte) bool {
	digits, changes, uppers := 0, 0, false
	last := byte(0)
	for _, c := range w {
		kind := kinds[c]
		switch kind {
		case digit:
			digits++
		case upper:
			uppers = uppers || last == upper
		case joint:
			kind = 0
		case lower:
		default:
			return false
		}
		if kind != 0 && last != 0 && kind != last {
			changes++
		}
		last = kind
	}
	return 2*distinct(w) >= len(w) && 4*changes >= len(w) && (digits >= 2 || digits > 0 && uppers || uppers && 3*changes >= len(w))
}

// surprising adds up changes of kind, other than from the capital that begins a
// word, pairs of letters that words hardly have, and groups of signs but one.
func surprising(w []byte) bool {
	score, letters, points, signs := 0, 0, 0, uint32(0)
	last, before := byte(0), byte(0) // the last letter or digit; and if it stands right before
	for _, c := range w {
		kind := kinds[c]
		switch kind {
		case 0:
			return false
		case point:
			points++
		case sign:
			signs |= signBit(c)
		}
		if kind > digit {
			before = 0
			continue
		}
		letters++
		was := kinds[last]
		switch {
		case last == 0 || was == upper && kind == lower:
		case was != kind:
			score++
		case kind != digit && before != 0 && unusual[before&31][c&31]:
			score++
		}
		last, before = c, c
	}
	if signs != 0 || points != 0 {
		for signs &= signs - 1; signs != 0; signs &= signs - 1 {
			score++
		}
		if points > 1 || letters < MinPattern {
			return false
		}
	}
	return score >= tellingScore && 2*distinct(w) >= len(w)
}

// signBit has a bit for the group of a sign, or for the sign alone.
func signBit(c byte) uint32 {
	for i, g := range signGroups {
		if strings.IndexByte(g, c) >= 0 {
			return 1 << i
		}
	}
	return 1 << (len(signGroups) + strings.IndexByte("!#$%&*?@^`|~", c))
}

func distinct(w []byte) int {
	var seen [256]bool
	n := 0
	for _, c := range w {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}

// closeGaps marks the few bytes that are left out between windows that tell: some
// windows of what is random look like text, and a part with half of its bytes from
// there still tells. Of what is before the first and after the last one it marks
// as many bytes as ends says, and no more: the rest may be a word that others have
// too, such as my-company-token-.
func closeGaps(v []byte, open []bool, ends int) {
	const most = rawPart / 2
	for i := 0; i < len(v); {
		if open[i] {
			i++
			continue
		}
		end, word := i, true
		for end < len(v) && !open[end] {
			word = word && kinds[v[end]] != 0
			end++
		}
		room := most
		if i == 0 || end == len(v) {
			room = ends
		}
		if word && end-i <= room && end-i < len(v) {
			for k := i; k < end; k++ {
				open[k] = true
			}
		}
		i = end
	}
}
