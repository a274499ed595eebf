#!/bin/sh
# Fuzz each target for a bounded time. Usage: fuzz.sh SECONDS [TARGET...]
# Findings stay in fuzz/artifacts and make this fail; a finding becomes a file in tests/fuzz_findings.
set -eu
seconds=$1
shift
targets=${*:-message uri framer edits script}
export CARGO_TARGET_DIR="$PWD/target/fuzz" # not the shared one: these builds carry sanitizers
tool=$PWD/target/tools/bin/cargo-fuzz
status=0

rust() {
    if [ ! -x "$tool" ]; then
        echo "installing cargo-fuzz"
        (unset CARGO_TARGET_DIR && cargo install --quiet --locked --root target/tools cargo-fuzz) || return 1
    fi
    mkdir -p "fuzz/corpus/$1"
    case $1 in
    message) cp tests/torture/rfc*/*.dat "fuzz/corpus/$1/" ;;
    framer | edits)
        # Their first bytes say how to cut or edit.
        for file in tests/torture/rfc*/*.dat; do
            { printf 'aaaaaaaaaaaaaaaa' | head -c "$([ "$1" = framer ] && echo 1 || echo 16)"; cat "$file"; } \
                >"fuzz/corpus/$1/$(basename "$file")"
        done
        ;;
    uri) cp fuzz/seeds/uri/* "fuzz/corpus/$1/" ;;
    esac
    # What was found before is where the next one may be.
    for file in "tests/fuzz_findings/$1"/*; do
        if [ -f "$file" ]; then cp "$file" "fuzz/corpus/$1/"; fi
    done
    # The sanitizers are switched on by flags that the stable compiler takes only this way.
    RUSTC_BOOTSTRAP=1 "$tool" fuzz run --fuzz-dir fuzz "$1" -- -max_total_time="$seconds" -max_len=8192 -timeout=5 \
        -print_final_stats=1 2>&1 | tee "target/fuzz-$1.log" | grep -E 'DONE|stat::|SUMMARY|panicked|Test unit' || true
    grep -q '^Done ' "target/fuzz-$1.log"
}

script() {
    .venv/bin/python -c 'import atheris' 2>/dev/null ||
        .venv/bin/python -m pip install --quiet --disable-pip-version-check atheris ||
        echo "no atheris for this Python: mutating at random"
    .venv/bin/python fuzz/script.py "$seconds" fuzz/corpus/script fuzz/artifacts/script 2>&1 |
        tee target/fuzz-script.log | grep -E 'Done|DONE|stat::|no finding|Error|ERROR|exception' || true
    grep -qE '^Done |no finding' target/fuzz-script.log
}

mkdir -p target
for target in $targets; do
    echo "fuzzing $target for $seconds s"
    if [ "$target" = script ]; then script; else rust "$target"; fi || {
        echo "FINDING in $target: see target/fuzz-$target.log and fuzz/artifacts/$target" >&2
        status=1
    }
done
exit $status
