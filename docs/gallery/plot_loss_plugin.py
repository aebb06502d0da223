"""
Writing a loss plugin
=====================

A domain-adaptation loss of one's own, in twenty lines, checked by the contract tester, and drawn.
"""

from dataclasses import dataclass
from functools import partial

import torch
from matplotlib.figure import Figure

from galmerge_da.adaptation import AdaptationLoss
from galmerge_da.adaptation.functional import coral, mmd
from galmerge_da.plugins import LossSpec, Options, hookimpl, option
from galmerge_da.testing import check_loss_plugin

# %%
# The loss compares quantiles: each feature, by itself, is to have the same distribution in both domains.


@dataclass(frozen=True)
class QuantilesConfig(Options):
    n: int = option(9, "quantiles that are compared", at_least=1)


class Quantiles(AdaptationLoss):
    def __init__(self, config, context):
        super().__init__()
        self.n = config.n

    def forward(self, source, target, step):
        return quantile_distance(source.features, target.features, self.n)


def quantile_distance(source, target, n=9):
    levels = torch.linspace(0, 1, n + 2, dtype=source.dtype, device=source.device)[1:-1]
    return (source.quantile(levels, dim=0) - target.quantile(levels, dim=0)).square().mean()


@hookimpl
def galmerge_da_losses():
    return [LossSpec("quantiles", Quantiles, QuantilesConfig, summary="the same quantiles of every feature")]


# %%
# The tester runs it as training would and is silent if all is well. In a package with an entry point, as ``galmerge
# plugins new quantiles`` writes, ``train(source, target, adapt={"quantiles": 1.0})`` finds it by name; see
# :doc:`/development/plugins`.

check_loss_plugin(galmerge_da_losses()[0])

# %%
# What do losses do to features? Two features, two domains of two classes each, the target shifted and stretched. The
# arrows are where one step would move each galaxy of the target: the negative gradient, scaled alike within a panel.
# Means are nothing to CORAL, which sees covariances alone; the quantiles of each feature do not know the other; MMD
# sees the whole.

generator = torch.Generator().manual_seed(1)
noise = torch.randn(2, 150, 2, generator=generator)
side = torch.arange(150)[:, None] % 2 * torch.tensor([3.0, 1.0])
source = 0.5 * noise[0] + side
target = (0.5 * noise[1] + side) * torch.tensor([0.6, 1.5]) + torch.tensor([1.5, -2.0])

losses = {"quantiles": partial(quantile_distance, n=149), "mmd": mmd, "coral": coral}
figure = Figure(figsize=(12, 4.4), layout="constrained")
axes = figure.subplots(1, 3, sharex=True, sharey=True)
for ax, (name, loss) in zip(axes, losses.items(), strict=True):
    moving = target.clone().requires_grad_()
    (step,) = torch.autograd.grad(loss(source, moving), moving)
    step = -0.7 * step / step.norm(dim=1).mean()
    ax.scatter(*source.T, 10, "tab:blue", alpha=0.6, linewidth=0, label="source")
    ax.scatter(*target.T, 10, "tab:orange", linewidth=0, label="target")
    ax.quiver(*target.T, *step.T, angles="xy", scale_units="xy", scale=1, width=0.003, color="0.3")
    ax.set(title=name, xlabel="first feature", xlim=(-2, 5), ylim=(-5, 3))
axes[0].set_ylabel("second feature")
axes[0].legend(frameon=False, loc="lower left")
