# SPDX-License-Identifier: MIT
# finetune: every sentence that its page and the scripts of others rely on.

load helper

# 120 records of two classes that four words tell apart; a dev set of 30 with keys.
make_corpus() {
    awk 'BEGIN {
        split("good nice bad awful", word); split("movie film the a was", filler)
        for (i = 1; i <= 150; i++) {
            n = 2 + (i * 7) % 9; text = ""
            for (k = 1; k <= n; k++) text = text (k > 1 ? " " : "") filler[1 + (i * k + k) % 5]
            print (i % 3 ? "pos" : "neg") "\t" text " " word[(i % 3 ? 1 : 3) + i % 2] \
                > (i <= 120 ? "train.tsv" : "dev.tsv")
        }
    }' </dev/null
}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    tiny_bert base good nice bad awful movie film the a was
    make_corpus
    tok -m base --label 1 --text 2 --block-records 16 -o train.toks train.tsv
    tok -m base --label 1 --text 2 -o dev.toks dev.tsv
    # A checkpoint with weights and without a head.
    mlm-pretrain -q -m base --init --max-steps 0 -o weights train.toks >/dev/null
    mlm-pretrain -q -m base --init --seed 7 --max-steps 0 -o weights7 train.toks >/dev/null
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    F=$BATS_FILE_TMPDIR
    ln -s "$F"/base "$F"/weights "$F"/train.tsv "$F"/dev.tsv "$F"/train.toks "$F"/dev.toks .
}

# Quick settings: a step is well under a millisecond.
ft() { finetune -q -@ 1 -m weights --batch 8 --lr 2e-3 "$@"; }
# The same for the background: $! is then the tool, not a shell around it.
ft_exec() { exec finetune -q -@ 1 -m weights --batch 8 --lr 2e-3 "$@"; }
steps() { grep '"event":"step"' "$1"; }
# A log without what depends on the clock.
timeless() { sed 's/,"ms":.*//; s/,"training_seconds":.*//' "$1"; }
# field NAME FILE: the values of a field of JSON lines, one a line
field() { sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p" "$2"; }
# A score TSV with four decimals.
ids_of() { sed -n '/"id2label"/,/}/p' "$1/config.json" | grep -o '"[0-9]*": "[^"]*"' | sort -t'"' -k2n | tr -d ' \n'; }

@test "a stream and a checkpoint become a model directory" {
    ft -o out --epochs 1 train.toks
    same "$(ls -A out)" "$(printf '%s\n' config.json model.safetensors provenance.json tokenizer_config.json vocab.txt)"
    cmp out/vocab.txt base/vocab.txt
    cmp out/tokenizer_config.json base/tokenizer_config.json
    for file in out/*; do [ ! "$file" -nt out/model.safetensors ]; done
    [ ! -e out.ckpt ]
    grep -q '"BertForSequenceClassification"' out/config.json
    grep -q '"single_label_classification"' out/config.json
    same "$(ids_of out)" '"0":"neg""1":"pos"'
    # its command line is in provenance.json and nowhere else
    grep -q 'finetune -q -@ 1 -m weights --batch 8' out/provenance.json
    ! grep -q -- '--batch' out/config.json out/model.safetensors
    score -m out dev.toks >/dev/null
}

@test "from standard input, to NAME-finetuned in the current directory" {
    mkdir here && cd here
    cat ../train.toks | finetune -q -m ../weights --epochs 1
    [ -s weights-finetuned/model.safetensors ]
    cat ../train.toks | finetune -q -m "$F/weights/" --epochs 1 -o x -
    cmp x/model.safetensors weights-finetuned/model.safetensors
}

@test "several streams are one, in their order" {
    shard -n 3 -o 'part-%d.toks' train.toks
    ft -o a --epochs 1 part-*.toks
    ft -o b --epochs 1 train.toks
    cmp a/model.safetensors b/model.safetensors
    cat part-*.toks | ft -o c --epochs 1
    cmp a/model.safetensors c/model.safetensors
    fails_with 66 ft -o no --epochs 1 train.toks nosuch.toks
    says nosuch.toks
}

@test "the default rate, batch and epochs are the documents'" {
    finetune -q -m weights -o a --log log train.toks
    same "$(steps log | wc -l)" 16
    same "$(field lr log | head -n 1)" 2e-05
    finetune -q -m weights -o b --batch 32 --epochs 4 --lr 2e-5 --schedule linear --warmup 0 \
        --weight-decay 0 --beta1 .9 --beta2 .999 --eps 1e-8 --clip 1 --accum 1 --seed 42 \
        --shuffle epoch train.toks
    cmp a/model.safetensors b/model.safetensors
}

@test "a finished model is refused without -f, and kept until the new one is whole" {
    ft -o out --epochs 1 train.toks
    cp -a out before
    fails_with 73 ft -o out --epochs 1 train.toks
    says "'out'" "-f"
    diff -r out before
    # a run with -f that fails leaves the old one as it was
    head -c 700 train.toks >cut
    fails_with 65 ft -f -o out --epochs 1 cut
    diff -r out before
    ft -f -o out --epochs 2 train.toks
    ! cmp -s out/model.safetensors before/model.safetensors
    leaves_nothing_else
}

# Nothing beside what a test made by name.
leaves_nothing_else() {
    local left
    left=$(find . -maxdepth 1 -name '.?*' -o -maxdepth 1 -name '*.ckpt')
    same "$left" ""
}

@test "--log: a line for every step, in the promised form" {
    ft -o out --eval 20% --epochs 3 --log log train.toks
    same "$(steps log | wc -l)" 36
    number='-?[0-9.]+(e[-+]?[0-9]+)?'
    ! steps log | grep -vE "^\{\"event\":\"step\",\"step\":[0-9]+,\"epoch\":[0-2],\"loss\":$number,\"lr\":$number,\"grad_norm\":$number,\"tokens\":[0-9]+,\"ms\":$number\}$"
    same "$(steps log | sed 's/.*"step":\([0-9]*\).*/\1/')" "$(seq 36)"
    same "$(steps log | field epoch /dev/stdin | uniq -c | tr -s ' \n' ' ')" " 12 0 12 1 12 2 "
    same "$(grep -c '"event":"eval"' log)" 3
    ! grep '"event":"eval"' log | grep -vE "^\{\"event\":\"eval\",\"step\":[0-9]+,\"loss\":$number,\"accuracy\":$number,\"mcc\":$number[,}]"
    same "$(grep '"event":"eval"' log | field step /dev/stdin | tr '\n' ' ')" "12 24 36 "
    [[ $(tail -n 1 log) == '{"event":"end",'* ]]
    # eight significant digits or more, but for values that have fewer
    same "$(field loss log | sed 's/^0*\.0*//; s/[.e].*//; s/\.//' | wc -l)" 39
    [ "$(field grad_norm log | tr -d '.' | sed 's/^0*//' | awk 'length > 7' | wc -l)" -gt 30 ]
}

@test "the rate of step s is that of s - 1: warm-up starts at 0" {
    ft -o a --max-steps 10 --warmup 4 --lr 1 --eps 1 --log log train.toks
    same "$(field lr log | tr '\n' ' ')" "0 0.25 0.5 0.75 1 0.833333333 0.666666667 0.5 0.333333333 0.166666667 "
    ft -o b --max-steps 10 --warmup 40% --lr 1 --eps 1 --log log train.toks
    cmp a/model.safetensors b/model.safetensors
    for schedule in constant cosine poly wsd stlr; do
        ft -o "$schedule" --max-steps 20 --lr 1 --eps 1 --schedule $schedule --log log train.toks
        field lr log | tr '\n' ' ' >lr.$schedule
    done
    same "$(cut -d' ' -f1,20 lr.constant)" "1 1"
    same "$(cut -d' ' -f1,11 lr.cosine)" "1 0.5"
    same "$(cut -d' ' -f1,11 lr.poly)" "1 0.50000005"
    same "$(cut -d' ' -f18-20 lr.wsd)" "1 1 0.5"
    same "$(cut -d' ' -f1,2,3 lr.stlr)" "0.03125 0.515625 1"
}

@test "a step is --accum micro-batches and does not cross an epoch" {
    # 120 records, 8 x 4: 3 whole steps and one of 24
    ft -o out --accum 4 --epochs 2 --log log train.toks
    same "$(steps log | wc -l)" 8
    same "$(field epoch log | tr '\n' ' ')" "0 0 0 0 1 1 1 1 "
    # every epoch sees every token once
    same "$(steps log | awk -F'[:,]' '{t[$6] += $14} END {print t[0] - t[1]}')" 0
    same "$(steps log | field tokens /dev/stdin | head -n 4 | paste -sd+ | bc)" \
        "$(tok -d --columns len train.toks | awk '{s += $1 + 2} END {print s}')"
}

@test "the loss is the mean over the records of the step, however they are batched" {
    ft -o a --batch 24 --dropout 0 --epochs 1 --log a.log train.toks
    ft -o b --batch 5 --accum 5 --max-steps 1 --dropout 0 --shuffle none --log b.log train.toks
    ft -o c --batch 25 --max-steps 1 --dropout 0 --shuffle none --log c.log train.toks
    same "$(field loss b.log | cut -c1-7)" "$(field loss c.log | cut -c1-7)"
    same "$(field grad_norm b.log | head -n 1 | cut -c1-6)" "$(field grad_norm c.log | head -n 1 | cut -c1-6)"
    # the order of an epoch does not depend on the batch
    ft -o d --batch 8 --accum 3 --dropout 0 --epochs 1 --log d.log train.toks
    same "$(field tokens a.log)" "$(field tokens d.log)"
}

@test "--memory cuts a batch into pieces that fit, and the loss stays what it was" {
    cp -r base wide
    sed -i 's/"hidden_size": 16/"hidden_size": 64/; s/"intermediate_size": 32/"intermediate_size": 1024/' \
        wide/config.json
    wide() { finetune -@ 1 -m wide --init --batch 120 --dropout 0 --max-steps 3 --lr 1e-3 "$@" train.toks; }
    fails_with 1 wide -o out --memory 1M
    says "even one of the records" "--max-len"
    [ ! -e out ]
    least=$(sed -n 's/.*takes \([0-9]*\) MB.*/\1/p' <<<"$stderr")
    wide -o whole --log whole.log --memory 8G 2>said
    ! grep -q 'is cut into' said
    wide -o cut --log cut.log --memory $((least * 1000000 + 9000000)) 2>said
    micro=$(sed -n 's/.*a batch of 120 is cut into micro-batches of \([0-9]*\)$/\1/p' said)
    [ "$micro" -ge 2 ]
    [ "$micro" -le 60 ]
    [ "$(sed -n 's/.*peak memory about \([0-9]*\) MB/\1/p' said)" -le $((least + 9)) ]
    same "$(field tokens cut.log)" "$(field tokens whole.log)"
    same "$(steps cut.log | field loss /dev/stdin | cut -c1-7)" \
        "$(steps whole.log | field loss /dev/stdin | cut -c1-7)"
    fails_with 2 wide -o out --memory 6X
    says "--memory" "6X"
}

@test "--shuffle none takes records in stream order, the last batch short" {
    ft -o out --shuffle none --batch 50 --epochs 1 --log log train.toks
    want=$(tok -d --columns len train.toks |
        awk '{s += $1 + 2} NR % 50 == 0 || NR == 120 {print s; s = 0}')
    same "$(field tokens log)" "$want"
    ft -o shuffled --batch 50 --epochs 1 --log other train.toks
    [ "$(field tokens other)" != "$want" ]
}

@test "results depend on the seed, and on nothing of threads, output, log, checkpoints" {
    ft -o a --eval 20% --epochs 2 --predictions a.tsv train.toks
    for threads in 1 2 3 8; do
        ft -@ $threads -o t$threads --eval 20% --epochs 2 --predictions t.tsv \
            --save-every 3 --log log train.toks
        cmp a/model.safetensors t$threads/model.safetensors
        cmp a.tsv t.tsv
    done
    ft -o s --seed 43 --eval 20% --epochs 2 --predictions s.tsv train.toks
    ! cmp -s a/model.safetensors s/model.safetensors
    [ "$(cut -f1 a.tsv)" != "$(cut -f1 s.tsv)" ]
}

@test "--eval N%: the last n - floor((1 - N/100) n) records of a permutation" {
    for pair in 10:12 7:9 33.3:40 0.5:1 50:60; do
        ft -f -o out --eval "${pair%:*}%" --max-steps 0 --predictions p.tsv train.toks
        same "$(tail -n +2 p.tsv | wc -l)" "${pair#*:}"
        # in input order, and each one once
        same "$(tail -n +2 p.tsv | cut -f1)" "$(tail -n +2 p.tsv | cut -f1 | sort -nu)"
    done
    # the same records for the same seed, whatever else is asked for
    ft -f -o out --eval 10% --max-steps 0 --predictions p.tsv train.toks
    ft -f -o out --eval 10% --batch 3 --epochs 1 --dropout 0.3 --predictions q.tsv train.toks
    same "$(cut -f1,2 p.tsv)" "$(cut -f1,2 q.tsv)"
    for bad in 0% 100% -3% 101%; do
        fails_with 2 ft -o no --eval $bad train.toks
    done
    tok -m base --label 1 --text 2 -o two.toks <(printf 'a\tgood\nb\tbad\n')
    fails_with 2 ft -o no --eval 1e-12% two.toks
    says "--eval"
}

@test "--eval FILE: known labels, metrics as mcc has them, scores as score has them" {
    ft -o out --eval dev.toks --epochs 6 --best last --log log --predictions p.tsv train.toks
    same "$(cut -f1,2 p.tsv | tail -n +2)" "$(tok -d --columns key,label dev.toks)"
    score -m out dev.toks >s.tsv
    cmp p.tsv s.tsv
    got=$(grep '"event":"eval"' log | tail -n 1)
    for metric in accuracy mcc f1_macro; do
        want=$(mcc --metric $metric p.tsv)
        same "$(printf %.6f "$(field $metric /dev/stdin <<<"$got")")" "$(printf %.6f "$want")"
    done
    same "$(printf %.4f "$(field loss /dev/stdin <<<"$got")")" \
        "$(printf %.4f "$(mcc --metric log_loss p.tsv)")"
    sed 's/^neg/meh/' dev.tsv | tok -m base --label 1 --text 2 -o odd.toks
    fails_with 65 ft -o no --eval odd.toks --epochs 1 train.toks
    says odd.toks record "'meh'"
    [ ! -e no ]
    fails_with 66 ft -o no --eval nosuch.toks --epochs 1 train.toks
    says nosuch.toks
}

@test "the best weights are kept: by mcc, by --best, the last without --eval" {
    ft -o out --eval 30% --epochs 6 --log log train.toks
    best=$(grep '"event":"eval"' log | awk -F'"mcc":' '{split($2, a, ","); print a[1], NR * 11}' |
        sort -k1,1gr -k2,2n | head -n 1 | cut -d' ' -f2)
    grep -q "\"weights_of_step\": $best," out/provenance.json
    ft -o loss --eval 30% --epochs 6 --lr 3e-2 --best loss --log log train.toks
    best=$(grep '"event":"eval"' log | awk '{match($0, /"loss":[^,]*/); print substr($0, RSTART + 7, RLENGTH - 7), NR * 11}' |
        sort -k1,1g -k2,2n | head -n 1 | cut -d' ' -f2)
    grep -q "\"weights_of_step\": $best," loss/provenance.json
    # the weights of that very step: a run of the same schedule that is stopped there and kept
    ft -o last --eval 30% --epochs 6 --best last train.toks
    ft -o none --epochs 6 train.toks
    grep -q '"weights_of_step": 66,' last/provenance.json
    grep -q '"weights_of_step": 90,' none/provenance.json
    # a name that is none, and one without anything to judge by
    fails_with 2 ft -o no --eval 30% --best nosuch train.toks
    says "--best nosuch"
    fails_with 2 ft -o no --best mcc train.toks
    says "--eval"
}

@test "the weights kept give the scores that were logged" {
    ft -o out --eval dev.toks --epochs 5 --lr 5e-2 --log log train.toks
    step=$(field best_step log)
    want=$(grep '"event":"eval","step":'"$step," log)
    score -m out dev.toks >s.tsv
    same "$(printf %.6f "$(field mcc /dev/stdin <<<"$want")")" "$(printf %.6f "$(mcc --metric mcc s.tsv)")"
    same "$(printf %.4f "$(field loss /dev/stdin <<<"$want")")" \
        "$(printf %.4f "$(mcc --metric log_loss s.tsv)")"
}

@test "records without a label are counted, not trained on, and scored" {
    awk -F'\t' -v OFS='\t' 'NR % 5 == 0 {$1 = ""} 1' train.tsv | tok -m base --label 1 --text 2 --header no -o some.toks
    run_clean finetune -m weights -o out --batch 8 --epochs 1 --log log --predictions p.tsv some.toks
    [ "$status" -eq 0 ]
    says "24 of 120 records have no label"
    same "$(steps log | wc -l)" 12
    same "$(tail -n +2 p.tsv | cut -f1 | tr '\n' ' ')" "$(seq -s ' ' 5 5 120) "
    same "$(tail -n +2 p.tsv | cut -f2 | sort -u)" ""
    # with held-out records: both, in input order
    ft -f -o out --epochs 1 --eval 25% --predictions p.tsv some.toks
    same "$(tail -n +2 p.tsv | wc -l)" 48
    same "$(tail -n +2 p.tsv | cut -f1)" "$(tail -n +2 p.tsv | cut -f1 | sort -n)"
    # nothing to score
    fails_with 2 ft -o no --epochs 1 --predictions p2.tsv train.toks
    says "--predictions"
    [ ! -e p2.tsv ] && [ ! -e no ]
}

@test "labels: numbers by value when all are integers, else by bytes" {
    awk -F'\t' -v OFS='\t' '{$1 = (NR % 3) * 5 - 1} 1' train.tsv |
        tok -m base --label 1 --text 2 -o int.toks
    ft -o int --epochs 1 int.toks
    same "$(ids_of int)" '"0":"-1""1":"4""2":"9"'
    awk -F'\t' -v OFS='\t' '{$1 = NR % 3 ? NR % 3 * 8 : "x"} 1' train.tsv |
        tok -m base --label 1 --text 2 -o mix.toks
    ft -o mix --epochs 1 mix.toks
    same "$(ids_of mix)" '"0":"16""1":"8""2":"x"'
}

@test "a head of the same labels is kept, another one is new and said to be" {
    ft -o first --epochs 2 train.toks
    run_clean finetune -m first -o second --max-steps 0 train.toks
    [ "$status" -eq 0 ]
    [[ $stderr != *"new"* ]]
    cmp first/model.safetensors second/model.safetensors
    # LABEL_0 and LABEL_1 are the first and second label of the data, and take their names
    cp -r first generic
    sed -i 's/"neg"/"LABEL_0"/; s/"pos"/"LABEL_1"/' generic/config.json
    finetune -q -m generic -o third --max-steps 0 train.toks
    same "$(ids_of third)" '"0":"neg""1":"pos"'
    cmp first/model.safetensors third/model.safetensors
    # the same names in another order stay in that order
    cp -r first turned
    sed -i 's/"neg"/"x"/; s/"pos"/"neg"/; s/"x"/"pos"/' turned/config.json
    finetune -q -m turned -o fourth --max-steps 0 train.toks
    same "$(ids_of fourth)" '"0":"pos""1":"neg"'
    cmp first/model.safetensors fourth/model.safetensors
    sed 's/^pos/good/' train.tsv | tok -m base --label 1 --text 2 -o other.toks
    run_clean finetune -m first -o fifth --max-steps 0 other.toks
    [ "$status" -eq 0 ]
    says "new"
    ! cmp -s first/model.safetensors fifth/model.safetensors
}

@test "--max-steps 0 writes the model as loaded" {
    ft -o out --max-steps 0 train.toks
    finetune -q -m out -o again --max-steps 0 --lr 1 --eval 10% --log log train.toks
    cmp out/model.safetensors again/model.safetensors
    same "$(grep -c '"event":"step"' log)" 0
    same "$(grep -c '"event":"eval","step":0' log)" 1
}

@test "--max-steps: so many, and what is left of the epoch is judged" {
    ft -o out --max-steps 22 --eval 20% --log log train.toks
    same "$(steps log | wc -l)" 22
    same "$(grep '"event":"eval"' log | field step /dev/stdin | tr '\n' ' ')" "12 22 "
    same "$(steps log | field lr /dev/stdin | tail -n 1)" "$(printf %.9g "$(bc -l <<<'.002/22')")"
    ft -o more --max-steps 40 --log log train.toks
    same "$(steps log | wc -l)" 40
}

@test "--init: config and tokenizer of the model, random weights by --seed" {
    for seed in 1 1 2; do
        finetune -q -m base --init --seed $seed --max-steps 0 -f -o out train.toks
        sum=$(cksum <out/model.safetensors)
        [ $seed = 2 ] || same "$sum" "${first:=$sum}"
    done
    [ "$sum" != "$first" ]
    fails_with 66 finetune -m base -o no train.toks
    says weights base
    [ ! -e no ]
}

@test "multi-label: names joined by commas" {
    awk -F'\t' -v OFS='\t' '{l = $1; if (NR % 4 == 0) l = l ",even"; if (NR % 7 == 0) l = "even"; $1 = l} 1' \
        train.tsv | tok -m base --label 1 --text 2 -o multi.toks
    ft -o out --problem multi --eval 20% --epochs 4 --log log --predictions p.tsv multi.toks
    grep -q '"multi_label_classification"' out/config.json
    same "$(ids_of out)" '"0":"even""1":"neg""2":"pos"'
    same "$(head -n 1 p.tsv)" $'key\tgold\tpred\tp:even\tp:neg\tp:pos'
    grep -q '"best":"f1_micro"' log
    grep '"event":"eval"' log | grep -q '"f1_micro":'
    # binary cross-entropy starts near ln 2
    same "$(field loss log | head -n 1 | cut -c1-3)" 0.6
    # an empty label is a record that none applies to: trained on, not "without a label"
    printf 'a,b\tgood movie\n\tbad film\nb\tnice\n\tawful\n' | tok -m base --label 1 --text 2 -o few.toks
    run_clean finetune -m weights -o few --problem multi --batch 4 --max-steps 1 few.toks
    says "4 records to train on"
    # the model's own problem_type is what its labels are read by from then on
    finetune -q -m out -o again --max-steps 0 multi.toks
    cmp out/model.safetensors again/model.safetensors
}

@test "regression: labels are numbers" {
    awk -F'\t' -v OFS='\t' '{$1 = ($1 == "pos" ? 1.5 : -0.5)} 1' train.tsv |
        tok -m base --label 1 --text 2 -o reg.toks
    ft -o out --problem regression --eval 20% --epochs 8 --log log --predictions p.tsv reg.toks
    grep -q '"regression"' out/config.json
    same "$(head -n 1 p.tsv)" $'key\tgold\tpred'
    grep -q '"best":"loss"' log
    grep '"event":"eval"' log | grep -q '"pearson":'
    first=$(field loss log | head -n 1)
    last=$(steps log | field loss /dev/stdin | tail -n 1)
    [ "$(bc -l <<<"$last < $first")" = 1 ]
    fails_with 65 ft -o no --problem regression train.toks
    says "record 1" "'pos'"
    for bad in 0x1 ' 1' inf; do
        printf '1.5\tgood\n%s\tbad\n' "$bad" |
            tok -m base --header no --label 1 --text 2 -o bad.toks
        fails_with 65 ft -o no --problem regression bad.toks
        says "record 2" "'$bad'"
    done
}

@test "a weight multiplies its record's share of the loss" {
    awk -F'\t' -v OFS='\t' '{print $1, $2, (NR % 2 ? 3 : 0)}' train.tsv |
        tok -m base --label 1 --text 2 --weight 3 -o w.toks
    awk 'NR % 2' train.tsv | tok -m base --label 1 --text 2 -o half.toks
    ft -o a --batch 120 --max-steps 1 --dropout 0 --shuffle none --log a.log w.toks
    ft -o b --batch 60 --max-steps 1 --dropout 0 --shuffle none --log b.log half.toks
    same "$(field loss a.log | cut -c1-7)" "$(field loss b.log | cut -c1-7)"
    same "$(field grad_norm a.log | cut -c1-6)" "$(field grad_norm b.log | cut -c1-6)"
}

@test "pairs are trained on as pairs" {
    awk -F'\t' -v OFS='\t' '{print $1, $2, "the movie"}' train.tsv |
        tok -m base --label 1 --text 2 --pair 3 -o pair.toks
    ft -o out --max-steps 1 --batch 120 --log log pair.toks
    # three special tokens and two more
    want=$(tok -d --columns len train.toks | awk '{s += $1 + 5} END {print s}')
    same "$(field tokens log)" "$want"
}

@test "--max-len cuts, warns over 1 %, and must fit the model" {
    ft -o out --max-len 8 --max-steps 1 --batch 120 --log log train.toks
    want=$(tok -d --columns len train.toks | awk '{s += ($1 > 6 ? 6 : $1) + 2} END {print s}')
    same "$(field tokens log)" "$want"
    run_clean finetune -f -m weights -o out --max-len 8 --max-steps 1 train.toks
    says "--max-len 8 cuts"
    run_clean finetune -f -m weights -o out --max-steps 1 train.toks
    [[ $stderr != *cuts* ]]
    fails_with 2 ft -o no --max-len 65 train.toks
    says "64"
    fails_with 2 ft -o no --max-len 2 train.toks
    [ ! -e no ]
}

# long PART: records of 60 words, or what PART leaves of them for --max-len 22, 20 tokens.
long() {
    awk -v part="$1" 'BEGIN {
        split("good nice bad awful movie film the a was", word)
        for (i = 1; i <= 40; i++) {
            printf "%s\t", i % 3 ? "pos" : "neg"
            for (k = 1; k <= 60; k++)
                if (part == "all" || (part == "head" && k <= 20) || (part == "tail" && k > 40) ||
                    (part == "head+tail" && (k <= 5 || k > 45)) ||
                    (part == "head+tail:12" && (k <= 12 || k > 52)))
                    printf "%s ", word[1 + (i * k * k + 3 * k + i % 3) % 9]
            print ""
        }
    }'
}

@test "--truncate: the start, the end or both of a long text, in training and scoring" {
    long all | tok -m base --label 1 --text 2 >all.toks
    for part in head tail head+tail head+tail:12; do
        long $part | tok -m base --label 1 --text 2 >part.toks
        ft -f --epochs 1 --max-len 22 --truncate $part -o cut all.toks
        ft -f --epochs 1 --max-len 22 -o whole part.toks
        cmp cut/model.safetensors whole/model.safetensors
        score -m whole part.toks >want
        score -m cut --max-len 22 all.toks | cmp - want
        score -m whole --max-len 22 --truncate $part all.toks | cmp - want
        same "$(grep -c bertutils_truncate cut/config.json)" "$([ $part = head ] && echo 0 || echo 1)"
        cp cut/model.safetensors "$part.weights"
    done
    [ "$(cat ./*.weights | wc -c)" -gt 0 ]
    [ "$(md5sum ./*.weights | cut -d ' ' -f 1 | sort -u | wc -l)" -eq 4 ]
    # A model that was trained so is trained on so; a word takes it back.
    finetune -q -m cut --max-steps 0 -o same all.toks
    grep -q '"bertutils_truncate": "head+tail:12"' same/config.json
    finetune -q -m cut --max-steps 0 --truncate head -o head all.toks
    same "$(grep -c bertutils_truncate head/config.json)" 0
}

@test "--truncate: wrong words, another one when resuming" {
    fails_with 2 ft --truncate middle -o out train.toks
    says middle head+tail:N
    ft -o first --max-steps 1 train.toks
    fails_with 2 score -m first --truncate head+tail:x train.toks
    sed 's/{/{"bertutils_truncate": "odd",/' first/config.json >config && cp config first/config.json
    fails_with 65 score -m first train.toks
    says config.json bertutils_truncate
    run_clean ft -o out --save-every 2 --keep 1 --max-steps 4 train.toks
    rm -r out
    fails_with 2 ft -o out --save-every 2 --max-steps 4 --truncate tail --resume train.toks
    says truncate
}

@test "--layer-decay: lower layers move less, with 0 not at all; --head-lr" {
    # tensors DIR: name and sum of each tensor of a layer or of the head
    tensors() {
        python3 - "$1/model.safetensors" <<'END'
import hashlib, json, struct, sys
data = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", data[:8])[0]
for name, t in sorted(json.loads(data[8:8 + n]).items()):
    if name != "__metadata__":
        a, b = t["data_offsets"]
        print(name, hashlib.md5(data[8 + n + a:8 + n + b]).hexdigest())
END
    }
    ft -o plain --epochs 1 --log plain.log train.toks
    ft -o one --layer-decay 1 --epochs 1 train.toks
    cmp plain/model.safetensors one/model.safetensors
    ft -o top --layer-decay 0 --epochs 1 --log top.log train.toks
    ft -o before --max-steps 0 train.toks
    if cmp -s plain/model.safetensors top/model.safetensors; then false; fi
    # The first step's loss and norm know nothing of it, the rate in the log is the top's.
    same "$(steps top.log | head -n 1 | sed 's/,"ms".*//')" "$(steps plain.log | head -n 1 | sed 's/,"ms".*//')"
    same "$(field lr top.log)" "$(field lr plain.log)"
    fails_with 2 ft -o out --layer-decay 1.5 train.toks
    fails_with 2 ft -o out --layer-decay -1 train.toks
    ft -o same --head-lr 2e-3 --epochs 1 train.toks
    cmp plain/model.safetensors same/model.safetensors
    ft -o head --head-lr 1e-2 --epochs 1 --log head.log train.toks
    if cmp -s plain/model.safetensors head/model.safetensors; then false; fi
    same "$(field lr head.log)" "$(field lr plain.log)"
    fails_with 2 ft -o out --lr 0 --head-lr 1e-3 train.toks
    command -v python3 >/dev/null || skip "no python3"
    tensors before >before.sums
    tensors top >top.sums
    same "$(diff before.sums top.sums | grep -c 'layer\.0\.\|embeddings')" 0
    [ "$(diff before.sums top.sums | grep -c '^>.*layer\.1\.')" -ge 10 ]
    [ "$(diff before.sums top.sums | grep -c '^>.*\(pooler\|classifier\)')" -ge 3 ]
}

@test "people get the documents' lines and table" {
    run_clean finetune -m weights -o out --batch 1 --epochs 2 --eval 20% train.toks
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    says "batch    40 of    96   elapsed 0:00:0" "batch    80 of    96" "peak memory" \
        "epoch 2: mean training loss 0." "validation at step 96: loss 0."
    says "epoch  Training Loss  Valid. Loss  Valid. Accur.     MCC  Training Time  Validation Time"
    [[ $stderr =~ "
    2           0."[0-9][0-9]\ +0\.[0-9][0-9]\ +0\.[0-9][0-9]\ +-?[01]\.[0-9][0-9]\ +0:00:0[0-9]\ +0:00:0[0-9] ]]
    [[ ${stderr%%epoch 1:*} == *"peak memory"* ]]
    # no progress is drawn where there is no terminal
    [[ $stderr != *$'\r'* ]]
}

@test "a run that learned nothing says so" {
    run_clean finetune -m weights -o out --batch 2 --lr 0.5 --schedule constant --epochs 1 train.toks
    [ "$status" -eq 0 ]
    says "nothing was learned" "--lr"
    run_clean finetune -m weights -o good --batch 8 --lr 1e-2 --epochs 12 train.toks
    [[ $stderr != *"nothing was learned"* ]]
}

# ---- stopping and going on ----

LONG=(--eval 20% --epochs 150 --lr 2e-3)

# Starts a run in the background, waits until it trains, and sends a signal.
interrupt() {
    local signal=$1 pid
    shift
    rm -f log
    ft_exec "$@" --log log train.toks 2>said 3>&- &
    pid=$!
    wait_for grep -q '"step":5,' log
    kill -s "$signal" $pid
    status=0
    wait $pid || status=$?
}

@test "TERM, INT and USR1 save and end with 75; --resume ends with the same bytes" {
    ft -o whole "${LONG[@]}" --log whole.log --predictions whole.tsv train.toks
    for signal in TERM INT USR1; do
        interrupt $signal -o part "${LONG[@]}" --predictions part.tsv
        same "$signal $status" "$signal 75"
        grep -q -- --resume said
        [ ! -e part ] && [ ! -e part.tsv ] && [ -d part.ckpt ]
        run_clean finetune -m weights --batch 8 "${LONG[@]}" --resume -o part --log log \
            --predictions part.tsv train.toks
        [ "$status" -eq 0 ]
        says "going on after step"
        cmp whole/model.safetensors part/model.safetensors
        cmp whole/config.json part/config.json
        cmp whole.tsv part.tsv
        diff <(timeless whole.log) <(timeless log)
        [ ! -e part.ckpt ]
        rm -r part part.tsv
    done
}

@test "kill -9 at any moment, then --resume: the same bytes, each step logged once" {
    ft -o whole "${LONG[@]}" --log whole.log train.toks
    kills=0
    for pause in 0.05 0.12 0.2 0.3 0.15 0.25 0.4; do
        ft_exec -o part "${LONG[@]}" --resume --save-every 40 --log log train.toks 3>&- &
        pid=$!
        sleep $pause
        kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
        wait $pid || true
    done
    [ $kills -gt 2 ]
    ft -o part "${LONG[@]}" --resume --save-every 40 --log log train.toks
    cmp whole/model.safetensors part/model.safetensors
    diff <(timeless whole.log) <(timeless log)
    [ ! -e part.ckpt ]
}

@test "a signal while the input is read ends with 75 and leaves nothing" {
    mkdir empty && cd empty
    mkfifo ../pipe
    finetune -m ../weights -o out --log log ../pipe 2>../said 3>&- &
    pid=$!
    exec 8>../pipe
    head -c 500 ../train.toks >&8
    sleep 0.2
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    exec 8>&-
    same $status 75
    grep -q "nothing to save" ../said
    leaves_nothing .
}

# A run that was stopped, with two checkpoints or more in part.ckpt.
stopped_run() {
    ft_exec -o part "${LONG[@]}" --save-every 2 --log log train.toks 2>/dev/null 3>&- &
    pid=$!
    wait_for grep -q '"step":9,' log
    kill -TERM $pid
    wait $pid || true
    same "$(ls part.ckpt | wc -l)" 2
    newest=$(ls part.ckpt | sort -n | tail -n 1)
}

@test "a damaged checkpoint: a warning, and the one before it" {
    ft -o whole "${LONG[@]}" --log whole.log train.toks
    stopped_run
    for file in moment2.f32 state.json manifest.json; do
        cp -r part.ckpt try.ckpt
        cp log try.log
        printf X | dd of=try.ckpt/$newest/$file bs=1 seek=10 conv=notrunc status=none
        run_clean finetune -m weights --batch 8 "${LONG[@]}" --resume -o try --log try.log train.toks
        [ "$status" -eq 0 ]
        says damaged "try.ckpt/$newest"
        cmp whole/model.safetensors try/model.safetensors
        diff <(timeless whole.log) <(timeless try.log)
        rm -r try
    done
    # all of them damaged: never silently from the beginning
    for dir in part.ckpt/*; do rm "$dir/params.f32"; done
    fails_with 65 ft -o part "${LONG[@]}" --resume train.toks
    says part.ckpt
}

@test "a checkpoint of other data or settings stops, and says which" {
    stopped_run
    fails_with 2 ft -o part "${LONG[@]}" --resume dev.toks
    says data
    fails_with 2 ft -o part "${LONG[@]}" --lr 1e-3 --resume train.toks
    says "lr"
    fails_with 2 ft -o part "${LONG[@]}" --batch 4 --warmup 3 --resume train.toks
    says batch warmup
    fails_with 2 ft -o part "${LONG[@]}" --eval 30% --resume train.toks
    says eval
    fails_with 2 finetune -m "$F/weights7" -o part --batch 8 "${LONG[@]}" --resume train.toks
    says weights
    [ ! -e part ]
    # what changes no byte may change
    ft -@ 1 -o part "${LONG[@]}" --resume --save-every 100 train.toks
}

@test "--resume without a checkpoint starts afresh, on a finished model does nothing" {
    run_clean finetune -m weights -o out --epochs 1 --resume train.toks
    [ "$status" -eq 0 ]
    says "starting afresh"
    cp -a out before
    run_clean finetune -m weights -o out --epochs 1 --resume train.toks
    [ "$status" -eq 0 ]
    says finished
    run_clean bash -c "set -o pipefail; cat train.toks | finetune -m weights -o out --epochs 1 --resume"
    [ "$status" -eq 0 ]
    diff -r out before
}

@test "a run without --resume says that there are checkpoints, and starts afresh" {
    ft -o whole "${LONG[@]}" train.toks
    stopped_run
    run_clean finetune -m weights --batch 8 "${LONG[@]}" -o part train.toks
    [ "$status" -eq 0 ]
    says "starts afresh" "--resume"
    cmp whole/model.safetensors part/model.safetensors
    [ ! -e part.ckpt ]
}

@test "a second run in the same DIR.ckpt is kept out" {
    ft_exec -o out --epochs 20000 --save-every 20 --log log train.toks 2>/dev/null 3>&- &
    pid=$!
    wait_for compgen -G 'out.ckpt/[0-9]*' >/dev/null
    fails_with 73 ft -o out --epochs 20000 --save-every 20 --resume train.toks
    says out.ckpt
    kill -TERM $pid
    wait $pid || same $? 75
}

@test "--keep N leaves checkpoints, otherwise they go when the model is whole" {
    ft -o out --epochs 2 --save-every 4 --keep 3 train.toks
    same "$(ls out.ckpt | sort -n | tr '\n' ' ')" "20 24 28 "
    ft -o none --epochs 2 --save-every 4 train.toks
    [ ! -e none.ckpt ]
}

@test "-f --resume goes on with a new model over an old one" {
    ft -o out --epochs 1 train.toks
    ft -o whole "${LONG[@]}" train.toks
    interrupt TERM -o out -f "${LONG[@]}"
    same $status 75
    ft -o out -f --resume "${LONG[@]}" train.toks
    cmp out/model.safetensors whole/model.safetensors
}

# ---- bad input and full disks ----

@test "a cut stream is 65 and publishes nothing, with --max-steps too" {
    size=$(stat -c %s train.toks)
    mkdir empty && cd empty
    for cut in 1 100 $((size / 3)) $((size / 2)) $((size - 40)) $((size - 1)); do
        head -c $cut ../train.toks >../cut
        fails_with 65 finetune -m ../weights -o out --max-steps 1 --log log ../cut
        run bash -c "head -c $cut ../train.toks | finetune -m ../weights -o out --log log --predictions p --eval 10%"
        same "$status" 65
        leaves_nothing .
    done
    fails_with 66 finetune -m ../weights -o out </dev/null
    says empty
}

@test "a flipped bit is 65 or changes nothing" {
    ft -o whole --max-steps 3 train.toks
    size=$(stat -c %s train.toks)
    for at in $(seq 3 $((size / 20)) $((size - 1))); do
        cp -L train.toks flipped && chmod +w flipped
        byte=$(od -An -tu1 -j$at -N1 flipped)
        printf "\\$(printf %o $((byte ^ 4)))" | dd of=flipped bs=1 seek=$at conv=notrunc status=none
        run_clean finetune -q -m weights --batch 8 --lr 2e-3 -f -o part --max-steps 3 flipped
        [ "$status" -eq 65 ] || { [ "$status" -eq 0 ] && cmp whole/model.safetensors part/model.safetensors; }
    done
}

@test "a full disk: 74, and nothing is left" {
    mkdir empty && cd empty
    fails_with 74 finetune -m ../weights -o out --log /dev/full ../train.toks
    says /dev/full
    fails_with 74 finetune -m ../weights -o out --eval 10% --predictions /dev/full ../train.toks
    run bash -c "finetune -q -m ../weights -o out --eval 10% --predictions - ../train.toks >/dev/full"
    same "$status" 74
    leaves_nothing .
    fails_with 73 finetune -m ../weights -o /proc/out ../train.toks
    fails_with 73 finetune -m ../weights -o out --log nosuch/log ../train.toks
    fails_with 73 finetune -m ../weights -o ../train.tsv ../train.toks
    leaves_nothing .
}

@test "predictions on standard output; a reader that leaves costs nothing" {
    ft -o a --eval 20% --epochs 1 --predictions a.tsv train.toks
    ft -o b --eval 20% --epochs 1 --predictions - train.toks >b.tsv
    cmp a.tsv b.tsv
    ft -o c --eval 20% --epochs 1 --predictions - train.toks | head -n 1 >/dev/null
    cmp a/model.safetensors c/model.safetensors
}

@test "a loss that is no number stops with the records' keys" {
    mkdir empty && cd empty
    fails_with 1 finetune -m ../weights -o out --batch 4 --lr 1e30 --clip 0 --schedule constant \
        --shuffle none --log log ../train.toks
    says "step 2" "5, 6, 7, 8"
    leaves_nothing .
}

@test "another tokenizer is 65, with both names and the way out" {
    tiny_bert other some words
    tok -m other --label 1 --text 2 -o other.toks train.tsv
    fails_with 65 finetune -m weights -o out other.toks
    says other weights "tok -m weights"
    fails_with 65 ft -o out --eval other.toks train.toks
    says other.toks
    [ ! -e out ]
}

@test "no model is 66, but only after the input has ended" {
    fails_with 66 finetune -m nosuch -o out train.toks
    says nosuch
    mkfifo pipe
    finetune -q -m late -o out --epochs 1 pipe 3>&- &
    pid=$!
    exec 8>pipe
    head -c 500 train.toks >&8
    sleep 0.2
    kill -0 $pid
    cp -r "$F/weights" late
    tail -c +501 train.toks >&8
    exec 8>&-
    wait $pid
    [ -s out/model.safetensors ]
}

@test "no labels, one label: 65" {
    cut -f2 train.tsv | tok -m base --format text -o none.toks
    fails_with 65 ft -o out none.toks
    says "label"
    sed 's/^neg/pos/' train.tsv | tok -m base --label 1 --text 2 -o one.toks
    fails_with 65 ft -o out one.toks
    says "same label"
    tok -m base --format text -o empty.toks /dev/null
    fails_with 65 ft -o out empty.toks
    head -n 10 train.tsv | tok -m base --label 1 --text 2 -o few.toks
    fails_with 65 ft -o out --eval 99% few.toks
    says "no records to train on"
    [ ! -e out ]
}

@test "wrong options are 2" {
    for options in "--epochs 0" "--batch 0" "--schedule nosuch" "--warmup 1x" "--dropout 1" \
        "--shuffle maybe" "--precision fp12" "--lr -1" "--beta1 1" "--accum 0" "--keep x" \
        "--problem odd" "--schedule poly --lr 1e-8" "--seed x" "--save-every -1" "--log -"; do
        fails_with 2 ft -o out $options train.toks
        [ ! -e out ]
    done
}
