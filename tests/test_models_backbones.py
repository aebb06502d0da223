"""What holds for every built-in backbone, at any size and with any number of channels."""

import pytest
import torch
from torch.nn import functional

from galmerge_da.exceptions import ConfigError
from galmerge_da.models import build_network
from galmerge_da.models.deepmerge import DeepMerge
from galmerge_da.models.resnet import ResNet18, ResNet18Config
from galmerge_da.models.rings import RingPool
from galmerge_da.options import describe_options, make_config
from galmerge_da.plugins import get_backbone, list_plugins

NAMES = [record.spec.name for record in list_plugins("backbone") if record.distribution == "galmerge_da"]


def make(name, channels, size, **options):
    """A backbone with weights that depend on nothing else."""
    torch.manual_seed(0)
    spec = get_backbone(name)
    return spec.factory(make_config(spec.config_class, options, name), channels, size)


def images(n, channels, size):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, channels, size, size, generator=generator)


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def settled(name, channels, size, **options):
    """In evaluation mode, in float64, with running statistics off 0 and 1."""
    body = make(name, channels, size, **options).double()
    with torch.no_grad():
        for _ in range(3):
            body(images(8, channels, size).double() * 1.5 + 0.3)
    return body.eval()


def test_there_are_three():
    assert NAMES == ["deepmerge", "resnet-rings", "resnet18"]
    for name in NAMES:
        spec = get_backbone(name)
        assert spec.reference and spec.summary
        assert all(each["doc"] for each in describe_options(spec.config_class))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size, channels", [(8, 2), (16, 1), (17, 3), (28, 1), (37, 5), (64, 4), (75, 3), (128, 2)])
def test_features_have_the_promised_shape(name, size, channels):
    body = make(name, channels, size)
    features = body(images(2, channels, size))
    assert features.shape == (2, body.feature_dim)
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [16, 33, 90])
def test_the_gradient_reaches_every_parameter(name, size):
    net = build_network(name, in_channels=2, image_size=size, n_classes=3)
    functional.cross_entropy(net(images(6, 2, size))[1], torch.arange(6) % 3).backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [28, 75])
def test_a_galaxy_is_judged_by_itself_in_evaluation(name, size):
    body = settled(name, 3, size)
    batch = images(5, 3, size).double()
    with torch.no_grad():
        together = body(batch)
        apart = torch.cat([body(image[None]) for image in batch])
        reversed_ = body(batch.flip(0)).flip(0)
    torch.testing.assert_close(together, apart)
    torch.testing.assert_close(together, reversed_)
    assert together.std(0).mean() > 0


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_agrees_with_double(name):
    body = settled(name, 3, 50)
    batch = images(4, 3, 50)
    expected = body(batch.double())
    scale = expected.abs().max()
    torch.testing.assert_close(body.float()(batch).double() / scale, expected / scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_is_all_there_is(name):
    """Also where the network was built without memory, on the meta device."""
    body = settled(name, 2, 41)
    state = body.state_dict()
    batch = images(2, 2, 41).double()
    other = make(name, 2, 41).double()
    other.load_state_dict(state)
    with torch.device("meta"):
        bare = make(name, 2, 41)
    assert all(tensor.is_meta for tensor in bare.state_dict().values())
    assert bare.feature_dim == body.feature_dim
    bare.load_state_dict(state, assign=True)
    for copy in (other, bare):
        assert torch.equal(copy.eval()(batch), body(batch))


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_of_torch_decides_the_weights(name):
    first, second = make(name, 2, 20).state_dict(), make(name, 2, 20).state_dict()
    torch.manual_seed(1)
    other = get_backbone(name).factory(make_config(get_backbone(name).config_class, None, name), 2, 20).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_a_size_that_is_too_small_is_named(name):
    with pytest.raises(ConfigError, match=f"{name} needs images of at least 8 pixels a side, got 7"):
        make(name, 3, 7)


@pytest.mark.parametrize(
    "size, side", [(8, 1), (15, 1), (16, 2), (74, 9), (75, 9), (79, 9), (80, 9), (100, 9), (161, 9)]
)
def test_deepmerge_averages_only_maps_beyond_the_published_side(size, side):
    body = DeepMerge(1, size)
    assert body.feature_dim == 32 * side**2
    maps = body.layers[:12](images(2, 1, size))
    assert maps.shape[-1] == size // 8
    expected = functional.adaptive_avg_pool2d(maps, side).flatten(1)
    torch.testing.assert_close(body.layers[12:](maps), expected)
    assert n_parameters(body) == n_parameters(DeepMerge(1, 75))


def test_deepmerge_keeps_the_names_of_its_weights():
    assert set(DeepMerge(3, 75).state_dict()) == set(DeepMerge(3, 128).state_dict())


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_resnet18_has_the_published_size(channels):
    """11,689,512 weights in the paper's network of 1,000 classes, of which 513,000 classify."""
    body = ResNet18(ResNet18Config(stem="imagenet"), channels, 224)
    bottleneck = 512 * 256 + 256
    assert n_parameters(body.bottleneck) == bottleneck
    assert n_parameters(body) - bottleneck == 11_689_512 - 513_000 + (channels - 3) * 64 * 49
    assert 11_689_512 - 513_000 == 11_176_512
    assert body.feature_dim == 256


@pytest.mark.parametrize("stem, size, side", [("auto", 47, 6), ("auto", 48, 2), ("imagenet", 32, 1), ("small", 64, 8)])
def test_the_stem_of_resnet18_follows_the_size(stem, size, side):
    body = ResNet18(ResNet18Config(stem=stem, bottleneck=10), 2, size)
    assert body.blocks(body.stem(images(2, 2, size))).shape == (2, 512, side, side)
    assert body(images(2, 2, size)).shape == (2, 10) and body.feature_dim == 10


def test_resnet18_computes_what_the_paper_says():
    """The first block of the second stage, which changes the shape, written out."""
    body = settled("resnet18", 1, 32)
    block = body.blocks[2]
    maps = images(2, 64, 16).double()

    def normalised(x, layer):
        x = (x - layer.running_mean[:, None, None]) / (layer.running_var[:, None, None] + 1e-5).sqrt()
        return x * layer.weight[:, None, None] + layer.bias[:, None, None]

    first, norm, _, second, norm_2 = block.body
    x = normalised(functional.conv2d(maps, first.weight, stride=2, padding=1), norm).clamp_min(0)
    x = normalised(functional.conv2d(x, second.weight, padding=1), norm_2)
    shortcut = normalised(torch.einsum("oi,nihw->nohw", block.shortcut[0].weight[..., 0, 0], maps[..., ::2, ::2]),
                          block.shortcut[1])  # fmt: skip
    torch.testing.assert_close(block(maps), (x + shortcut).clamp_min(0))


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7, 10, 16])
@pytest.mark.parametrize("rings", [1, 2, 4, 32])
def test_rings_are_means_by_distance_from_the_middle(side, rings):
    """By a loop over pixels."""
    pool = RingPool(side, rings)
    n = pool.n_rings
    assert n == min(rings, (side + 1) // 2)
    maps = images(2, 3, side)
    sums, weights = torch.zeros(2, 3, n), torch.zeros(n)
    for i in range(side):
        for j in range(side):
            radius = ((i - (side - 1) / 2) ** 2 + (j - (side - 1) / 2) ** 2) ** 0.5
            where = min(radius / (side / 2) * (n - 1), n - 1)
            inner = int(where)
            for ring, weight in ((inner, 1 - where + inner), (inner + 1, where - inner)):
                if weight:
                    sums[..., ring] += weight * maps[..., i, j]
                    weights[ring] += weight
    assert weights.min() > 0.1, "an empty ring"
    torch.testing.assert_close(pool(maps), sums / weights, rtol=1e-4, atol=1e-5)
    for turned in (maps.flip(3), maps.rot90(1, (2, 3)), maps.mT):
        torch.testing.assert_close(pool(turned), pool(maps))


def test_one_ring_is_the_whole_map():
    maps = images(2, 3, 9)
    torch.testing.assert_close(RingPool(9, 1)(maps)[..., 0], maps.mean((2, 3)))


@pytest.mark.parametrize(
    "size, side, rings", [(8, 1, 1), (16, 2, 1), (28, 4, 2), (48, 6, 3), (75, 10, 4), (128, 16, 4)]
)
def test_small_maps_have_fewer_rings(size, side, rings):
    body = make("resnet-rings", 2, size)
    assert body.layers(images(2, 2, size)).shape[2:] == (side, side)
    assert body.feature_dim == 64 * rings


def test_the_options_of_resnet_rings_do_what_they_say():
    small = make("resnet-rings", 2, 64, width=4, n_features=10, rings=3)
    assert small.feature_dim == 30
    assert n_parameters(make("resnet-rings", 2, 64, width=4, depth=2)) > 1.5 * n_parameters(small)
    dropped = make("resnet-rings", 2, 64, dropout=0.5)
    batch = images(8, 2, 64)
    assert 0.4 < (dropped(batch) == 0).float().mean() < 0.6
    assert torch.equal(dropped.eval()(batch), dropped(batch))


def test_resnet_rings_has_the_documented_size():
    """Of docs/backbones.rst: three bands and the rotation residual at 75 x 75."""
    net = build_network("resnet-rings", in_channels=3, image_size=75, entrance={"rotation_residual": True})
    assert (n_parameters(net), net.feature_dim) == (312_418, 256)


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("resnet18", {"stem": "tiny"}, "stem must be 'auto' or 'imagenet' or 'small', got 'tiny'"),
        ("resnet18", {"bottleneck": 0}, "bottleneck must be a whole number of at least 1"),
        ("resnet18", {"width": 3}, "'resnet18' has no option 'width'"),
        ("resnet-rings", {"rings": 1.5}, "rings must be a whole number of at least 1"),
        ("resnet-rings", {"width": 0}, "width must be a whole number of at least 1"),
        ("resnet-rings", {"dropout": 1.0}, "dropout must be a number of at least 0 and below 1, got 1.0"),
    ],
)
def test_a_wrong_option_is_named(name, options, words):
    with pytest.raises(ConfigError, match=words):
        build_network(name, options, in_channels=3, image_size=32)
