"""What each process does in `test_training_parallel`; started by torchrun, it prints one line of JSON."""

import json
import os
import sys
import warnings

import torch
from torch import nn

from galmerge_da.adaptation import DomainBatch, LossContext, StepContext, build_losses
from galmerge_da.models import network as networks
from galmerge_da.options import NoOptions
from galmerge_da.plugins import BackboneSpec
from galmerge_da.training import parallel, recipe, train

N, DIM, CLASSES = 64, 40, 3


class Pooled(nn.Module):
    """A backbone without batch normalisation, which would see each process's rows only."""

    feature_dim = 12

    def __init__(self, config, in_channels, image_size):
        super().__init__()
        self.layer = nn.Linear(in_channels * 16, self.feature_dim)

    def forward(self, images):
        return torch.tanh(self.layer(nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)))


def on_given_features(processes, adapt):
    """Values of the losses and gradients of what makes the features, and of what the losses learn."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(2, 2 * N, 10, generator=generator)
    inputs[1] += 0.5
    labels = torch.randint(CLASSES, (2 * N,), generator=generator)
    network = nn.Linear(10, DIM + CLASSES)
    with torch.no_grad():
        network.weight.copy_(torch.randn(network.weight.shape, generator=generator))
        network.bias.zero_()
    losses = build_losses(adapt, LossContext(DIM, CLASSES, torch.Generator().manual_seed(2))).train()
    wrapped = processes.wrap(network)
    rows = processes.part(torch.arange(2 * N))
    outputs = wrapped(torch.cat([inputs[0][rows], inputs[1][rows]]))
    batches = [
        DomainBatch(each[:, :DIM], each[:, DIM:], torch.zeros(len(rows), 1, 1, 1), rows, own)
        for each, own in zip(outputs.split(len(rows)), (labels[rows], None), strict=True)
    ]
    everywhere = tuple(map(processes.gather_batch, batches))
    step = StepContext(0.5, 0, torch.Generator().manual_seed(3), None)
    terms = losses(*batches, step, everywhere=everywhere, share=processes.size * len(rows) / (2 * N))
    sum(terms.values()).backward()
    gradients = [parameter.grad for parameter in losses.parameters() if parameter.grad is not None]
    processes.average(gradients)
    values = torch.stack([term.detach() for term in terms.values()])
    processes.average([values])
    return [values, network.weight.grad, *gradients]


def trained(source, target):
    """Weights after training with losses of every kind."""
    recipe = {
        "preprocessing": {"size": 24},
        "training": {
            "epochs": 3, "batch_size": 30, "learning_rate": 0.01, "weighting": "learned",
            "augmentation": {"dihedral": False}, "watch": "all", "trace": True,
        },
    }  # fmt: skip
    adapt = {"mmd": 1.0, "dann": {"dropout": 0.0, "hidden": 16}, "fisher": 0.1, "entropy": 0.1}
    result = train(source, target, adapt=adapt, backbone="pooled", recipe=recipe, device="cpu")
    return list(result.classifier.network.state_dict().values()), result


def apart(first, second):
    """The largest difference, relative to the size of each tensor."""
    return max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in zip(first, second, strict=True))


def main():
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    source, target, *adapt = sys.argv[1:]
    alone = parallel.Processes(torch.device("cpu"))
    differences = {}
    with parallel.join_processes("cpu") as processes:
        for name in adapt:
            request = {name: {"dropout": 0.0} if name in ("dann", "cdan") else 1.0}
            differences[name] = apart(on_given_features(processes, request), on_given_features(alone, request))
    for module in (networks, recipe):
        module.get_backbone = lambda name: BackboneSpec("pooled", Pooled, NoOptions)
    together, result = trained(source, target)
    processes = result.classifier.provenance["processes"]
    ports = {key: os.environ.pop(key) for key in ("WORLD_SIZE", "RANK")}
    differences["training"] = apart(together, trained(source, target)[0])
    if ports["RANK"] == "0":
        print(json.dumps({"processes": processes, "differences": differences}))


if __name__ == "__main__":
    main()
