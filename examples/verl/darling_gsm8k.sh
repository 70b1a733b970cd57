#!/usr/bin/env bash
# DARLING in verl on GSM8K: one node of 8 GPUs, FSDP and vLLM. The shipped classifier says which solutions are of one kind; the final
# answer would not do, because all right solutions share it.
#   pip install "verl[vllm,fsdp]==0.9.1" "breadth[verl,text]"
#   train.parquet and test.parquet in ~/data/gsm8k: verl's repository has examples/data_preprocess/gsm8k.py for them
#   bash examples/verl/darling_gsm8k.sh
# More arguments for verl may follow the script's name. On several nodes: cluster.sbatch beside this file.
set -euo pipefail

model=${MODEL:-Qwen/Qwen2.5-1.5B-Instruct}
data=${DATA:-$HOME/data/gsm8k}

# what makes verl's estimator, trainer and loss DARLING's: floor 0.1, no division by the deviation, token mean, clips 0.2
arguments=$(python -m breadth.plugins.verl darling)
# shellcheck disable=SC2086
exec python -m verl.trainer.main_ppo \
  $arguments \
  '+algorithm.breadth.partition=classifier' \
  data.train_files="$data/train.parquet" \
  data.val_files="$data/test.parquet" \
  data.train_batch_size=256 \
  data.max_prompt_length=512 \
  data.max_response_length=1024 \
  data.filter_overlong_prompts=true \
  actor_rollout_ref.model.path="$model" \
  actor_rollout_ref.model.enable_gradient_checkpointing=true \
  actor_rollout_ref.actor.optim.lr=1e-6 \
  actor_rollout_ref.actor.ppo_mini_batch_size=256 \
  actor_rollout_ref.actor.use_dynamic_bsz=true \
  actor_rollout_ref.actor.ppo_max_token_len_per_gpu=16384 \
  actor_rollout_ref.rollout.name=vllm \
  actor_rollout_ref.rollout.n=8 \
  actor_rollout_ref.rollout.temperature=1.0 \
  actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
  actor_rollout_ref.rollout.gpu_memory_utilization=0.6 \
  actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=true \
  trainer.n_gpus_per_node="${GPUS:-8}" \
  trainer.nnodes="${NODES:-1}" \
  trainer.total_epochs=15 \
  trainer.save_freq=20 \
  trainer.test_freq=5 \
  trainer.project_name=breadth \
  trainer.experiment_name=darling-gsm8k \
  'trainer.logger=["console"]' \
  "$@"
