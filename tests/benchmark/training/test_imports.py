"""What a study need not import: each of these takes seconds, in the command or in every worker."""

import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT


def _imported(code: str, names: tuple[str, ...], folder: Path) -> str:
    """Which of these modules a new process has imported after it ran the code."""
    code += f"\nimport sys\nprint('imported', [name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


UNTIL_THE_FIRST_RUN = """
from lrladder.benchmark.studies import runner
from lrladder.benchmark.studies.kinds import kind_of, load_study
from lrladder.benchmark.training.local import LocalSite

class Asked(BaseException):
    "A run was asked for."

class Lab:
    def measure(self, requests, *, payer):
        raise Asked

    def cost_flops(self, payer):
        return 0.0

    def flops(self, request):
        return 1.0

LocalSite(2)
study = load_study("cpu")
try:
    kind_of(study).start(study, Lab(), on_stage=lambda stage: None).run()
except Asked:
    print("asked")
"""


def test_the_process_that_leads_a_study_imports_nothing_large_before_the_first_run(tmp_path: Path) -> None:
    unwanted = ("torch", "scipy.stats", "sklearn", "matplotlib")
    assert _imported(UNTIL_THE_FIRST_RUN, unwanted, tmp_path) == "imported []"


def test_uncompiled_training_imports_neither_the_compiler_nor_mlflow(tmp_path: Path) -> None:
    """A run is trained and read. mlflow is what DeepSpeed imports where it is installed, for its autotuner."""
    code = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom lrladder.benchmark.training.train import train\n"
        "from tests.benchmark.trials import tiny_corpus, tiny_trial\n"
        "train(tiny_trial(), tiny_corpus(Path('corpus')), log=lambda row: None)"
    )
    assert _imported(code, ("torch._dynamo", "mlflow"), tmp_path) == "imported []"
