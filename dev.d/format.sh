# Rewrites every C file in the project's format.
dev setup check
c_files | xargs -r clang-format -i
