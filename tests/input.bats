# SPDX-License-Identifier: MIT
# What tok takes for text, and what it does with bytes that are none: encodings, NUL, invalid
# UTF-8, files of other kinds.

load helper

# $BYTES: byte-level BPE without a merge: the id of a byte is its value and 4.
setup_file() {
    export BYTES=$BATS_FILE_TMPDIR/bytes
    byte_model "$BYTES"
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

# utf16 LE|BE FILE: standard input in UTF-16 with a byte order mark
utf16() {
    command -v iconv >/dev/null || skip "no iconv"
    if [ "$1" = LE ]; then printf '\xff\xfe' >"$2"; else printf '\xfe\xff' >"$2"; fi
    iconv -f UTF-8 -t "UTF-16$1" >>"$2"
}

# zipped FILE...: an archive a.zip of them
zipped() {
    command -v bsdtar >/dev/null || command -v zip >/dev/null || skip "no zip or bsdtar"
    rm -f a.zip
    if command -v zip >/dev/null; then zip -q a.zip "$@"; else bsdtar -a -cf a.zip "$@"; fi
}

# ---- UTF-16 ----

@test "UTF-16 with a byte order mark is read, in every format" {
    for order in LE BE; do
        printf 'label\ttext\r\n1\tna\xc3\xafve \xf0\x9f\x98\x80\r\n0\t\xe4\xb8\xad\xe6\x96\x87' | utf16 $order in.tsv
        gives $'1\tna\xc3\xafve \xf0\x9f\x98\x80\n0\t\xe4\xb8\xad\xe6\x96\x87' columns label,text in.tsv
        printf '1,"a, ""b""\n\xc3\xa9"\n' | utf16 $order in.csv
        gives $'1\ta, "b" \xc3\xa9' columns label,text in.csv
        printf '{"text":"\xc3\xa9\\u00e9"}\n{"text":"b"}' | utf16 $order in.jsonl
        gives $'\xc3\xa9\xc3\xa9\nb' columns text in.jsonl
        printf 'a\n\nc' | utf16 $order in.txt
        gives $'1\ta\n2\t\n3\tc' columns key,text in.txt
    done
}

@test "UTF-16 gives the very stream that its UTF-8 gives, from files, pipes and packed" {
    for i in {1..6000}; do printf '%s\ttext %s \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 line\n' $((i % 3)) $i; done >plain
    tok -m "$BYTES" --format tsv --text 2 --label 1 <plain >want
    read_it() { tok -m "$BYTES" --format tsv --text 2 --label 1 "$@"; }
    for order in LE BE; do
        utf16 $order in.tsv <plain
        read_it <in.tsv >got && cmp got want
        cat in.tsv | read_it >got && cmp got want
        for pack in gzip zstd xz bzip2; do
            command -v $pack >/dev/null || continue
            $pack -c <in.tsv >packed
            read_it <packed >got && cmp got want
        done
        tar -cf a.tar in.tsv
        read_it <a.tar >got && cmp got want
    done
}

@test "UTF-16 in a zip, beside UTF-8" {
    printf 'one\n' >a.txt
    printf 'two \xc3\xa9\n' | utf16 LE b.txt
    printf 'three\n' | utf16 BE c.txt
    zipped a.txt b.txt c.txt
    gives $'one\ntwo \xc3\xa9\nthree' columns text a.zip
    gives $'two \xc3\xa9' columns text a.zip --member 'b*'
}

@test "UTF-16: one byte a read, an odd end, half a pair, NUL" {
    printf 'a\xc3\xa9\xf0\x9f\x98\x80\n' | utf16 LE in.txt
    while IFS= read -r -d '' -n 1 c || [ -n "$c" ]; do
        if [ -n "$c" ]; then printf '%s' "$c"; else printf '\0'; fi
    done <in.txt | gives $'a\xc3\xa9\xf0\x9f\x98\x80' columns text
    # a, a high half alone, b, a low half alone, NUL, a line end, half a character.
    printf '\xff\xfea\0\x3d\xd8b\0\x00\xde\0\0\n\0x' >in.txt
    tok -m "$BYTES" in.txt -o o 2>err
    same "$(tok -d --ids o | tr '\n' '|')" "101 243 195 193 102 243 195 193 243 195 193|243 195 193|"
    grep -q '4 sequences' err
    printf '\xfe\xff' >in.txt
    gives "" columns text in.txt
}

@test "UTF-32, and UTF-16 without its mark, are refused with the fix" {
    printf '\xff\xfe\0\0a\0\0\0' >in.txt
    fails_with 65 tok -m "$BYTES" in.txt
    says in.txt:1: UTF-32 iconv
    printf '\0\0\xfe\xff\0\0\0a' >in.txt
    fails_with 65 tok -m "$BYTES" in.txt
    says UTF-32
    command -v iconv >/dev/null || skip "no iconv"
    for name in UTF-16LE UTF-16BE UTF-32LE UTF-32BE; do
        printf 'label\ttext\n1\ta text of some length\n' | iconv -f UTF-8 -t $name >in.tsv
        fails_with 65 tok -m "$BYTES" in.tsv -o o
        says in.tsv:1: "iconv -f $name"
        [ ! -e o ]
        gzip -c in.tsv >packed
        fails_with 65 tok -m "$BYTES" packed
        says "iconv -f $name"
    done
    mkdir -p d && mv in.tsv d/
    tar -cf a.tar d
    fails_with 65 tok -m "$BYTES" a.tar
    says "a.tar(d/in.tsv):1:" UTF-32BE
}

@test "texts with some or many NULs are texts" {
    printf 'a\0b\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\nc\n' >in.txt
    tok -m "$BYTES" in.txt 2>/dev/null | tok -d --columns len | gives $'5\n54\n1' cat
    head -c 3000 /dev/zero >in.txt
    tok -m "$BYTES" -q in.txt | tok -d --columns len | gives 9000 cat
}

# ---- --invalid ----

@test "--invalid error: 65, with file, line and byte" {
    printf 'a\nb \xe9t\xe9\nc\n' >in.txt
    fails_with 65 tok -m "$BYTES" --invalid error in.txt -o o
    says in.txt:2: "not UTF-8" 0xe9 iconv
    [ ! -e o ]
    printf 'label,text\n1,a\n1,"x\n\xff"\n' >in.csv
    fails_with 65 tok -m "$BYTES" --invalid error in.csv
    says in.csv:3:
    printf '{"text":"a"}\n{"text":"\xc3"}\n' >in.jsonl
    fails_with 65 tok -m "$BYTES" --invalid error in.jsonl
    says in.jsonl:2: 0xc3
    printf '{"text":"a\\ud800"}\n' >in.jsonl
    fails_with 65 tok -m "$BYTES" --invalid error in.jsonl
    says in.jsonl:1: surrogate
    printf 'a\0b\n' >in.txt
    fails_with 65 tok -m "$BYTES" --invalid error in.txt
    says in.txt:1: NUL
    printf 'fine \xc3\xa9\n' >in.txt
    gives $'fine \xc3\xa9' columns text --invalid error in.txt
}

@test "--invalid skip: the record is left out and counted, keys keep its number" {
    printf '1\ta\n0\tb\xff\n1\tc\n0\td\0\n1\te\n' >in.tsv
    run_clean columns key,label,text --text 2 --label 1 --invalid skip in.tsv
    same "$output" $'1\t1\ta\n3\t1\tc\n5\t1\te'
    says "2 records"
    printf '{"text":"a"}\n{"text":"\xff"}\n{"text":"\\ud800"}\n{"text":"d"}\n' >in.jsonl
    run_clean columns key,text --invalid skip in.jsonl
    same "$output" $'1\ta\n4\td'
    printf 'text\na\n"b\n\xff"\nd\n' >in.csv
    run_clean columns key,text --invalid skip in.csv
    same "$output" $'1\ta\n3\td'
    # A broken line of JSON whose bytes are broken is skipped before it is parsed.
    printf '{"text":"a"}\n{"te\xffxt":\n{"text":"c"}\n' >in.jsonl
    run_clean columns key,text --invalid skip in.jsonl
    same "$output" $'1\ta\n3\tc'
    # A column that is not taken may hold anything.
    printf '\xff\ta\n' >in.tsv
    gives a columns text --text 2 --invalid skip in.tsv
    gives a columns text --text 2 --invalid error in.tsv
}

@test "--invalid skip: nothing else, --expect-records counts what is written, any -@" {
    yes $'\xff' | head -n 300000 >in.txt
    echo last >>in.txt
    for n in 1 4; do
        run_clean sh -c "tok -m '$BYTES' -@ $n --invalid skip --expect-records 1 in.txt | tok -d --columns key,text"
        same "$output" $'300001\tlast'
        says "300000 records"
    done
    fails_with 65 tok -m "$BYTES" -q --invalid skip --expect-records 300001 in.txt -o o
    yes $'\xff' | head -n 1000 | tok -q -m "$BYTES" --invalid skip | tok -d --ids | gives "" cat
}

@test "--invalid replace is the default, and says how many" {
    printf 'a\xff\n' >in.txt
    tok -m "$BYTES" <in.txt >one 2>err
    grep -q '1 sequences' err
    tok -q -m "$BYTES" --invalid replace <in.txt >two
    cmp one two
    tok -q -m "$BYTES" --invalid skip <in.txt | cat >three
    run ! cmp -s one three
    fails_with 2 tok -m "$BYTES" --invalid drop in.txt
}

# ---- files that are no text ----

@test "files of other kinds are named, with the way out" {
    refused() { # NAME WORD...
        local name=$1
        shift
        fails_with 65 tok -m "$BYTES" "$name" -o o
        says "$name" "$@"
        [ ! -e o ]
    }
    printf 'PAR1\x15\x04\x15\x10\x15\x14L\x15\x02' >x.parquet
    refused x.parquet Parquet CSV
    printf 'ARROW1\0\0\xff\xff\xff\xff' >x.arrow
    refused x.arrow Arrow
    printf 'Obj\001\x04\x16avro.schema' >x.avro
    refused x.avro Avro
    printf 'ORC\x11\0\0\x0a' >x.orc
    refused x.orc ORC
    printf '%%PDF-1.7\n%%\xe2\xe3\n1 0 obj\n' >x.pdf
    refused x.pdf PDF pdftotext
    printf '{\\rtf1\\ansi hello}' >x.rtf
    refused x.rtf RTF
    printf '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0' >x.xls
    refused x.xls Office CSV
    printf 'SQLite format 3\0\x10\0\x01\x01' >x.db
    refused x.db SQLite sqlite3
    printf '\x89HDF\r\n\x1a\n\0\0' >x.h5
    refused x.h5 HDF5
    printf '\x93NUMPY\x01\0v\0{}' >x.npy
    refused x.npy NumPy
    printf '7z\xbc\xaf\x27\x1c\0\x04' >x.7z
    refused x.7z 7-Zip unpack
    printf 'Rar!\x1a\x07\x01\0' >x.rar
    refused x.rar RAR
    printf '\x04\x22\x4d\x18\x64\x40' >x.lz4
    refused x.lz4 lz4
    printf '\x1f\x9d\x90a' >x.Z
    refused x.Z compress
    gzip -c x.pdf >packed
    refused packed PDF
}

@test "words that begin like other files are text" {
    printf 'PAR1 is a gene\nORC slew\nARROW1 x\n' >in.txt
    gives $'PAR1 is a gene\nORC slew\nARROW1 x' columns text in.txt
    printf 'ORC is a monster\n%%PDF-files are no fun\n' >in.txt
    gives $'ORC is a monster\n%PDF-files are no fun' columns text in.txt
}

@test "Office documents are refused, but a member that is asked for is read" {
    mkdir -p x/word && printf 'text of it\n' >x/word/document.xml && printf 'x\n' >'x/[Content_Types].xml'
    (cd x && zipped '[Content_Types].xml' word/document.xml && mv a.zip ../x.docx)
    fails_with 65 tok -m "$BYTES" x.docx
    says x.docx Office CSV
    gives 'text of it' columns text x.docx --member 'word/*' --format text
    mkdir -p y && printf 'application/vnd.oasis.opendocument.text' >y/mimetype
    command -v zip >/dev/null || skip "no zip"
    (cd y && zip -qX0 ../y.odt mimetype)
    fails_with 65 tok -m "$BYTES" y.odt
    says OpenDocument
}

@test "archives, compressed files and other kinds within an archive are refused by member" {
    printf 'a\n' | gzip >x.gz
    tar -cf a.tar x.gz
    fails_with 65 tok -m "$BYTES" a.tar
    says "a.tar(x.gz)" archive
    printf '%%PDF-1.7\n1 0 obj\n' >x.pdf
    tar -cf a.tar x.pdf
    fails_with 65 tok -m "$BYTES" a.tar
    says "a.tar(x.pdf):1:" PDF
}

# ---- special tokens spelled out ----

@test "--specials-in-text no: what is spelled like a special token is text" {
    printf 'a<mask>b</s><s>\n' >in.txt
    same "$(tok -m "$BYTES" in.txt | tok -d --ids)" "101 260 102 2 0"
    same "$(tok -m "$BYTES" --specials-in-text no in.txt | tok -d --ids)" \
        "101 64 113 101 119 111 66 102 64 51 119 66 64 119 66"
    same "$(tok -m "$BYTES" --specials-in-text no in.txt | tok -d)" 'a<mask>b</s><s>'
}
