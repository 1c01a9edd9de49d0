package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/moby/buildkit/frontend/subrequests/outline"
	"github.com/moby/buildkit/frontend/subrequests/targets"
)

// ErrCheck says that the Dockerfile's own checks found something.
var ErrCheck = errors.New("the Dockerfile's checks found something")

// Call asks the daemon's frontend about the Dockerfile instead of building it:
// check, outline or targets. What it says goes to w. Nothing is built, and no
// secret is asked for.
func (e *Engine) Call(ctx context.Context, req Request, method string, w io.Writer) (map[string]string, error) {
	id, ok := map[string]string{"check": lint.RequestLint, "outline": outline.RequestSubrequestsOutline, "targets": targets.RequestTargets}[method]
	if !ok {
		return nil, fmt.Errorf("calling %q: it is not known", method)
	}
	opt, err := e.options(req)
	if err != nil {
		return nil, err
	}
	opt.Exports = nil
	said := map[string]string{}
	build := func(ctx context.Context) error {
		_, err := e.client.Build(ctx, opt, "secure-build", func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
			opt.FrontendAttrs["requestid"] = id
			opt.FrontendAttrs["frontend.caps"] = strings.Trim(opt.FrontendAttrs["frontend.caps"]+",moby.buildkit.frontend.subrequests", ",")
			res, err := c.Solve(ctx, gateway.SolveRequest{Frontend: "dockerfile.v0", FrontendOpt: opt.FrontendAttrs})
			if err != nil {
				return nil, err
			}
			for k, v := range res.Metadata {
				said[k] = string(v)
			}
			return gateway.NewResult(), nil
		}, nil)
		return err
	}
	if err := e.alive(ctx, build); err != nil {
		return nil, explain(err)
	}
	text := strings.TrimLeft(said["result.txt"], "\n")
	if method == "check" && strings.TrimSpace(text) == "" {
		text = "Check complete, no warnings found.\n"
	}
	if _, err := io.WriteString(w, text); err != nil {
		return nil, err
	}
	if code := said["result.statuscode"]; method == "check" && code != "" && code != "0" {
		return said, ErrCheck
	}
	return said, nil
}
