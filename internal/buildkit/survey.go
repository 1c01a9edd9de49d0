package buildkit

import (
	"context"
	"os"
	"strings"
	"time"
)

// A Candidate is one engine that Connect would try, in its order.
type Candidate struct {
	Kind  string // builder, socket, private
	Place string
	OK    bool
	Note  string // its version, or why not
}

// Survey says of each candidate whether it could be used, without building.
// A private daemon is started and stopped again, since only that tells.
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
	if opts.Builder == "" {
		opts.Builder = opts.Getenv("BUILDKIT_HOST")
	}
	if opts.Builder != "" {
		try("builder", opts.Builder, func(ctx context.Context) (*Engine, error) { return dial(ctx, "builder", opts.Builder, 5*time.Second) })
	}
	for _, sock := range UsualSockets(opts.Getenv) {
		if !answers(sock) {
			all = append(all, Candidate{Kind: "socket", Place: sock, Note: "nothing listens there"})
			continue
		}
		try("socket", sock, func(ctx context.Context) (*Engine, error) { return dial(ctx, "socket", "unix://"+sock, 5*time.Second) })
	}
	place := "as root"
	if os.Geteuid() != 0 {
		place = "as an ordinary user, by rootlesskit"
	}
	try("private", place, func(ctx context.Context) (*Engine, error) { return startPrivate(ctx, opts) })
	return all
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
