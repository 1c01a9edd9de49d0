package buildkit

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

// A Candidate is one engine that Connect would try, in its order.
type Candidate struct {
	Kind  string // builder, buildx, socket, private, docker
	Place string
	OK    bool
	Note  string // its version, or why not
}

// Survey says of each candidate whether it could be used, without building.
// A private daemon is started and stopped again, since only that tells. The
// image for docker is not: it would have to be pulled.
func Survey(ctx context.Context, opts EngineOptions) []Candidate {
	var all []Candidate
	try := func(kind, place string, connect func(context.Context) (*Engine, error)) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		c := Candidate{Kind: kind, Place: place}
		e, err := connect(ctx)
		if err == nil {
			c.Note, c.OK = "buildkitd "+e.Version, true
			err = e.Close()
		}
		if err != nil {
			c.OK, c.Note = false, firstLine(err.Error())
		}
		all = append(all, c)
	}
	for _, c := range asked(ctx, opts) {
		if c.err != nil {
			all = append(all, Candidate{Kind: c.kind, Place: c.place, Note: firstLine(c.err.Error())})
			continue
		}
		if err := c.node.running(ctx); errors.Is(err, errStopped) || errors.Is(err, errUnmade) {
			all = append(all, Candidate{Kind: c.kind, Place: c.place, OK: true, Note: err.Error() + ": a build starts it"})
			continue
		}
		try(c.kind, c.place, func(ctx context.Context) (*Engine, error) { return c.node.dial(ctx, 5*time.Second) })
	}
	for _, sock := range UsualSockets(opts.Getenv) {
		if !answers(sock) {
			all = append(all, Candidate{Kind: "socket", Place: sock, Note: "nothing listens there"})
			continue
		}
		try("socket", sock, func(ctx context.Context) (*Engine, error) { return dial(ctx, "socket", "unix://"+sock, 5*time.Second) })
	}
	place := "as root"
	if !privileged() {
		place = "as an ordinary user, by rootlesskit"
	}
	try("private", place, func(ctx context.Context) (*Engine, error) { return startPrivate(ctx, opts) })
	last := Candidate{Kind: "docker", Place: cmp.Or(opts.Image, containerImage)}
	version, err := engineOf(ctx)
	if last.OK = err == nil; last.OK {
		last.Note = "a privileged container of Docker " + version
	} else {
		last.Note = firstLine(err.Error())
	}
	return append(all, last)
}

type candidate struct {
	kind, place string
	node        node
	err         error
}

// asked are the daemons that the user named, here or to buildx.
func asked(ctx context.Context, opts EngineOptions) (all []candidate) {
	if host := opts.Getenv("BUILDKIT_HOST"); len(opts.Builders) == 0 && host != "" {
		opts.Builders = []string{host}
	}
	nodes, err := chosen(ctx, opts)
	kind := "builder"
	if name := currentBuilder(buildxDir(opts.Getenv), opts.Getenv); len(opts.Builders) == 0 && name != "" && name != "default" {
		kind = "buildx"
		var b instance
		if b, err = readInstance(buildxDir(opts.Getenv), name); err == nil {
			nodes, err = b.nodes(ctx)
		}
		opts.Builders = []string{name}
	}
	if err != nil {
		return []candidate{{kind: kind, place: strings.Join(opts.Builders, ", "), err: err}}
	}
	for _, n := range nodes {
		all = append(all, candidate{kind: kind, place: n.address, node: n})
	}
	return all
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
