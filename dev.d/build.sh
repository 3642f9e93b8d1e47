# Builds one preset of CMakePresets.json.
preset=${1:-release}
dev setup build
build_preset "$preset"
