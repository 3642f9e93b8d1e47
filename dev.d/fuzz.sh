# Feeds every reader of foreign bytes with what libFuzzer invents: so many seconds for each target,
# as many at a time as there are processors. tests/fuzz/README.md tells the rest.
usage="the usage is ./dev fuzz [--seconds N] [--inputs N] [--jobs N] [--coverage] [--keep] [TARGET ...]"
options=(--seconds 60)
targets=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds | --inputs | --jobs)
        [[ ${2:-} =~ ^[0-9]+$ ]] || die "fuzz: $1 needs a number; $usage"
        options+=("$1" "$2") && shift 2
        ;;
    --coverage | --keep) options+=("$1") && shift ;;
    -*) die "fuzz: there is no '$1'; $usage" ;;
    *) targets+=("$1") && shift ;;
    esac
done

dev setup build test fuzz
all=$(basename -a tests/fuzz/fuzz_*.c | sed 's/^fuzz_\(.*\)\.c$/\1/')
for target in "${targets[@]}"; do
    grep -qx -- "$target" <<<"$all" || die "fuzz: there is no target '$target'; there are:" $all
done
[ ${#targets[@]} -gt 0 ] || mapfile -t targets <<<"$all"
build_preset fuzz "${targets[@]/#/fuzz_}" >&2
exec "$python" tests/fuzz/run.py "${options[@]}" "${targets[@]}"
