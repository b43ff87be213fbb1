#!/bin/bash
#SBATCH --job-name=snn5bench
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --mem=120G
#SBATCH --time=12:00:00
#
# One suite on all nodes of one SLURM job:  sbatch docs/slurm.sh SUITE [options of `snn5bench run`]
#
# Change the lines above to what your cluster has. Submit it from the checkout, with the environment active in which
# `snn5bench` and `ray` are installed, on a file system that all nodes see. When the time is up, submit it again: what
# had ended is kept. docs/clusters.md says more.
set -euo pipefail

suite=${1:?usage: sbatch docs/slurm.sh SUITE [options of snn5bench run]}
shift

# Ray says nothing home, takes orders from this job alone, and listens where no neighbour's job does.
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(head --bytes=32 /dev/urandom | od --address-radix=n --format=x1 | tr --delete ' \n')
export RAY_AUTH_TOKEN
port=$((20000 + SLURM_JOB_ID % 20000))

# Packed data are made once, by this process, where every node sees them.
export SNN5BENCH_CACHE=${SNN5BENCH_CACHE:-$SLURM_SUBMIT_DIR/.snn5bench-cache}
mkdir -p "$SNN5BENCH_CACHE"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1; exit}')
export RAY_ADDRESS="$ip:$port"

start=(ray start --block --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}")
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

# A step of its own on each node, with all of the node's CPUs (SLURM 22.05 and newer gives a step one, unless it asks);
# one that ends does not end the others.
step=(srun --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=0)
"${step[@]}" --nodelist="$head" \
    "${start[@]}" --head --node-ip-address="$ip" --port="$port" --include-dashboard=false --disable-usage-stats &
until (: < "/dev/tcp/$ip/$port") 2> /dev/null; do
    jobs %1 > /dev/null || { echo "the head did not start" >&2; exit 1; }
    sleep 2
done
for node in "${nodes[@]:1}"; do
    "${step[@]}" --nodelist="$node" "${start[@]}" --address="$RAY_ADDRESS" &
done

# Nodes join while it runs; it needs the first only. `exec` would lose the trap.
snn5bench run "$suite" --runner ray "$@"
snn5bench report "$suite"
