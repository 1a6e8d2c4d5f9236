#!/bin/sh
# Measure and ship both bases: everything between trained weights and a package that carries them.
#
#   tools/primer/ship-all.sh WORK EXAMPLES.parquet
#
# WORK: the folder of make.py, with settled/model and instruct/model. EXAMPLES.parquet: what `metier prepare general/base`
# wrote, with the whole held-out text. Some ten minutes on two cores; METIER_BENCH_BYTES limits the held-out text a source.
set -eu
work=$1 examples=$2
here=$(cd "$(dirname "$0")" && pwd)
benchmarks=$here/../../benchmarks
python=${PYTHON:-python}

"$python" "$here/ship.py" weights "$work/settled/model" primer
"$python" "$benchmarks/base.py" "$examples" --train "$work/read/examples/examples.parquet" \
  --bytes "${METIER_BENCH_BYTES:-300000}" > "$work/figures.md"
"$python" "$here/ship.py" card "$work" primer
"$python" "$here/ship.py" weights "$work/instruct/model" primer-instruct
"$python" "$here/ship.py" card "$work" primer-instruct
"$python" "$benchmarks/base_elsewhere.py" --model primer-instruct
cat "$work/figures.md"
