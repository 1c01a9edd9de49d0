package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	main "github.com/org/secure-build/cmd/secure-build"
	"github.com/org/secure-build/internal/dockertest"
	"github.com/org/secure-build/internal/gitlab/gitlabtest"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary the command itself where it is started
// under the command's name, which also holds for what the command starts
// (the private daemon, the vault's supervisor).
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){
		"secure-build": func() {
			main.UseImage(os.Getenv(engineImageVariable))
			os.Exit(main.Main())
		},
		deniedCommand: func() {
			fmt.Fprintln(os.Stderr, denyNamespaces()) // it has not become another program
			os.Exit(1)
		},
	})
}

// A suite is the tests with one BuildKit daemon for all of them, and one Docker
// engine for those that ask for it.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	defer stopDaemon()
	code := s.m.Run()
	if err := stopEngine(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the tests' dockerd:", err)
		return max(code, 1)
	}
	return code
}

// TestScripts runs the command on real parts: each file in testdata/script is
// named after what it shows.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"act":             with((*scene).actCmd),
			"canary":          with((*scene).canaryCmd),
			"containerd":      with((*scene).containerdCmd),
			"docker-engine":   with((*scene).dockerEngineCmd),
			"docker-image":    with((*scene).dockerImageCmd),
			"docker-kills":    with((*scene).dockerKillsCmd),
			"docker-full":     with((*scene).dockerFullCmd),
			"encrypt":         with((*scene).encryptCmd),
			"exits":           with((*scene).exitsCmd),
			"expand":          with((*scene).expandCmd),
			"git-server":      with((*scene).gitServerCmd),
			"gitlab":          with((*scene).gitlabCmd),
			"gitlab-api":      with((*scene).gitlabAPICmd),
			"gitlab-example":  with((*scene).gitlabExampleCmd),
			"gitlab-masker":   with((*scene).gitlabMaskerCmd),
			"gitlab-project":  with((*scene).gitlabProjectCmd),
			"hunt":            huntCmd,
			"interrupts":      with((*scene).interruptsCmd),
			"rawjson":         with((*scene).rawjsonCmd),
			"refuse":          with((*scene).refuseCmd),
			"registry-has":    with((*scene).registryHasCmd),
			"registry-layers": with((*scene).registryLayersCmd),
			"registry-log":    with((*scene).registryLogCmd),
			"registry-login":  with((*scene).registryLoginCmd),
			"registry-writes": with((*scene).registryWritesCmd),
			"setenv":          with((*scene).setenvCmd),
			"shell":           with((*scene).shellCmd),
			"ssh-server":      with((*scene).sshServerCmd),
			"standin":         with((*scene).standInCmd),
			"standin-writes":  with((*scene).standInWritesCmd),
			"valid-reports":   with((*scene).validReportsCmd),
			"vault-empty":     with((*scene).vaultEmptyCmd),
		},
	})
}

// A scene is what one script plays in: its folders, its registry and its
// canaries. Folders of $WORK, beside the script's own files:
//
//	plain   plaintext that the user has anyway; the one place that hunt leaves out
//	home    HOME
//	tmp     TMPDIR
//	cache   --cache-dir: the layouts of runs, and the private daemon's state
//	run     XDG_RUNTIME_DIR
type scene struct {
	work     string
	daemon   string // folder of the shared daemon
	registry *recorder
	services *standIn // nil until a script asks for it
	gitlab   gitlabtest.Server
	engine   *dockertest.Engine // nil until a script asks for it
	canaries []canary
	vars     []string // names of the variables that setup has set
	runs     []run
	sampler  *sampler
}

type sceneKey struct{}

func with(do func(*scene, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command has no opposite")
		}
		ts.Check(do(ts.Value(sceneKey{}).(*scene), ts, args))
	}
}

func newScene(work string) *scene {
	return &scene{work: work, sampler: newSampler(), registry: newRecorder()}
}

func setup(env *testscript.Env) error {
	address, root, err := sharedDaemon()
	if err != nil {
		return err
	}
	s := newScene(env.WorkDir)
	s.daemon = root
	env.Defer(s.registry.Close)
	for _, dir := range []string{"home", "tmp", "cache", "run", "plain"} {
		if err := os.MkdirAll(filepath.Join(s.work, dir), 0o700); err != nil {
			return err
		}
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	// The job has the key in its environment; nothing that we start may have it.
	s.canaries = append(s.canaries, canary{"SOPS_AGE_KEY", identity.String(), true})
	tools, err := toolsDir()
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"PATH":                   env.Getenv("PATH") + ":" + tools + ":/usr/local/sbin:/usr/sbin:/sbin",
		"HOME":                   filepath.Join(s.work, "home"),
		"TMPDIR":                 filepath.Join(s.work, "tmp"),
		"XDG_CACHE_HOME":         filepath.Join(s.work, "home", ".cache"),
		"XDG_RUNTIME_DIR":        filepath.Join(s.work, "run"),
		"SECURE_BUILD_CACHE_DIR": filepath.Join(s.work, "cache"),
		"BUILDKIT_HOST":          address,
		"REGISTRY":               s.registry.host(),
		"SOPS_AGE_KEY":           identity.String(),
		"SOPS_AGE_RECIPIENTS":    identity.Recipient().String(),
		"LC_ALL":                 "C",
	} {
		env.Setenv(name, value)
		s.vars = append(s.vars, name)
	}
	env.Values[sceneKey{}] = s
	return nil
}

// toolsDir is where make tools puts the real sops, buildctl and buildkitd.
func toolsDir() (string, error) {
	dir := os.Getenv("SECURE_BUILD_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin", "tools")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "buildkitd")); err != nil {
		return "", fmt.Errorf("%w (make tools builds it)", err)
	}
	return dir, nil
}
