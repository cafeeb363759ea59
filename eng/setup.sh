# Sourced by ./kwik, ./test, .ci/run and what is in eng: installs what is missing, and builds what changed. Needs bash and, for a build, the
# .NET 10 SDK; says what it does and why on stderr, in one sentence each, and is silent when there is nothing to do.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
artifacts=$root/artifacts
native_library=$artifacts/native/libmsquic.so.2
native_build=$artifacts/native-build
script=$(basename "$0")

say() { echo "$script: $*" >&2; }
fail() { say "$@"; exit 1; }
have() { command -v "$1" > /dev/null 2>&1; }

# Runs a command whose output only matters if it fails: logged NAME COMMAND...
logged() {
    local log=$artifacts/logs/$1.log
    shift
    mkdir -p "$artifacts/logs"
    if ! "$@" > "$log" 2>&1 < /dev/null; then
        cat "$log" >&2
        fail "failed: $* (the output above is also in $log)"
    fi
}

# One set-up at a time. The lock is let go of before anything that outlives the set-up starts: see unlock.
lock() {
    mkdir -p "$artifacts"
    if have flock; then
        exec 9> "$artifacts/lock"
        flock -n 9 || { say "waiting for another set-up in this folder"; flock 9; }
    fi
}
unlock() { exec 9>&-; }

# ---- Is it built already? A stamp holds the checksum of every source that went into a build. ----

sources_of() {
    local path paths=()
    for path in "$@"; do
        if [ -e "$root/$path" ]; then paths+=("$path"); fi
    done
    (cd "$root" && find "${paths[@]}" \( -name bin -o -name obj \) -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 cksum | cksum)
}

is_fresh() { [ "$(cat "$artifacts/stamps/$1" 2> /dev/null)" = "$2" ]; }

stamp() {
    mkdir -p "$artifacts/stamps"
    echo "$2" > "$artifacts/stamps/$1"
}

# ---- Packages ----

# What the native build needs: its package at apt, dnf and pacman, and how to see that it is there. Alpine is not among them:
# it has MsQuic itself.
requirements=(
    'g++                         gcc-c++                    gcc       have g++'
    'cmake                       cmake                      cmake     have cmake'
    'make                        make                       make      have make'
    'pkg-config                  pkgconf-pkg-config         pkgconf   have pkg-config'
    'libgnutls28-dev             gnutls-devel               gnutls    pkg-config --exists gnutls'
    'libngtcp2-dev               ngtcp2-devel               libngtcp2 pkg-config --exists libngtcp2'
    'libngtcp2-crypto-gnutls-dev ngtcp2-crypto-gnutls-devel libngtcp2 pkg-config --exists libngtcp2_crypto_gnutls'
)
# What the tests need besides. A dash: the distribution has no such package, and the tests that use it skip themselves there.
test_requirements=(
    'libgtest-dev  gtest-devel gtest pkg-config --exists gtest'
    'ngtcp2-client -           -     have gtlsclient'
)

# Sets missing_apt, missing_dnf and missing_pacman to the packages of what is not there.
find_missing() {
    missing_apt=() missing_dnf=() missing_pacman=()
    local needed=("${requirements[@]}") apt dnf pacman probe
    if [ "$1" = with-tests ]; then needed+=("${test_requirements[@]}"); fi
    while read -r apt dnf pacman probe; do
        if [ "$dnf" = - ] && ! have apt-get; then continue; fi
        if ! $probe 2> /dev/null; then
            missing_apt+=("$apt")
            missing_dnf+=("$dnf")
            if [[ " ${missing_pacman[*]} " != *" $pacman "* ]]; then missing_pacman+=("$pacman"); fi
        fi
    done < <(printf '%s\n' "${needed[@]}")
}

require_packages() {
    find_missing "$1"
    if [ ${#missing_apt[@]} = 0 ]; then return; fi

    local what="what the QUIC library is built from" or="or install libmsquic 2.4 or later and run this again"
    if [ "$1" = with-tests ]; then what="what the QUIC library is built and tested from"; fi
    if ! have apt-get; then
        if have apk; then fail "please install QUIC: apk add libmsquic"; fi
        if have dnf; then fail "please install $what: dnf install ${missing_dnf[*]}; $or"; fi
        if have pacman; then fail "please install $what: pacman -S --needed ${missing_pacman[*]}; $or"; fi
        fail "please install $what (on Debian: ${missing_apt[*]}); $or"
    fi

    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        local advice="apt-get install -y ${missing_apt[*]}"
        if ! have sudo; then fail "please install $what; as root, run: apt-get update && $advice"; fi
        if ! sudo -n true 2> /dev/null; then fail "please install $what; run: sudo apt-get update && sudo $advice"; fi
        as_root=(sudo -n)
    fi

    say "installing $what, since the distribution has no such library itself: apt-get install ${missing_apt[*]}"
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    local install=("${as_root[@]}" apt-get -qy install --no-install-recommends "${missing_apt[@]}")
    if ! "${install[@]}" > /dev/null 2>&1 < /dev/null; then
        # Most likely a new machine that has no lists of packages yet.
        logged apt-update "${as_root[@]}" apt-get -q update
        logged apt-install "${install[@]}"
    fi
}

# Sets clangxx to the name of a clang++, the one without a version if there is one.
find_clang() {
    for clangxx in clang++ clang++-{19,18,17,16,15,14}; do
        if have "$clangxx"; then return; fi
    done
    return 1
}
can_install() { have apt-get && { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2> /dev/null; }; }; }

# ---- The native QUIC library ----

# True when another library than ours will be used: the environment's, or the system's. Kwik takes the latter from 2.4 on.
has_other_quic() {
    if [ "$(uname)" != Linux ] || [ -n "${KWIK_MSQUIC:-}" ]; then return 0; fi
    local found version
    found=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2> /dev/null | sed -n 's/.*libmsquic\.so\.2 .* => //p' | head -n 1)
    if [ -z "$found" ]; then return 1; fi
    version=$(realpath "$found")
    version=${version##*.so.}
    [ "$(printf '%s\n' 2.4 "$version" | sort -V | head -n 1)" = 2.4 ]
}

# ngtcp2's own server, for the tests against other people's QUIC. Its package would also start it as a service, so only its
# files are taken; where they cannot be had, those tests skip themselves.
unpack_interop_server() {
    local folder=$artifacts/interop
    if have gtlsserver || [ -x /usr/sbin/gtlsserver ] || [ -x "$folder/usr/sbin/gtlsserver" ] || ! have apt-get; then return; fi
    mkdir -p "$folder" "$artifacts/logs"
    (cd "$folder" && apt-get -q download ngtcp2-server && dpkg-deb -x ngtcp2-server_*.deb .) > "$artifacts/logs/interop.log" 2>&1 < /dev/null ||
        say "the tests against ngtcp2's server are skipped, because its package cannot be had (see $artifacts/logs/interop.log)"
}

# build_native without-tests|with-tests
build_native() {
    local sources flag=OFF targets=(msquic)
    if [ "$1" = with-tests ]; then flag=ON targets=(all); fi
    sources=$(sources_of native eng/setup.sh)
    if [ -f "$native_library" ] && is_fresh "native-$1" "$sources"; then return; fi

    require_packages "$1"
    say "building the QUIC library (about a minute)"
    # CMake refuses a build folder that was made for another place.
    if ! grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root/native" "$native_build/CMakeCache.txt"; then rm -rf "$native_build"; fi
    logged native-configure cmake -S "$root/native" -B "$native_build" -DKWIK_TESTS=$flag
    logged native-build cmake --build "$native_build" --target "${targets[@]}" --parallel "$(nproc)"
    if ! cmp -s "$native_build/libmsquic.so.2" "$native_library"; then
        # Moved into place, because a process may be running on the old one.
        mkdir -p "$(dirname "$native_library")"
        cp "$native_build/libmsquic.so.2" "$native_library.new"
        mv "$native_library.new" "$native_library"
    fi
    stamp "native-$1" "$sources"
    if [ "$1" = with-tests ]; then stamp native-without-tests "$sources"; fi
}

# ---- Managed code ----

require_dotnet() {
    if ! have dotnet && [ -x "${HOME:-}/.dotnet/dotnet" ]; then PATH=$HOME/.dotnet:$PATH; fi
    if ! have dotnet; then
        fail "please install the .NET 10 SDK (on Debian and Ubuntu the package dotnet-sdk-10.0, see https://dot.net/download)"
    fi

    # So that built programs start on this .NET, wherever it lies. Behind a launcher such as snap's there is no runtime beside.
    local home
    home=$(dirname "$(realpath "$(command -v dotnet)")")
    if [ -z "${DOTNET_ROOT:-}" ] && [ -d "$home/shared/Microsoft.NETCore.App" ]; then export DOTNET_ROOT=$home; fi
}

# Runs dotnet where HOME may be unset, empty or not ours to write in.
run_dotnet() (
    if [ ! -w "${HOME:-}" ]; then
        export HOME=$artifacts/home
        mkdir -p "$HOME"
    fi
    export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
    cd "$root" || exit # for global.json
    exec dotnet "$@" 9>&-
)

# build_managed PROJECT CONFIGURATION RESULT SOURCES...
build_managed() {
    local project=$1 configuration=$2 result=$3 sources name
    shift 3
    name=managed-$(basename "$project")
    sources=$(sources_of "$@" src proto packaging artifacts/native Directory.Build.props Directory.Build.targets Directory.Packages.props \
        global.json .editorconfig BannedSymbols.txt eng/setup.sh)
    if [ -e "$root/$result" ] && is_fresh "$name" "$sources"; then return; fi

    if ! run_dotnet --list-sdks | grep -q '^10\.'; then
        fail "please install the .NET 10 SDK: the dotnet at $(command -v dotnet) has none (https://dot.net/download)"
    fi
    say "building $project, $configuration (the first time takes a minute or two)"
    logged "$name" run_dotnet build "$root/$project" -c "$configuration" -nologo -v quiet -clp:NoSummary -nodeReuse:false
    stamp "$name" "$sources"
}
