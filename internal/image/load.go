package image

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/held"
	"github.com/org/secure-build/internal/hint"
)

// dockerSocket is where Docker listens when nobody says otherwise.
const dockerSocket = "unix:///var/run/docker.sock"

// dockerEnv lists what the docker command is given of our environment, when it
// has to reach an engine that we can not reach ourselves.
var dockerEnv = []string{"PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION", "SSH_AUTH_SOCK"}

// A Docker is an engine that images can be loaded into.
type Docker struct {
	Host    string // as in DOCKER_HOST; "" is the usual socket
	CertDir string // with ca.pem, cert.pem and key.pem, for tcp://
	Context string // of the docker command, "" for none
}

// Load sends an archive as docker load does: straight to the engine's API
// (POST /images/load), or by the docker command for contexts and ssh://.
func (d Docker) Load(ctx context.Context, archive func(io.Writer) error) error {
	host := cmp.Or(d.Host, dockerSocket)
	var err error
	if u, perr := url.Parse(host); d.Context != "" || perr != nil || u.Scheme != "unix" && u.Scheme != "tcp" {
		err = d.command(ctx, archive)
	} else {
		err = d.api(ctx, u, archive)
	}
	if errors.Is(err, held.ErrChanged) {
		return fmt.Errorf("loading the image into Docker at %s: %w", host, err)
	}
	if err != nil {
		return hint.Wrap(fmt.Errorf("loading the image into Docker at %s: %w", host, err), "is Docker running, and may this user reach it? DOCKER_HOST says where it is")
	}
	return nil
}

func (d Docker) api(ctx context.Context, u *url.URL, archive func(io.Writer) error) error {
	transport := &http.Transport{DisableKeepAlives: true}
	base := "http://" + u.Host
	if u.Scheme == "unix" {
		base = "http://docker"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", u.Path)
		}
	} else if d.CertDir != "" {
		config, err := tlsConfig(d.CertDir)
		if err != nil {
			return err
		}
		base, transport.TLSClientConfig = "https://"+u.Host, config
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := archive(w)
		w.CloseWithError(err) // ends the request as one that is not whole
		written <- err
	}()
	defer r.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/images/load?quiet=1", r)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-tar")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := loaded(resp); err != nil {
		return err
	}
	_ = r.Close() // the engine has what it wanted, be it less than all
	if err := <-written; !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return nil
}

// loaded reads the engine's answer: a stream of messages, of which one may be an
// error although the status was 200.
func loaded(resp *http.Response) error {
	var message struct{ Message, Error string }
	if resp.StatusCode != http.StatusOK {
		_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&message)
		return fmt.Errorf("%s: %s", resp.Status, message.Message)
	}
	for dec := json.NewDecoder(resp.Body); ; {
		err := dec.Decode(&message)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading its answer: %w", err)
		case message.Error != "":
			return errors.New(message.Error)
		}
	}
}

func (d Docker) command(ctx context.Context, archive func(io.Writer) error) error {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	cmd := exec.CommandContext(ctx, "docker", "load", "--quiet")
	if d.Context != "" {
		cmd.Args = slices.Insert(cmd.Args, 1, "--context", d.Context)
	}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(dockerEnv, name) {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	to := &pipe{w: in}
	aerr := archive(to)
	if aerr != nil && to.err == nil { // not the command's fault: its input must not look complete
		kill()
		_ = cmd.Wait() // says that it was killed
		return aerr
	}
	aerr = errors.Join(aerr, in.Close())
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("docker load: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return aerr
}

// A pipe remembers whether it was its other end that gave up.
type pipe struct {
	w   io.Writer
	err error
}

func (p *pipe) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if err != nil {
		p.err = err
	}
	return n, err
}

func tlsConfig(dir string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("there is no certificate in %s", filepath.Join(dir, "ca.pem"))
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
