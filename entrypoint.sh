#!/bin/sh
# Finds secure-build and becomes it: the GitHub Action's step, the entry point
# of the image, and a launcher in a checkout.
#
#   entrypoint.sh COMMAND ARG…   runs "secure-build COMMAND ARG…"
#   entrypoint.sh sh -c …        runs the shell, as CIs do with a job's image
#
# In order: the binary beside this file; the one in the runner's tool cache, or
# the release's archive for this system, if checksums.txt (which is committed
# with the action) has its checksum; or built with Go, if checksums.txt names no
# release for this system. Nothing is run whose checksum differs.
set -eu

fail() { # MESSAGE HINT
  printf 'secure-build: error: %s\nsecure-build: hint: %s\n' "$1" "$2" >&2
  exit 1
}

# In a step's log a line of ours stands among those of others.
say() { printf 'secure-build: %s\n' "$1" >&2; }

has() { command -v "$1" >/dev/null 2>&1; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
cache=${RUNNER_TOOL_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}}/secure-build

system() { # the release's names for this machine
  case $(uname -s) in
    Linux) os=linux exe= ;;
    Darwin) os=darwin exe= ;;
    MINGW* | MSYS* | CYGWIN* | Windows_NT) os=windows exe=.exe ;;
    *) os=$(uname -s) exe= ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) arch=$(uname -m) ;;
  esac
}

sha256() { # FILE
  if has sha256sum; then
    set -- "$(sha256sum <"$1")"
  elif has shasum; then
    set -- "$(shasum -a 256 <"$1")"
  elif has openssl; then
    set -- "$(openssl dgst -sha256 -r <"$1")"
  else
    fail 'nothing here computes SHA-256' 'install sha256sum, shasum or openssl'
  fi
  printf '%s\n' "${1%% *}"
}

checksum() { # NAME: what checksums.txt says of it, or nothing
  [ -f "$here/checksums.txt" ] || return 0
  while read -r sum name; do
    if [ "$name" = "$1" ]; then
      printf '%s\n' "$sum"
      return 0
    fi
  done <"$here/checksums.txt"
}

version() { # of the release that checksums.txt is of, such as 1.2.3
  [ -f "$here/checksums.txt" ] || return 0
  while read -r _ name; do
    case $name in
      secure-build_*_"$os"_"$arch".tar.gz)
        name=${name#secure-build_}
        printf '%s\n' "${name%_"${os}_$arch".tar.gz}"
        return 0
        ;;
    esac
  done <"$here/checksums.txt"
}

intact() { # FILE NAME: whether the file is what the release calls so
  [ "$(sha256 "$1")" = "$(checksum "$2")" ]
}

# What no program that we start on the way has a use for.
secrets='SECURE_BUILD_SECRET_VALUES SECURE_BUILD_GITHUB_TOKEN SECURE_BUILD_REGISTRY_PASSWORD SOPS_AGE_KEY VAULT_TOKEN
  ACTIONS_RUNTIME_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN'

fetch() ( # URL FILE
  # shellcheck disable=SC2086 # names
  unset $secrets
  if has curl; then
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 20 --output "$2" -- "$1"
  elif has wget; then
    wget -q -O "$2" -- "$1"
  else
    fail "nothing here can fetch $1" 'install curl or wget'
  fi
)

# Downloads the release to the folder $1 and leaves the binary there.
download() { # FOLDER VERSION
  archive=secure-build_$2_${os}_$arch.tar.gz
  server=${GITHUB_SERVER_URL:-https://github.com}
  repository=${SECURE_BUILD_ACTION_REPOSITORY:-${GITHUB_ACTION_REPOSITORY:-}}
  base=${SECURE_BUILD_RELEASES:-$server/${repository:-org/secure-build}/releases/download}
  say "fetching $base/v$2/$archive"
  fetch "$base/v$2/$archive" "$1/$archive" ||
    fail "fetching $base/v$2/$archive failed" \
      'SECURE_BUILD_RELEASES names another place for the releases, such as a mirror'
  intact "$1/$archive" "$archive" ||
    fail "the checksum of $archive is not the one in checksums.txt, so it was not run" \
      'somebody has changed the release or the way to it: compare it with another machine, and report it'
  tar -xzf "$1/$archive" -C "$1" "secure-build$exe"
  rm -f "$1/$archive"
}

# Makes a folder of our own beside what will be the binary, which is moved into
# place in one go: another job may be looking.
prepare() { # FOLDER
  if ! mkdir -p "$1" 2>/dev/null || ! scratch=$(umask 077 && mktemp -d "$1/new-XXXXXX" 2>/dev/null); then
    fail "there is no place for the binary: $1 cannot be written to" 'RUNNER_TOOL_CACHE names another folder'
  fi
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

keep() { # sets binary to what lies in the folder that prepare made
  mv -f "$scratch/secure-build$exe" "${scratch%/*}/secure-build$exe"
  binary=${scratch%/*}/secure-build$exe
  rm -rf "$scratch"
  trap - EXIT INT TERM HUP
}

# Sets binary to the release's, from the tool cache or fetched into it.
released() { # VERSION
  name=secure-build_$1_${os}_$arch$exe # the binary itself has a checksum too
  binary=$cache/$1/$arch/secure-build$exe
  if [ -f "$binary" ] && intact "$binary" "$name"; then
    return
  fi
  prepare "$cache/$1/$arch"
  download "$scratch" "$1"
  intact "$scratch/secure-build$exe" "$name" ||
    fail 'the checksum of the binary in the archive is not the one in checksums.txt, so it was not run' \
      'the release and checksums.txt do not belong together: report it'
  keep
}

# Sets binary to one that is built from the source beside this file.
built() {
  ref=${SECURE_BUILD_ACTION_REF:-${GITHUB_ACTION_REF:-source}}
  case $ref in *[!A-Za-z0-9._/-]*) ref=source ;; esac # it becomes a linker's flag
  prepare "$here/bin"
  say 'building it with Go, since checksums.txt names no release for this system'
  # shellcheck disable=SC2086 # names
  (unset $secrets && cd "$here" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off \
    go build -trimpath -ldflags "-s -w -X main.version=$ref" -o "$scratch/secure-build$exe" ./cmd/secure-build) >&2 ||
    fail 'building secure-build with Go failed' 'what go build said is above; a release (org/secure-build@v1) needs no Go'
  keep
}

find_binary() {
  system
  for binary in "$here/secure-build$exe" "$here/bin/secure-build$exe"; do
    if [ -f "$binary" ] && [ -x "$binary" ]; then
      return
    fi
  done
  release=$(version)
  if [ -n "$release" ]; then
    released "$release"
  elif has go && [ -f "$here/go.mod" ]; then
    built
  else
    fail "there is no secure-build beside $here/entrypoint.sh, and no release of it for $os/$arch" \
      'use a released version (org/secure-build@v1), or put Go into PATH (actions/setup-go) to have it built'
  fi
}

case ${1:-} in
  '') set -- --help ;;
  sh | bash | ash | dash | /bin/* | /usr/bin/* | /usr/local/bin/*) exec "$@" ;;
esac
find_binary
exec "$binary" "$@"
