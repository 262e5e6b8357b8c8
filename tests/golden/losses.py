"""What the golden losses hold, and how they are written: `python -m tests.golden.losses DIR` from a smoke study in DIR.

Run it uncompiled: LRLADDER_COMPILE=off lrladder run smoke --out DIR.
"""

import json
import sys
from pathlib import Path

from lrladder.benchmark.studies.regret.kind import REGRET
from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.benchmark.studies.stored import load_results

FILE = Path(__file__).parent / "smoke_losses.json"


def text(results: RegretResults) -> str:
    """One line a reading without role LRs: rung, parametrization, horizon in tokens, LR, seed and loss in nats."""
    rows = sorted(
        [m.rung, m.parametrization, m.horizon, round(m.lr, 9), m.seed, round(m.loss, 6)]
        for m in results.measurements
        if m.loss is not None and not m.role_lrs
    )
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    return f'{{\n "corpus_digest": "{results.corpus_digest}",\n "losses": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    FILE.write_text(text(load_results(Path(sys.argv[1]), REGRET)), encoding="utf-8")
