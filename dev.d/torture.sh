# Everything flows, everything breaks, nothing may be missing (docs/RELIABILITY.md). The arguments go to
# tests/torture/torture.py. SLUICE_BUILD names another build folder than that of the release.
dev setup build test torture
if [ -z "${SLUICE_BUILD:-}" ]; then
    build_preset release sluice sluice-sim >&2
    export SLUICE_BUILD=$root/build/release
fi
PYTHONPATH=$root/tests/integration:$root/tests/torture exec "$python" tests/torture/torture.py "$@"
