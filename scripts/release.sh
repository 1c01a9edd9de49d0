#!/usr/bin/env bash
# Builds the release's archives into the folder dist and writes checksums.txt,
# which is committed with the action. The same commit, version and Go give the
# same bytes in any folder and under any umask, with GNU tar and gzip.
#
#   scripts/release.sh VERSION      such as 1.2.3
#
# RELEASE_SYSTEMS names other systems than those of a release, such as the one
# that a test runs on (linux/amd64).
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:-}
if [ $# -ne 1 ] || ! [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]]; then
  echo "release: error: want a version, such as 1.2.3; got '$*'" >&2
  exit 1
fi
read -ra systems <<<"${RELEASE_SYSTEMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}"

# What may stand in the environment of this machine and changes the code.
unset GOEXPERIMENT
export GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off

rm -rf dist
mkdir -p dist
for system in "${systems[@]}"; do
  os=${system%/*} arch=${system#*/} exe=
  [ "$os" != windows ] || exe=.exe
  name=secure-build_${version}_${os}_${arch}
  folder=dist/$name
  mkdir "$folder"
  GOOS=$os GOARCH=$arch go build -trimpath \
    -ldflags "-s -w -X main.version=v$version" -o "$folder/secure-build$exe" ./cmd/secure-build
  cp LICENSE README.md "$folder"
  # Nothing of this machine or of the time goes into the archive.
  tar --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=u=rwX,go=rX \
    -C "$folder" -cf - LICENSE README.md "secure-build$exe" | gzip -9n >"dist/$name.tar.gz"
  {
    printf '%s  %s\n' "$(sha256sum <"dist/$name.tar.gz" | cut -d' ' -f1)" "$name.tar.gz"
    printf '%s  %s\n' "$(sha256sum <"$folder/secure-build$exe" | cut -d' ' -f1)" "$name$exe"
  } >>dist/checksums.txt
  rm -r "$folder"
done
# Last, so that a build that failed leaves no list of what is not there.
cp dist/checksums.txt checksums.txt
