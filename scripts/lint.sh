#!/usr/bin/env bash
# Everything that a machine can say about the source. Prints only what is wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

bad=0
check() { # NAME COMMAND...: both a failure and, for a lister, any output count
  local name=$1 out
  shift
  if ! out=$("$@" 2>&1) || { [ "$name" = gofmt ] && [ -n "$out" ]; }; then
    printf 'lint: %s\n%s\n' "$name" "$out" >&2
    bad=1
  fi
}

# go mod tidy also reads the tests of what we import. A test of sops' kms
# package imports a package that newer versions of runc do not have, and tidy
# gives up on it; with -e it says so on stderr and goes on. The diff, and the
# exit code for it, are right either way.
# shellcheck disable=SC2317 # called by check
tidy() { (cd "$1" && go mod tidy -e -diff 2>/dev/null); }

scripts=(.ci/run entrypoint.sh scripts/*.sh)

check gofmt gofmt -l cmd internal ./*.go
check 'go vet' go vet ./...
check staticcheck bin/tools/staticcheck ./...
check 'go mod tidy' tidy .
check 'go mod tidy (tools)' tidy tools
check 'go mod tidy (tools/act)' tidy tools/act
check 'go mod tidy (tools/bench)' tidy tools/bench
for script in "${scripts[@]}"; do
  check "bash -n $script" bash -n "$script"
done
if command -v shellcheck >/dev/null; then
  check shellcheck shellcheck "${scripts[@]}"
fi
exit "$bad"
