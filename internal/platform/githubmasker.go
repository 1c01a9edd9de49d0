package platform

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A GitHubMasker is a model of what the runner of GitHub Actions masks with:
// actions/runner, SecretMasker.cs with the encoders of ValueEncoders.cs that
// HostContext.cs registers. Each line of the log goes through it on its own.
//
// It is the version that keeps the padding of base64. Newer ones mask a little
// more, older ones (GitHub Enterprise Server) less.
type GitHubMasker struct {
	added    map[string]bool // values, as they were added
	patterns map[string]bool // these and their encodings
	byFirst  [256][]string   // the patterns by their first byte
}

// NewGitHubMasker returns a masker that was told these values, as by add-mask.
func NewGitHubMasker(values ...string) *GitHubMasker {
	m := &GitHubMasker{added: map[string]bool{}, patterns: map[string]bool{}}
	for _, v := range values {
		_ = m.AddMask(v)
	}
	return m
}

// AddMask is the command add-mask: the value is added, and each line of it,
// trimmed. An error stands for the runner's: the step fails, and nothing that
// comes after the error in the value is masked.
func (m *GitHubMasker) AddMask(value string) error {
	if strings.TrimSpace(value) == "" {
		return fmt.Errorf("adding a mask: it is empty")
	}
	if err := m.add(value); err != nil {
		return err
	}
	for line := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if err := m.add(strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	return nil
}

func (m *GitHubMasker) add(value string) error {
	value = decoded(value)
	if value == "" || m.added[value] {
		return nil
	}
	texts := []string{value}
	for _, encode := range encoders {
		text, err := encode(value)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	m.added[value] = true
	for _, t := range texts {
		if t != "" && !m.patterns[t] {
			m.patterns[t] = true
			m.byFirst[t[0]] = append(m.byFirst[t[0]], t)
		}
	}
	return nil
}

// Mask masks each line of a log. What belongs to a value, in places that may
// overlap or touch, is shown as ***.
func (m *GitHubMasker) Mask(log []byte) []byte {
	lines := strings.Split(decoded(string(log)), "\n")
	for i, l := range lines {
		lines[i] = m.line(l)
	}
	return []byte(strings.Join(lines, "\n"))
}

func (m *GitHubMasker) line(l string) string {
	var b strings.Builder
	end, kept := -1, 0 // of the stretch being replaced; of what was written
	for i := range len(l) {
		for _, t := range m.byFirst[l[i]] {
			if i+len(t) <= end || !strings.HasPrefix(l[i:], t) {
				continue
			}
			if i > end {
				if end >= 0 {
					kept = end
				}
				b.WriteString(l[kept:i] + "***")
			}
			end = i + len(t)
		}
	}
	if end >= 0 {
		kept = end
	}
	return b.String() + l[kept:]
}

// decoded is text as the runner reads it from a process: what is not UTF-8
// becomes U+FFFD.
func decoded(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// encoders are what the runner adds of each value. An empty text adds nothing.
var encoders = []func(string) (string, error){
	func(s string) (string, error) { return shifted(s, 0), nil },                    // Base64StringEscape
	func(s string) (string, error) { return shifted(s, 1), nil },                    // …Shift1
	func(s string) (string, error) { return shifted(s, 2), nil },                    // …Shift2
	func(s string) (string, error) { return strings.ReplaceAll(s, `"`, `\"`), nil }, // CommandLineArgumentEscape
	func(s string) (string, error) { return strings.ReplaceAll(s, `'`, `''`), nil }, // ExpressionStringEscape
	func(s string) (string, error) { return newtonsoft(s), nil },                    // JsonStringEscape
	func(s string) (string, error) { return escapeDataString(s), nil },              // UriDataEscape
	func(s string) (string, error) { return securityElement.Replace(s), nil },       // XmlDataEscape
	func(s string) (string, error) { // TrimDoubleQuotes
		if units(s) > 8 && strings.HasPrefix(s, `"`) && strings.HasSuffix(s, `"`) {
			return s[1 : len(s)-1], nil
		}
		return "", nil
	},
	beforeAmpersand,
	afterAmpersand,
}

// shifted drops the first bytes, unless there are no more, and keeps the padding.
func shifted(s string, drop int) string {
	if len(s) > drop {
		s = s[drop:]
	}
	return base64.StdEncoding.EncodeToString([]byte(s))
}

// newtonsoft is the inside of JsonConvert.ToString(value).
func newtonsoft(s string) string {
	short := map[rune]string{'\t': `\t`, '\n': `\n`, '\r': `\r`, '\f': `\f`, '\b': `\b`, '\\': `\\`, '"': `\"`}
	var b strings.Builder
	for _, r := range s {
		switch {
		case short[r] != "":
			b.WriteString(short[r])
		case r < ' ', r == 0x85, r == 0x2028, r == 0x2029:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// escapeDataString is Uri.EscapeDataString: all but RFC 3986's unreserved.
func escapeDataString(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// securityElement is SecurityElement.Escape.
var securityElement = strings.NewReplacer("<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "&", "&amp;")

// minSection is the length, in UTF-16 units, from which the parts of a value
// around an ampersand are masked: PowerShell colours them one by one.
const minSection = 6

// beforeAmpersand is PowerShellPreAmpersandEscape.
func beforeAmpersand(s string) (string, error) {
	end := strings.Index(s, "&+") + len("&+")
	if !strings.Contains(s, "&+") {
		end = strings.LastIndex(s, "&") + len("&")
	}
	if !strings.Contains(s, "&") || units(s[:end]) < minSection {
		return "", nil
	}
	return s[:end], nil
}

// afterAmpersand is PowerShellPostAmpersandEscape. After "&+" it leaves out one
// character, which is an error where there is none.
func afterAmpersand(s string) (string, error) {
	before, rest, colored := strings.Cut(s, "&+")
	switch {
	case colored && rest == "":
		return "", fmt.Errorf("adding a mask: the value has nothing after &+ (after %d bytes)", len(before))
	case colored:
		_, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
	default:
		rest = s[strings.LastIndex(s, "&")+1:]
	}
	if !strings.Contains(s, "&") || units(rest) < minSection {
		return "", nil
	}
	return rest, nil
}

// units is the length of a .NET string.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

// Patterns lists all that is masked, encodings included, in order.
func (m *GitHubMasker) Patterns() []string {
	var all []string
	for p := range m.patterns {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}
