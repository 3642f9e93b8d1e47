# Shows the release build at work; the story is in demo/demo.py.
dev setup
build_preset release sluice sluice-sim >&2
export SLUICE_BUILD=$root/build/release PYTHONPATH=$root/tests/integration
exec "$python" demo/demo.py "$@"
