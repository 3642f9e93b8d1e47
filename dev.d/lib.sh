# What the commands share. Sourced with the repository root as working directory.
root=$PWD
jobs=$(nproc)
python=$root/build/venv/bin/python

say() { echo "dev: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# Configures and builds a preset; further arguments are the targets (default: all).
build_preset() {
    local preset=$1
    shift
    cmake --preset "$preset" >"build/.configure-$preset.log" 2>&1 ||
        { cat "build/.configure-$preset.log" >&2 && die "cmake cannot configure '$preset'"; }
    cmake --build "build/$preset" --parallel "$jobs" ${1:+--target "$@"}
}

# Every C file of the project, one a line; works before the first commit, too.
c_files() { find src tests bench -name '*.[ch]' -not -path '*/results/*' | sort; }

# Runs another command of ./dev.
dev() { "$root/dev" "$@"; }

mkdir -p build
