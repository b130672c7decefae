# SPDX-License-Identifier: MIT
# Reliability: accuracy in each bin of confidence; a calibrated model follows the diagonal.
#
#     mcc --calibration scores.tsv > calibration.tsv
#     gnuplot -e "data='calibration.tsv'; picture='calibration.svg'" pipelines/plot/calibration.gp

if (!exists("data")) data = "calibration.tsv"
if (!exists("picture")) picture = "calibration.svg"
set terminal svg size 550,550 background "white"
set output picture
set datafile separator "\t"
set datafile missing "nan"
set title "reliability"
set xlabel "confidence"
set ylabel "accuracy"
set xrange [0:1]
set yrange [0:1]
set size square
set grid
set key top left
plot x with lines dashtype 2 linecolor rgb "#888888" title "calibrated", \
     data using (($1 + $2) / 2):($3 > 0 ? $5 : NaN):(1.0 / 15) skip 1 with boxes \
         fill solid 0.4 linecolor rgb "#4477aa" title "accuracy", \
     data using 4:($3 > 0 ? $5 : NaN) skip 1 with points pointtype 7 \
         linecolor rgb "#aa3377" title "mean confidence"
