# SPDX-License-Identifier: MIT
# tok and tok -d: what the manual promises, sentence by sentence.

load helper

# $BERT: a WordPiece vocabulary; the 5, cat 6, dog 7, sat 8, on 9, mat 10, good 11, bad 12.
# $BYTES: byte-level BPE without a merge: the id of a byte is its value and 4, so that
# `text_of` shows to the byte what tok has read.
setup_file() {
    export BERT=$BATS_FILE_TMPDIR/bert BYTES=$BATS_FILE_TMPDIR/bytes
    export ARCHIVES=$REPO/tests/golden/archives
    tiny_bert "$BERT" the cat dog sat on mat good bad
    byte_model "$BYTES"
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

text_of() { columns text "$@"; }

# Ids of standard input or of files, one line a record.
ids() { tok -m "$BERT" -o ids.toks "$@" && tok -d --ids ids.toks; }

# ---- formats ----

@test "text: one record a line, blanks kept, empty lines are records" {
    printf 'a b\n\n  c  \nlast' >in.txt
    gives $'a b\n\n  c  \nlast' text_of in.txt
    tok -m "$BYTES" in.txt | tok -d --columns key | tail -n 1 | grep -qx 4
}

@test "TSV has no quoting" {
    printf '1\t"one\n0\ttwo" ""x\n' >in.tsv
    gives $'1\t"one\n0\ttwo" ""x' columns label,text in.tsv
}

@test "CSV is RFC 4180: commas, quotes and line ends in quotes" {
    printf 'label,text\r\n1,"a, ""b"" c"\r\n2,"two\nlines"\r\n3,\r\n' >in.csv
    gives $'1\ta, "b" c\n2\ttwo lines\n3\t' columns label,text in.csv
}

@test "CSV: a line end within quotes is part of the text" {
    printf 'x,"a\nb"\n' >in.csv
    tok -m "$BYTES" in.csv -o o
    same "$(tok -d --ids o)" "101 14 102"
}

@test "CSV: an unclosed quote is 65 and names the line where it opened" {
    printf '1,a\n2,"b\nb"\n3,"c\n4,d\n5,e\n' >in.csv
    fails_with 65 tok -m "$BYTES" in.csv
    says in.csv:4: quote
}

@test "CSV: text behind a closing quote is 65 with its line" {
    printf '1,a\n2,"b"b\n' >in.csv
    fails_with 65 tok -m "$BYTES" in.csv
    says in.csv:2:
}

@test "JSON lines: keys by name, numbers and booleans as spelled, null is none" {
    printf '%s\n' '{"text":"a","label":1,"x":[{}]}' '{"x":0,"label":null,"text":"b"}' \
        '{"label":true,"text":"","x":null}' >in.jsonl
    gives $'1\ta\n\tb\ntrue\t' columns label,text --text text --label label in.jsonl
}

@test "JSON lines: escapes, \\u0000 and noncharacters are text, a lone surrogate is U+FFFD" {
    printf '%s\n' '{"t":"\u00e9\ud83d\ude00"}' '{"t":"a\u0000b"}' '{"t":"\uffff"}' \
        '{"t":"\ud800x"}' >in.jsonl
    tok -m "$BYTES" --text t in.jsonl -o o 2>err
    same "$(tok -d --ids o | tr '\n' '|')" \
        "199 173 244 163 156 132|101 4 102|243 195 195|243 195 193 124|"
    grep -q '1 sequences' err
}

@test "JSON lines: a line that is no object, or holds two, is 65 with its line" {
    for bad in '[1]' '"a"' '' '{"text":"a"} {"text":"b"}' '{"text":"a"' '{text:"a"}' '{"text":"a",}'; do
        printf '{"text":"a"}\n%s\n{"text":"c"}\n' "$bad" >in.jsonl
        fails_with 65 tok -m "$BYTES" in.jsonl
        says in.jsonl:2:
    done
}

@test "JSON lines: a list of names is a multi-label" {
    printf '{"text":"a","label":["x","y"]}\n{"text":"b","label":[]}\n' >in.jsonl
    gives $'x,y\ta\n\tb' columns label,text in.jsonl
}

@test "CRLF, a leading BOM and a missing last newline are accepted" {
    printf '\357\273\277label\ttext\r\n1\ta b\r\n0\tc' >in.tsv
    gives $'1\ta b\n0\tc' columns label,text in.tsv
    printf '\357\273\277{"text":"a"}\r\n{"text":"b"}' >in.jsonl
    gives $'a\nb' text_of in.jsonl
    printf '\357\273\277"1","a"\r\n"0","b"' >in.csv
    gives $'1\ta\n0\tb' columns label,text in.csv
}

@test "NUL and invalid UTF-8 are read as U+FFFD and counted, records stay" {
    printf 'a\0b\n\xff\n\xe2\x82A\n\xed\xa0\x80\n\xc3' >in.txt
    tok -m "$BYTES" in.txt -o o 2>err
    # EF BF BD is 243 195 193 here.
    same "$(tok -d --ids o | tr '\n' '|')" "101 243 195 193 102|243 195 193|243 195 193 69|243 195 193 243 195 193 243 195 193|243 195 193|"
    grep -q '7 sequences' err
}

@test "a broken sequence before a TAB or line end swallows neither" {
    printf '\xe2\x82\t\xf0\x9f\n\xc3\ta\n' >in.tsv
    same "$(tok -m "$BYTES" --text 2 in.tsv 2>/dev/null | tok -d --ids | tr '\n' '|')" \
        "243 195 193|101|"
}

@test "lone CRs are 65" {
    printf 'a\rb\rc\r' >in.txt
    fails_with 65 tok -m "$BYTES" in.txt
    says in.txt:1: "carriage return"
    printf '1\ta\n2\tb\rc\n' >in.tsv
    fails_with 65 tok -m "$BYTES" in.tsv
    says in.tsv:2: "carriage return"
}

@test "rows with too few fields are 65 with their line" {
    printf 'a\tb\tc\nd\te\tf\ng\n' >in.tsv
    fails_with 65 tok -m "$BYTES" --text 3 in.tsv
    says in.tsv:3:
    printf 'a,b\nc\n' >in.csv
    fails_with 65 tok -m "$BYTES" --text 2 in.csv
    says in.csv:2:
    printf '{"a":"x"}\n{"b":"x"}\n' >in.jsonl
    fails_with 65 tok -m "$BYTES" --text a in.jsonl
    says in.jsonl:2: "'a'"
}

@test "lines over --max-line are 65; the limit itself is not" {
    printf 'abc\nabcd\nabcde\n' >in.txt
    fails_with 65 tok -m "$BYTES" --max-line 4 in.txt
    says in.txt:3: --max-line
    gives $'abc\nabcd\nabcde' text_of --max-line 5 in.txt
}

@test "an endless line ends at the limit" {
    run_clean sh -c 'yes a | tr -d "\n" | head -c 40000000 | timeout 20 tok -m "$BYTES" >/dev/null'
    [ "$status" -eq 65 ]
    says "standard input:1:"
}

@test "a line of 16 MiB is read, one byte more is not" {
    head -c 16777216 /dev/zero | tr '\0' ' ' >in.txt
    tok -m "$BERT" in.txt -o o
    same "$(tok -d --columns key,len o)" $'1\t0'
    printf ' ' >>in.txt
    fails_with 65 tok -m "$BERT" in.txt
}

@test "empty input: an empty file, standard input, a BOM alone" {
    : >in.tsv
    tok -m "$BYTES" in.tsv -o o
    same "$(tok -d --ids o)" ""
    same "$(tok -m "$BYTES" </dev/null | tok -d --ids)" ""
    printf '\357\273\277' >in.txt
    same "$(tok -m "$BYTES" in.txt | tok -d --ids)" ""
    printf 'label\ttext\n' >in.tsv
    same "$(tok -m "$BYTES" in.tsv | tok -d --ids)" ""
}

# ---- columns and headers ----

@test "COL is a name, a key or a number, found in each file anew" {
    printf 'label\ttext\n1\ta\n' >a.tsv
    printf 'id,text,label\n7,b,0\n' >b.csv
    printf '{"label":"1","text":"c"}\n' >c.jsonl
    gives $'1\t1\ta\n2\t0\tb\n3\t1\tc' columns key,label,text --text text --label label a.tsv b.csv c.jsonl
    printf 'x\ty\tz\n' >n.tsv
    gives $'z\tx' columns label,text --text 1 --label 3 n.tsv
}

@test "an unknown column is 2 and named" {
    printf 'label\ttext\n1\ta\n' >in.tsv
    fails_with 2 tok -m "$BYTES" --text sentence in.tsv
    says in.tsv "'sentence'"
    fails_with 2 tok -m "$BYTES" --text text --label class in.tsv
    says "'class'"
    fails_with 2 tok -m "$BYTES" --text 3 in.tsv
    says "'3'"
    printf '{"text":"a"}\n' >in.jsonl
    fails_with 2 tok -m "$BYTES" --text body in.jsonl
    says "'body'" text
}

@test "--header yes and no" {
    printf 'u\tv\n1\ta\n' >in.tsv
    gives $'v\na' text_of --text 2 in.tsv
    gives 'a' text_of --text 2 --header yes in.tsv
    gives 'a' text_of --text v --header yes in.tsv
    gives 'a' text_of --text v in.tsv
    fails_with 2 tok -m "$BYTES" --text v --header no in.tsv
    printf 'label\ttext\n1\ta\n' >in.tsv
    gives $'text\na' text_of --text 2 --label 1 --header no in.tsv
}

@test "no COL: one column is the text, two are label and text, by name if named" {
    printf 'a\nb\n' >in.tsv
    gives $'a\nb' text_of in.tsv
    printf 'good\ta\nbad\tb\n' >in.tsv
    gives $'good\ta\nbad\tb' columns label,text in.tsv
    printf 'text\tlabel\na\t1\n' >in.tsv
    gives $'1\ta' columns label,text in.tsv
    printf 'sentence\tmark\na\t1\n' >in.tsv
    gives $'1\ta' columns label,text in.tsv
    printf 'sentence\na\n' >in.tsv
    gives 'a' text_of in.tsv
    gives 'a' text_of - <in.tsv
}

@test "no COL: more than two columns are refused (2) with flags and what was seen" {
    printf 'gj04\t1\t\tOur friends will buy it.\n' >in.tsv
    fails_with 2 tok -m "$BYTES" in.tsv
    says "--text 4" "--label 2" gj04 "Our friends"
    printf 'id\ttext\tlabel\n1\ta\tb\n' >in.tsv
    fails_with 2 tok -m "$BYTES" in.tsv
    says "--text text" "--label label"
}

@test "no COL: a guessed label with nearly as many values as records is refused (2)" {
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf '%s\tsome text\n' $i; done >in.tsv
    fails_with 2 tok -m "$BYTES" -o o in.tsv
    says "12 values in 12 records" --label
    [ ! -e o ]
    gives $'1\tsome text' sh -c 'tok -m "$BYTES" --label 1 --text 2 in.tsv |
        tok -d --columns label,text | head -n 1'
}

@test "--join goes between fields as they are; the default is one blank" {
    printf 'title\tabstract\n a \tb\nc\t\n' >in.tsv
    gives $' a  b\nc ' text_of --text title,abstract in.tsv
    gives $' a  . b\nc . ' text_of --text title,abstract --join ' . ' in.tsv
    gives $'b a \nc' text_of --text abstract,title --join '' in.tsv
}

@test "--pair, --weight and --key" {
    printf 'id\ta\tb\tw\nk1\tx\ty\t0.5\nk2\tz\t\t2\n' >in.tsv
    gives $'k1\t0.5\tx\ty\nk2\t2\tz\t' columns key,weight,text --text a --pair b --weight w --key id in.tsv
    tok -m "$BERT" --text a --pair b in.tsv -o o
    same "$(tok -d --ids --special -m "$BERT" o | awk '{print NF}' | tr '\n' ' ')" "5 4 "
}

@test "an empty pair differs from no pair" {
    printf '{"a":"x","b":""}\n{"a":"x","b":null}\n' >in.jsonl
    tok -m "$BYTES" --text a --pair b in.jsonl -o o
    same "$(tok -d --ids o | cat -A | tr '\n' ' ')" '124^I$ 124$ '
    same "$(tok -d --ids --special o | tr '\n' '|')" "0 124 2 2 2|0 124 2|"
}

@test "a weight that is no number of at least 0 is 65" {
    for bad in x '' -1 nan inf 1e99 0x10; do
        printf 'a\t1\nb\t%s\n' "$bad" >in.tsv
        fails_with 65 tok -m "$BYTES" --text 1 --weight 2 in.tsv
        says in.tsv:2: weight
    done
}

@test "keys: the --key column, else the number from 1 over all inputs" {
    printf 'a\nb\n' >a.txt
    printf 'c\n' >b.txt
    gives $'1\ta\n2\tb\n3\tc' columns key,text a.txt b.txt
    gives $'1\tc\n2\ta\n3\tb' columns key,text b.txt - <a.txt
}

@test "a key or label with a TAB or line end in it is refused (65)" {
    printf '"a\tb",x\n' >in.csv
    fails_with 65 tok -m "$BYTES" --key 1 --text 2 in.csv
    says in.csv:1: TAB
    printf 'c,x\n"a\nb",x\n' >in.csv
    fails_with 65 tok -m "$BYTES" --label 1 --text 2 in.csv
    says in.csv:2: "line end"
    printf '{"k":"a\\nb","t":"x"}\n' >in.jsonl
    fails_with 65 tok -m "$BYTES" --key k --text t in.jsonl
    says in.jsonl:1:
}

@test "labels are strings and stay as they are" {
    printf '%s\t%s\n' '01' a ' x ' b 'a,b' c '' d >in.tsv
    gives $'01\ta\n x \tb\na,b\tc\n\td' columns label,text --label 1 --text 2 in.tsv
}

@test "files with and without a label cannot be mixed by guessing" {
    printf '1\ta\n' >a.tsv
    printf 'a\n' >b.tsv
    fails_with 2 tok -m "$BYTES" a.tsv b.tsv
    says b.tsv --label
}

@test "formats are told by name, then by content" {
    printf '{"text":"a"}\n' | tok -m "$BYTES" | tok -d --text | grep -qx a
    printf 'label,text\n1,a\n' | tok -m "$BYTES" | tok -d --columns label,text | grep -qx $'1\ta'
    printf '"1","a, b"\n' | tok -m "$BYTES" | tok -d --text | grep -qx 'a, b'
    printf 'well, this is prose.\n' | tok -m "$BYTES" | tok -d --text | grep -q 'well, this'
    printf 'class\ttext\n1\ta,b\n' >in.csv
    gives $'1\ta,b' columns label,text in.csv
    gives $'{"text":"a"}' sh -c 'printf "{\"text\":\"a\"}\n" | tok -m "$BYTES" --format text | tok -d --text'
}

# ---- archives ----

@test "members of a zip: a glob over the whole path, * also matches /" {
    for how in file pipe; do
        if [ $how = file ]; then in=$ARCHIVES/corpus.zip; else in=-; fi
        run_clean sh -c 'cat "$ARCHIVES/corpus.zip" | tok -m "$BERT" --member "$1" -o o "$2"' \
            sh '*/raw/*' "$in"
        [ "$status" -eq 0 ]
        same "$(tok -d --columns label,text o)" $'1\tthe cat sat\n0\tthe dog sat'
    done
    tok -m "$BERT" --member '*train.tsv' "$ARCHIVES/corpus.zip" -o o
    [ "$(tok -d --ids o | wc -l)" -eq 3 ]
    tok -m "$BERT" --member 'data/README' "$ARCHIVES/corpus.zip" -o o
    same "$(tok -d --ids o | wc -l)" 1
}

@test "no member that matches is 66, and the archive's files are named" {
    fails_with 66 tok -m "$BERT" --member '*.json' "$ARCHIVES/corpus.zip"
    says "*.json" data/README
    fails_with 66 tok -m "$BERT" --member 'train.tsv' "$ARCHIVES/corpus.zip"
    fails_with 66 tok -m "$BERT" "$ARCHIVES/folder.zip"
}

@test "--member on what is no archive is 65" {
    echo '<html>not found</html>' >x.zip
    fails_with 65 tok -m "$BERT" --member '*' x.zip
    says x.zip archive
}

@test "messages about a member name archive, member and line" {
    mkdir d
    printf '1\tthe cat\n0\n' >d/bad.tsv
    tar -cf x.tar d
    fails_with 65 tok -m "$BERT" x.tar
    says "x.tar(d/bad.tsv):2:"
}

@test "tar, plain and compressed, from a file and from a pipe" {
    mkdir -p d/e
    printf '1\tthe cat\n' >d/a.tsv
    printf '0\tthe dog\n' >d/e/b.tsv
    tar -cf x.tar d/a.tsv d/e
    gzip -c x.tar >x.tgz
    for f in x.tar x.tgz; do
        gives $'5 6\n5 7' ids "$f"
        gives $'5 6\n5 7' ids - <"$f"
        gives '5 7' ids --member '*/b.tsv' "$f"
    done
}

@test "links and devices in archives are ignored with a warning" {
    mkdir d
    printf 'the cat\n' >d/a.txt
    ln -s a.txt d/soft
    ln d/a.txt d/hard
    mkfifo d/pipe
    tar -cf x.tar d
    run_clean ids x.tar
    same "$output" '5 6'
    says "d/soft" "ignored" "d/pipe"
    run_clean tok -m "$BERT" -o o "$ARCHIVES/link.zip"
    [ "$status" -eq 0 ]
    says "data/link"
    [ "$(tok -d --ids o | wc -l)" -eq 1 ]
}

@test "an encrypted member is 65" {
    fails_with 65 tok -m "$BERT" "$ARCHIVES/secret.zip"
    says encrypted data/raw/train.tsv
    run_clean sh -c 'tok -m "$BERT" <"$ARCHIVES/secret.zip" >/dev/null'
    [ "$status" -eq 65 ]
}

@test "compressed files: gzip, zstd, xz, bzip2" {
    for f in lines.xz lines.bz2 lines.zst; do
        gives $'5 6 8\n5 7 8' ids "$ARCHIVES/$f"
        gives $'5 6 8\n5 7 8' ids - <"$ARCHIVES/$f"
    done
    # Two gzip files in one are one text, as gzip has it.
    printf 'label\ttext\n1\tthe cat\n0\tthe' | gzip -c >x.tsv.gz
    printf ' dog\n' | gzip -c >>x.tsv.gz
    gives $'1\tthe cat\n0\tthe dog' columns label,text x.tsv.gz
    printf '1,"the, cat"\n' | gzip -c >x.csv.gz
    gives $'1\tthe, cat' columns label,text x.csv.gz
}

@test "a cut archive is 65 wherever it is cut" {
    printf 'the cat sat\n' | gzip -nc >lines.gz
    for f in "$ARCHIVES"/stored.zip "$ARCHIVES"/lines.xz "$ARCHIVES"/lines.bz2 \
        "$ARCHIVES"/lines.zst lines.gz; do
        size=$(wc -c <"$f")
        for ((n = 0; n < size; n += 7)); do
            head -c $n "$f" >"cut.${f##*.}"
            fails_with 65 tok -m "$BERT" -o o "cut.${f##*.}"
        done
    done
    [ ! -e o ]
}

@test "a cut tar is 65, also between its members" {
    mkdir d
    printf 'the cat\n' >d/a.txt
    printf 'the dog\n' >d/b.txt
    tar -b 1 -cf x.tar d/a.txt d/b.txt
    size=$(wc -c <x.tar)
    for ((n = 512; n < size; n += 512)); do
        head -c $n x.tar >cut.tar
        fails_with 65 tok -m "$BERT" cut.tar
        run_clean sh -c "head -c $n x.tar | tok -m '$BERT' >/dev/null"
        [ "$status" -eq 65 ]
    done
}

@test "a wrong checksum is 65" {
    printf 'the cat sat\n' | gzip -nc >x.gz
    # The checksum is 8 bytes before the end.
    size=$(wc -c <x.gz)
    head -c $((size - 8)) x.gz >bad.gz
    printf '\1\2\3\4' >>bad.gz
    tail -c 4 x.gz >>bad.gz
    fails_with 65 tok -m "$BERT" bad.gz
    says bad.gz
    # stored.zip holds its text as it is: changing it leaves everything but the checksum.
    sed 's/the cat/the dog/' "$ARCHIVES/stored.zip" >bad.zip
    cmp -s bad.zip "$ARCHIVES/stored.zip" && return 1
    fails_with 65 tok -m "$BERT" bad.zip
    says "bad.zip(data/raw/train.tsv)"
    run_clean sh -c 'tok -m "$BERT" <bad.zip >/dev/null'
    [ "$status" -eq 65 ]
}

@test "garbage behind compressed data is 65" {
    for f in lines.xz lines.bz2 lines.zst; do
        { cat "$ARCHIVES/$f"; echo more; } >x
        fails_with 65 tok -m "$BERT" x
    done
    { echo the cat | gzip -c; echo more; } >x
    fails_with 65 tok -m "$BERT" x
}

@test "what was made to explode is 65, and the flag raises the limit" {
    fails_with 65 tok -m "$BERT" "$ARCHIVES/bomb.zst"
    says --max-ratio
    mkdir d
    for i in 1 2 3; do echo the cat >d/$i.txt; done
    tar -cf x.tar d
    fails_with 65 tok -m "$BERT" --max-members 3 x.tar
    says --max-members
    gives $'5 6\n5 6\n5 6' ids --max-members 4 x.tar
    fails_with 65 tok -m "$BERT" --max-member-bytes 7 x.tar
    says --max-member-bytes d/
}

@test "an archive within an archive is not read" {
    cp "$ARCHIVES/corpus.zip" x
    gzip -c x >x.gz
    fails_with 65 tok -m "$BERT" x.gz
    says archive
}

# ---- the stream ----

@test "bytes do not depend on -@, nor on options that change nothing" {
    yes 'the cat sat on the mat , good dog' | head -n 40000 >in.txt
    tok -m "$BERT" -@ 1 in.txt >one
    for how in "-@ 2" "-@ 5" "-v -@ 3" "-q" "--max-line 1000" "--expect-records 40000"; do
        # shellcheck disable=SC2086
        tok -m "$BERT" $how in.txt >two 2>/dev/null
        cmp one two
    done
    tok -m "$BERT" -o three in.txt
    cmp one three
}

@test "bytes do not depend on how the input arrives" {
    printf '1,"the, cat"\n0,"a ""b"""\n1,c\n' >in.csv
    tok -m "$BERT" --format csv <in.csv >one
    # One byte a read.
    while IFS= read -r -d '' -n 1 c || [ -n "$c" ]; do printf '%s' "$c"; done <in.csv |
        tok -m "$BERT" --format csv >two
    cmp one two
}

@test "a killed tok leaves no file, and no END in a pipe" {
    mkdir out
    mkfifo fifo
    { yes the cat | head -c 3000000; sleep 20; } >fifo &
    feeder=$!
    tok -m "$BERT" -o out/x.toks fifo &
    pid=$!
    sleep 0.5
    kill -TERM $pid
    wait $pid && return 1
    kill $feeder 2>/dev/null || true
    leaves_nothing out
}

@test "the reader of a killed tok sees a cut stream" {
    mkfifo fifo
    { yes the cat | head -c 3000000; sleep 20; } >fifo &
    feeder=$!
    { tok -m "$BERT" fifo & echo $! >pid; wait $!; true; } | tok -d --ids >o 2>err &
    reader=$!
    sleep 0.5
    kill -KILL "$(cat pid)"
    rc=0
    wait $reader || rc=$?
    kill $feeder 2>/dev/null || true
    [ "$rc" -eq 65 ]
}

@test "tok fails half-way: no file, no END" {
    { yes $'1\tthe cat' | head -n 100000; echo oops; } >in.tsv
    fails_with 65 tok -m "$BERT" -o x.toks in.tsv
    says in.tsv:100001:
    [ ! -e x.toks ]
    tok -q -m "$BERT" in.tsv >cut || true
    fails_with 65 tok -d --ids cut
}

@test "an older file stays until the new one is whole" {
    echo old >x.toks
    printf 'a\rb' >in.txt
    fails_with 65 tok -m "$BERT" -o x.toks in.txt
    same "$(cat x.toks)" old
    echo the cat | tok -m "$BERT" -o x.toks
    same "$(tok -d --ids x.toks)" "5 6"
    leaves_nothing . in.txt x.toks
}

@test "/dev/full is 74" {
    printf 'the cat\n' >in.txt
    run_clean sh -c 'tok -m "$BERT" in.txt >/dev/full'
    [ "$status" -eq 74 ]
    [ -n "$stderr" ]
    fails_with 74 tok -m "$BERT" -o /dev/full in.txt
    tok -m "$BERT" in.txt -o o
    run_clean sh -c 'tok -d --ids o >/dev/full'
    [ "$status" -eq 74 ]
}

@test "an output that cannot be created is 73" {
    echo the cat >in.txt
    fails_with 73 tok -m "$BERT" -o none/x.toks in.txt
    says none/x.toks
    fails_with 73 tok -m "$BERT" -o . in.txt
}

@test "an input that is not there, or is a folder, is 66" {
    fails_with 66 tok -m "$BERT" nothing.tsv
    says nothing.tsv
    fails_with 66 tok -m "$BERT" .
    fails_with 66 tok -d nothing.toks
}

@test "a closed pipe ends tok quietly with 141" {
    yes the cat | head -n 3000000 >in.txt
    run_clean bash -c 'tok -m "$BERT" --plain in.txt | head -c 10 >/dev/null; echo ${PIPESTATUS[0]}'
    same "$output" 141
    same "$stderr" ""
}

@test "binary is not written to a terminal (2), nor text awaited from one" {
    command -v script >/dev/null || skip "no script(1)"
    echo the cat >in.txt
    run script -qec "tok -m $BERT in.txt" /dev/null </dev/null
    [ "$status" -eq 2 ]
    [[ $output == *terminal*"-o FILE"* ]]
    run timeout 5 script -qec "tok -m $BERT >/dev/null" /dev/null
    [ "$status" -eq 2 ]
}

@test "a token stream given to tok is named" {
    echo the cat | tok -m "$BERT" -o x.toks
    fails_with 65 tok -m "$BERT" x.toks
    says "tok -d"
    echo the cat | tok -m "$BERT" --plain -o x.toks
    fails_with 65 tok -m "$BERT" x.toks
    says "tok -d"
}

@test "--expect-records: another number is 65 and nothing is published" {
    printf 'a\nb\n' >in.txt
    tok -m "$BERT" --expect-records 2 in.txt -o o
    fails_with 65 tok -m "$BERT" --expect-records 3 in.txt -o p
    says "2 records" 3
    [ ! -e p ]
}

@test "--block-records, --level and --plain" {
    yes the cat | head -n 100 >in.txt
    tok -m "$BERT" --plain in.txt -o one
    tok -m "$BERT" --plain --block-records 10 in.txt -o ten
    [ "$(grep -ao TKSD one | wc -l)" -eq 1 ]
    [ "$(grep -ao TKSD ten | wc -l)" -eq 10 ]
    for f in one ten; do [ "$(tok -d --ids $f | grep -cx '5 6')" -eq 100 ]; done
    tok -m "$BERT" --level 12 in.txt -o o
    [ "$(tok -d --ids o | wc -l)" -eq 100 ]
    fails_with 2 tok -m "$BERT" --level 0 in.txt
    fails_with 2 tok -m "$BERT" --level 13 in.txt
}

@test "provenance: options that change nothing are left out" {
    echo the cat >in.txt
    tok -m "$BERT" --plain -v -@ 2 -o o --format text in.txt 2>/dev/null
    grep -aq -- '--format text' o
    ! grep -aqE -- '--(threads|output|verbose)|-@' o
    # What repeats a default, or says that standard input is read, changes nothing either.
    tok -m "$BERT" <in.txt >one
    tok -m "$BERT" --format auto --header auto --level 1 --specials-in-text yes - <in.txt >two
    cmp one two
    tok -m "$BERT" --level 2 <in.txt >three
    ! cmp -s one three
}

@test "cat a b is a stream" {
    echo the cat | tok -m "$BERT" -o a
    echo the dog | tok -m "$BERT" -o b
    cat a b >c
    same "$(tok -d --ids c)" $'5 6\n5 7'
    same "$(tok -d --ids a b)" $'5 6\n5 7'
}

@test "streams of different tokenizers do not mix (65)" {
    echo the cat | tok -m "$BERT" -o a
    echo the cat | tok -m "$BYTES" -o b
    cat a b >c
    fails_with 65 tok -d --ids c
    fails_with 65 tok -d --ids a b
    fails_with 65 tok -d --tokens -m "$BYTES" a
    says "$BYTES"
}

# ---- tok -d ----

@test "-d --ids, --tokens, --text, and the default is text" {
    echo 'The cat sat, good' | tok -m "$BERT" -o o
    comma=$(($(grep -nx , "$BERT/vocab.txt" | cut -d : -f 1) - 1))
    gives "5 6 8 $comma 11" tok -d --ids o
    gives 'the cat sat , good' tok -d --tokens o
    gives 'the cat sat, good' tok -d --text o
    gives 'the cat sat, good' tok -d o
    gives 'the cat sat, good' tok -d - <o
    gives 'the cat sat, good' sh -c 'tok -d <o'
}

@test "-d --special needs no model; pairs, types and limits" {
    printf 'the cat sat on\tmat\n' >in.tsv
    cp -r "$BERT" gone
    tok -m "$PWD/gone" --text 1 --pair 2 in.tsv -o o
    rm -r gone
    gives $'5 6 8 9\t10' tok -d --ids o
    gives '2 5 6 8 9 3 10 3' tok -d --ids --special o
    gives '2 5 6 3 10 3' tok -d --ids --special --max-len 6 o
    gives $'5 6\t10' tok -d --ids --max-len 6 o
    gives '2 8 9 3 10 3' tok -d --ids --special --max-len 6 --truncate tail o
    gives $'8 9\t10' tok -d --ids --max-len 6 --truncate tail o
    gives $'5 9\t10' tok -d --ids --max-len 6 --truncate head+tail o
    fails_with 2 tok -d --ids --truncate middle o
    gives '8' tok -d --special --columns len o
    fails_with 66 tok -d --tokens o
    says gone
}

@test "-d --special --tokens and --text" {
    echo 'the cat' | tok -m "$BERT" -o o
    gives '[CLS] the cat [SEP]' tok -d --special --tokens o
    gives '[CLS] the cat [SEP]' tok -d --special --text o
}

@test "-d --columns picks and orders columns, without a header line" {
    printf 'k\t1\tthe cat\t2\n' >in.tsv
    tok -m "$BERT" --key 1 --label 2 --text 3 --weight 4 in.tsv -o o
    gives $'5 6\tk\t1\t2\t2\tthe cat\tthe cat' tok -d --columns ids,key,label,len,weight,text,tokens o
    fails_with 2 tok -d --columns key,nope o
    says nope
    fails_with 2 tok -d --columns key --ids o
}

@test "-d: a text's own TABs and line ends do not break lines" {
    printf 'x,"a\tb\nc"\n' >in.csv
    gives $'x\ta b c' columns label,text in.csv
}

@test "-d: damaged, cut and empty streams" {
    printf 'the cat\nthe dog\n' | tok -m "$BERT" -o o
    head -c $(($(wc -c <o) - 1)) o >cut
    fails_with 65 tok -d --ids cut
    run_clean sh -c 'tok -d --ids </dev/null'
    [ "$status" -eq 66 ]
    echo garbage >x
    fails_with 65 tok -d --ids x
    printf 'the cat\n' | tok -m "$BERT" | head -c 40 >cut
    fails_with 65 tok -d --ids cut
}

# ---- models ----

@test "-m: a directory, a name under BERTUTILS_MODELS, aliases" {
    mkdir -p models more
    cp -r "$BERT" more/bert-base-uncased
    cp -r "$BYTES" models/roberta-base
    export BERTUTILS_MODELS=$PWD/models:$PWD/more
    echo the cat >in.txt
    gives '5 6' sh -c 'tok -m bert in.txt | tok -d --ids'
    gives '5 6' sh -c 'tok -m bert-base-uncased in.txt | tok -d --ids'
    gives '120' sh -c 'tok in.txt | tok -d --ids | cut -d" " -f1'
    gives '120' sh -c 'tok -m roberta in.txt | tok -d --ids | cut -d" " -f1'
    gives '5 6' sh -c 'BERTUTILS_MODEL=bert tok in.txt | tok -d --ids'
    gives 'the cat' sh -c 'tok -m bert in.txt | tok -d'
}

@test "-m: the hub cache, with a revision" {
    hub=$PWD/hf/hub/models--google-bert--bert-base-uncased
    mkdir -p "$hub/refs" "$hub/snapshots"
    printf 'abc123' >"$hub/refs/main"
    cp -r "$BERT" "$hub/snapshots/abc123"
    echo the cat >in.txt
    gives '5 6' sh -c 'HF_HOME=$PWD/hf tok -m bert in.txt | tok -d --ids'
    gives '5 6' sh -c 'HF_HUB_CACHE=$PWD/hf/hub tok -m google-bert/bert-base-uncased in.txt | tok -d --ids'
    gives '5 6' sh -c 'HF_HUB_CACHE=$PWD/hf/hub tok -m google-bert/bert-base-uncased@abc123 in.txt | tok -d --ids'
    gives '5 6' sh -c 'XDG_CACHE_HOME=$PWD tok -m bert in.txt 2>/dev/null | tok -d --ids ||
        { mkdir huggingface && ln -s ../hf/hub huggingface/hub; XDG_CACHE_HOME=$PWD tok -m bert in.txt; } | tok -d --ids'
    HF_HOME=$PWD/hf fails_with 66 tok -m bert@nope in.txt
}

@test "a model that is nowhere is 66: every place tried, and how to fetch it" {
    echo the cat >in.txt
    HOME=$PWD BERTUTILS_MODELS=$PWD/a:$PWD/b fails_with 66 tok in.txt
    says "$PWD/a/roberta" "$PWD/b/roberta-base" models--FacebookAI--roberta-base \
        "hf download FacebookAI/roberta-base"
    fails_with 66 tok -m ./none in.txt
    says ./none
    mkdir empty
    fails_with 66 tok -m "$PWD/empty" in.txt
}

@test "--specials-in-text: spelled-out special tokens" {
    echo 'the [SEP] cat' >in.txt
    gives '5 3 6' ids in.txt
    run_clean ids --specials-in-text no in.txt
    [ "$status" -eq 0 ]
    [[ " $output " != *" 3 "* ]]
}

# ---- talk ----

@test "-v says counts, the length table and times, on stderr" {
    printf 'the cat\n%s\n' "$(yes cat | head -n 40 | tr '\n' ' ')" >in.txt
    run_clean sh -c 'tok -m "$BERT" -v in.txt >o'
    [ "$status" -eq 0 ]
    says "2 records, 42 tokens" "longest 42" "peak memory" "tokens/s"
    [[ $stderr =~ [[:space:]]32[[:space:]]+1[[:space:]] ]]
    same "$(tok -m "$BERT" in.txt 2>&1 >/dev/null)" ""
}

@test "usage: unknown options, wrong values, contradictions are 2" {
    echo the cat >in.txt
    for bad in --nope "--format xml" "--header maybe" "--level x" "--text ," "--max-line 0"; do
        # shellcheck disable=SC2086
        fails_with 2 tok -m "$BERT" $bad in.txt
    done
    fails_with 2 tok -d --label x in.txt
    fails_with 2 tok -d --ids --text in.txt
}

@test "-h, --help, --version" {
    gives "" sh -c 'tok -h | grep -q "tok -m" || echo no'
    gives "" sh -c 'tok --help | grep -q -- --member || echo no'
    gives "" sh -c 'tok -d --help | grep -q -- --special || echo no'
    gives "" sh -c 'tok --version | grep -q bertutils || echo no'
}

# peak TOK-ARGUMENTS: the most memory that tok held, in MB.
peak() {
    local said
    said=$(tok -v "$@" 2>&1 >/dev/null) || return 1
    sed -n 's/.*peak memory \([0-9]*\) MB.*/\1/p' <<<"$said"
}

# takes_under MB TOK-ARGUMENTS: at any -@; sanitizers use memory of their own.
takes_under() {
    local most=$1 mb threads
    shift
    for threads in 1 64; do
        mb=$(peak -@ "$threads" "$@")
        [ "$mb" -gt 0 ]
        [ -n "${BERTUTILS_SANITIZED:-}" ] || [ "$mb" -lt "$most" ] || {
            echo "$mb MB at -@ $threads: tok $*" >&2
            return 1
        }
    done
}

@test "memory stays under 200 MB: many short and empty lines" {
    yes 'the cat sat on the mat and a dog was good' | head -c 30000000 >short
    head -c 10000000 /dev/zero | tr '\0' '\n' >empty
    takes_under 150 -m "$BERT" short
    takes_under 150 -m "$BYTES" --format text empty
}

# line BYTES WORDS...: one line of so many bytes
line() {
    yes "${*:2}" | tr '\n' ' ' | head -c "$1"
    echo
}

@test "memory stays under 200 MB: lines of 16 MiB, of words, CJK, nothing, and what is no text" {
    local n=$(((16 << 20) - 1)) kind
    { line $n the cat sat; line $n dog; line $n the cat; } >words
    { line $n $'\xe4\xb8\xad\xe6\x96\x87' | tr -d ' ' | head -c $n; echo; line 1000 x; } >cjk
    { head -c $n /dev/zero; echo; head -c $n /dev/zero; echo; } >nul
    { head -c $n /dev/zero | tr '\0' '\377'; echo; line 1000 x; } >bad
    { line $n $'a\xcc\xa3\xcc\x81' | tr -d ' ' | head -c $n; echo; line 1000 x; } >marks
    for kind in words cjk nul bad marks; do takes_under 190 -m "$BERT" --format text $kind; done
    gzip -1 <words >words.gz
    takes_under 190 -m "$BERT" --format text --max-ratio 9999 words.gz
    { printf '{"text":"\0'; line $((n / 40 * 40 - 40)) '\u00e9 ca' | tr -d '\n'; printf '"}\n'; } >in.jsonl
    { printf '"'; line $((n / 40 * 40 - 40)) '""the""' | tr -d '\n'; printf '",x\n'; } >in.csv
    takes_under 190 -m "$BERT" --text text in.jsonl
    takes_under 190 -m "$BERT" --text 1 in.csv
}

@test "memory stays under 200 MB: lines of 8 and 16 MB without blanks, Unigram" {
    local n=$(((16 << 20) - 1)) kind
    { line $n $'\xe4\xb8\xad\xe6\x96\x87' | tr -d ' ' | head -c $n; echo; line 1000 x; } >cjk
    { line $n $'\xed\x95\x9c\xea\xb5\xad' | tr -d ' ' | head -c 8000000; echo; line 1000 x; } >hangul
    { head -c 8000000 /dev/zero | tr '\0' a; echo; line 1000 x; } >letters
    for kind in cjk hangul letters; do
        takes_under 200 -m "$REPO/tests/golden/tokenizer/unigram" --format text $kind
    done
}

@test "memory stays under 200 MB: short lines, then as many tokens as a record may have" {
    { yes 'the cat sat on the mat' | head -n 200000; line 15600000 '. , ! ? a'; } >in.txt
    cat in.txt in.txt >twice
    takes_under 190 -m "$BERT" --format text twice
}

@test "a text of more tokens than a record may have is refused (65), in little memory" {
    line $(((16 << 20) - 1)) abcdefgh | tr -d ' ' >in.txt
    fails_with 65 tok -m "$BYTES" --format text in.txt
    says 'record 1 is too large for the stream'
    [ -n "${BERTUTILS_SANITIZED:-}" ] || (ulimit -v 400000 && fails_with 65 tok -m "$BYTES" \
        --format text -@ 2 in.txt)
}

@test "garbage is answered, never crashed on" {
    for seed in 1 2 3 4 5 6 7 8; do
        head -c 3000 "$BERTUTILS_BIN/tok" | tail -c $((seed * 300)) >garbage
        for format in auto tsv csv jsonl text; do
            run_clean sh -c "tok -q -m '$BERT' --format $format <garbage >/dev/null"
            [ "$status" -eq 0 ] || [ "$status" -eq 65 ] || [ "$status" -eq 2 ]
        done
    done
}

# ---- real data ----

@test "CoLA out of its zip, and BERT's own ids" {
    skip_without_data cola/cola_public.zip models/minilm-l6
    tok -m "$DATA/models/minilm-l6" --text 4 --label 2 "$DATA/cola/cola_public.zip" \
        --member '*/raw/in_domain_train.tsv' -o zip.toks
    tok -m "$DATA/models/minilm-l6" --text 4 --label 2 "$DATA/cola/in_domain_train.tsv" -o tsv.toks
    tok -d --columns key,label,ids zip.toks >zip.txt
    tok -d --columns key,label,ids tsv.toks | cmp - zip.txt
    [ "$(wc -l <zip.txt)" -eq 8551 ]
    same "$(head -n 1 zip.txt | cut -f 2-)" $'1\t2256 2814 2180 1005 1056 4965 2023 4106 1010 2292 2894 1996 2279 2028 2057 16599 1012'
    [ "$(tok -d --special --columns len tsv.toks | sort -n | tail -n 1)" -eq 47 ]
    same "$(echo 'PyTorch is a great framework for NLP' | tok -m "$DATA/models/minilm-l6" | tok -d --special --ids)" \
        "101 1052 22123 2953 2818 2003 1037 2307 7705 2005 17953 2361 102"
}

@test "AG News: CSV without a header, title and text joined" {
    skip_without_data agnews/part1.csv models/roberta-base
    tok -m "$DATA/models/roberta-base" --text 2,3 --join '. ' --label 1 "$DATA/agnews/part1.csv" -o o
    [ "$(tok -d --columns label o | sort | uniq -c | awk '{n += $1} END {print n, NR}')" = "5000 4" ]
    fails_with 2 tok -m "$DATA/models/roberta-base" "$DATA/agnews/part1.csv"
    says "--text" "--label"
}
