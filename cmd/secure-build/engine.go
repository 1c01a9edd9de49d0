package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/org/secure-build/internal/buildkit"
)

// begin starts the daemon, if it is one of our own: it takes as long for that as
// we do for everything that comes before it is needed.
func (b *build) begin(ctx context.Context) error {
	opts, err := b.engineOptions(b.request.Entitlements())
	if err != nil {
		return err
	}
	ctx, b.giveUp = context.WithCancel(ctx)
	b.begun = buildkit.Begin(ctx, opts)
	return nil
}

func (b *build) engineOptions(allow []string) (buildkit.EngineOptions, error) {
	self, err := os.Executable()
	return buildkit.EngineOptions{
		Builders: b.builders, TLSDir: b.builderTLS, Allow: allow,
		CacheDir: b.cacheDir, Getenv: b.getenv, Log: b.stderr, Executable: self, Image: engineImage,
	}, err
}

// connect finds the daemon.
func (b *build) connect(ctx context.Context) (err error) {
	defer b.times.start("engine")()
	if b.fleet != nil {
		b.engine, err = b.fleet.share(ctx, b)
		return err
	}
	if err := b.shed(); err != nil {
		return err
	}
	if b.begun == nil {
		if err := b.begin(ctx); err != nil {
			return err
		}
	}
	begun := b.begun
	b.begun = nil
	b.engine, err = begun()
	return err
}

// leave ends a daemon of our own, also one that nobody has come to need.
func (b *build) leave() error {
	if b.begun != nil {
		b.giveUp()
		b.engine, _ = b.begun()
	}
	if b.giveUp != nil {
		defer b.giveUp()
	}
	if b.engine == nil {
		return nil
	}
	b.purge()
	return b.engine.Close()
}

// purgeTimeout bounds what a daemon may take to forget a build.
const purgeTimeout = 30 * time.Second

// purge lets the daemon forget a build that leaked: it has layers with a secret
// in them, which the next build would take from its cache.
func (b *build) purge() {
	if !b.leaked || b.keepLeak {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), purgeTimeout) // after a cancelled run too
	defer cancel()
	removed, stay, err := b.engine.Purge(ctx)
	if err != nil {
		b.warn("%v", err)
	}
	others := ""
	if stay > 0 {
		others = fmt.Sprintf("; %d stay, which other builds stand on", stay)
	}
	fmt.Fprintf(b.stderr, "secure-build: removed what the daemon had kept of this build (%d cache records%s); --keep-leak leaves it\n", removed, others)
}
