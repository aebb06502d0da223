"""How much memory and how many operations the losses need."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from galmerge_da.adaptation.functional import coral, fisher, mmd


class Operations(TorchDispatchMode):
    """How many there were, and the elements of the largest tensor that one of them gave."""

    def __init__(self):
        super().__init__()
        self.n, self.largest = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.n += 1
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor):
                self.largest = max(self.largest, each.numel())
        return result


def operations(function, n, d):
    """Those of a loss of n + n rows of d features, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(n, d, generator=generator).requires_grad_() for _ in range(2))
    with Operations() as seen:
        function(source, target).backward()
    assert torch.isfinite(source.grad).all()
    return seen


LOSSES = {
    **{
        f"mmd, {variant}": lambda s, t, v=variant: mmd(s, t, variant=v)
        for variant in ("unbiased", "biased", "published")
    },
    "coral": coral,
    "fisher": lambda s, t: fisher(s, torch.arange(len(s)) % 2),
    "fisher, centres": lambda s, t: fisher(s, torch.arange(len(s)) % 2, torch.eye(2, s.shape[1])),
}


@pytest.mark.parametrize("n, d", [(128, 2592), (128, 256), (64, 64), (32, 2)])
@pytest.mark.parametrize("name", ["mmd, unbiased", "mmd, biased", "mmd, published", "coral"])
def test_no_tensor_is_larger_than_the_rows_or_their_gram_matrix(name, n, d):
    assert operations(LOSSES[name], n, d).largest <= max((2 * n) ** 2, 2 * n * d)


def test_the_largest_tensor_is_seen():
    def by_differences(source, target):
        return (source[:, :, None] - target.T[None]).square().sum()

    assert operations(by_differences, 16, 40).largest == 16 * 40 * 16


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_loops_over_galaxies(name):
    few, many = operations(LOSSES[name], 8, 200), operations(LOSSES[name], 64, 200)
    assert few.n == many.n
