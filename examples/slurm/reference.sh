#!/bin/bash
# A reference as a Slurm array: sbatch examples/slurm/reference.sh coco/val2014 references/coco.npz
#
# Each task writes a part beside the file, such as coco.2-of-8.npz; the last one in merges them.
#SBATCH --job-name=glide-reference
#SBATCH --array=1-8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=02:00:00
set -euo pipefail
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-8}
glide-eval reference build "$1" --extractor inception-clean --out "$2"
