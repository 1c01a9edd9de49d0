package buildkit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/gitutil"
	"github.com/moby/buildkit/util/urlutil"
)

// A trace is what tells which of a daemon's cache records are of one build.
// BuildKit does not say it itself; a record has the name of the file step, the
// command of the RUN, or the address, that made it.
type trace struct {
	began  time.Time
	before map[string]time.Time // when the records that were there had last been used; nil on a daemon of ours
	shared bool                 // by several builds of one run, which a time does not tell apart

	mu    sync.Mutex
	names map[string]bool // of steps, as madeBy has them → whether a name is telling
}

// begin notes what a daemon that others use too has in its cache already.
func (e *Engine) begin(ctx context.Context) (*trace, error) {
	t := &trace{began: time.Now(), shared: e.shared, names: map[string]bool{}}
	if e.stop != nil { // ours alone
		return t, nil
	}
	var records []*client.UsageInfo
	err := e.alive(ctx, func(ctx context.Context) (err error) {
		records, err = e.client.DiskUsage(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the daemon's cache: %w", err)
	}
	t.before = map[string]time.Time{}
	for _, r := range records {
		t.before[r.ID] = lastUse(r)
	}
	return t, nil
}

func (t *trace) note(name string, telling bool) {
	if t == nil || name == "" { // nobody has built
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names[name] = t.names[name] || telling
}

// step notes what the records of a step of the build graph will be called.
func (t *trace) step(op *pb.Op, about *pb.OpMetadata) {
	t.note(about.GetDescription()["llb.customname"], false) // of files, of what COPY --link merges
	if exec := op.GetExec(); exec != nil {
		secrets := slices.ContainsFunc(exec.Mounts, func(m *pb.Mount) bool { return m.MountType == pb.MountType_SECRET })
		t.note("from exec "+strings.Join(exec.GetMeta().GetArgs(), " "), secrets || len(exec.Secretenv) > 0)
	}
	src := op.GetSource()
	switch scheme, rest, _ := strings.Cut(src.GetIdentifier(), "://"); scheme {
	case "http", "https":
		t.note("http url "+urlutil.RedactCredentials(src.GetIdentifier()), true)
	case "git":
		if full := src.GetAttrs()[pb.AttrFullRemoteURL]; full != "" {
			rest = full
		}
		t.note(gitRepository(rest), true)
	}
}

// imported is what a layer from a cache is called, whichever step has made it.
const imported = "imported"

// gitRepository names a repository by its place alone: neither by the way that
// leads there, nor by what is taken of it.
func gitRepository(remote string) string {
	if !gitutil.IsGitTransport(remote) {
		remote = "https://" + remote
	}
	u, err := gitutil.ParseURL(remote)
	if err != nil {
		return "git " + remote
	}
	return "git " + strings.ToLower(u.Host) + "/" + strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
}

// madeBy is what a record's description says of the step that made it, in the
// words of [trace.step].
func madeBy(description string) []string {
	for _, prefix := range []string{"git snapshot for ", "shared git repo for ", "git bundle checkout for "} {
		if remote, ok := strings.CutPrefix(description, prefix); ok {
			return []string{gitRepository(remote)}
		}
	}
	if strings.HasPrefix(description, imported+" ") { // and a digest
		return []string{imported}
	}
	_, exec, ok := strings.Cut(description, " from exec ")
	if !ok {
		return []string{description}
	}
	all := []string{description, "from exec " + exec}
	// A cache mount is called by its id too, if that is not its place.
	if i := strings.LastIndex(exec, ` with id "`); i >= 0 {
		all = append(all, "from exec "+exec[:i])
	}
	return all
}

// of picks the records that are of this build, with those of its steps that it
// found in the cache. BuildKit notes the use of the last of these only. So the
// records that those stand on, and those that stand on them, are taken as well
// where they are of the same steps: the same step on the same layer.
//
// What only its name tells may be another build's with the same command. What
// stands on it holds what it holds, and is taken too; what it stands on is not.
func (t *trace) of(records []*client.UsageInfo) []*client.UsageInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	parents, children, steps := map[string][]string{}, map[string][]string{}, map[string]bool{} // by ID
	var tied, named []string
	for _, r := range records {
		same, telling := t.same(r)
		if steps[r.ID] = same; same {
			for _, parent := range r.Parents {
				parents[r.ID], children[parent] = append(parents[r.ID], parent), append(children[parent], r.ID)
			}
		}
		switch {
		case t.made(r, same):
			tied = append(tied, r.ID)
		case telling:
			named = append(named, r.ID)
		}
	}
	mine := map[string]bool{}
	walk := func(todo []string, next ...map[string][]string) {
		for ; len(todo) > 0; todo = todo[1:] {
			id := todo[0]
			if mine[id] {
				continue
			}
			mine[id] = true
			for _, way := range next {
				todo = append(todo, slices.DeleteFunc(slices.Clone(way[id]), func(other string) bool { return !steps[other] })...)
			}
		}
	}
	walk(tied, parents, children)
	walk(named, children)
	return slices.DeleteFunc(slices.Clone(records), func(r *client.UsageInfo) bool { return !mine[r.ID] })
}

// same says whether a record is of a step that this build has too, and whether
// that alone tells it: most who have that step mount the same secrets in it, or
// fetch the same thing.
func (t *trace) same(r *client.UsageInfo) (same, telling bool) {
	for _, name := range madeBy(r.Description) {
		tells, ok := t.names[name]
		same, telling = same || ok, telling || tells
	}
	return same, telling
}

// made says whether this build has made or used a record, as far as one record
// tells it. A private daemon has one run at a time: what is new there is of this
// build, and so is what an earlier one has left of the same steps. On any other,
// where another build may run at this moment, it has to be of the same steps, and
// new or used since.
func (t *trace) made(r *client.UsageInfo, same bool) bool {
	used := lastUse(r).After(t.began)
	if t.before != nil { // by the daemon's own clock
		last, known := t.before[r.ID]
		used = !known || lastUse(r).After(last)
	}
	switch {
	case r.RecordType == client.UsageRecordTypeLocalSource:
		// The context as it was sent, which a later build of it brings up to date. If
		// it was another build's, that one sends its own again.
		return used
	case t.before == nil:
		return same || !t.shared && r.CreatedAt.After(t.began)
	}
	return same && used
}

// another says whether a record may be another build's, which uses it.
func (t *trace) another(r *client.UsageInfo) bool {
	return t.before != nil && r.RecordType == client.UsageRecordTypeLocalSource
}

// lastUse is when a record was last used or made, by the daemon's clock.
func lastUse(r *client.UsageInfo) time.Time {
	if r.LastUsedAt != nil {
		return *r.LastUsedAt
	}
	return r.CreatedAt
}
