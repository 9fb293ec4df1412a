#!/usr/bin/env bash
# All that only a GPU can show, in at most 20 minutes:
#
#   scripts/gpu-check.sh [--dry-run] [--reference CLONE]
#
# 1. tests: graphs are recorded and replay the bytes of plain forwards (pipeline, CLIP guidance, inpainting, halving);
#    fp32 equals the CPU's; one training step per precision.
# 2. every sampler and strategy copies only noise and waits for nothing (fake tensors: the same with and without a GPU).
# 3. peak memory, synchronisations per step, halving under a memory cap, speeds, share of the matrix rate.
#
# --dry-run runs the same on a CPU: tests with stand-ins for graphs, and tiny networks. --reference names a clone of
# openai/glide-text2im to compare speeds with. Every part runs, and the exit status says whether all passed.
set -uo pipefail
cd "$(dirname "$0")/.."

dry="" reference=()
while (($#)); do
  case "$1" in
    --dry-run) dry=1 ;;
    --reference) reference=(--reference "${2:?--reference needs a folder}"); shift ;;
    *) echo "Unknown option $1: use --dry-run or --reference CLONE." >&2; exit 2 ;;
  esac
  shift
done

python=${PYTHON:-.venv/bin/python}
gpu="$("$python" -c 'import torch; print("yes" if torch.cuda.is_available() else "no")')"
if [[ -z $dry && $gpu == no ]]; then
  echo "No CUDA device found. scripts/gpu-check.sh --dry-run shows on a CPU that the checks run." >&2
  exit 2
fi

failed=0
part() { # seconds at most, then the command
  local limit=$1
  shift
  echo; echo "## $*"
  SECONDS=0
  timeout "$limit" "$@" || { echo "FAILED with status $? (124: longer than $limit s)"; failed=1; }
  echo "($SECONDS s)"
}

tests=(-m pytest -n 0 -q)
at=tests/generator
if [[ -n $dry ]]; then
  part 240 "$python" "${tests[@]}" $at/test_graphs.py
  part 240 "$python" "${tests[@]}" $at/test_gpu_without_gpu.py
  part 240 "$python" -m benchmarks.generator --parts gpu --dry-run --batches 1,2
else
  part 240 "$python" "${tests[@]}" $at/test_graphs.py $at/test_speed.py -m gpu
  part 180 "$python" "${tests[@]}" $at/test_gpu_without_gpu.py
  part 760 "$python" -m benchmarks.generator --parts gpu "${reference[@]}"
fi
exit $failed
