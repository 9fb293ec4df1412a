#!/bin/bash
# Metrics of a finished sweep: sbatch --dependency=afterok:JOB examples/slurm/metrics.sh runs/guidance
#
# Features are saved as they come, so a task that was stopped goes on where it was.
#SBATCH --job-name=glide-metrics
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
set -euo pipefail
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-8}
glide-eval metrics "$1"
