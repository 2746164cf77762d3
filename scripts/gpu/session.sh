#!/usr/bin/env bash
# The calls of a session on a lent GPU host, whose time is short (README.md beside it):  bash scripts/gpu/session.sh 1   in the checkout, then 2, 3, 4, each with a
# part of the kit that pack.mjs made. All results are files in $OUT, also those of the calls before, in earlier.tar.gz; what fails leaves what the others found, and
# the call ends with 1.
#   1  the host's facts; tests of our CUDA kernels, built there     2  their times, races and wrong addresses
#   3  unpacks the kit; gpu-check, while a made-up 28B is converted 4  bench-gpu
# A second argument says how many seconds call 3 or 4 may take, if not 600. KIT, PARTS, DEST and MODELS name other folders. A rehearsal without a GPU:
# CHECK_ARGS='--device cpu' BENCH_ARGS='--device cpu --model mini'.
set -uo pipefail

call=${1:?which call: 1, 2, 3, 4 or keep} limit=${2:-600}
read -ra check_args <<<"${CHECK_ARGS:-}"
read -ra bench_args <<<"${BENCH_ARGS:-}"
parts=${PARTS:-.gpu-kit} kit=${KIT:-/tmp/kit} dest=${DEST:-/tmp/gpu} models=${MODELS:-/tmp/models} out=${OUT:?a folder for the results}
tests=$kit/tests log=$kit/convert.log results=$kit/results
export PATH="$PATH:/usr/local/cuda/bin"
mkdir -p "$tests" "$results" "$out"
if [ -d "$parts" ]; then cp "$parts"/* "$kit"/; fi
[ -z "$(ls "$results")" ] || tar -C "$results" -czf "$out/earlier.tar.gz" .
failed=0 watcher=

# Whether the GPU was throttled or busy with something else.
if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=timestamp,utilization.gpu,memory.used,clocks.sm,clocks.mem,power.draw,temperature.gpu,clocks_event_reasons.active \
    --format=csv --loop=5 >"$out/gpu-load.csv" 2>&1 &
  watcher=$!
fi

finish() {
  [ -z "$watcher" ] || kill "$watcher" 2>/dev/null
  [ "$failed" = 0 ] || dmesg 2>/dev/null | grep -iE 'xid|nvrm|out of memory' | tail -20 >>"$out/failed.txt"
  mkdir -p "$results/$call"
  cp -r "$out/." "$results/$call"
  rm -f "$results/$call/earlier.tar.gz"
}
trap finish EXIT

# fail WORDS: says it, and goes on.
fail() { echo "FAILED: $*" | tee -a "$out/failed.txt"; failed=1; }

# keep FILE COMMAND...: what the command prints, here and in $OUT.
keep() {
  local file=$1
  shift
  "$@" 2>&1 | tee "$out/$file" || fail "$file: ended with ${PIPESTATUS[0]}"
}

describe_host() {
  uname -a
  nvidia-smi
  nvidia-smi -q -d CLOCK,POWER,ECC,PERFORMANCE
  nvcc --version | tail -2
  ldconfig -p | grep -E 'lib(cuda|cudart|cublas|cublasLt|curand)\.so'
  nproc; free -g | head -2; df -h /tmp /dev/shm; command -v xz ncu python3
  return 0
}

# All at once: nvcc takes most of the time, and the host has many cores. A kernel that does not compile costs only its own test.
build_tests() {
  local op capability pids=()
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
  for file in kernels/ops/*/*_cuda_test.cu; do
    op=$(basename "$(dirname "$file")")
    nvcc -std=c++17 -O3 -lineinfo -arch="sm_${capability:-90}" -t 0 -o "$tests/$op" kernels/common/*.cu kernels/ops/"$op"/*.cu kernels/ops/"$op"/"${op}"_reference.cc \
      >"$tests/$op.log" 2>&1 || { rm -f "$tests/$op"; cat "$tests/$op.log"; echo "nvcc cannot build $op"; } &
    pids+=($!)
  done
  wait "${pids[@]}"
  return 0
}

run_tests() {
  local op
  for file in kernels/ops/*/*_cuda_test.cu; do
    op=$(basename "$(dirname "$file")")
    if [ -x "$tests/$op" ]; then keep "kernel-test-$op.txt" timeout -k 5 150 "$tests/$op"; else fail "kernel-test-$op: not built"; fi
  done
}

# Races and wrong addresses, as far as the time goes: what is found by then counts. All tests at once, because most of their time is the host's.
sanitize() {
  local tool test pids pid found=0
  command -v compute-sanitizer || { echo "there is no compute-sanitizer: left out"; return 0; }
  for tool in racecheck memcheck; do
    pids=()
    for test in "$tests"/*; do
      [ -x "$test" ] || continue
      (sanitize_test "$tool" "$test" 2>&1 | sed -u "s/^/${test##*/}: /") &
      pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || found=$?; done
  done
  return "$found"
}

sanitize_test() {
  local tool=$1 code=0
  timeout -k 5 50 compute-sanitizer --tool "$tool" --error-exitcode 9 "$2" --brief || code=$?
  case $code in
    0) echo "$tool: nothing found" ;;
    124 | 137) echo "$tool: cut off after 50 s" ;;
    *)
      echo "$tool: ended with $code"
      return "$code"
      ;;
  esac
}

free_gigabytes() { df --output=avail -BG "$1" | tail -1 | tr -dc 0-9; }

program() { node --import tsx "scripts/gpu/$1.ts" "${@:2}"; }

enter() {
  [ -f "$dest/enter.sh" ] || { fail "$dest/enter.sh is not there: call 3 unpacks the kit"; return 1; }
  # shellcheck disable=SC1091
  . "$dest/enter.sh"
}

case $call in
  1)
    keep host.txt describe_host
    keep kernel-build.txt build_tests
    run_tests
    ;;
  2)
    if [ -x "$tests/modality_moe" ]; then
      # Eager, because it captures its first launches, and not every driver loads kernels during a capture.
      keep kernel-bench.txt env CUDA_MODULE_LOADING=EAGER timeout -k 5 100 "$tests/modality_moe" --bench
      keep kernel-sanitizer.txt sanitize
    else
      fail "kernel-bench: call 1 has not built it"
    fi
    ;;
  3)
    keep unpack.txt bash "$kit/unpack.sh" "$kit" "$dest"
    if enter; then
      # In a session of its own, which outlasts the call; the next one waits for it where it is not done.
      setsid nohup nice -n 19 node --import tsx scripts/gpu/bench-gpu.ts --only convert --budget 570 --models "$models" \
        --out "$kit/convert.json" "${bench_args[@]}" >"$log" 2>&1 </dev/null &
      # gpu-check's models take up to 25 GB, and the 28B takes 19: where the disk has no room for both, the former are kept in memory.
      if [ "$(free_gigabytes /tmp)" -lt 50 ] && [ "$(free_gigabytes /dev/shm)" -gt 25 ]; then export TMPDIR=/dev/shm; fi
      only='environment,stages-*,graphs-*,answers-*,decode-steps*,experts,kernel-times,variant-*'
      [ -x "$tests/modality_moe" ] || only+=,kernel-test,kernel-bench # those of the kit, where call 1 could not build them
      keep gpu-check.txt program gpu-check --budget "$((limit - SECONDS - 15))" --only "$only" --out "$out/gpu-check.json" "${check_args[@]}"
    fi
    ;;
  4)
    if enter; then
      [ ! -f "$log" ] || cp "$log" "$out/convert.txt"
      keep bench-gpu.txt program bench-gpu --budget "$((limit - SECONDS - 15))" --models "$models" --out "$out/gpu.json" "${bench_args[@]}"
    fi
    ;;
  keep) ;; # of a kit in more parts than there are calls: this one is kept
  *) fail "there is no call $call" ;;
esac
exit "$failed"
