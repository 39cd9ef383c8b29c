#!/bin/bash
# install-peers.sh: the real programs that the interop tests run against, under one folder.
#
#   scripts/install-peers.sh [--prefix DIR] [--mirror URL] [--update] [--keep-debs] [--list] [TOOL ...]
#
# Without TOOL: all that the tests use. What is installed already is skipped; --update resolves and fetches again.
# Default folder: ~/.cache/bulla-peers, where the tests look; another one is named to them by BULLA_PEERS=DIR.
#
# The host system is not changed. Packages of Debian sid and 13 are resolved by apt against a private, nearly empty
# dpkg status, fetched, and unpacked without maintainer scripts into DIR/sid and DIR/trixie. Each program then gets
# that tree's own dynamic loader and library path written into its ELF header (patchelf), so that it runs in place and
# /proc/self/exe is the program itself: containers/storage re-executes itself, which a start through ld.so would break.
#
# sid moves: DIR/versions.txt and the last lines printed say what was installed. A newer version is welcome; a package
# that has gone from the archive is named, and the exit code is 1 (everything else is installed all the same).
# Needs Debian 12 or newer (amd64, arm64): apt-get, dpkg-deb, tar, debian-archive-keyring. No root.
set -euo pipefail

PREFIX=${PEERS_PREFIX:-$HOME/.cache/bulla-peers} UPDATE=0 KEEP=0
# the Debian mirror that this host already uses
MIRROR=$(apt-get indextargets --format '$(REPO_URI)' | sort -u | grep -m1 -E '/debian/?$' | sed 's:/*$::' || true)
DEFAULT_TOOLS="skopeo podman cosign crane notation oras registry gpg umoci cosign2 skopeo-1.18 softhsm"
# A PKCS#11 module is loaded into Node, whose C library is the host's: it comes from the host's own release.
HOST_SUITE=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
PKCS11JS=2.1.7
# tool -> suite | packages | binaries (src[:name-in-PREFIX/bin])
tool_def() {
  case $1 in
    skopeo)      echo "sid|skopeo gpg gpg-agent|usr/bin/skopeo usr/bin/gpg usr/bin/gpg:gpg2 usr/bin/gpgconf usr/bin/gpg-agent usr/bin/gpg-connect-agent" ;;
    podman)      echo "sid|podman conmon crun netavark catatonit gpg gpg-agent|usr/bin/podman usr/bin/conmon usr/bin/crun usr/lib/podman/netavark usr/bin/catatonit usr/bin/gpg usr/bin/gpg:gpg2 usr/bin/gpgconf usr/bin/gpg-agent usr/bin/gpg-connect-agent" ;;
    cosign)      echo "sid|cosign|usr/bin/cosign" ;;
    crane)       echo "sid|crane|usr/bin/crane" ;;
    notation)    echo "sid|notation|usr/bin/notation" ;;
    oras)        echo "sid|oras|usr/bin/oras" ;;
    registry)    echo "sid|docker-registry|usr/bin/docker-registry" ;;
    gpg)         echo "sid|gpg gpg-agent gpgv|usr/bin/gpg usr/bin/gpg:gpg2 usr/bin/gpgconf usr/bin/gpg-agent usr/bin/gpg-connect-agent usr/bin/gpgv" ;;
    umoci)       echo "sid|umoci|usr/bin/umoci" ;;
    hyperfine)   echo "sid|hyperfine|usr/bin/hyperfine" ;;
    cosign2)     echo "trixie|cosign|usr/bin/cosign:cosign2" ;;
    softhsm)     echo "$HOST_SUITE|softhsm2 opensc|usr/bin/softhsm2-util usr/bin/pkcs11-tool" ;;
    skopeo-1.18) echo "trixie|skopeo|usr/bin/skopeo:skopeo-1.18" ;;
    *) return 1 ;;
  esac
}
ALL_TOOLS="$DEFAULT_TOOLS hyperfine"

TOOLS=()
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) PREFIX=$2; shift ;;
    --mirror) MIRROR=$2; shift ;;
    --update) UPDATE=1 ;;
    --keep-debs) KEEP=1 ;;
    --list) for t in $ALL_TOOLS; do IFS='|' read -r s p b <<<"$(tool_def "$t")"; printf '%-12s %-7s %s\n' "$t" "$s" "$p"; done; exit 0 ;;
    -h|--help) sed -n '2,17p' "$0"; exit 0 ;;
    docker-registry) TOOLS+=(registry) ;;
    gnupg) TOOLS+=(gpg) ;;
    *) tool_def "$1" >/dev/null || { echo "unknown tool: $1 (try --list)" >&2; exit 2; }; TOOLS+=("$1") ;;
  esac
  shift
done
[ ${#TOOLS[@]} -gt 0 ] || read -ra TOOLS <<<"$DEFAULT_TOOLS"

[ -n "$MIRROR" ] || { echo "apt here knows no Debian mirror: name one by --mirror URL" >&2; exit 2; }
ARCH=$(dpkg --print-architecture)
case $ARCH in
  amd64) LDSO=usr/lib64/ld-linux-x86-64.so.2 TRIPLET=x86_64-linux-gnu ;;
  arm64) LDSO=usr/lib/ld-linux-aarch64.so.1 TRIPLET=aarch64-linux-gnu ;;
  *) echo "unsupported architecture $ARCH" >&2; exit 2 ;;
esac
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$PREFIX"/{bin,etc/containers/registries.d,.stamps}
START=$(date +%s)

# Packages that the tools "depend" on but never use here: claimed as installed in the private status file.
CLAIMED="systemd systemd-standalone-sysusers systemd-standalone-tmpfiles init-system-helpers debconf dpkg perl-base
  containernetworking-plugins aardvark-dns nftables iptables passt slirp4netns pinentry-curses readline-common
  libsemanage-common libaudit-common ca-certificates adduser passwd libpam-modules logrotate gnupg"
SKIP='^(gcc-[0-9]+-base|libc-gconv-modules-extra)_' # tied to an exact version, so not claimable: resolved, not fetched

apt_opts() { # suite
  local d=$PREFIX/.apt/$1
  printf '%s\n' -o "Dir::Etc=$d/etc" -o Dir::Etc::sourcelist=sources.list -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::parts=/dev/null -o "Dir::State=$d" -o Dir::State::lists=lists \
    -o "Dir::State::status=$d/status" -o "Dir::Cache=$d/cache" -o "APT::Architecture=$ARCH" \
    -o APT::Architectures::="$ARCH" -o pkgCacheGen::ForceEssential=none -o Acquire::Languages=none \
    -o APT::Install-Recommends=0 -o APT::Sandbox::User=root -o Acquire::Retries=3 \
    -o Dpkg::Use-Pty=0 -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false -qq
}

sync_suite() { # suite pkg...
  local suite=$1; shift
  local d=$PREFIX/.apt/$suite root=$PREFIX/$suite; local -a o
  mkdir -p "$d"/etc "$d"/lists/partial "$d"/cache/archives/partial "$root"
  echo "deb [signed-by=$KEYRING arch=$ARCH] $MIRROR $suite main" >"$d/etc/sources.list"
  for p in $CLAIMED; do
    printf 'Package: %s\nStatus: install ok installed\nVersion: 99:99\nArchitecture: %s\nMulti-Arch: foreign\nMaintainer: none\nDescription: claimed\n\n' "$p" "$ARCH"
  done >"$d/status"
  mapfile -t o < <(apt_opts "$suite")
  apt-get "${o[@]}" update
  # one missing package must not keep the others away: it is noted, and named at the end
  local gone; gone=$(gone_from "$suite" "$@" | sort -u)
  for p in $gone; do echo "$suite $p" >>"$PREFIX/.gone"; done
  local -a have=(); for p in "$@"; do grep -qxF -- "$p" <<<"$gone" || have+=("$p"); done
  set -- "${have[@]}"
  # what would be installed, as "URI file size hash" lines
  apt-get "${o[@]}" install -y --no-install-recommends --print-uris "$@" | sed "s/'//g" >"$d/uris"
  # leave out what is unpacked already at that version
  local -a want=(); local uri file size hash
  while read -r uri file size hash; do
    [[ $file =~ $SKIP ]] && continue
    [ -e "$PREFIX/.stamps/$suite.$file" ] || want+=("$file")
  done <"$d/uris"
  [ ${#want[@]} -gt 0 ] || return 0
  local -a specs=()
  for file in "${want[@]}"; do IFS=_ read -r n v a <<<"${file%.deb}"; specs+=("$n=${v//%3a/:}"); done
  (cd "$d/cache/archives" && apt-get "${o[@]}" download "${specs[@]}")
  unpack() { # file
    dpkg-deb --fsys-tarfile "$3/cache/archives/$1" | tar -x -C "$2" --no-same-owner --keep-directory-symlink \
      --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/lintian' \
      --exclude='./usr/share/bash-completion' --exclude='./usr/share/zsh' --exclude='./usr/share/fish' \
      --exclude='./usr/share/info' --exclude='./usr/lib/systemd' --exclude='./usr/share/i18n' \
      --exclude=podman-testing --exclude=quadlet --exclude=rootlessport --exclude=podmansh --exclude='netavark-dhcp*' \
      --exclude=netavark-connection-tester --exclude='./usr/lib/*/gconv' --exclude='./etc'
  }
  export -f unpack
  for l in lib lib64 bin sbin; do # merged /usr
    mkdir -p "$root/usr/$l"; [ -e "$root/$l" ] || ln -s "usr/$l" "$root/$l"
  done
  (cd "$d/cache/archives" && ls ./*.deb | sed 's#^\./##') |
    xargs -P "$(nproc)" -I{} bash -c 'set -euo pipefail; unpack "$@"' _ {} "$root" "$d"
  for file in "${want[@]}"; do
    local n=${file%%_*}; rm -f "$PREFIX/.stamps/$suite.${n}_"*; : >"$PREFIX/.stamps/$suite.$file"
  done
  [ $KEEP = 1 ] || rm -rf "$d/cache" "$d/lists"
}

# ELF header: own loader, own library path (--no-sort: without it patchelf 0.18 makes the cgo-linked Go programs,
# skopeo and podman, crash at start). patchelf itself (from the same tree) is run through that loader.
adopt() { # suite path
  local root=$PREFIX/$1 f=$PREFIX/$1/$2 ld lp
  ld=$root/$LDSO; lp=$root/usr/lib/$TRIPLET
  f=$(readlink -f "$f")
  [ "$(head -c4 "$f" | tail -c3)" = ELF ] || return 0
  "$ld" --library-path "$lp" "$root/usr/bin/patchelf" --print-interpreter "$f" >"$PREFIX/.interp" 2>/dev/null || return 0 # static
  [ "$(cat "$PREFIX/.interp")" = "$ld" ] && return 0
  local sort=--no-sort # which the patchelf of Debian 12 does not know and, older than 0.18, does not need
  "$ld" --library-path "$lp" "$root/usr/bin/patchelf" --help 2>&1 | grep -q -- "$sort" || sort=
  "$ld" --library-path "$lp" "$root/usr/bin/patchelf" $sort --set-interpreter "$ld" --force-rpath --set-rpath "$lp:$lp/systemd" \
    --output "$f.adopted" "$f"
  chmod --reference="$f" "$f.adopted"; mv "$f.adopted" "$f"
}

link_bin() { # suite src name
  local f=$PREFIX/$1/$2 out=$PREFIX/bin/$3
  rm -f "$out"
  case $3 in
    skopeo*|podman*|buildah*) # these look for gpgconf/gpg, conmon, crun in PATH; podman and buildah need containers.conf
      { echo '#!/bin/sh'
        echo "PATH=$PREFIX/bin:\$PATH; export PATH"
        echo ": \"\${CONTAINERS_CONF:=$PREFIX/etc/containers/containers${4:-}.conf}\" \"\${CONTAINERS_REGISTRIES_CONF:=$PREFIX/etc/containers/registries.conf}\" \"\${CONTAINERS_STORAGE_CONF:=$PREFIX/etc/containers/storage.conf}\""
        echo ": \"\${PODMAN_IGNORE_CGROUPSV1_WARNING:=1}\""
        echo "export CONTAINERS_CONF CONTAINERS_REGISTRIES_CONF CONTAINERS_STORAGE_CONF PODMAN_IGNORE_CGROUPSV1_WARNING"
        echo "exec $f \"\$@\""; } >"$out"; chmod 755 "$out" ;;
    *) ln -s "$f" "$out" ;;
  esac
}

# The module itself (DIR/lib/libsofthsm2.so, for COSIGN_PKCS11_MODULE_PATH) finds its libraries in its own tree. pkcs11js, the
# native addon that Bulla reaches devices by, is compiled here, once, and found by NODE_PATH=DIR/node_modules.
adopt_softhsm() { # suite
  local root=$PREFIX/$1 module lp
  module=$(readlink -f "$root/usr/lib/softhsm/libsofthsm2.so") lp=$root/usr/lib/$TRIPLET
  "$root/$LDSO" --library-path "$lp" "$root/usr/bin/patchelf" --force-rpath --set-rpath "$lp" --output "$module.adopted" "$module"
  mv "$module.adopted" "$module"
  mkdir -p "$PREFIX/lib"; ln -sfn "$module" "$PREFIX/lib/libsofthsm2.so"
  [ "$(cat "$PREFIX/.stamps/pkcs11js" 2>/dev/null)" = "$PKCS11JS" ] && [ -e "$PREFIX/node_modules/pkcs11js/build/Release/pkcs11.node" ] && return 0
  npm install --prefix "$PREFIX" --no-save --no-audit --no-fund --loglevel error --ignore-scripts "pkcs11js@$PKCS11JS" &&
    (cd "$PREFIX/node_modules/pkcs11js" && npm run --silent build >"$PREFIX/.pkcs11js.log" 2>&1) ||
    { tail -5 "$PREFIX/.pkcs11js.log" >&2; return 1; }
  echo "$PKCS11JS" >"$PREFIX/.stamps/pkcs11js"
}

write_conf() { # suite suffix
  local c=$PREFIX/etc/containers/containers$2.conf b=$PREFIX/bin r=$PREFIX/$1
  cat >"$c" <<CONF
[containers]
cgroups = "disabled"
netns = "host"
utsns = "host"
seccomp_profile = "unconfined"
apparmor_profile = ""
init_path = "$r/usr/bin/catatonit"
default_sysctls = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
conmon_path = ["$r/usr/bin/conmon"]
helper_binaries_dir = ["$r/usr/lib/podman", "$r/usr/bin"]
runtime = "crun"
[engine.runtimes]
crun = ["$r/usr/bin/crun"]
[network]
network_backend = "netavark"
CONF
}

# The packages of these that the archive of a suite does not have (any more), by name.
gone_from() { # suite pkg...
  local suite=$1; shift
  local -a o; mapfile -t o < <(apt_opts "$suite")
  for p in "$@"; do apt-cache "${o[@]}" show --no-all-versions "$p" >/dev/null 2>&1 || echo "$p"; done
}

declare -A need=()
for t in "${TOOLS[@]}"; do
  IFS='|' read -r suite pkgs bins <<<"$(tool_def "$t")"
  done=1; [ -e "$PREFIX/.stamps/tool.$t" ] && [ $UPDATE = 0 ] || done=0
  for b in $bins; do n=${b##*:}; [ "$n" = "$b" ] && n=${b##*/}; [ -e "$PREFIX/bin/$n" ] || done=0; done
  [ $done = 1 ] && continue
  need[$suite]="${need[$suite]:-} $pkgs"
done
rm -f "$PREFIX/.gone"
pids=()
for suite in "${!need[@]}"; do
  # shellcheck disable=SC2086 -- a list of words
  sync_suite "$suite" ${need[$suite]} patchelf libc6 & pids+=($!)
done
for p in ${pids[@]+"${pids[@]}"}; do wait "$p"; done

write_conf sid ""; write_conf trixie -trixie
[ -e "$PREFIX/etc/containers/registries.conf" ] || cat >"$PREFIX/etc/containers/registries.conf" <<'CONF'
unqualified-search-registries = []
short-name-mode = "disabled"
[[registry]]
location = "127.0.0.1:5000"
insecure = true
CONF
[ -e "$PREFIX/etc/containers/storage.conf" ] || printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/var/storage"\nrunroot = "%s/var/run"\n' "$PREFIX" "$PREFIX" >"$PREFIX/etc/containers/storage.conf"
[ -e "$PREFIX/etc/containers/policy.json" ] || echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$PREFIX/etc/containers/policy.json"
cat >"$PREFIX/env.sh" <<CONF
# . $PREFIX/env.sh
case ":\$PATH:" in *":$PREFIX/bin:"*) ;; *) PATH=$PREFIX/bin:\$PATH; export PATH ;; esac
CONF

for t in "${TOOLS[@]}"; do
  IFS='|' read -r suite pkgs bins <<<"$(tool_def "$t")"
  if [ -e "$PREFIX/.stamps/tool.$t" ] && [ $UPDATE = 0 ]; then continue; fi
  lacking=0; for b in $bins; do [ -e "$PREFIX/$suite/${b%%:*}" ] || { lacking=1; echo "$suite ${b%%:*} (of $t)" >>"$PREFIX/.gone"; }; done
  [ $lacking = 0 ] || continue
  for b in $bins; do
    src=${b%%:*}; name=${b##*:}; [ "$name" = "$b" ] && name=${b##*/}
    adopt "$suite" "$src"
    if [ "$suite" = trixie ]; then link_bin "$suite" "$src" "$name" -trixie; else link_bin "$suite" "$src" "$name"; fi
  done
  if [ "$t" = softhsm ]; then adopt_softhsm "$suite" || { echo "npm pkcs11js $PKCS11JS (of $t)" >>"$PREFIX/.gone"; continue; }; fi
  # GnuPG: tell gpgconf where it lives now, else it starts /usr/bin/gpg-agent of the host
  if [ -x "$PREFIX/sid/usr/bin/gpgconf" ]; then
    printf 'rootdir = %s/sid/usr\nsysconfdir = /etc/gnupg\n' "$PREFIX" >"$PREFIX/sid/usr/bin/gpgconf.ctl"
    for h in usr/lib/gnupg/keyboxd usr/lib/gnupg/gpg-protect-tool usr/lib/gnupg/gpg-preset-passphrase usr/lib/gnupg/gpg-check-pattern; do
      [ ! -e "$PREFIX/sid/$h" ] || adopt sid "$h"; done
    [ -e "$PREFIX/sid/usr/libexec/keyboxd" ] || { mkdir -p "$PREFIX/sid/usr/libexec"; ln -sf ../lib/gnupg/keyboxd "$PREFIX/sid/usr/libexec/keyboxd"; }
  fi
  : >"$PREFIX/.stamps/tool.$t"
done
rm -f "$PREFIX/.interp"
ls "$PREFIX/.stamps" | sed -n 's/^\(sid\|trixie\)\.\(.*\)_\(.*\)_[^_]*\.deb$/\1 \2 \3/p' | sed 's/%3a/:/' | sort >"$PREFIX/versions.txt"
grep -E "^(sid|trixie) ($(for t in "${TOOLS[@]}"; do IFS='|' read -r _ pkgs _ <<<"$(tool_def "$t")"; printf '%s|' ${pkgs%% *}; done)none) " "$PREFIX/versions.txt" || true
echo "installed in $(( $(date +%s) - START )) s, $(du -sm "$PREFIX" | cut -f1) MB, in $PREFIX: ${TOOLS[*]}"
if [ -s "$PREFIX/.gone" ]; then
  sort -u "$PREFIX/.gone" | sed 's/^/MISSING from the archive: /' >&2
  exit 1
fi
