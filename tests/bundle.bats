# SPDX-License-Identifier: MIT
# The bundle (make bundle): it runs from any folder, with libraries of its own and no others.
load helper

BUNDLE=${BERTUTILS_BUNDLE:-}

setup_file() {
    [ -n "$BUNDLE" ] || return 0
    cd "$BATS_FILE_TMPDIR"
    # Packed and unpacked elsewhere, as its users do.
    mkdir first
    tar -C "$(dirname "$BUNDLE")" -cf - "$(basename "$BUNDLE")" | tar -C first -xf -
    mv first/* first/here
    awk 'BEGIN {
        for (i = 0; i < 60; i++) print (i % 3 ? "pos\ta good film" : "neg\ta bad movie") " " i
    }' >train.tsv
    tiny_bert base good bad film movie a
}

setup() {
    [ -n "$BUNDLE" ] || skip "no bundle: make check builds one"
    cd "$BATS_TEST_TMPDIR"
    F=$BATS_FILE_TMPDIR
    AT=$F/first/here
}

# The whole chain with the tools of a bundle, and nothing of the caller's environment but PATH.
# chain BUNDLE FOLDER
chain() {
    mkdir -p "$2"
    (
        cd "$2"
        ln -sfn "$F/base" base
        tool() { env -i PATH="$bin" LD_LIBRARY_PATH= "$@"; }
        bin=$1/bin
        tool tok -m base --label 1 --text 2 "$F/train.tsv" >x.toks
        tool finetune -q -@ 1 --device cpu -m base --init --batch 8 --lr 2e-3 --epochs 2 -o cls <x.toks
        tool score -@ 1 --device cpu -m cls x.toks >scores.tsv
        tool mcc --metric accuracy scores.tsv >accuracy
        tool shard --stat x.toks >/dev/null
    )
}

@test "unpacked anywhere: tok, finetune, score, mcc" {
    chain "$AT" one
    same "$(wc -l <one/scores.tsv)" 61
    [ -s one/cls/model.safetensors ]
    [[ $(cat one/accuracy) == [01]* ]]
    # the same bytes as the tools that it was made of
    (bin=$BERTUTILS_BIN; mkdir two; cd two; ln -s "$F/base" base
        "$bin/tok" -m base --label 1 --text 2 "$F/train.tsv" >x.toks
        "$bin/finetune" -q -@ 1 --device cpu -m base --init --batch 8 --lr 2e-3 --epochs 2 -o cls <x.toks)
    cmp one/x.toks two/x.toks
    cmp one/cls/model.safetensors two/cls/model.safetensors
}

@test "no library from outside but libc's own" {
    chain "$AT" one
    cd one
    for tool in "$AT"/bin/*; do
        name=$(basename "$tool")
        # every library that is really opened, and those that the options' texts do not need
        LD_LIBRARY_PATH=/nowhere LD_DEBUG=libs LD_DEBUG_OUTPUT=$BATS_TEST_TMPDIR/$name.ld "$tool" --help >/dev/null
        sed -n 's/.*calling init: //p' "$BATS_TEST_TMPDIR/$name".ld.* | sort -u >loaded
        grep -q "^$AT/bin/\.\./lib/lib" loaded
        grep -vE "^$AT/|/(ld-linux[^/]*|libc|libm|libdl|librt|libpthread|libmvec|libresolv)\.so" loaded >outside || true
        same "$name: $(cat outside)" "$name: "
    done
    run ldd "$AT/bin/finetune"
    [[ $output == *"$AT/bin/../lib/libdnnl"* ]]
    [[ $output != *"not found"* ]]
}

@test "moved, it still works; the old place is not asked" {
    cp -a "$AT" moved
    chain "$PWD/moved" one
    LD_DEBUG=libs LD_DEBUG_OUTPUT=$PWD/ld moved/bin/score --help >/dev/null
    same "$(grep -hF "$AT" ld.*)" ""
}

@test "it runs where there is libc and nothing else" {
    mkdir -p root/work root/proc
    cat >inside <<'SH'
mount --bind /proc root/proc || exit 77
exec chroot root "$@"
SH
    inside() { env -i PATH="$PATH" unshare -m sh inside "$@"; }
    for file in $(ldd "$AT/bin/finetune" | grep -oE '/[^ ]*/(ld-linux[^/ ]*|libc|libm|libdl|librt|libpthread|libmvec|libresolv)\.so[^ ]*'); do
        mkdir -p "root$(dirname "$file")"
        cp -L "$file" "root$file"
    done
    cp -L "$(command -v cat)" root/cat
    inside /cat /proc/self/status >/dev/null 2>&1 || skip "no folder may be made the root here"
    cp -a "$AT" root/b
    cp -aL "$F/base" "$F/train.tsv" root/work/
    inside /b/bin/tok -m /work/base --label 1 --text 2 -o /work/x.toks /work/train.tsv
    inside /b/bin/finetune -q -@ 1 --device auto -m /work/base --init --batch 8 --lr 2e-3 \
        --epochs 2 -o /work/cls /work/x.toks
    inside /b/bin/score -@ 1 --device cpu -m /work/cls -o /work/s.tsv /work/x.toks
    chain "$AT" one
    same "$(inside /b/bin/mcc --metric accuracy /work/s.tsv)" "$(cat one/accuracy)"
    cmp root/work/cls/model.safetensors one/cls/model.safetensors
}

@test "it says what it needs, and has what it names" {
    run cat "$AT/README"
    [[ $output == *"glibc 2."[0-9]* ]]
    [[ $output != *@[A-Z]*@* ]]
    for file in $(grep -oE '(tests|pipelines)/[a-z_/]+(\.sh)?' <<<"$output"); do
        [ -e "$AT/$file" ]
    done
    # the version it names is the newest that any file in it asks for
    newest=$(find "$AT" -type f -exec grep -aoh 'GLIBC_2\.[0-9]*' {} + | sort -t. -k2,2n | tail -n 1)
    [[ $output == *"glibc ${newest#GLIBC_} or newer"* ]]
    [ -s "$AT/share/man/man1/finetune.1" ]
    # without the plug-in or without a driver, cuda says what is missing and auto takes the CPU
    compgen -G '/dev/nvidia[0-9]*' >/dev/null && skip "there is a device"
    tok -m "$F/base" --label 1 --text 2 -o x.toks "$F/train.tsv"
    fails_with 1 "$AT/bin/finetune" --device cuda -m "$F/base" --init --max-steps 1 -o no x.toks
    [ ! -e no ]
}

@test "without cublasLt beside the plug-in it is found, linked and named" {
    cp -a "$AT" b
    rm -f b/lib/bertutils/*
    printf 'x libcublasLt.so.13\0y' >b/lib/bertutils/cuda.so
    mkdir -p "wheel/nvidia/cu13/lib"
    run env -i PATH="$PATH" LD_LIBRARY_PATH="$PWD/none:$PWD/wheel/nvidia/cu13/lib" \
        CUDA_HOME=/nowhere sh b/pipelines/cublas.sh
    if [ "$status" -eq 0 ]; then # this machine has one
        [ -e b/lib/bertutils/libcublasLt.so.13 ]
        rm b/lib/bertutils/libcublasLt.so.13
    else
        [[ $output == *"no libcublasLt.so.13"*"nvidia-cublas"* ]]
    fi
    echo library >wheel/nvidia/cu13/lib/libcublasLt.so.13
    LD_LIBRARY_PATH="$PWD/none:$PWD/wheel/nvidia/cu13/lib" sh b/pipelines/cublas.sh
    cmp b/lib/bertutils/libcublasLt.so.13 wheel/nvidia/cu13/lib/libcublasLt.so.13
    # again: it is there already
    run sh b/pipelines/cublas.sh
    [ "$status" -eq 0 ]
}
