#!/usr/bin/env bash
# Builds the release's archives into the folder dist and writes checksums.txt,
# which is committed with the action. The same commit and version give the same
# bytes on any machine.
#
#   scripts/release.sh VERSION      such as 1.2.3
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:-}
if ! [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]]; then
  echo "release: error: want a version, such as 1.2.3; got '$version'" >&2
  exit 1
fi

rm -rf dist
mkdir -p dist
: >checksums.txt
for system in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do
  os=${system%/*} arch=${system#*/} exe=
  [ "$os" != windows ] || exe=.exe
  name=secure-build_${version}_${os}_${arch}
  folder=dist/$name
  mkdir "$folder"
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOFLAGS=-buildvcs=false go build -trimpath \
    -ldflags "-s -w -X main.version=v$version" -o "$folder/secure-build$exe" ./cmd/secure-build
  cp LICENSE README.md "$folder"
  # Nothing of this machine or of the time goes into the archive.
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=go-w -C "$folder" -cf - LICENSE README.md "secure-build$exe" | gzip -9n >"dist/$name.tar.gz"
  {
    printf '%s  %s\n' "$(sha256sum <"dist/$name.tar.gz" | cut -d' ' -f1)" "$name.tar.gz"
    printf '%s  %s\n' "$(sha256sum <"$folder/secure-build$exe" | cut -d' ' -f1)" "$name$exe"
  } >>checksums.txt
  rm -r "$folder"
done
cp checksums.txt dist/
