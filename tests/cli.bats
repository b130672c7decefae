# SPDX-License-Identifier: MIT
# What all tools share: help, version, wrong options, pages; one meaning for one name.

load helper

setup() {
    TOOLS=$(cd "$REPO/bin" && ls ./*.c | sed 's,^\./,,; s,\.c$,,')
}

# The options of a tool as its --help lists them: long names, and letters without one.
long_options() { "$1" --help | sed -n 's/^  \(-.,\| \) *--\([a-z0-9-]*\).*/\2/p'; }
letters() { "$1" --help | sed -n 's/^  -\(.\)[ ,].*/\1/p'; }

@test "every tool is built and has a page" {
    for tool in $TOOLS; do
        [ -x "$BERTUTILS_BIN/$tool" ] || { echo "no $tool"; false; }
        [ -e "$REPO/man/$tool.1" ] || { echo "no page of $tool"; false; }
    done
}

@test "-h and --help go to standard output, status 0" {
    for tool in $TOOLS; do
        run_clean "$tool" -h
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
        [ "${#lines[@]}" -le 25 ] || { echo "$tool -h has ${#lines[@]} lines"; false; }
        [[ $output == *usage:* ]]
        run_clean "$tool" --help
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
        [[ $output == *options:* && $output == *examples:* ]]
    done
}

@test "-V names the tool and its version; -v adds what it is built of" {
    for tool in $TOOLS; do
        run_clean "$tool" -V
        [ "$status" -eq 0 ]
        [[ $output =~ ^$tool\ \(bertutils\)\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
        run_clean "$tool" -V -v
        [ "${#lines[@]}" -gt 1 ]
    done
}

@test "an unknown option is 2, names it and the near one" {
    for tool in $TOOLS; do
        fails_with 2 "$tool" --no-such-option </dev/null
        says "no-such-option" "--help"
        fails_with 2 "$tool" -Z </dev/null
        fails_with 2 "$tool" --verbsoe </dev/null
        says "--verbose"
    done
}

@test "an option without its value, and a value that is none, are 2" {
    for tool in $TOOLS; do
        while read -r option kind; do
            [ "$kind" = N ] || [ "$kind" = X ] || continue
            fails_with 2 "$tool" "--$option" </dev/null
            fails_with 2 "$tool" "--$option" 12monkeys </dev/null
            says "--$option"
        done < <("$tool" --help | sed -n 's/^  .\{0,4\}--\([a-z0-9-]*\) \([A-Z|a-z0-9]*\).*/\1 \2/p')
    done
}

@test "every option of --help stands in the page, and the page has the sections" {
    for tool in $TOOLS; do
        page=$REPO/man/$tool.1
        for option in $(long_options "$tool"); do
            case $option in help | version | verbose | quiet) continue ;; esac
            grep -qE "Fl Fl $option( |\$)" "$page" || { echo "$tool.1 lacks --$option"; false; }
        done
        for section in NAME SYNOPSIS DESCRIPTION OPTIONS "EXIT STATUS" EXAMPLES "SEE ALSO"; do
            grep -qx "\.Sh $section" "$page" || { echo "$tool.1 lacks $section"; false; }
        done
    done
}

@test "one name has one letter in all tools, one letter one name" {
    pairs=$(for tool in $TOOLS; do
        "$tool" --help | sed -n 's/^  -\(.\), --\([a-z0-9-]*\).*/\1 \2/p'
    done | sort -u)
    same "$(printf '%s\n' "$pairs" | cut -d' ' -f1 | sort | uniq -d)" ""
    same "$(printf '%s\n' "$pairs" | cut -d' ' -f2 | sort | uniq -d)" ""
}

@test "the locale of the user changes nothing" {
    for tool in $TOOLS; do
        same "$(LC_ALL=de_DE.UTF-8 "$tool" --help)" "$("$tool" --help)"
    done
}

@test "help to a full disk is 74" {
    for tool in $TOOLS; do
        run bash -c "$tool --help > /dev/full"
        [ "$status" -eq 74 ]
    done
}

@test "no tool links network code" {
    command -v nm >/dev/null || skip "no nm"
    for tool in $TOOLS; do
        run bash -c "nm -D '$BERTUTILS_BIN/$tool' | grep -wE 'U (socket|connect|getaddrinfo)'"
        same "$output" ""
    done
}

@test "tok, shard, vocab and mcc need nothing of the model's libraries" {
    command -v readelf >/dev/null || skip "no readelf"
    for tool in tok shard vocab mcc; do
        run bash -c "readelf -d '$BERTUTILS_BIN/$tool' | grep -E 'NEEDED.*(dnnl|cuda|cublas)'"
        same "$output" ""
    done
}
