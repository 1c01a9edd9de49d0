package buildkit

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/version"
	"github.com/org/secure-build/internal/hint"
)

// mainline matches the images of Docker's own Dockerfile frontend of major
// version 1: the same code as the one that every BuildKit has built in. (The
// labs channel has more in it, and a digest pins one build of it.)
var mainline = regexp.MustCompile(`^(docker\.io/)?docker/dockerfile:1(\.\d+){0,2}$`)

// serve lets the frontend that BuildKit has built in read a Dockerfile that asks
// for docker/dockerfile:1, so that nothing has to be pulled for it. A frontend
// that is given a command line does not look for another (frontend/dockerfile/builder).
func serve(req Request, attrs map[string]string) {
	if ref := frontendOf(req); mainline.MatchString(ref) {
		attrs["cmdline"] = ref
	}
}

// Newer says which version of the Dockerfile's language is asked for if it is
// newer than the one that we know, as in # syntax=docker/dockerfile:1.99.
func Newer(req Request) (asked, known string) {
	ref := frontendOf(req)
	_, asked, _ = strings.Cut(ref, ":")
	if known = version.Version(); !mainline.MatchString(ref) || minor(asked) <= minor(known) {
		return "", ""
	}
	return asked, known
}

// minor is the second number of 1.2.3, 0 for none.
func minor(v string) int {
	parts := strings.Split(v, ".")
	if len(parts) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(parts[1]) // none is 0 too
	return n
}

// unpulled says of an error why the image was wanted, if it is that of a frontend.
func unpulled(req Request, err error) error {
	ref := frontendOf(req)
	if msg := err.Error(); ref == "" || !strings.Contains(msg, ref) || !strings.Contains(msg, "failed to resolve source metadata") {
		return err
	}
	return hint.Wrap(err, "the Dockerfile wants to be read by the image %s (its line # syntax=, or BUILDKIT_SYNTAX); docker/dockerfile:1 is built in, and nothing is pulled for it", ref)
}

// frontendOf is the image that the Dockerfile, or its build argument, wants to be
// read by; "" for none.
func frontendOf(req Request) string {
	if ref, ok := req.BuildArgs["BUILDKIT_SYNTAX"]; ok {
		ref, _, _ = strings.Cut(strings.TrimSpace(ref), " ")
		return ref
	}
	dt, err := readDockerfile(req)
	if err != nil {
		return "" // the build says why
	}
	ref, _, _, _ := parser.DetectSyntax(dt)
	return ref
}
