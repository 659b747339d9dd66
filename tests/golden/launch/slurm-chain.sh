#!/bin/bash
#SBATCH --requeue
#SBATCH --job-name=openwit
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --mem=64G
#SBATCH --time=240
#SBATCH --signal=USR1@180
#SBATCH --array=1-5%1
#SBATCH --output=/runs/b32/logs/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --chdir=/home/someone
#SBATCH --export=PATH,HOME,USER,LANG
set -u
# The tasks get the signal themselves; the shell outlives it, to put the job back into the queue.
trap : TERM USR1
export OMP_NUM_THREADS=8
export PYTHONUNBUFFERED=1
export NCCL_DEBUG=WARN
export TORCH_NCCL_ASYNC_ERROR_HANDLING=3
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_ADDR=$(scontrol show node "$first" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
export MASTER_ADDR WORLD_SIZE=1

on_every_process() {
  # One log for each process. When one ends, the others have a minute to end as well.
  srun --export=ALL --kill-on-bad-exit=0 --wait=60 --open-mode=append --output=/runs/b32/logs/%A_%a-%t.log \
    bash -c 'export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID; exec "$@"' -- "$@"
}

again() {
  scontrol requeue "$SLURM_JOB_ID" || exit "$1"
  exit 0
}

export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
on_every_process apptainer exec --nv openwit.sif python -m train preflight --data /data/wit --run /runs/b32 --num-processes 1 || exit 1
export MASTER_PORT=$((MASTER_PORT + 1))
on_every_process apptainer exec --nv openwit.sif python -m train fit cifar10 --data /data/wit --run /runs/b32 --num-epochs 3
status=$?
echo "fit ended with status $status on $(date --utc +%FT%TZ)"
case $status in
  75) exit 0 ;;  # the next of the chain goes on
  0 | 2) exit $status ;;
esac
# A crash. Slurm itself puts a job back whose node has failed.
[ "${SLURM_RESTART_COUNT:-0}" -lt 3 ] && again $status
exit $status
