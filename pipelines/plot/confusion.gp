# SPDX-License-Identifier: MIT
# The confusion matrix as a map: rows gold, columns predicted, shade the share of the row.
#
#     mcc --confusion scores.tsv > confusion.tsv
#     gnuplot -e "data='confusion.tsv'; picture='confusion.svg'" pipelines/plot/confusion.gp

if (!exists("data")) data = "confusion.tsv"
if (!exists("picture")) picture = "confusion.svg"
set terminal svg size 700,600 background "white"
set output picture
set datafile separator "\t"
stats data using 0 skip 1 nooutput
n = STATS_records
# One line a cell: column, row, share of the row, count, the two labels.
cells = sprintf("< awk -F '\t' 'NR == 1 {for (j = 2; j <= NF; j++) name[j] = $j; next} {sum = 0; for (j = 2; j <= NF; j++) sum += $j; for (j = 2; j <= NF; j++) printf \"%%d\\t%%d\\t%%.6f\\t%%d\\t%%s\\t%%s\\n\", j - 2, NR - 2, (sum ? $j / sum : 0), $j, name[j], $1}' '%s'", data)
set title "confusion: share of each gold label"
set xlabel "predicted"
set ylabel "gold"
set xrange [-0.5:n - 0.5]
set yrange [n - 0.5:-0.5]
set cbrange [0:1]
set palette defined (0 "#ffffff", 1 "#4477aa")
set xtics noenhanced
set ytics noenhanced
unset key
plot cells using 1:2:3:xtic(5):ytic(6) with image, \
     cells using 1:2:(sprintf("%d", $4)) with labels
