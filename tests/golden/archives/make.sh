#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the packed inputs of tests/tok.bats again (needs zip, xz, bzip2, zstd).  They are kept
# because the tests must not need these programs.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$PWD
cd "$work"

mkdir -p data/raw data/tokenized
printf '1\tthe cat sat\n0\tthe dog sat\n' >data/raw/train.tsv
printf '1\tthe cat sat .\n' >data/tokenized/train.tsv
printf 'nothing but text\n' >data/README
rm -f "$here"/*.zip "$here"/lines.*
TZ=UTC find data -exec touch -d 2020-01-01 {} +
zip -q -X -r -D "$here/corpus.zip" data
zip -q -X -r -D -0 "$here/stored.zip" data/raw
zip -q -X -P secret "$here/secret.zip" data/raw/train.tsv
ln -s README data/link
zip -q -X -y "$here/link.zip" data/link data/README
mkdir empty
(cd data && zip -q -X -r "$here/folder.zip" raw -x '*.tsv')

printf 'the cat sat\nthe dog sat\n' >lines
xz -9 -c lines >"$here/lines.xz"
bzip2 -9 -c lines >"$here/lines.bz2"
zstd -q --check -c lines >"$here/lines.zst"
yes the cat | head -c 67108864 | zstd -q -19 -c >"$here/bomb.zst"

# In the shape of the CoLA corpus, with sentences of pipelines/grammar.awk.
mkdir -p cola_public/raw cola_public/tokenized
cola() {
    awk -v n="$1" -v seed="$2" -f "$here/../../../pipelines/grammar.awk" |
        awk -F '\t' '{print "gj04\t" $1 "\t" ($1 ? "" : "*") "\t" $2}'
}
cola 120 5 >cola_public/raw/in_domain_train.tsv
cola 20 6 >cola_public/raw/out_of_domain_dev.tsv
cp cola_public/raw/in_domain_train.tsv cola_public/tokenized
echo "Made up in the shape of the CoLA corpus." >cola_public/README
TZ=UTC find cola_public -exec touch -d 2020-01-01 {} +
TZ=UTC zip -q -X -r -D -9 "$here/cola_public.zip" cola_public
