package buildkit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/frontend/subrequests"
	"github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/moby/buildkit/frontend/subrequests/outline"
	"github.com/moby/buildkit/frontend/subrequests/targets"
	"github.com/moby/buildkit/solver/pb"
	"github.com/org/secure-build/internal/hint"
)

// ErrCheck says that the Dockerfile's own checks found something.
var ErrCheck = errors.New("the Dockerfile's checks found something")

// A Call is what to ask the frontend instead of building, in the words of
// docker buildx build --call.
type Call struct {
	Method       string // check, outline, targets or subrequests.describe; "" builds
	JSON         bool   // what it says is printed as JSON
	IgnoreStatus bool   // what check finds is no error; a Dockerfile that cannot be built is
}

// methods are the requests that the frontend knows, by the names that they have in
// a Call.
var methods = map[string]string{
	"check": lint.RequestLint, "outline": outline.RequestSubrequestsOutline, "targets": targets.RequestTargets,
	"subrequests.describe": subrequests.RequestSubrequestsDescribe,
}

// ParseCall reads --call, METHOD[,format=json][,ignorestatus=true], as buildx does
// (util/buildflags/callfunc.go). Without a text it is a build.
func ParseCall(text string) (c Call, err error) {
	r := csv.NewReader(strings.NewReader(text))
	r.LazyQuotes = true
	record, err := r.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("reading --call: %q is no list of fields", text)
	}
	for _, field := range record {
		if err = c.add(field); err != nil {
			return Call{}, hint.Wrap(fmt.Errorf("reading --call: %w", err), "--call is one of build, check, outline, targets, with ,format=json and ,ignorestatus=true behind it")
		}
	}
	switch {
	case len(record) > 0 && c.Method == "":
		return Call{}, hint.Wrap(fmt.Errorf("reading --call: %q names no method", text), "such as --call check,%s", text)
	case c.Method == "build":
		return Call{}, nil
	}
	return c, nil
}

func (c *Call) add(field string) (err error) {
	name, value, ok := strings.Cut(field, "=")
	switch {
	case ok && name == "format" && (value == "json" || value == "text"):
		c.JSON = value == "json"
	case ok && name == "format":
		return fmt.Errorf("the format %q is neither json nor text", value)
	case ok && name == "ignorestatus":
		if c.IgnoreStatus, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("ignorestatus=%s is neither true nor false", value)
		}
	case ok:
		return fmt.Errorf("the field %q is not known", name)
	case c.Method != "":
		return fmt.Errorf("%q and %q are two methods", c.Method, field)
	case field == "lint": // check's name in the frontend
		c.Method = "check"
	case methods[field] == "" && field != "build":
		return fmt.Errorf("%q is not known", field)
	default:
		c.Method = field
	}
	return nil
}

// Call asks the daemon's frontend about the Dockerfile instead of building it.
// What it says goes to w. Nothing is built, and no secret is asked for. An error
// that is ErrCheck comes with what was said.
func (e *Engine) Call(ctx context.Context, req Request, c Call, w io.Writer) (map[string]string, error) {
	opt, err := e.options(req)
	if err != nil {
		return nil, err
	}
	opt.Exports = nil
	if err := attach(&opt); err != nil {
		return nil, err
	}
	said := map[string]string{}
	build := func(ctx context.Context) error {
		_, err := e.client.Build(ctx, opt, "secure-build", func(ctx context.Context, g gateway.Client) (*gateway.Result, error) {
			opt.FrontendAttrs["requestid"] = methods[c.Method]
			opt.FrontendAttrs["frontend.caps"] = strings.Trim(opt.FrontendAttrs["frontend.caps"]+",moby.buildkit.frontend.subrequests", ",")
			res, err := g.Solve(ctx, gateway.SolveRequest{Frontend: "dockerfile.v0", FrontendOpt: opt.FrontendAttrs})
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
	if c.Method == "check" {
		return said, c.checked(said, req, w)
	}
	_, err = io.WriteString(w, c.text(said))
	return said, err
}

// text is what was said, in the form that was asked for.
func (c Call) text(said map[string]string) string {
	if c.JSON {
		return said["result.json"] + "\n"
	}
	return strings.TrimLeft(said["result.txt"], "\n")
}

// checked prints what the checks have found, and returns what it means, as buildx
// does (commands/build.go, printResult).
func (c Call) checked(said map[string]string, req Request, w io.Writer) error {
	var found lint.LintResults
	if text := said["result.json"]; text != "" {
		if err := json.Unmarshal([]byte(text), &found); err != nil {
			return fmt.Errorf("reading what the checks have found: %w", err)
		}
	}
	var b strings.Builder
	switch n := len(found.Warnings); {
	case c.JSON:
		b.WriteString(c.text(said))
	case n == 1:
		b.WriteString("Check complete, 1 warning has been found!\n")
	case n > 1:
		fmt.Fprintf(&b, "Check complete, %d warnings have been found!\n", n)
	case found.Error == nil:
		b.WriteString("Check complete, no warnings found.\n")
	}
	if !c.JSON {
		if err := found.PrintTo(&b, req.shown); err != nil {
			return fmt.Errorf("printing what the checks have found: %w", err)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if e := found.Error; e != nil {
		place := req.dockerfile()
		for _, r := range e.Location.GetRanges() {
			place += fmt.Sprintf(":%d", r.GetStart().GetLine())
			break
		}
		return fmt.Errorf("reading %s: %s", place, e.Message)
	}
	if code := said["result.statuscode"]; !c.IgnoreStatus && code != "" && code != "0" {
		return ErrCheck
	}
	return nil
}

// shown is a source under the name that the user has for it: the frontend knows
// the last part only.
func (r Request) shown(info *pb.SourceInfo) *pb.SourceInfo {
	if info == nil || !r.here() {
		return info
	}
	info = info.CloneVT()
	info.Filename = r.dockerfile()
	return info
}
