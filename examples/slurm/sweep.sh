#!/bin/bash
# A sweep as a Slurm array: sbatch examples/slurm/sweep.sh examples/guidance.toml runs/guidance
#
# Each task draws its share; the last one in writes the manifest. Submit it again after a failure:
# finished images are kept. Let all tasks run on nodes of one kind: a task whose device, versions or
# threads differ from the first one's is refused.
#SBATCH --job-name=glide-sweep
#SBATCH --array=1-64
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --time=02:00:00
set -euo pipefail
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-4}
glide-eval sweep "$1" --out "$2"
