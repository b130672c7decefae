# SPDX-License-Identifier: MIT
# tok --clean: the steps of the manual, --show, and what cleaning leaves alone.  The steps
# themselves are compared with Python in tests/parity/clean.py.

load helper

setup_file() {
    export BERT=$BATS_FILE_TMPDIR/bert
    tiny_bert "$BERT" the cat dog sat on mat good bad
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

# cleaned LIST TEXT: what becomes of a text, which is spelled as in JSON, as --show prints it
cleaned() {
    printf '{"text": "%s"}\n' "$2" |
        tok --format jsonl --text text --clean "$1" --show 2>/dev/null |
        sed -n '$s/^[+ ] \{0,1\}//p'
}

# gives LIST TEXT WANT
gives() { same "$(cleaned "$1" "$2")" "$3"; }

# lacks PATTERN: standard input has no such line (`!` alone would not fail a test).
lacks() {
    if grep -E -- "$1"; then return 1; fi
}

# The table of the manual: STEP [TEXT] [RESULT], its characters as UTF-8.
table() {
    awk '/^\.Ss Cleaning/ {here = 1} /^\.Ss Output/ {here = 0}
        /^\.Bd/ {inside = here; next} /^\.Ed/ {inside = 0} inside' "$REPO/man/tok.1" |
        sed 's/\\\[dq\]/"/g; s/\\\[u00C4\]/\xc3\x84/g; s/\\\[u00E4\]/\xc3\xa4/g
             s/\\\[u00E9\]/\xc3\xa9/g; s/\\\[u00A9\]/\xc2\xa9/g; s/\\\[u20AC\]/\xe2\x82\xac/g; s/\\e/\\/g'
}

@test "every example of the manual" {
    table >table
    [ "$(wc -l <table)" -ge 20 ]
    while IFS= read -r line; do
        step=${line%% *}
        text=${line#*\[}
        text=${text%%\] *\[*}
        want=${line##* \[}
        want=${want%\]}
        printf '%s\n' "$line" >&2
        gives "$step" "$text" "$want"
    done <table
}

@test "every step has an entry and an example in the manual, and is in the help" {
    table | sed 's/[ =].*//' | sort -u >examples
    tok --clean help | sed 's/[ =[].*//' | sort >steps
    [ "$(wc -l <steps)" -ge 20 ]
    # nfd and nfkd end in what cannot be told from their input by eye.
    same "$(comm -23 steps examples | paste -sd ' ')" "nfd nfkd"
    same "$(comm -13 steps examples)" ""
    while read -r step; do
        sed -n '/^\.Ss Cleaning/,/^\.Bd/p' "$REPO/man/tok.1" | grep '^\.It' | grep -qw "$step"
    done <steps
}

@test "the steps run in the order given" {
    gives entities,tags '&lt;b&gt;x' x
    gives tags,entities '&lt;b&gt;x' '<b>x'
    gives ws,url 'a http://x.y b' 'a  b'
    gives url,ws 'a http://x.y b' 'a b'
    gives entities,entities '&amp;amp;' '&'
}

@test "html: what is never closed stays" {
    gives html 'a <b c' 'a <b c'
    gives html '1 < 2 > 0, <3 and </ x>' '1 < 2 > 0, <3 and </ x>'
    gives html 'a <!-- b <i>c</i>' 'a <!-- b c'
    gives html 'x <script>y' 'x y'
    gives html '<a title=\"b > c\">d</a>' d
    gives html '<a title=\"b > c d</a>e' $'\xe2\x90\xa0c de'
    gives html 'x<![CDATA[<y>]]>z' 'x<y>z'
}

@test "html: a tag that parts words leaves one blank, none at the ends" {
    gives html '<p>a</p><p>b</p>' 'a b'
    gives html 'good.<br /><br />And' 'good. And'
    gives html 'un<b>believ</b>able' unbelievable
    gives html 'a <br> b' 'a  b'
}

@test "ctrl: joiners stay where scripts and emoji need them" {
    gives ctrl '\u0645\u06cc\u200c\u062e' $'\xd9\x85\xdb\x8c\xe2\x9f\xa8U+200C\xe2\x9f\xa9\xd8\xae'
    gives ctrl 'v\u200di\u200ca' via
    gives ctrl '\ufeffa\u0000b\u2066c' abc
}

@test "normal forms of what is decomposed and composed" {
    gives nfd,nfc '\u00e9\ud55c' $'\xc3\xa9\xed\x95\x9c'
    same "$(cleaned nfd '\u00e9' | od -An -tx1 | tr -d ' \n')" 65cc810a
    same "$(cleaned nfkd '\ufb01\u00e9' | od -An -tx1 | tr -d ' \n')" 666965cc810a
}

@test "texts and pairs are cleaned; keys, labels and weights stay" {
    printf 'k\tl\tw\ta\tb\n<i>1</i>\t<b>x</b>\t2\t<p>the <b>cat</b>\t&lt;\n' >in.tsv
    tok -m "$BERT" --key k --label l --weight w --text a --pair b --clean html in.tsv -o o
    same "$(tok -d --columns key,label,weight,tokens o)" $'<i>1</i>\t<b>x</b>\t2\tthe cat\t[UNK]'
    tok -m "$BERT" --text a in.tsv --label l --clean html | tok -d | grep -qx 'the cat'
}

@test "nothing is cleaned without --clean" {
    printf ' the <b>cat</b>\n' >in.txt
    tok -m "$BERT" in.txt | tok -d --tokens | grep -q '\[UNK\] b'
}

@test "several columns are joined, then cleaned" {
    printf 'a\tb\n<i>the\tcat</i>\n' >in.tsv
    same "$(tok -m "$BERT" --text a,b --clean html in.tsv | tok -d)" "the cat"
}

@test "--clean is in the provenance, --show is not a thing of streams" {
    echo 'the  cat' >in.txt
    tok -m "$BERT" --clean ws,lower --plain in.txt -o o
    grep -aq -- '--clean ws,lower' o
    shard --history o | grep -q -- '--clean ws,lower'
}

@test "the stream is the same for any -@" {
    for i in {1..4000}; do
        printf '%s\t<p>the &lt;cat&gt; %s</p>  http://x.y/%s sooooo \xef\xac\x81 e\xcc\x81\n' $((i % 2)) $i $i
    done >in.tsv
    tok -m "$BERT" -@ 1 --clean html,url,nfkc,repeat,ws in.tsv >one
    for n in 2 3 8; do
        tok -m "$BERT" -@ $n --clean html,url,nfkc,repeat,ws in.tsv >two
        cmp one two
    done
    tok -d one | head -n 1 | grep -q '^the .*cat.* 1 sooo fi e$'
}

@test "wrong lists are 2, and the steps are named" {
    echo a >in.txt
    for bad in nothing html,nothing "" , html, ,ws HTML; do
        fails_with 2 tok -m "$BERT" --clean "$bad" in.txt
        says "none of the steps" html ws nfkc
    done
    fails_with 2 tok -m "$BERT" --clean ws=x in.txt
    says "no value"
    fails_with 2 tok -m "$BERT" --clean html=x in.txt
    for n in 0 10 x ""; do fails_with 2 tok -m "$BERT" --clean repeat=$n in.txt; done
    fails_with 2 tok -m "$BERT" --clean url=$'\xff' in.txt
    says UTF-8
    fails_with 2 tok -m "$BERT" --show in.txt
    says --clean
    fails_with 2 tok -m "$BERT" --clean "$(yes ws | head -n 33 | paste -sd ,)" in.txt
    [ ! -e o ]
}

@test "--show: before and after, one record at a time; no model is needed" {
    printf 'id\ttext\ta\nx1\t<b>a</b>\tp&amp;q\nx2\tas it is\tr\nx3\t<i>\t \n' >in.tsv
    unset BERTUTILS_MODEL
    run_clean tok --key id --text text --pair a --clean html,ws --show in.tsv
    [ "$status" -eq 0 ]
    same "$output" 'record 1 x1
- <b>a</b>
+ a
- p&amp;q
+ p&q
record 2 x2
  as it is
  r
record 3 x3
- <i>
+ 
- '$'\xe2\x90\xa0''
+ '
    says "changes: 4" "left: 2"
    tok -q --key id --text text --clean html --show in.tsv -o shown
    [ "$(wc -l <shown)" -eq 8 ]
}

@test "--show: what cannot be seen is spelled, escape sequences do no harm" {
    printf '%s\n' '{"text": "\u001b[31m a\n\tb\u200b\u00a0\u009b c "}' >in.jsonl
    same "$(tok -q --clean trim --show in.jsonl | sed -n 2p)" \
        $'- \xe2\x90\x9b[31m a\xe2\x90\x8a\xe2\x90\x89b\xe2\x9f\xa8U+200B\xe2\x9f\xa9\xe2\x9f\xa8U+00A0\xe2\x9f\xa9\xe2\x9f\xa8U+009B\xe2\x9f\xa9 c\xe2\x90\xa0'
}

@test "--show: colours on a terminal only, and not with NO_COLOR" {
    echo '<b>a</b> b' >in.txt
    tok -q --clean html --show in.txt | lacks $'\033'
    command -v script >/dev/null || skip "no script(1)"
    export TERM=xterm
    script -qec "tok -q --clean html --show in.txt" /dev/null </dev/null | grep -q $'\033\\[3'
    NO_COLOR=1 script -qec "tok -q --clean html --show in.txt" /dev/null </dev/null | lacks $'\033'
    TERM=dumb script -qec "tok -q --clean html --show in.txt" /dev/null </dev/null | lacks $'\033'
}

@test "--show: a full disk is 74, a closed pipe ends it quietly" {
    yes '<b>x</b>' | head -n 100000 >in.txt
    fails_with 74 sh -c 'tok -q --clean html --show in.txt >/dev/full'
    run bash -c 'set -o pipefail; tok -q --clean html --show in.txt | head -n 1'
    [ "$status" -eq 141 ]
    same "$output" "record 1"
}

@test "texts of which nothing is left are counted and said" {
    printf '<b></b>\n the \n' >in.txt
    run_clean sh -c 'tok -m "$BERT" --clean html,ws in.txt -o o'
    says "1 of the texts" nothing
    same "$(tok -d o)" $'\nthe'
}

@test "a text that grows beyond --max-line is 65 and its record is named" {
    printf 'a\n%s\n' "$(yes @ab | head -n 300 | tr '\n' ' ')" >in.txt
    fails_with 65 tok -m "$BERT" --max-line 2000 --clean user=aaaaaaaaaaaaaaaaaaaaaaaaaa in.txt -o o
    says "record 2" --max-line
    [ ! -e o ]
    tok -m "$BERT" --max-line 20000 --clean user=aaaaaaaaaaaaaaaaaaaaaaaaaa in.txt -o o
}

@test "long texts made to be slow take their time's worth" {
    local limit=10
    [ -z "${BERTUTILS_SANITIZED:-}" ] || limit=120
    for piece in '<' '&' '<a' '</' '<!--' '<a b=\"' '<a b=\">\"' '<script>' '&amp' '@' 'a@' 'a@b.' '#39' \
        '\\u' 'http://(' 'www.a)' '<a =' "<a '" '-\\n' '\\u0301' '\\u0323\\u0301' '\\ufdfa' '\\u1161' \
        '\\u200d' '\\u03a3\\u00ad' 'a ' '<![CDATA[' '\\ud83d\\udc68\\u200d' \
        '<style></' ' '; do
        printf '{"text": "%s"}\n' "$(yes "$piece" | head -n 250000 | tr -d '\n')" >in.jsonl
        run_clean timeout $limit tok -q -m "$BERT" --max-line 60000000 -@ 1 in.jsonl -o o \
            --clean html,lost-amp,url,email,user,emoji,digits,escapes,lines,ctrl,nfkd,nfkc,accents,lower,repeat,ws
        [ "$status" -eq 0 ] || { echo "$piece: $status $stderr" >&2; false; }
    done
}

@test "vocab --clean learns from cleaned texts, for any -@" {
    for i in {1..300}; do echo "<p>the &lt;cat&gt; sat</p> http://x.y/$i on the mat"; done >in.txt
    tok -q --format text --clean html,url,ws --show in.txt | sed -n 's/^+ //p' >by-hand.txt
    vocab -q --size 60 -o want --format text by-hand.txt
    for n in 1 3; do
        vocab -q --size 60 -o got$n --format text --clean html,url,ws -@ $n in.txt
        cmp want/vocab.txt got$n/vocab.txt
    done
    fails_with 2 vocab --clean nothing -o x in.txt
    says "none of the steps"
    [ ! -e x ]
}

@test "AG News: what people replace by hand" {
    skip_without_data agnews/part1.csv
    tok --format csv --header no --text 3 --label 1 --clean lost-amp,html,backslash,url,ws --show \
        "$DATA/agnews/part1.csv" >shown
    grep -q '^- .*#39;' shown
    sed -n 's/^[+ ] //p' shown | lacks '#[0-9]+;|&lt;|\\|  '
}
