"""`check_backbone_plugin` makes a network as the host would, for several kinds of image, and looks for trouble."""

import dataclasses
import json
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from galmerge_da.exceptions import PluginError
from galmerge_da.options import make_config
from galmerge_da.plugins import BackboneSpec
from galmerge_da.testing._run import agree, check_options, run_checks

__all__ = ["check_backbone_plugin"]

_CHANNELS = (1, 3, 5)
_N_ROWS = 6


def check_backbone_plugin(
    spec: BackboneSpec, options: Mapping[str, object] | None = None, *, sizes: Iterable[int] = (28, 50)
) -> None:
    """Check that a backbone plugin keeps its contract.

    It is made for images of 1, 3 and 5 channels and of each size:

    - ``config``: a senseless value for any option is refused, and the config
      comes through JSON, which is how a model file keeps it;
    - ``shapes``: ``(N, C, H, W)`` becomes ``(N, feature_dim)``, finite, and the
      images stay as they are; one image will do in evaluation mode;
    - ``head``: if it has ``make_head(n_classes)``, that gives ``(N, n_classes)``;
    - ``gradients``: finite ones reach every parameter and the images;
    - ``determinism``: the same seed gives the same weights, and in evaluation
      mode the same images the same features;
    - ``rows``: in evaluation mode an image's features do not depend on the
      other images of the batch;
    - ``state``: ``state_dict`` holds all that makes the features.

    Parameters
    ----------
    spec : `~galmerge_da.plugins.BackboneSpec`
    options : mapping, optional
        Options to check it with.
    sizes : iterable of int, optional
        Sides of the images in pixels.

    Raises
    ------
    PluginError
        At the first check that fails, which the message names.
    """
    if not isinstance(spec, BackboneSpec):
        raise PluginError(f"check_backbone_plugin needs a BackboneSpec, got {spec!r}")
    with torch.random.fork_rng(devices=[]):
        for size in sizes:
            for n_channels in _CHANNELS:
                case = _Case(spec, dict(options or {}), n_channels, size)
                run_checks(case, _CHECKS, f"backbone {spec.name!r}", f" with {n_channels} x {size} x {size} images")


class _Case:
    """One backbone for one kind of image."""

    def __init__(self, spec, options, n_channels, size):
        self.spec, self.options, self.n_channels, self.size = spec, options, n_channels, size

    @property
    def config(self):
        return make_config(self.spec.config_class, self.options, f"backbone {self.spec.name!r}")

    def make(self, seed=1):
        """The network with fresh weights, in training mode."""
        torch.manual_seed(seed)
        network = self.spec.factory(self.config, self.n_channels, self.size)
        if not isinstance(network, nn.Module):
            raise PluginError(f"its factory must give a torch module, got {network!r}")
        return network.train()

    def used(self, seed=1):
        """A network that has seen a batch in training mode, so that running means have moved; in evaluation mode."""
        network = self.make(seed)
        with torch.no_grad():
            network(self.images())
        return network.eval()

    def images(self):
        """A batch of images, no two alike."""
        generator = torch.Generator().manual_seed(3)
        return torch.randn(_N_ROWS, self.n_channels, self.size, self.size, generator=generator)


def _check_config(case):
    problem = check_options(case.spec.config_class, case.options)
    if problem:
        return problem
    again = make_config(case.spec.config_class, json.loads(json.dumps(dataclasses.asdict(case.config))), "it")
    return None if again == case.config else f"its config {case.config} comes back from JSON as {again}"


def _check_shapes(case):
    network = case.make()
    dim = getattr(network, "feature_dim", None)
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
        return f"feature_dim must be a whole number of at least 1, got {dim!r}"
    images = case.images()
    before = images.clone()
    for mode, given in ((True, images), (False, images), (False, images[:1])):
        features = network.train(mode)(given)
        if not isinstance(features, torch.Tensor) or features.shape != (len(given), dim):
            got = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
            return f"it must give features of shape {(len(given), dim)}, got {got}"
        if not torch.isfinite(features).all():
            return "its features are not finite"
    return None if torch.equal(images, before) else "it changes its images in place"


def _check_head(case):
    network = case.make()
    if not hasattr(network, "make_head"):
        return None
    features = network(case.images())
    for n_classes in (2, 3):
        shape = tuple(network.make_head(n_classes)(features).shape)
        if shape != (_N_ROWS, n_classes):
            return f"make_head({n_classes}) must give logits of shape {(_N_ROWS, n_classes)}, got {shape}"
    return None


def _check_gradients(case):
    network, images = case.make(), case.images().requires_grad_()
    features = network(images)
    if not features.requires_grad:
        return "its features have no gradient"
    (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum().backward()
    gradients = {name: each.grad for name, each in network.named_parameters() if each.requires_grad}
    gradients["the images"] = images.grad
    unreached = [name for name, gradient in gradients.items() if gradient is None]
    if unreached:
        return f"no gradient reaches {', '.join(unreached)}"
    wrong = [name for name, gradient in gradients.items() if not torch.isfinite(gradient).all()]
    return f"the gradient is not finite for {', '.join(wrong)}" if wrong else None


@torch.no_grad()
def _check_determinism(case):
    images = case.images()
    network = case.used()
    if not torch.equal(network(images), network(images)):
        return "in evaluation mode the same images give two sets of features"
    if not torch.equal(network(images), case.used()(images)):
        return "the same seed gives two networks; draw weights from torch's global generator"
    return None


@torch.no_grad()
def _check_rows(case):
    images, network = case.images(), case.used()
    together = network(images)
    alone = torch.cat([network(image[None]) for image in images])
    return None if agree(together, alone) else "in evaluation mode an image's features depend on the rest of the batch"


@torch.no_grad()
def _check_state(case):
    images, network, restored = case.images(), case.used(), case.make(seed=9)
    restored.load_state_dict(network.state_dict())
    if not torch.equal(network(images), restored.eval()(images)):
        return "a network restored from its state_dict gives other features; keep state in Parameters and buffers"
    return None


_CHECKS = {
    "config": _check_config,
    "shapes": _check_shapes,
    "head": _check_head,
    "gradients": _check_gradients,
    "determinism": _check_determinism,
    "rows": _check_rows,
    "state": _check_state,
}
