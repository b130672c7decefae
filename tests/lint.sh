#!/bin/sh
# SPDX-License-Identifier: MIT
# The rules of the house that a compiler does not check: layers, who may print, man pages.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
say() { echo "lint: $1" >&2; bad=1; }

# A layer includes only itself and lower ones; the lists are the Makefile's.
layers=$(make -s -f - layers <<'M'
include Makefile
layers:
	@echo 0 $(L0) philox version banned
	@echo 1 $(L1)
	@echo 2 $(L2) $(L2_TRAIN)
	@echo 3 $(L3)
	@echo 4 $(L4)
	@echo 5 $(L5)
	@echo 6 $(L6)
M
)
layer_of() { printf '%s\n' "$layers" | awk -v name="$1" '{for (i = 2; i <= NF; i++) if ($i == name) {print $1; exit}}'; }
for file in lib/*.c; do
    name=$(basename "$file" .c)
    own=$(layer_of "$name")
    [ -n "$own" ] || { say "$file is in no layer of the Makefile"; continue; }
    for header in $(sed -n 's/^#include "\([a-z0-9_]*\)\.h"/\1/p' "$file"); do
        other=$(layer_of "$header")
        [ -z "$other" ] || [ "$other" -le "$own" ] || say "$file (L$own) includes $header.h (L$other)"
    done
done

# The library never prints and never exits, and has nothing of CUDA in it.
grep -nE '(^|[^a-z_])(exit|_exit|abort|printf|puts|perror)[ ]*\(' lib/*.c kernels/cpu/*.c |
    grep -vE '^lib/(msg|opt)\.c:' | grep -vE ':[0-9]+: *(\*|/\*)' && say "prints or exits in the library"
grep -nE 'fprintf *\( *stderr' bin/*.c lib/*.c kernels/cpu/*.c && say "talk goes through msg.h"
grep -lE 'ifdef +CUDA|cuda_runtime' lib/*.[ch] && say "CUDA in lib/"
grep -nE '(^|[^a-z_])(strcpy|strcat|sprintf|gets|atoi|atof|strtok|rand|setlocale)[ ]*\(' \
    bin/*.c lib/*.[ch] kernels/cpu/*.c && say "banned function"

for file in bin/*.c; do
    [ "$(wc -l <"$file")" -le 250 ] || say "$file has more than 250 lines"
    [ -e "man/$(basename "$file" .c).1" ] || say "$file has no man page"
done
for file in bin/*.c lib/*.[ch] kernels/*/*.[ch] tests/unit/*.[ch]; do
    [ -e "$file" ] || continue
    head -n 1 "$file" | grep -q SPDX || say "$file does not start with its licence line"
    [ "$(wc -l <"$file")" -le 900 ] || case $file in *tables*) ;; *) say "$file has more than 900 lines" ;; esac
done
if command -v mandoc >/dev/null 2>&1; then
    mandoc -Tlint -Wwarning man/*.[157] >&2 || say "man pages"
else
    echo "lint: man pages not checked: no mandoc" >&2
fi
[ "$bad" = 0 ] && echo "lint: ok"
exit $bad
