#!/bin/bash
# build.sh: builds the real sigstore services that the interop tests run against, from Debian's own packages of their sources.
#
#   scripts/sigstack/build.sh [--prefix DIR] [--mirror URL]
#
# Fulcio, a CT log, Rekor v1 (on Trillian, in memory), Rekor v2 (rekor-tiles) and an RFC 3161 timestamp authority, as static
# programs in DIR/sigstack/bin (default DIR: $BULLA_PEERS or ~/.cache/bulla-peers); test/support/sigstack.ts starts them.
# Debian ships these sources as golang-*-dev packages only, as build dependencies of others: packages.txt names those whose code
# is compiled, overlay.txtar holds stand-ins for the few that Debian lacks. Go comes from Debian sid as well.
#
# About four minutes from nothing: 160 MB fetched, 2 GB unpacked in a temporary folder and deleted again, 200 MB kept. Skips
# when this very build (this script, packages.txt and overlay.txtar) is there. The host's packages are not touched; no root.
# sid moves: names drift. A package that has gone from the archive is named, and the exit code is 1.
# Needs Debian 12 or newer: apt-get, dpkg-deb, tar, debian-archive-keyring.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
prefix=${BULLA_PEERS:-$HOME/.cache/bulla-peers}
mirror=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) prefix=$2; shift ;;
    --mirror) mirror=$2; shift ;;
    -h|--help) sed -n '2,16p' "$0"; exit 0 ;;
    *) echo "unknown argument: $1" >&2; exit 2 ;;
  esac
  shift
done

target=$prefix/sigstack
key=$(cat "$here"/{build.sh,packages.txt,overlay.txtar} | sha256sum | cut -d' ' -f1)
if [ "$(cat "$target/built-from" 2>/dev/null)" = "$key" ]; then
  echo "sigstore services: built already, in $target"
  exit 0
fi
# the Debian mirror that this host already uses
mirror=${mirror:-$(apt-get indextargets --format '$(REPO_URI)' | sort -u | grep -m1 -E '/debian/?$' | sed 's:/*$::' || true)}
[ -n "$mirror" ] || { echo "apt here knows no Debian mirror: name one by --mirror URL" >&2; exit 2; }

began=$SECONDS
lap() { printf '%5d s  %s\n' $((SECONDS - began)) "$1"; }
mkdir -p "$prefix"
work=$(mktemp -d "$prefix/.sigstack-build.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir -p "$work"/{apt/lists/partial,apt/cache,debs,fs,overlay,bin}

# --- sources: fetched by apt with a state of its own, unpacked without maintainer scripts
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$work/apt/sources.list"
apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::Lists=$work/apt/lists"
  -o "Dir::Cache=$work/apt/cache" -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3
  -o APT::Get::List-Cleanup=0 -o "APT::Sandbox::User=$(id -un)")
"${apt[@]}" update
mapfile -t packages < <(sed 's#$#/sid#' "$here/packages.txt")
(cd "$work/debs" && "${apt[@]}" download golang-1.27-go/sid golang-1.27-src/sid "${packages[@]}")
lap "fetched $(du -sh "$work/debs" | cut -f1)"
# two packages may hold the same file (tar then says "Cannot open"): what is really missing, the compiler will say
for deb in "$work"/debs/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -C "$work/fs" -x --exclude=./usr/share/doc --exclude=./usr/share/man --keep-directory-symlink 2>/dev/null || true
  rm "$deb"
done
lap "unpacked $(du -sh "$work/fs" | cut -f1)"

# --- overlay, and the few lines changed: metrics on loopback only, and on a port that can be chosen
awk -v root="$work/overlay" '/^-- .* --$/ { file = root "/" $2; sub("/[^/]*$", "", $2); system("mkdir -p \"" root "/" $2 "\""); next } file != "" { print > file }' \
  "$here/overlay.txtar"
gopath=$work/fs/usr/share/gocode
hub=$gopath/src/github.com
cp -r "$work/overlay/services/trillian_mem" "$hub/google/trillian/cmd/"
echo '<!DOCTYPE html><title>Rekor</title>' >"$hub/sigstore/rekor/pkg/generated/restapi/rekorHomePage.html"
metrics() { # folder package variable
  printf 'package %s\n\nimport "os"\n\nfunc metricsAddr() string {\n\tif a := os.Getenv("%s"); a != "" {\n\t\treturn a\n\t}\n\treturn "127.0.0.1:2112"\n}\n' \
    "$2" "$3" >"$1/metricsaddr.go"
}
# Rekor v1 without the kinds (rpm, tuf) whose libraries Debian lacks
rekor=$work/overlay/last/src/github.com/sigstore/rekor-server-local
mkdir -p "$rekor"
cp -r "$hub"/sigstore/rekor/cmd/rekor-server/* "$rekor/"
rm -f "$rekor"/app/*_test.go
echo 'module github.com/sigstore/rekor-server-local' >"$rekor/go.mod"
sed -i '/types\/rpm"/d;/types\/rpm\//d;/types\/tuf"/d;/types\/tuf\//d;/rpm.KIND/d;/tuf.KIND/d;s#":2112"#metricsAddr()#' "$rekor/app/serve.go"
sed -i 's#sigstore/rekor/cmd/rekor-server/app#sigstore/rekor-server-local/app#' "$rekor/main.go"
metrics "$rekor/app" app REKOR_METRICS_ADDR
tsa=$hub/sigstore/timestamp-authority/v2/pkg/server
metrics "$tsa" server TSA_METRICS_ADDR
sed -i 's#":2112"#metricsAddr()#' "$tsa/prometheus.go"
sed -i 's#fmt.Sprintf(":%v", viper.GetString("metrics-port"))#fmt.Sprintf("127.0.0.1:%v", viper.GetString("metrics-port"))#' "$hub/sigstore/fulcio/cmd/app/serve.go"

# --- programs
export GOROOT=$work/fs/usr/lib/go-1.27 GOCACHE=$work/cache GO111MODULE=off GOENV=off GOTOOLCHAIN=local GOFLAGS="-trimpath -buildvcs=false" CGO_ENABLED=0
compile() { # gopath package...
  GOPATH=$1 "$GOROOT/bin/go" build -tags mysql,etcd -ldflags "-s -w" -o "$work/bin/" "${@:2}"
}
compile "$gopath" github.com/sigstore/rekor-tiles/cmd/rekor-server/posix github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server
compile "$work/overlay/first:$gopath:$work/overlay/last" github.com/google/trillian/cmd/{trillian_mem,createtree} \
  github.com/google/certificate-transparency-go/trillian/ctfe/ct_server github.com/sigstore/fulcio github.com/sigstore/rekor-server-local
mv "$work/bin/fulcio" "$work/bin/fulcio-server"
mv "$work/bin/rekor-server-local" "$work/bin/rekor-server-v1"
mv "$work/bin/posix" "$work/bin/rekor-server-v2"
lap 'compiled'

rm -rf "$target"
mkdir -p "$target"
mv "$work/bin" "$target/bin"
echo "$key" >"$target/built-from"
lap "sigstore services: $(du -sh "$target" | cut -f1) in $target"
