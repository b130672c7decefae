# SPDX-License-Identifier: MIT
# The tools with --device cuda, against themselves on the CPU.  tests/gpu/run calls it.
load ../helper

REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
# Heads of 64, as the models have them.
WIDTH=$([ -n "${BERTUTILS_TEST_SMALL-}" ] && echo 64 || echo 256)
STEPS=${GPU_STEPS:-100}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    tiny_bert base good nice bad awful movie film the a was
    sed -i "s/\"hidden_size\": 16/\"hidden_size\": $WIDTH/; s/\"intermediate_size\": 32/\"intermediate_size\": $((2 * WIDTH))/
        s/\"num_attention_heads\": 2/\"num_attention_heads\": $((WIDTH / 64))/" base/config.json
    awk 'BEGIN {
        split("good nice bad awful", word); split("movie film the a was", filler)
        for (i = 1; i <= 400; i++) {
            n = 1 + (i * 7) % (i % 41 ? 11 : 60); text = ""
            for (k = 1; k < n; k++) text = text filler[1 + (i * k + k) % 5] " "
            print (i % 3 ? "pos" : "neg") "\t" text word[(i % 3 ? 1 : 3) + i % 2]
        }
    }' </dev/null >train.tsv
    tok -m base --label 1 --text 2 -o train.toks train.tsv
    finetune -q -m base --init --max-steps 0 -o weights train.toks
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    F=$BATS_FILE_TMPDIR
    ln -s "$F"/base "$F"/weights "$F"/train.tsv "$F"/train.toks .
}

# A fixed rate: the trajectories are compared to the last step.
ft() { finetune -q -f -m weights --batch 8 --lr 5e-4 --schedule constant "$@"; }
mlm() { mlm-pretrain -q -f -m base --init --batch 8 --accum 2 --lr 5e-4 "$@" >/dev/null; }
steps() { grep '"event":"step"' "$1"; }
field() { sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p" "$2"; }

# near A B BOUND: the steps of two logs, in loss and gradient norm; how far they are apart is said.
near() {
    same "$(steps "$1" | wc -l)" "$(steps "$2" | wc -l)"
    paste <(steps "$1" | field loss /dev/stdin) <(steps "$2" | field loss /dev/stdin) \
        <(steps "$1" | field grad_norm /dev/stdin) <(steps "$2" | field grad_norm /dev/stdin) |
        awk -v bound="$3" 'function gap(a, b, d) { d = a > b ? a - b : b - a; return d / (b > 1 ? b : 1) }
            { l = gap($1, $2); g = gap($3, $4); if (l > most) most = l; if (g > norm) norm = g
              if (!(l <= bound) || !(g <= 10 * bound)) bad = NR }
            END { print "# " NR " steps: losses differ by " most ", gradient norms by " norm
                  if (bad) print "step " bad " is too far away"; exit NR == 0 || bad > 0 }'
}

@test "finetune, fp32: the CPU's trajectory, dropout included" {
    ft --device cpu --max-steps "$STEPS" --log cpu.log -o a train.toks
    ft --device cuda --precision fp32 --max-steps "$STEPS" --log cuda.log -o b train.toks
    near cuda.log cpu.log 1e-3
    head -n 20 cpu.log >cpu.head && head -n 20 cuda.log >cuda.head
    near cuda.head cpu.head 2e-5
    # and it learned
    first=$(steps cuda.log | head -n 5 | field loss /dev/stdin | paste -sd+ | bc)
    last=$(steps cuda.log | tail -n 5 | field loss /dev/stdin | paste -sd+ | bc)
    [ "$STEPS" -lt 60 ] || [ "$(echo "$last < $first" | bc)" = 1 ]
}

@test "finetune, bf16: near the CPU's trajectory" {
    ft --device cpu --max-steps "$STEPS" --log cpu.log -o a train.toks
    ft --device cuda --precision bf16 --max-steps "$STEPS" --log cuda.log -o b train.toks
    head -n 20 cpu.log >cpu.head && head -n 20 cuda.log >cuda.head
    near cuda.head cpu.head 2e-2
    near cuda.log cpu.log 0.2
}

@test "mlm-pretrain, fp32 and bf16: the CPU's trajectory" {
    n=$((STEPS / 3))
    mlm --device cpu --max-steps $n --log cpu.log -o a train.toks
    mlm --device cuda --precision fp32 --max-steps $n --log fp32.log -o b train.toks
    mlm --device cuda --precision bf16 --max-steps $n --log bf16.log -o c train.toks
    near fp32.log cpu.log 1e-4
    near bf16.log cpu.log 5e-2
}

@test "two runs give the same bytes, in fp32 and in bf16" {
    for precision in fp32 bf16; do
        for name in one two; do
            ft --device cuda --precision $precision --epochs 1 --accum 2 --eval 20% \
                --predictions $name.tsv -o $name train.toks
        done
        cmp one/model.safetensors two/model.safetensors
        cmp one.tsv two.tsv
    done
}

@test "score: the CPU's logits" {
    ft --device cpu --max-steps 30 -o cls train.toks
    score -m cls --logits --device cpu train.toks >cpu.tsv
    for pair in fp32:1e-4 bf16:0.1; do
        score -m cls --logits --device cuda --precision "${pair%:*}" train.toks >cuda.tsv
        score -m cls --logits --device cuda --precision "${pair%:*}" train.toks >again.tsv
        cmp cuda.tsv again.tsv
        # many batches, two under way at a time
        score -m cls --logits --device cuda --precision "${pair%:*}" --batch-tokens 64 train.toks >small.tsv
        same "$(cut -f1,2 small.tsv)" "$(cut -f1,2 cpu.tsv)"
        same "$(cut -f1,2 cuda.tsv)" "$(cut -f1,2 cpu.tsv)"
        paste small.tsv cpu.tsv | awk -v bound="${pair#*:}" 'NR > 1 {
            for (i = 4; i <= 5; i++) { d = $i - $(i + 5); if (d < 0) d = -d; if (d > bound) bad = NR } }
            END { exit bad > 0 }'
        paste cuda.tsv cpu.tsv | awk -v bound="${pair#*:}" 'NR > 1 {
            for (i = 4; i <= 5; i++) { d = $i - $(i + 5); if (d < 0) d = -d; if (d > most) most = d } }
            END { print "# logits differ by " most; exit NR != 401 || !(most <= bound) }'
    done
}

@test "kill -9, then --resume: the bytes of a run that was not killed" {
    for precision in fp32 bf16; do
        # in one of them with the gradients of biases that products give (kernels/cuda/gemm.cuh)
        [ $precision = bf16 ] || export BERTUTILS_BIAS_SUMS=1
        ft --device cuda --precision $precision --epochs 1 -o whole train.toks
        (exec finetune -q -f -m weights --batch 8 --lr 5e-4 --schedule constant --device cuda \
            --precision $precision --epochs 1 --save-every 5 -o killed train.toks) &
        pid=$!
        for _ in {1..3000}; do
            compgen -G 'killed.ckpt/*/*' >/dev/null && break
            kill -0 $pid 2>/dev/null || break
            sleep 0.02
        done
        kill -9 $pid 2>/dev/null || true
        wait $pid || true
        ft --device cuda --precision $precision --epochs 1 --save-every 5 --resume -o killed train.toks
        cmp whole/model.safetensors killed/model.safetensors
        [ ! -e killed.ckpt ]
        rm -rf whole killed
        unset BERTUTILS_BIAS_SUMS
    done
}

@test "stopped by a signal it saves, exits 75, and goes on from there" {
    ft --device cuda --epochs 1 -o whole train.toks
    (exec finetune -q -f -m weights --batch 8 --lr 5e-4 --schedule constant --device cuda \
        --epochs 1 --log log -o out train.toks) &
    pid=$!
    for _ in {1..3000}; do grep -qs '"step":3,' log && break; sleep 0.01; done
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    same "$status" 75
    [ ! -e out ]
    ft --device cuda --epochs 1 --log log --resume -o out train.toks
    cmp whole/model.safetensors out/model.safetensors
    same "$(steps log | field step /dev/stdin)" "$(seq 50)"
}

@test "a checkpoint of one kind of device is not resumed on another" {
    (exec finetune -q -f -m weights --batch 8 --device cuda --precision fp32 --epochs 1 --log log \
        -o out train.toks) &
    pid=$!
    for _ in {1..3000}; do grep -qs '"step":2,' log && break; sleep 0.01; done
    kill -TERM $pid
    wait $pid || true
    fails_with 2 finetune -q -m weights --batch 8 --device cpu --epochs 1 --resume -o out train.toks
    says device
}

@test "a device that is not there is refused, and the last one named" {
    fails_with 1 ft --device cuda:9 --max-steps 1 -o no train.toks
    says "cuda:9" "cuda:0"
    [ ! -e no ]
    fails_with 1 score -m weights --device cuda:9 train.toks
    fails_with 2 ft --device gpu --max-steps 1 -o no train.toks
}

@test "out of memory: said before a step, with what to change, and nothing is left behind" {
    if [ -n "${BERTUTILS_TEST_SMALL-}" ]; then
        export EMU_MEMORY=20000000
        fails_with 70 ft --device cuda --batch 400 --max-steps 1 -o no train.toks
    else
        # 8,000 texts of 62 tokens at once, in a model like BERT-large: some 400 GB
        sed -e "s/\"hidden_size\": $WIDTH/\"hidden_size\": 1024/; s/\"num_hidden_layers\": 2/\"num_hidden_layers\": 24/" \
            -e "s/\"num_attention_heads\": $((WIDTH / 64))/\"num_attention_heads\": 16/" base/config.json >config.wide
        cp -rL base wide && cp config.wide wide/config.json
        sed -i 's/"intermediate_size": [0-9]*/"intermediate_size": 4096/' wide/config.json
        awk 'BEGIN { for (i = 0; i < 8000; i++) { t = i % 2; for (k = 0; k < 61; k++) t = t (k ? " a" : "\ta"); print t } }' |
            tok -m wide --label 1 --text 2 -o long.toks
        fails_with 70 finetune -q -m wide --init --device cuda --batch 8000 --max-steps 1 -o no long.toks
    fi
    says "memory" "--batch"
    [ ! -e no ]
    unset EMU_MEMORY
    # the device is whole: the next run works
    ft --device cuda --max-steps 1 -o yes train.toks
}

@test "--device auto takes the GPU; provenance says which kind it was" {
    finetune -q -m weights --max-steps 1 -o out train.toks
    grep -q '"device": "cuda' out/provenance.json
    finetune -q -m weights --device cpu --max-steps 1 -o cpu train.toks
    grep -q '"device": "cpu' cpu/provenance.json
}

@test "the whole chain on the GPU: pretrain, finetune, score, mcc" {
    mkdir one && cd one
    ln -s ../base ../train.tsv .
    tok -m base --label 1 --text 2 train.tsv |
        mlm-pretrain -q -m base --init --device cuda --max-steps 5 -o itpt |
        finetune -q -m itpt --device cuda --batch 8 --lr 1e-3 --epochs 1 --eval 20% -o cls
    tok -m cls --label 1 --text 2 train.tsv | score -m cls --device cuda >s.tsv
    same "$(wc -l <s.tsv)" 401
    mcc --metric accuracy s.tsv
}
