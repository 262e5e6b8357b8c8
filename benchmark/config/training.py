"""How a trial is trained: devices, ZeRO stage, micro batches. Only `aux_loss_over` changes results beyond rounding."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lrladder.benchmark.config.parts import Strict

MicroBatch = PositiveInt | Literal["auto"]


class TrainingSettings(Strict):
    """The settings of one rung. No trial id contains them, except if the balance loss depends on the micro batch."""

    devices: PositiveInt = 1
    """Number of devices (GPUs, or cores if there are none) among which the batch of a trial is divided."""
    zero_stage: Literal[0, 1, 2, 3] = 0
    """What DeepSpeed splits over the devices: from 1 on the moments, from 2 on the gradients, with 3 the weights."""
    micro_batch: MicroBatch = "auto"
    """Sequences per device in one pass. `auto`: as many as the memory allows."""
    recompute: Literal["none", "blocks"] = "none"
    """`blocks`: the backward pass computes the activations of each block again, which saves memory."""
    offload: Literal["none", "cpu"] = "none"
    """`cpu`: fp32 weights and moments are kept and updated there."""
    expert_parallel: PositiveInt = 1
    """Number of devices over which the experts are spread. Each expert is on one of them."""
    aux_loss_over: Literal["batch", "micro_batch"] = "batch"
    """The tokens whose expert loads one balance loss uses."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.aux_loss_over == "micro_batch" and self.micro_batch == "auto":
            raise ValueError("aux_loss_over: micro_batch makes losses depend on micro_batch; give that as a number")
        if self.offload == "cpu" and self.zero_stage < 2:
            raise ValueError(f"offload: cpu needs zero_stage 2 or 3, and this is {self.zero_stage}; change one of them")
        self._require_spreadable()
        return self

    def _require_spreadable(self) -> None:
        """Experts are spread over equal groups of devices, which ZeRO 3 cannot split further."""
        if self.devices % self.expert_parallel:
            raise ValueError(
                f"expert_parallel: {self.devices} devices are no multiple of {self.expert_parallel}; change one of them"
            )
        if self.expert_parallel > 1 and self.zero_stage == 3:
            raise ValueError("expert_parallel needs zero_stage 2 or less, and this is 3; change one of them")

    @property
    def aux_loss_sequences(self) -> int | None:
        """Number of sequences whose loads one balance loss uses; None for the whole batch. Part of a trial's id."""
        if self.aux_loss_over == "batch":
            return None
        assert self.micro_batch != "auto"
        return self.devices * self.micro_batch


class TrainingChange(Strict):
    """The settings in which one rung differs from the study. None: as in the study."""

    changes: ClassVar = TrainingSettings

    devices: PositiveInt | None = None
    zero_stage: Literal[0, 1, 2, 3] | None = None
    micro_batch: MicroBatch | None = None
    recompute: Literal["none", "blocks"] | None = None
    offload: Literal["none", "cpu"] | None = None
    expert_parallel: PositiveInt | None = None
    aux_loss_over: Literal["batch", "micro_batch"] | None = None


class TrainingConfig(TrainingSettings):
    """The settings of a study, and the differences of single rungs, by the name of the rung."""

    keep_weights: Literal["none", "targets"] = Field("none", exclude_if=lambda kept: kept == "none")
    """`targets`: runs of targets keep the weights that were validated at each horizon, for `lrladder export`."""
    rungs: dict[str, TrainingChange] = Field(default_factory=dict)
    """What is different for single rungs, by the name of the rung."""

    def of(self, rung: str) -> TrainingSettings:
        """The settings of a rung. Raises ValueError if its changes do not fit the others."""
        change: dict[str, Any] = self.rungs[rung].model_dump(exclude_none=True) if rung in self.rungs else {}
        return TrainingSettings(**{**self.model_dump(exclude={"rungs", "keep_weights"}), **change})
