package hint

import "strings"

// Nearest returns the candidate that was most likely meant by name, or "" for
// none: one that is Alike, or else the closest by edit distance, case apart (at
// most a third of the name's length changed, and at least one byte in common).
func Nearest(name string, candidates []string) string {
	best, limit := "", len(name)/3+1
	for _, c := range candidates {
		if Alike(name, c) {
			return c
		}
		if d := distance(strings.ToLower(name), strings.ToLower(c), limit); d <= limit && d < max(len(name), len(c)) {
			best, limit = c, d-1
		}
	}
	return best
}

// Alike says whether two names differ in their case and in _, - and . only:
// npm_token, NPM_TOKEN and npmToken are one name to a person.
func Alike(a, b string) bool {
	a = fold(a)
	return a != "" && a == fold(b)
}

var separators = strings.NewReplacer("_", "", "-", "", ".", "")

func fold(name string) string { return strings.ToLower(separators.Replace(name)) }

// distance is the Levenshtein distance of a and b in bytes, or limit+1 when it
// is larger than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return min(row[len(b)], limit+1)
}
