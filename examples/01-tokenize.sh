#!/bin/sh
# SPDX-License-Identifier: MIT
# A vocabulary, a token stream, and the way back.
set -eu
. "$(dirname "$0")/base.sh"

echo "== two columns without a header are label and text"
tok -m base -o tiny.toks.zst "$here/tiny.tsv"
tok -d --columns key,label,len,text tiny.toks.zst | head -n 4

echo "== ids, and the same with the special tokens that the model sees"
tok -d --ids tiny.toks.zst | sed -n 3p
tok -d --ids --special tiny.toks.zst | sed -n 3p
tok -d --tokens --special --max-len 8 tiny.toks.zst | sed -n 3p

echo "== columns by name, two of them joined, a key"
cat >papers.csv <<'CSV'
id,title,abstract,field
a1,"A river, and a house","The ""old"" house sees the river .",geo
a2,Dogs,"These dogs
run .",bio
CSV
tok -q -m base --key id --text title,abstract --join ' : ' --label field papers.csv |
    tok -d -m base --columns key,label,text

echo "== JSON lines from a pipe"
printf '{"text": "the child laughs .", "label": %s}\n' 1 0 |
    tok -m base | tok -d -m base --columns label,ids

echo "== one stream is made of others"
tok -m base "$here/tiny.tsv" >a
cat a a | shard --stat | sed -n '1,2p;/^duplicates/p'

echo "== a cut stream is an error"
head -c 500 a >cut
status=0
shard --check cut 2>message || status=$?
echo "status $status"
