package source

import (
	"errors"
	"strings"
	"testing"

	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hckms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/kms"

	"github.com/org/secure-build/internal/hint"
)

// TestI10Trust tables which addresses may be asked, by what names them.
func TestI10Trust(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/ci"
	vault := func(address string) keys.MasterKey { return hcvault.NewMasterKey(address, "transit", "k") }
	azure := func(address string) keys.MasterKey {
		return &azkv.MasterKey{VaultURL: address, Name: "k", Version: "1a"}
	}
	gcp := &gcpkms.MasterKey{ResourceID: testGCP}
	aws := func(arn, role, profile string) keys.MasterKey {
		return &kms.MasterKey{Arn: arn, Role: role, AwsProfile: profile}
	}
	env := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	const ok, strange, bad = "ok", "stranger", "bad"
	tests := []struct {
		name  string
		key   keys.MasterKey
		env   map[string]string
		allow string
		want  string
	}{
		{"vault, nothing", vault("https://v.example.com:8200"), nil, "", strange},
		{"vault, VAULT_ADDR", vault("https://v.example.com:8200"), env("VAULT_ADDR", "https://V.example.com:8200/"), "", ok},
		{"vault, default port", vault("https://v.example.com/"), env("VAULT_ADDR", "https://v.example.com:443"), "", ok},
		{"vault, other port", vault("https://v.example.com:8201"), env("VAULT_ADDR", "https://v.example.com:8200"), "", strange},
		{"vault, not TLS", vault("http://v.example.com:8200"), env("VAULT_ADDR", "https://v.example.com:8200"), "", strange},
		{"vault, longer host", vault("https://v.example.com.evil.net"), env("VAULT_ADDR", "https://v.example.com"), "https://v.example.com", strange},
		{"vault, user in URL", vault("https://v.example.com:8200@evil.net"), env("VAULT_ADDR", "https://v.example.com:8200"), "https://v.example.com:8200", bad},
		{"vault, fragment", vault("https://evil.net#https://v.example.com"), env("VAULT_ADDR", "https://v.example.com"), "", bad},
		{"vault, query", vault("https://v.example.com?x"), env("VAULT_ADDR", "https://v.example.com"), "", bad},
		{"vault, not a URL", vault("v.example.com"), nil, "", bad},
		{"vault, SOPS_VAULT_URIS", vault("https://v.example.com"), env("SOPS_VAULT_URIS", "https://v.example.com/v1/transit/keys/k"), "", ok},
		{"vault, SOPS_VAULT_URIS, other key", vault("https://v.example.com"), env("SOPS_VAULT_URIS", "https://v.example.com/v1/transit/keys/k2"), "", strange},
		{"vault, sops' allow list", vault("https://v.example.com"), env("SOPS_HC_VAULT_ALLOWLIST", "https://a.com, https://v.example.com/"), "", ok},
		{"vault, sops' allow list all", vault("https://v.example.com"), env("SOPS_HC_VAULT_ALLOWLIST", "all"), "", strange},
		{"vault, allowed", vault("https://v.example.com"), nil, "https://v.example.com", ok},
		{"vault, allowed key", vault("https://v.example.com"), nil, "https://v.example.com/v1/transit/keys/k", ok},
		{"vault, allowed engine", vault("https://v.example.com"), nil, "https://v.example.com/v1/trans", strange},
		{"vault, path out of the engine", hcvault.NewMasterKey("https://v.example.com", "transit", "../../auth/token/create"), nil, "https://v.example.com", bad},
		{"vault, dots in the engine", hcvault.NewMasterKey("https://v.example.com", "a/../sys", "k"), nil, "https://v.example.com", bad},
		{"vault, deep engine", hcvault.NewMasterKey("https://v.example.com", "team/a/transit", "k"), nil, "https://v.example.com", ok},

		{"kms, nothing", aws(testARN, "", ""), env("AWS_ENDPOINT_URL", "http://localhost:4566"), "", strange},
		{"kms, SOPS_KMS_ARN", aws(testARN, "", ""), env("SOPS_KMS_ARN", "arn:aws:kms:x, "+testARN), "", ok},
		{"kms, allowed", aws(testARN, "", ""), nil, testARN, ok},
		{"kms, allowed account", aws(testARN, "", ""), nil, "arn:aws:kms:eu-west-1:123456789012:*", ok},
		{"kms, other account", aws(testARN, "", ""), nil, "arn:aws:kms:eu-west-1:123456789013:*", strange},
		{"kms, prefix without *", aws(testARN, "", ""), nil, testARN[:40], strange},
		{"kms, region is a host", aws("arn:aws:kms:evil.net/:123456789012:key/a", "", ""), nil, "arn:aws:kms:*", bad},
		{"kms, no ARN", aws("alias/x", "", ""), nil, "", bad},
		{"kms, role", aws(testARN, role, ""), nil, testARN, strange},
		{"kms, role by SOPS_KMS_ARN", aws(testARN, role, ""), env("SOPS_KMS_ARN", testARN+"+"+role), "", ok},
		{"kms, role allowed", aws(testARN, role, ""), nil, testARN + " " + role, ok},
		{"kms, bad role", aws(testARN, "x", ""), nil, testARN, bad},
		{"kms, profile", aws(testARN, "", "admin"), nil, testARN, strange},
		{"kms, profile of the job", aws(testARN, "", "ci"), env("AWS_PROFILE", "ci"), testARN, ok},
		{"kms, profile allowed", aws(testARN, "", "ci"), nil, testARN + " profile:ci", ok},

		{"azure, nothing", azure("https://v.vault.azure.net/"), nil, "", strange},
		{"azure, allowed", azure("https://v.vault.azure.net/"), nil, "https://v.vault.azure.net", ok},
		{"azure, SOPS_AZURE_KEYVAULT_URLS", azure("https://v.vault.azure.net"), env("SOPS_AZURE_KEYVAULT_URLS", "https://v.vault.azure.net/keys/k/1a"), "", ok},
		{"azure, other key", azure("https://v.vault.azure.net"), env("SOPS_AZURE_KEYVAULT_URLS", "https://v.vault.azure.net/keys/k/1"), "", strange},
		{"azure, not TLS", azure("http://v.vault.azure.net"), nil, "http://v.vault.azure.net", bad},

		{"gcp, nothing", gcp, nil, "", strange},
		{"gcp, allowed", gcp, nil, "projects/p/*", ok},
		{"gcp, SOPS_GCP_KMS_IDS", gcp, env("SOPS_GCP_KMS_IDS", testGCP), "", ok},
		{"gcp, no name", &gcpkms.MasterKey{ResourceID: "projects/p?x/locations/l/keyRings/r/cryptoKeys/k"}, nil, "projects/p*", bad},

		{"huawei, nothing", &hckms.MasterKey{KeyID: "tr-west-1:1a-2b"}, nil, "", strange},
		{"huawei, SOPS_HUAWEICLOUD_KMS_IDS", &hckms.MasterKey{KeyID: "tr-west-1:1a-2b"}, env("SOPS_HUAWEICLOUD_KMS_IDS", "tr-west-1:1a-2b"), "", ok},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := &world{t: t, env: tc.env}
			opts := w.options()
			opts.AllowKeySource = strings.Fields(tc.allow)
			err := trust{opts}.check(tc.key)
			got := bad
			switch {
			case err == nil:
				got = ok
			case errors.As(err, new(stranger)):
				got = strange
			}
			if got != tc.want {
				t.Errorf("got %s (%v), want %s", got, err, tc.want)
			}
		})
	}
}

func TestAllowKeySource(t *testing.T) {
	for _, entry := range []string{testARN, "arn:aws:kms:eu-west-1:123456789012:*", "https://v.example.com:8200", "https://v.vault.azure.net/keys/k", "projects/p/*", testGCP, "profile:ci", "tr-west-1:*"} {
		if err := checkKeySource(entry); err != nil {
			t.Errorf("%q: %v", entry, err)
		}
	}
	for _, entry := range []string{"", "*", "https://*", "https://*.vault.azure.net", "https://user@v.example.com", "arn:*", "projects/*", "profile:", "v.example.com/x", "ftp://x"} {
		_, err := Load(t.Context(), nil, Options{AllowKeySource: []string{entry}})
		if err == nil || len(hint.Of(err)) != 1 || !strings.Contains(err.Error(), "names no key source") {
			t.Errorf("%q: got %v", entry, err)
		}
	}
}
