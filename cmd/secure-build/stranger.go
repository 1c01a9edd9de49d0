package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/platform"
	"github.com/org/secure-build/internal/report"
	"github.com/org/secure-build/internal/source"
)

// decide finds out whose change is built, by the event and by what is checked
// out where the context and the Dockerfile are. A stranger's is built without
// secrets and SSH keys, searched by patterns whatever the options say, and
// neither it nor a cache of it is pushed.
func (b *build) decide() (err error) {
	folders := []string{b.request.Context}
	if b.request.Dockerfile != "" {
		folders = append(folders, b.request.Dockerfile)
	}
	for _, dir := range b.request.Contexts {
		fi, err := os.Stat(dir)
		image := strings.HasPrefix(dir, "docker-image://") || strings.HasPrefix(dir, "oci-layout://") || strings.HasPrefix(dir, "target:")
		if err == nil && fi.IsDir() || !image { // what is fetched is of a commit that cannot be told
			folders = append(folders, dir)
		}
	}
	if b.request.Remote() && len(b.composed) > 0 {
		folders = folders[1:] // what is fetched is whatever the Compose file says
	}
	folders = append(folders, b.composed...)
	b.may, err = source.Decide(b.sources, folders...)
	return err
}

// restrain takes back what a stranger's build may not do.
func (b *build) restrain() {
	if !b.may.Push {
		b.push, b.caches = false, nil
	}
	if !b.may.Decrypt {
		b.request.SSH = nil
	}
}

// withoutSecrets is the check for a stranger's change, which ends the run where
// the build would need a secret: BuildKit would go on with nothing in its place.
func (b *build) withoutSecrets() error {
	b.refs = nil
	b.why = fmt.Sprintf("%v; so nothing is decrypted or pushed", b.may.Why)
	var mounted []string
	for _, m := range b.checked.Mounts {
		if !slices.Contains(mounted, m.ID) && !slices.Contains(b.optional, m.ID) {
			mounted = append(mounted, m.ID)
		}
	}
	if len(mounted) == 0 {
		b.warn("%s: the image is built and searched by patterns", b.why)
		return b.note(b.why)
	}
	b.why += fmt.Sprintf(", and as the build needs %s, it was checked and not built", strings.Join(mounted, ", "))
	b.warn("%s", b.why)
	if err := b.note(b.why); err != nil {
		return err
	}
	if err := b.platform.Summary(report.Checked(b.about()+b.why, b.redactor.Bytes)); err != nil {
		return err
	}
	return pipeline.ErrEnough
}

// note shows why beside the log too.
func (b *build) note(why string) error {
	return b.platform.Annotate([]platform.Note{{Severity: finding.Warning, Title: "no secrets for a change of somebody else's", Text: b.about() + why}})
}
