#!/usr/bin/env bash
# make demo: builds and pushes a small service with secrets from SOPS files,
# runs what was pushed, and then tries the same with its leaky twin. Everything
# happens in a temporary folder, and on this machine only.
# shellcheck disable=SC2016,SC2094 # run expands what is quoted; a file named by --filename-override is not read
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
export PATH=$root/bin:${SECURE_BUILD_TOOLS:-$root/bin/tools}:$PATH:/usr/local/sbin:/usr/sbin:/sbin
unset BUILDKIT_HOST "${!SOPS_@}" "${!SECURE_BUILD_@}" # a newcomer's shell has none of these

bold='' cyan='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' cyan=$'\033[36m' plain=$'\033[0m'; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
note() { printf '%s\n' "$*"; }
fail() {
  printf 'demo: error: %s\n' "$*" >&2
  exit 1
}
show() { printf '%s$ %s%s\n' "$cyan" "$1" "$plain"; }
# run shows a command as one would type it, and does it.
run() {
  show "$1"
  eval "$1"
}

work=$(mktemp -d)
processes=()
clean_up() {
  for p in "${processes[@]}"; do
    kill "$p" 2>/dev/null || true
    wait "$p" 2>/dev/null || true
  done
  cd / && rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work"

cp -r "$root/examples/demo" app
cp /bin/busybox app/busybox

title 'A local registry, which logs each request'
: >registry.log # the shell may come to read it before the job makes it
crane registry serve --address 127.0.0.1:0 2>>registry.log &
processes+=("$!")
port=
for _ in {1..100}; do
  port=$(sed -n 's/.*serving on port //p' registry.log)
  [ -z "$port" ] || break
  sleep 0.1
done
[ -n "$port" ] || fail "the registry did not start: $(cat registry.log)"
registry=127.0.0.1:$port
writes() { grep -cE ' (POST|PUT|PATCH|DELETE) /v2/' registry.log || true; }
note "listening on $registry"

title 'An age key, and two SOPS files for it'
run 'age-keygen -o key.txt'
run 'export SOPS_AGE_KEY_FILE=$PWD/key.txt'
printf 'creation_rules:\n  - age: %s\n' "$(age-keygen -y key.txt)" >.sops.yaml
sops encrypt --filename-override secrets.yaml /dev/stdin >secrets.yaml <<'YAML'
npm:
  npmrc: //npm.example.com/:_authToken=demo_Zk3vQ8sT1yLw5nRb
signing:
  key: |
    -----BEGIN DEMO KEY-----
    c2VjdXJlLWJ1aWxkIGRlbW8gbGluZSBvbmUs
    bm90IGEga2V5IG9mIGFueXRoaW5nIGF0IGFsbC4=
    -----END DEMO KEY-----
YAML
sops encrypt --filename-override deploy.env /dev/stdin >deploy.env <<'DOTENV'
DATABASE_URL=postgres://app:demo-Gx7pWc2mHd@db.example.com/app
API_TOKEN=demo_api_M4jXe9uKfA0rVo6t
DEPLOY_TOKEN=demo_deploy_B8hSy2iNqC5zPl1w
DOTENV
run 'head -n 4 secrets.yaml | cut -c 1-76'

title 'Build the service, scan it, push it'
run "grep -A 1 -e --mount app/Dockerfile"
echo
image=$registry/demo/site:1.0
secrets='--sops npmrc=secrets.yaml#npm.npmrc --sops secrets.yaml#signing.key'
run "secure-build build $secrets --sops deploy.env#DATABASE_URL -t $image --push app"

title 'It is there, and it runs'
run "crane digest $image"
run "crane export $image - | tar -x -C \"\$(mkdir -p container && echo container)\""
if [ "$(id -u)" = 0 ]; then enter='chroot container'; else enter='unshare --map-root-user --root=container'; fi
answer=
for ((web = port + 1; web < port + 20 && web < 65536; web++)); do # until one is free
  $enter /bin/httpd -f -p "127.0.0.1:$web" -h /www 2>/dev/null &
  service=$!
  processes+=("$service")
  for _ in {1..50}; do
    kill -0 "$service" 2>/dev/null || break
    answer=$(busybox wget -q -O - "http://127.0.0.1:$web/build.txt" 2>/dev/null) && break 2
    sleep 0.1
  done
done
[ -n "$answer" ] || fail 'the service did not start'
show "$enter /bin/httpd -f -p 127.0.0.1:$web -h /www &"
run "busybox wget -q -O - http://127.0.0.1:$web/"
run "busybox wget -q -O - http://127.0.0.1:$web/build.txt"
before=$(writes)
note "(the registry's log has $before requests that write)"

title 'Its leaky twin: five mistakes, none of which fails a build'
run "grep '^# [1-5]' app/leaky/Dockerfile"
echo
image=$registry/demo/leaky:1.0
run 'export DATABASE_URL="$(sops decrypt --extract '\''["DATABASE_URL"]'\'' deploy.env)"'
run 'export DEPLOY_TOKEN="$(sops decrypt --extract '\''["DEPLOY_TOKEN"]'\'' deploy.env)"'
code=0
run "secure-build build $secrets --sops deploy.env --build-arg DATABASE_URL --build-arg DEPLOY_TOKEN \\
    -f app/leaky/Dockerfile -t $image --push app" || code=$?
note "exit code: $code"
[ "$code" = 3 ] || fail 'want exit code 3'

title 'The same with the two values in the Dockerfile, where no option shows them'
sed -i "s|^ARG DEPLOY_TOKEN$|&=$DEPLOY_TOKEN|; s|^ARG DATABASE_URL$|&=$DATABASE_URL|" app/leaky/Dockerfile
code=0
run "secure-build build $secrets --sops deploy.env -f app/leaky/Dockerfile -t $image --push --report-dir report app" || code=$?
note "exit code: $code"
[ "$code" = 2 ] || fail 'want exit code 2'
run 'ls report'
for secret in npmrc signing_key API_TOKEN DEPLOY_TOKEN DATABASE_URL; do
  grep -q "\"secret\": \"$secret\"" report/findings.json || fail "no finding of $secret"
done

title 'What the registry saw of it'
after=$(writes)
note "requests that write, since the first image was pushed: $((after - before))"
[ "$after" = "$before" ] || fail 'the registry was written to'
run "crane catalog $registry"
[ "$(crane catalog "$registry")" = demo/site ] || fail 'want demo/site and nothing else'

title 'Done; the daemon, the registry and every file of this demo are gone in a moment'
