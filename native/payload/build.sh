#!/bin/sh
# Builds the payload into a flat image, OUT.bin, and OUT.elf, which has its unwind table besides: build.sh OUT. Fails on any
# relocation, data section or undefined symbol.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
defines="-DSCOPE_ABI_VERSION_VALUE=2 -DSCOPE_NUMBERS=448 -DSCOPE_GO_BIT=0x8000 -DSCOPE_WRITE=1 -DSCOPE_CLONE=56 -DSCOPE_CLASS_COUNT_VALUE=65536 -DSCOPE_CLASS_UNKNOWN_VALUE=0 -DSCOPE_MAX_AREAS_VALUE=8"
flags="-std=gnu11 -O2 -ffreestanding -nostdlib -fPIC -fvisibility=hidden -mgeneral-regs-only -mfsgsbase -mprfchw -mno-red-zone
  -fno-stack-protector -fcf-protection=none -fno-jump-tables -fasynchronous-unwind-tables -fno-tree-loop-distribute-patterns
  -fno-strict-aliasing -fomit-frame-pointer -Wall -Wextra -Werror -Wno-unused-function -Wframe-larger-than=200 -I$here/../abi"
${CC:-cc} $flags $defines -c "$here/payload.c" -o "$tmp/payload.o"
${CC:-cc} $defines -c "$here/entry.S" -o "$tmp/entry.o"
${LD:-ld} -T "$here/payload.lds" --no-undefined --orphan-handling=error -o "$out.elf" "$tmp/entry.o" "$tmp/payload.o"
${OBJCOPY:-objcopy} -O binary --only-section=.image "$out.elf" "$out.bin"
