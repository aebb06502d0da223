"""Mean teacher: the network agrees, on varied views, with its own average over time."""

import copy
from dataclasses import dataclass

import torch

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import consistency
from galmerge_da.adaptation.views import ViewOptions
from galmerge_da.exceptions import ConfigError
from galmerge_da.options import option
from galmerge_da.plugins import LossSpec

__all__ = ["MeanTeacher", "MeanTeacherConfig", "SPEC"]


@dataclass(frozen=True)
class MeanTeacherConfig(ViewOptions):
    """Options of `MeanTeacher`."""

    decay: float = option(0.99, "how much of itself the teacher keeps at a step", at_least=0, below=1)
    threshold: float = option(0.0, "its probability from which a galaxy is a lesson", at_least=0, at_most=1)


class MeanTeacher(AdaptationLoss):
    """Consistency with an average of the network over time (French et al. 2018, ICLR; arXiv:1706.05208).

    The teacher, whose weights are a moving average of the network's, looks at
    the target images of the batch; the network is to give their strong views
    the same probabilities. Two more forward passes over the target.

    Parameters
    ----------
    config : MeanTeacherConfig
    context : `~galmerge_da.adaptation.LossContext`

    Raises
    ------
    ConfigError
        If the context has no model to copy.
    """

    batch_coupled = False

    def __init__(self, config, context):
        super().__init__()
        if context.model is None:
            raise ConfigError("mean_teacher copies the network, and the context has none")
        self.config = config
        self.teacher = copy.deepcopy(context.model).requires_grad_(False)
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.int64))

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        with torch.no_grad():
            taught = self.teacher.eval()(target.images)[1].float()
        varied = self.config.vary(target.images, step.generator)
        logits = step.model(varied)[1].float()
        return consistency(logits, taught, threshold=self.config.threshold, form="squared")

    @torch.no_grad()
    def after_step(self, step):
        """Move the teacher a little towards the network."""
        self.n_steps += 1
        n_steps = int(self.n_steps)
        kept = min(self.config.decay, n_steps / (n_steps + 10))  # a young teacher learns fast
        current = step.model.state_dict()
        for name, value in self.teacher.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(current[name], 1 - kept)
            else:
                value.copy_(current[name])


SPEC = LossSpec(
    "mean_teacher",
    MeanTeacher,
    MeanTeacherConfig,
    reference="French et al. 2018, ICLR; Tarvainen & Valpola 2017, NeurIPS 30, 1195",
    summary="agreement with an averaged network on varied views of the target",
)
