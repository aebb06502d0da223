"""What a classifier looks at, and where its features put two domains."""

import numpy as np
import pytest
import torch
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import sqrtm
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from torch import nn

from galmerge_da.evaluation import domain_gap, embed, gradcam, make_frames, project
from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.flags import Flag
from galmerge_da.inference import MergerClassifier, predict_logits
from galmerge_da.models import Network, build_network
from galmerge_da.preprocessing import PreprocessingRecipe

SIZE = 32


def make_classifier(backbone="deepmerge", seed=0, bands=3, **options):
    torch.manual_seed(seed)
    network = build_network(backbone, in_channels=bands, image_size=SIZE, **options)
    network.entrance.fit(make_images(20, bands, seed=9))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    return MergerClassifier(network, PreprocessingRecipe(tuple("gri")[:bands], size=SIZE, scale="pixels"))


def make_images(n, bands=3, seed=0):
    return np.random.default_rng(seed).normal(1, 1, size=(n, bands, SIZE, SIZE)).astype(np.float32)


def make_table(n=5, bands=3, seed=0):
    return Table({"image": make_images(n, bands, seed)}, meta={"BANDS": ",".join("gri"[:bands])})


LAST_MAPS = {
    "deepmerge": lambda body, x: body.layers[:-1](x),
    "resnet18": lambda body, x: body.blocks(body.stem(x)),
    "resnet-rings": lambda body, x: body.layers(x),
}
AFTER_MAPS = {
    "deepmerge": lambda body, maps: maps.flatten(1),
    "resnet18": lambda body, maps: body.bottleneck(maps.mean((2, 3))),
    "resnet-rings": lambda body, maps: body.pool(maps).flatten(1),
}


def brute_force(classifier, image, index, backbone):
    """The definition, an image, a channel and a gradient at a time, and bilinear interpolation by hand."""
    network = classifier.network
    maps = LAST_MAPS[backbone](network.backbone, network.entrance(torch.from_numpy(image)[None])).detach()
    maps.requires_grad_()
    logit = network.head(AFTER_MAPS[backbone](network.backbone, maps))[0, index]
    (gradient,) = torch.autograd.grad(logit, maps)
    total = sum(float(gradient[0, k].mean()) * maps[0, k].detach().numpy() for k in range(maps.shape[1]))
    total = np.maximum(total, 0)
    side = total.shape[0]
    place = np.clip((np.arange(SIZE) + 0.5) * side / SIZE - 0.5, 0, side - 1)
    rows = np.array([np.interp(place, np.arange(side), column) for column in total.T]).T
    return np.array([np.interp(place, np.arange(side), row) for row in rows])


@pytest.mark.parametrize("backbone", LAST_MAPS)
@pytest.mark.parametrize("entrance", [{}, {"rotation_residual": True}], ids=["bands", "derived"])
def test_gradcam_is_that_of_the_definition(backbone, entrance):
    classifier = make_classifier(backbone, seed=5, entrance=entrance)
    frames = make_frames(classifier, make_table())
    found = []
    for index, name in enumerate(classifier.classes):
        maps = gradcam(classifier, make_table(), class_name=name, batch_size=2, device="cpu")
        assert maps.shape == (5, SIZE, SIZE) and maps.dtype == np.float32
        expected = [brute_force(classifier, image, index, backbone) for image in frames.data]
        assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * np.max(expected))
        found.append(np.max(maps))
    assert max(found) > 0


def test_gradcam_explains_what_is_predicted_unless_a_class_is_named():
    classifier = make_classifier(seed=1)
    frames = make_frames(classifier, make_table(8))
    logits = predict_logits(classifier.network, frames.data, device=torch.device("cpu"))
    with torch.no_grad():  # so that half of them are called mergers
        classifier.network.head[-1].bias[0] += float(np.median(logits[:, 1] - logits[:, 0]))
    predicted = predict_logits(classifier.network, frames.data, device=torch.device("cpu")).argmax(axis=1)
    assert predicted.sum() == 4
    of_class = [gradcam(classifier, frames, class_name=name, device="cpu") for name in classifier.classes]
    expected = np.where(predicted[:, None, None] == 1, of_class[1], of_class[0])
    assert_allclose(gradcam(classifier, frames, device="cpu"), expected, atol=1e-6 * expected.max())


def test_a_class_that_ignores_the_image_has_an_empty_map():
    classifier = make_classifier(seed=1)
    last = classifier.network.head[-1]
    with torch.no_grad():
        last.weight[0] = 0
    assert not gradcam(classifier, make_table(), class_name="nonmerger", device="cpu").any()
    with torch.no_grad():
        last.bias += 5
    before = gradcam(classifier, make_table(), class_name="merger", device="cpu")
    with torch.no_grad():
        last.weight[1] *= 2
    assert_allclose(gradcam(classifier, make_table(), class_name="merger", device="cpu"), 2 * before, rtol=1e-5)


def test_gradcam_leaves_the_network_as_it_was():
    classifier = make_classifier(seed=1)
    network = classifier.network.train().requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert gradcam(classifier, make_table(), class_name="merger", device="cpu").any()
    assert network.training
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_galaxies_that_cannot_be_classified_have_no_map_and_no_features():
    classifier, table = make_classifier(), make_table(6)
    clean = embed(classifier, table, device="cpu")
    table["image"][2] = np.nan
    frames = make_frames(classifier, table)
    assert frames.flags[2] & Flag.NOT_CLASSIFIED
    maps, features = gradcam(classifier, table, device="cpu"), embed(classifier, table, device="cpu")
    others = np.arange(6) != 2
    assert np.isnan(maps[2]).all() and np.isfinite(maps[others]).all()
    assert np.isnan(features[2]).all()
    assert_allclose(features[others], clean[others], rtol=1e-5, atol=1e-6)


def test_features_are_those_of_the_backbone_in_order(monkeypatch):
    monkeypatch.setattr("galmerge_da.evaluation.frames._CHUNK", 4)
    classifier, table = make_classifier("resnet18"), make_table(11)
    features = embed(classifier, table, device="cpu", batch_size=3)
    with torch.no_grad():
        images = torch.from_numpy(make_frames(classifier, table).data)
        expected = torch.cat([classifier.network(image[None])[0] for image in images])
    assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    assert embed(classifier, make_table(0), device="cpu").shape == (0, 256)
    assert gradcam(classifier, make_table(0), device="cpu").shape == (0, SIZE, SIZE)


class _Flat(nn.Module):
    """A backbone without maps."""

    feature_dim = 4

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * SIZE**2, 4)

    def forward(self, images):
        return self.layer(images.flatten(1))


def test_what_gradcam_cannot_do_is_said():
    classifier = make_classifier()
    with pytest.raises(ConfigError, match="no class 'mergr'.*'merger'"):
        gradcam(classifier, make_table(), class_name="mergr")
    with pytest.raises(ConfigError, match="batch_size must be a positive whole number, got 0"):
        gradcam(classifier, make_table(), batch_size=0)
    network = classifier.network
    flat = Network(network.entrance, _Flat(), nn.Linear(4, 2), description=network.describe())
    with pytest.raises(ConfigError, match="needs a backbone with maps"):
        gradcam(MergerClassifier(flat, classifier.preprocessing), make_table(), device="cpu")
    with pytest.raises(InputError, match="band"):
        gradcam(classifier, make_table(bands=2), device="cpu")


def clusters(seed=0, shift=0.0, n=60, d=20):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    return rng.normal(size=(n, d)) + 8 * labels[:, None] + shift, labels


def test_pca_is_that_of_scikit_learn():
    rows, _ = clusters()
    expected = PCA(2).fit_transform(rows)
    assert_allclose(np.abs(project(rows, "pca")), np.abs(expected), atol=1e-8)


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_projections_are_joint_and_keep_clusters_apart(method):
    (first, labels), (second, others) = clusters(0), clusters(1, n=40)
    second[3] = np.nan
    points = project([first, second], method, seed=2)
    assert [each.shape for each in points] == [(60, 2), (40, 2)]
    assert np.isnan(points[1][3]).all() and np.isfinite(points[0]).all()
    assert_array_equal(points[0], project([first, second], method, seed=2)[0])
    both, truth = np.concatenate(points), np.append(labels, others)
    good = np.isfinite(both[:, 0])
    both, truth = both[good], truth[good]
    distance = np.linalg.norm(both[:, None] - both[None], axis=2) + 1e9 * np.eye(len(both))
    assert np.mean(truth[distance.argmin(axis=1)] == truth) > 0.98


@pytest.mark.parametrize("shape", [(4, 1), (5, 3), (8, 60)])
@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_a_few_rows_can_be_projected(method, shape):
    assert np.isfinite(project(np.random.default_rng(0).normal(size=shape), method)).all()


def test_what_cannot_be_projected_is_said():
    with pytest.raises(ConfigError, match="method must be one of"):
        project(np.zeros((9, 3)), "umap")
    with pytest.raises(InputError, match="at least 4 rows of finite features, got 3"):
        project(np.zeros((3, 3)))
    with pytest.raises(InputError, match="with one D"):
        project([np.zeros((9, 3)), np.zeros((9, 4))])


@pytest.mark.parametrize("d", [3, 80])
def test_frechet_is_that_of_scipy(d):
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(50, d)), rng.normal(size=(40, d)) @ rng.normal(size=(d, d)) + 1
    gap = domain_gap(source, target)
    covariances = [np.cov(each, rowvar=False) for each in (source, target)]
    mixed = sqrtm(covariances[0] @ covariances[1] + 1e-12 * np.eye(d)).real
    expected = np.sum((source.mean(0) - target.mean(0)) ** 2) + np.trace(sum(covariances) - 2 * mixed)
    expected /= np.concatenate([source, target]).var(axis=0).sum()
    assert gap["frechet"][0] == pytest.approx(expected, rel=1e-3)
    assert domain_gap(3 * source, 3 * target)["frechet"][0] == pytest.approx(gap["frechet"][0])


def test_the_classifier_of_domains_is_as_good_as_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    source, target = rng.normal(size=(800, 5)), rng.normal(0.6, 1, size=(400, 5))
    gap = domain_gap(source, target)[0]
    model = LogisticRegression(class_weight="balanced")
    domain = np.repeat([0, 1], [800, 400])
    found = cross_val_predict(model, np.concatenate([source, target]), domain, cv=2)
    error = np.mean([np.mean(found[domain == value] != value) for value in (0, 1)])
    assert gap["proxy_a_distance"] == pytest.approx(2 * (1 - 2 * error), abs=0.06)
    assert gap["domain_auc"] == pytest.approx(0.83, abs=0.03)


def test_equal_domains_have_no_gap_and_separate_ones_the_largest():
    none = domain_gap(clusters(0)[0], clusters(1)[0])[0]
    assert abs(none["mmd"]) < 0.03 and abs(none["proxy_a_distance"]) < 0.6 and none["frechet"] < 0.3
    far = domain_gap(clusters(0)[0], clusters(1, shift=50)[0])[0]
    assert far["domain_auc"] == 1 and far["proxy_a_distance"] == 2 and far["mmd"] > 0.5 and far["frechet"] > 3
    alike = domain_gap(np.ones((6, 3)), np.ones((6, 3)))[0]
    assert [alike[name] for name in ("mmd", "proxy_a_distance", "frechet")] == pytest.approx([0, 0, 0], abs=1e-6)


def test_classes_that_changed_places_show_only_by_class():
    (source, labels), (target, others) = clusters(0), clusters(1)
    gap = domain_gap(source, target, (labels, 1 - others))
    assert list(gap["class"]) == ["all", "0", "1"]
    assert list(gap["n_source"]) == [60, 30, 30]
    assert gap["mmd"][0] < 0.03 < 0.5 < min(gap["mmd"][1:])


def test_gaps_leave_out_what_is_not_finite_and_refuse_what_does_not_fit():
    source, target = clusters(0)[0], clusters(1)[0]
    broken = np.vstack([target, np.full((1, 20), np.nan)])
    assert domain_gap(source, broken)["frechet"][0] == domain_gap(source, target)["frechet"][0]
    assert np.isnan(domain_gap(source, target[:1])["mmd"][0])
    with pytest.raises(InputError, match="of shapes"):
        domain_gap(source, target[:, :3])
    with pytest.raises(InputError, match="one per row"):
        domain_gap(source, target, (np.zeros(3), np.zeros(60)))
