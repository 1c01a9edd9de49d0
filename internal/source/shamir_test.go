package source

import (
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/org/secure-build/internal/hint"
)

func TestShamir(t *testing.T) {
	w := newWorld(t)
	var ids []*age.X25519Identity
	groups := "shamir_threshold: 2\n    key_groups:\n"
	for range 3 {
		id, _ := age.GenerateX25519Identity()
		ids = append(ids, id)
		groups += "      - age: [" + id.Recipient().String() + "]\n"
	}
	for _, pair := range [][2]int{{0, 1}, {1, 2}, {2, 0}} {
		w.env["SOPS_AGE_KEY"] = ids[pair[0]].String() + "\n" + ids[pair[1]].String()
		w.checkExtractsOf(w.mustLoad, func(name, plain string) { w.encryptByRule(name, plain, groups) })
	}
	w.env["SOPS_AGE_KEY"] = ids[1].String()
	for _, f := range extracts {
		_, err := w.load("x=" + f.file)
		if err == nil || !strings.Contains(err.Error(), "2 of its 3 key groups are needed and 1 opened") {
			t.Errorf("%s with one group: %v", f.file, err)
		}
	}
}

// TestShamirMixed needs an age identity, a KMS and a Vault, all three.
func TestShamirMixed(t *testing.T) {
	aws, vault, w := awsKMS(t), vaultTransit(t), newWorld(t)
	identity := w.env["SOPS_AGE_KEY"]
	w.setAll(t, awsEnv(aws, w.dir))
	w.setAll(t, map[string]string{"VAULT_ADDR": vault.server.URL, "VAULT_TOKEN": "test-token", "HOME": w.dir, "SOPS_KMS_ARN": testARN})
	w.env["SOPS_AGE_KEY"] = identity
	rule := "shamir_threshold: 3\n    key_groups:\n" +
		"      - age: [" + w.id.Recipient().String() + "]\n" +
		"      - kms: [{arn: '" + testARN + "'}]\n" +
		"      - hc_vault: ['" + vault.server.URL + "/v1/transit/keys/build']\n"
	w.checkExtractsOf(w.mustLoad, func(name, plain string) { w.encryptByRule(name, plain, rule) })

	delete(w.env, "SOPS_KMS_ARN")
	aws.calls()
	_, err := w.load("s.yaml")
	if hints := strings.Join(hint.Of(err), "\n"); err == nil || !strings.Contains(hints, "--allow-key-source "+testARN) {
		t.Errorf("one of the three is a stranger: got %v (hints %q)", err, hints)
	}
	if asked := aws.calls(); asked != nil {
		t.Errorf("the stranger was asked: %q", asked)
	}
}
