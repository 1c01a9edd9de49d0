package buildkit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/org/secure-build/internal/hint"
)

// kubectlTimeout bounds the question for a pod, which the API answers at once.
const kubectlTimeout = 20 * time.Second

// podOf asks kubectl for a pod of a builder's deployment, whose label app is
// its name (buildx' driver/kubernetes/manifest). kubectl itself waits without
// bound, for a cluster out of reach and for its own login plugins. It is left
// some time to say itself what was in the way.
func podOf(ctx context.Context, timeout time.Duration, name, endpoint, namespace string) (string, error) {
	app, kubeconfig := name, ""
	if u, err := url.Parse(endpoint); err == nil && u.Scheme == "kubernetes" {
		app, kubeconfig = cmp.Or(u.Query().Get("deployment"), app), u.Query().Get("kubeconfig")
	}
	args := []string{"get", "pods", "--selector", "app=" + app, "--field-selector", "status.phase=Running", "--output", "jsonpath={.items[0].metadata.name}", "--request-timeout", (timeout * 3 / 4).String()}
	if namespace != "" {
		args = append(args, "--namespace", namespace)
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(asking, "kubectl", args...)
	cmd.WaitDelay = time.Second
	for _, variable := range []string{"PATH", "HOME", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"} {
		cmd.Env = append(cmd.Env, variable+"="+os.Getenv(variable))
	}
	if kubeconfig != "" {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	pod := strings.TrimSpace(string(out))
	switch {
	case err == nil && pod == "":
		err = errors.New("none runs")
	case err != nil && asking.Err() != nil && ctx.Err() == nil:
		return "", hint.Wrap(fmt.Errorf("finding a pod of %s: kubectl has not answered in %v", app, timeout), "is the cluster in reach? kubectl get pods says")
	}
	if err != nil {
		return "", hint.Wrap(fmt.Errorf("finding a pod of %s: %w: %s", app, err, strings.TrimSpace(said.String())), "docker buildx inspect --bootstrap starts it")
	}
	address := "kube-pod://" + pod
	if namespace != "" {
		address += "?namespace=" + url.QueryEscape(namespace)
	}
	return address, nil
}
