#!/usr/bin/env bash
# Installs the Debian packages that the demo needs and that this machine lacks;
# with the argument "test", those of the tests too. Says what it installs; does
# nothing when nothing is missing.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

fail() {
  echo "setup: error: $1" >&2
  echo "setup: hint: $2" >&2
  exit 1
}

missing=()
need() { # PACKAGE CHECK...: the package is missing if the check fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has() { command -v "$1"; }
static_busybox() { [ -x /bin/busybox ] && ! ldd /bin/busybox; } # runs in an image that has nothing else
engine() { has dockerd && has docker; }
browser() { has chromium || has chromium-browser || has google-chrome; } # opens the reports
user_namespaces() { [ "$(id -u)" = 0 ] || "$@"; }               # only who is not root needs these

need ca-certificates test -s /etc/ssl/certs/ca-certificates.crt
need git has git
need gnupg has gpg-agent
need procps has ps
need runc has runc
need busybox-static static_busybox
need rootlesskit user_namespaces has rootlesskit
need uidmap user_namespaces has newuidmap
if [ "${1:-}" = test ]; then
  need chromium browser
  need openssh-client has ssh-keygen
  need npm has npm
  need rsync has rsync # gitlab-ci-local copies artifacts with it
  need rootlesskit has rootlesskit # root needs these two for the image
  need uidmap has newuidmap
  need docker.io engine # the tests start an engine of their own; a Docker that is there will do
  need iptables has iptables # for Docker's networks
fi

[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  as_root=(sudo -n)
fi
if ! has apt-get >/dev/null; then
  fail "missing: ${missing[*]}" "these are packages of Debian and Ubuntu; install what your system calls them"
fi
if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
  fail "missing, and this user may not install them: ${missing[*]}" "sudo apt-get install ${missing[*]}"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >>"$log" 2>&1 </dev/null; }
install() {
  echo "setup: installing the packages $*"
  # The package lists of a fresh machine are empty or old.
  if ! apt install -y --no-install-recommends "$@" && ! { apt update && apt install -y --no-install-recommends "$@"; }; then
    tail -n 20 "$log" >&2
    fail "installing $* failed" "what apt-get said is above"
  fi
}
install "${missing[@]}"
if [[ " ${missing[*]} " == *" docker.io "* ]] && ! has docker >/dev/null; then
  install docker-cli # a package of its own since Debian 13
fi
