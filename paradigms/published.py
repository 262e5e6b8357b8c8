"""Published numbers about the best LR, batch and loss, each with its source.

Exponents are signed: lr* = K N^_N D^_D B^_B. N counts parameters without embeddings, D is training tokens, B is tokens
per batch, C = 6 N D is training FLOPs and A = N_active / N_total is sparsity. docs/theory.md says how certain each
source is.
"""

import math
from typing import NamedTuple

FITTING_K, FITTING_N, FITTING_D = 38.4588, -0.2219, -0.3509  # arXiv 2601.05049 eq. 6; MoE, WSD; units not stated
BJORCK_N, BJORCK_D = -0.23, -0.32  # arXiv 2409.19913; one batch, cosine, total N
PORIAN_N = -0.36  # arXiv 2406.19146; 20 tokens per parameter
STEP_LAW_K, STEP_LAW_N, STEP_LAW_D = 1.79, -0.713, 0.307  # arXiv 2503.04715; total N, best batch for each D
REFIT_N, REFIT_D, REFIT_B, REFIT_A = -0.60, 0.03, 0.33, 0.06  # our refit of 2503.04715's runs, batch as a regressor
JOINT_MOE_LN_K, JOINT_MOE_N, JOINT_MOE_A = 8.39, -0.81, 0.25  # arXiv 2502.05172 eq. 8; A is 1 / number of experts
DEEPSEEK_K, DEEPSEEK_C = 0.3118, -0.125  # arXiv 2401.02954; multi-step schedule
MOE_SPARSITY_C, MOE_SPARSITY_A = -0.1385, 0.1361  # arXiv 2609.08690 eq. 7; Muon
MOE_SPARSITY_REFIT_D = -0.01  # refit in the same paper, best batch for each D
SDE_D, SDE_B = -0.5, 0.5  # arXiv 2512.22382; the batch part is Adam's square root rule, 2205.10287

# The Power scheduler, arXiv 2408.13359: lr = min(LR_MAX, A B D^_D) under muP, B in sequences of SEQ_LEN tokens
POWER_D, POWER_B = -0.51, 1.0  # eq. 5
POWER_A_FITTED = 4.6  # eq. 5
POWER_A = 4.0  # recommended in section 4
POWER_LR_MAX = 0.02  # recommended in section 4
POWER_SEQ_LEN = 4096  # tokens

FLOPS_PER_PARAMETER = 6  # per parameter and token, forward and backward; arXiv 2001.08361
DECAY_FRACTION = 0.2  # of the horizon; a longer decay of WSD gains little, arXiv 2405.18392
POWER_LINES_TAU = -0.527  # exponent of tokens per parameter in the best tau_EMA, arXiv 2505.13738

# Exponents of tokens in laws of the best batch
STEP_LAW_BATCH = 0.571  # arXiv 2503.04715
MOE_SPARSITY_BATCH = 0.5181  # arXiv 2609.08690 eq. 8
POWER_LINES_BATCH = 0.383  # arXiv 2505.13738

STEP_LAW_NOISE = 0.003  # nats; scatter of one loss about its neighbours in the runs of 2503.04715
STEP_LAW_CURVATURE = 0.02  # nats per (ln lr)^2 in the same runs; 0.015 to 0.025

# Loss at the best LR = FLOOR + N_SCALE N^-N_POWER + D_SCALE D^-D_POWER nats, Chinchilla, arXiv 2203.15556
CHINCHILLA_FLOOR = 1.69
CHINCHILLA_N_SCALE, CHINCHILLA_N_POWER = 406.4, 0.34
CHINCHILLA_D_SCALE, CHINCHILLA_D_POWER = 410.7, 0.28


class PublishedLaw(NamedTuple):
    """lr* = k N^n D^d. `convention` says what N and D are. `needs` names an input that tables of runs lack."""

    name: str
    source: str
    k: float
    n: float
    d: float
    total: bool  # whether N counts all parameters, and not only the active ones
    convention: str
    needs: str = ""

    def ln_lr(self, n_active: float, n_total: float, tokens: float) -> float:
        """ln of the best LR."""
        size = n_total if self.total else n_active
        return math.log(self.k) + self.n * math.log(size) + self.d * math.log(tokens)


LAWS = (
    PublishedLaw(
        "step_law",
        "arXiv 2503.04715",
        STEP_LAW_K,
        STEP_LAW_N,
        STEP_LAW_D,
        True,
        "N total without embeddings, batch on its own law, final LR fixed at 1e-5",
    ),
    PublishedLaw(
        "deepseek",
        "arXiv 2401.02954",
        DEEPSEEK_K * FLOPS_PER_PARAMETER**DEEPSEEK_C,
        DEEPSEEK_C,
        DEEPSEEK_C,
        False,
        "of C, taken as 6 N_active D; multi-step schedule",
    ),
    PublishedLaw(
        "zhou",
        "arXiv 2601.05049",
        FITTING_K * 1e6**-FITTING_N,
        FITTING_N,
        FITTING_D,
        False,
        "N in millions and active, which is a conjecture, because the source gives no units; WSD",
    ),
    PublishedLaw(
        "joint_moe",
        "arXiv 2502.05172",
        math.exp(JOINT_MOE_LN_K),
        JOINT_MOE_N,
        0.0,
        False,
        "N active without embeddings, E experts, top-1, decay over the last 20%",
        needs="the number of experts",
    ),
)


def law_named(name: str) -> PublishedLaw:
    """The law with this name, one of LAWS."""
    return next(law for law in LAWS if law.name == name)
