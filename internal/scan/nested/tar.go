package nested

import (
	"strconv"
	"strings"
)

const tarBlock = 512

// IsTar says whether b begins with a tar header: its checksum is right
// (pax(1), "ustar Interchange Format"; older headers have the same checksum).
func IsTar(b []byte) bool {
	if len(b) < tarBlock {
		return false
	}
	field := b[148:156]
	for _, c := range field { // most data is dismissed here
		if (c < '0' || c > '7') && c != ' ' && c != 0 {
			return false
		}
	}
	want, err := strconv.ParseInt(strings.Trim(string(field), " \x00"), 8, 32)
	if err != nil {
		return false
	}
	var unsigned, signed int64 // both were in use
	for i, c := range b[:tarBlock] {
		if 148 <= i && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}
