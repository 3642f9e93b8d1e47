# What ./dev bench measures sluice against, built into build/tools/bench. Sourced by dev.d/setup.sh.
# A peer whose tool chain is not here is left out, with a word: sluice itself needs none of them.
peers=$root/build/tools/bench

# Runs the function $2 unless that was done for the same files, which are the other arguments. What it makes, $3, is
# removed before: what cannot be built as it is now must not be measured as it was.
peer_once() {
    local name=$1 make=$2 made=$3 now
    shift 3
    now=$(cat "$@" | sha256sum)
    [ "$(cat "$peers/$name.from" 2>/dev/null)" = "$now" ] && return
    say "building $name for the benchmark"
    (cd "$peers" && rm -rf "$name.from" $made)
    if $make; then
        echo "$now" >"$peers/$name.from"
    else
        (cd "$peers" && rm -rf $made) # a half of it is no peer either
        say "cannot build $name: the benchmark goes without it"
    fi
}

# Is the first version at least the second?
version_reached() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

has_tool() {
    command -v "$1" >/dev/null || { say "no $1 on PATH: the benchmark goes without $2" && return 1; }
}

has_go() {
    has_tool go "$1" || return
    version_reached "$(go env GOVERSION | sed 's/^go//')" 1.21 ||
        { say "Go 1.21 or newer builds $1" && return 1; }
}

make_bento() { has_go Bento && go build -C bench/peers/bento -trimpath -o "$peers/bento" .; }

make_pipeline() {
    has_go "the pipeline" && go build -C bench/peers/pipeline -trimpath -o "$peers/pipeline-api" ./api &&
        go build -C bench/peers/pipeline -trimpath -o "$peers/pipeline-consumer" ./consumer
}

make_pandas() {
    /usr/bin/python3 -m venv "$peers/venv" &&
        "$peers/venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes \
            --only-binary :all: -r bench/peers/requirements.txt
}

make_crates() {
    has_tool cargo "the crates csv and simd-csv" || return
    RUSTFLAGS="-C target-cpu=native" cargo build -q --release --locked \
        --manifest-path bench/csv/rust/Cargo.toml --target-dir "$root/build/bench-cargo" &&
        cp "$root/build/bench-cargo/release/bench-csv-rust" "$peers/"
}

make_perftest() {
    has_tool mvn PerfTest || return
    mvn -B -q -f bench/peers/perftest/pom.xml \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DoutputDirectory="$peers/perftest" >"$peers/perftest.log" 2>&1 && [ -d "$peers/perftest" ]
}

provide_peers() {
    mkdir -p "$peers"
    peer_once pandas make_pandas venv bench/peers/requirements.txt
    peer_once bento make_bento bento bench/peers/bento/{go.mod,go.sum,main.go}
    peer_once pipeline make_pipeline "pipeline-api pipeline-consumer" bench/peers/pipeline/{go.mod,go.sum,*/*.go}
    peer_once crates make_crates bench-csv-rust bench/csv/rust/{Cargo.toml,Cargo.lock,src/main.rs}
    peer_once perftest make_perftest perftest bench/peers/perftest/pom.xml
}
