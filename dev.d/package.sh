# A Debian package of the release build, which brings the libraries of the Debian it is made on.
dev setup build
build_preset release sluice sluice-sim
cpack --config build/release/CPackConfig.cmake -B "$root/build/package" "$@" >/dev/null
say "$(ls -t build/package/*.deb | head -1)"
