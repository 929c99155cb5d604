# Shared by the scripts in Tools: what a fresh Debian 12 machine lacks is installed here, and
# nowhere else. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# sudo is for apt alone: a build or a data directory that belongs to root would be in the way later.
if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
    say "Called through sudo: going on as $SUDO_USER."
    exec sudo -u "$SUDO_USER" -H -- env PATH="$PATH" "$0" "$@"
fi

packages=(git pkg-config binutils libc6-dev libgcc-12-dev libstdc++-12-dev libssl-dev liblz4-dev libxxhash-dev unicode-data bzip2)

install_packages() {
    local missing=() package
    command -v dpkg-query >/dev/null || {
        say "This is no Debian: make sure that the equivalents of these are there: $*"
        return 0
    }
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    say "Installing ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "these packages are missing and there is no sudo: as root, run: apt-get update && apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq || fail "apt-get update failed; see the message above"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
        fail "apt-get install failed; see the message above"
}

need_swift() {
    local remedy="get Swift 6.3 for Debian 12 from https://www.swift.org/install/linux/ and put its usr/bin on PATH"
    command -v swift >/dev/null || fail "there is no swift on PATH: $remedy"
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | head -1)
    [ -n "$version" ] || fail "'swift --version' says nothing of a version: $remedy"
    set -- $version
    if [ "$1" -lt 6 ] || { [ "$1" = 6 ] && [ "$2" -lt 3 ]; }; then
        fail "swift $1.$2 is too old, Magpie needs 6.3: $remedy"
    fi
}

# need_disk GIGABYTES: what a build folder grows to.
need_disk() {
    local free
    free=$(df --output=avail -k . | tail -1)
    [ "$free" -ge $(($1 * 1024 * 1024)) ] || fail "the build needs about $1 GB of disk and $(df --output=avail -h . | tail -1 | tr -d ' ') are free in $root"
}

build() {
    if [ ! -d .build/"$1" ]; then
        say "First $1 build: 6 to 12 minutes on 2 cores, about 2 GB in .build. Later ones take seconds to a minute."
        need_disk 3
    fi
    local configuration=$1
    shift
    swift build -c "$configuration" "$@" >&2 || fail "the build failed; the errors stand above"
}
