# SPDX-License-Identifier: MIT
# Bars of the MCC of each batch, as the CoLA document draws them.
#
#     mcc --batch 32 scores.tsv > batches.tsv
#     gnuplot -e "data='batches.tsv'; picture='batches.svg'" pipelines/plot/batches.gp

if (!exists("data")) data = "batches.tsv"
if (!exists("picture")) picture = "batches.svg"
set terminal svg size 900,450 background "white"
set output picture
set datafile separator "\t"
set title "MCC score per batch"
set xlabel "batch"
set ylabel "MCC"
set yrange [-1:1]
set xzeroaxis
set grid y
set style fill solid
set boxwidth 0.8
unset key
# The first line is the header, the last one the total: its first field is no number.
plot data using (valid(3) ? $1 : NaN):3 skip 1 with boxes linecolor rgb "#4477aa"
