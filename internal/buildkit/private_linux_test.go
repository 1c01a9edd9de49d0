package buildkit

import "testing"

func TestMasksProc(t *testing.T) {
	for _, tt := range []struct {
		name, mountinfo string
		want            bool
	}{
		{"nothing", "", false},
		{"a host", "22 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n35 22 0:30 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n", false},
		{"a container of Docker", "22 1 0:20 / /proc rw,nosuid - proc proc rw\n40 22 0:5 /null /proc/kcore rw - tmpfs tmpfs rw\n", true},
		{"read-only parts", "40 22 0:20 /sys /proc/sys ro,relatime - proc proc rw\n", true},
		{"another folder", "40 22 0:20 / /process/x rw - tmpfs tmpfs rw\n", false},
		{"no such line", "/proc/x\n", false},
	} {
		if got := masksProc(tt.mountinfo); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
