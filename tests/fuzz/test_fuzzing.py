"""Every public parser, fuzzed: in each run with a few thousand inputs near its seeds, in the soak by coverage, under atheris.

The soak's time for each target is ``HOLDFAST_FUZZ`` seconds, 120 unless it is set. Inputs that broke something are among the seeds,
or have a test of their own beside the parser's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import fuzz_targets  # noqa: F401  # it registers the targets
import pytest
from fuzzing import TARGETS, Broken, Target, checked, mutations

from store_nodes import SOAK, Figures

SHORT_S = 0.6
SECONDS = int(os.environ.get("HOLDFAST_FUZZ", "120"))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_inputs_near_the_seeds_raise_documented_errors_only(name: str) -> None:
    target = TARGETS[name]
    run = target.prepare()
    until = time.process_time() + SHORT_S
    tried = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python's own parsers, about what they are fed
        for data in mutations(target, 1):
            checked(name, run, data)
            tried += 1
            if tried >= 2_000 or (tried > len(target.seeds) and time.process_time() > until):
                break
    assert tried > len(target.seeds)


@pytest.mark.parametrize(
    "run", [lambda data: [][len(data)], lambda data: data.decode("ascii")], ids=["index", "decode"]
)
def test_a_parser_that_lets_an_error_through_is_caught(run: object) -> None:
    target = Target("broken", lambda: run, (b"seed",))  # type: ignore[arg-type,return-value]
    with pytest.raises(Broken, match="broken"):
        for _, data in zip(range(2_000), mutations(target, 1), strict=False):
            checked("broken", target.prepare(), data)


@pytest.mark.soak
@pytest.mark.skipif(not SOAK, reason="minutes for each target: `make soak` runs it")
@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_coverage_finds_nothing_either(name: str, tmp_path: Path, figures: Figures) -> None:
    pytest.importorskip("atheris")
    script = Path(__file__).with_name("fuzz_one.py")
    flags = [f"-max_total_time={SECONDS}", "-print_final_stats=1", f"-seed={os.environ.get('HOLDFAST_SEED', '1')}"]
    command = [sys.executable, str(script), name, str(tmp_path / "corpus"), *flags]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert ended.returncode == 0, ended.stderr[-3_000:]
    runs = int(re.findall(r"number_of_executed_units:\s*(\d+)", ended.stderr)[-1])
    memory = int(re.findall(r"peak_rss_mb:\s*(\d+)", ended.stderr)[-1])
    reached = [int(found) for found in re.findall(r"cov: (\d+)", ended.stderr)]
    figures("FUZZ", name, runs=runs, coverage_first=reached[0], coverage_last=reached[-1], peak_mb=memory)
