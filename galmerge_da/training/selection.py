"""Which epoch is kept: from a history of scores, and online, with few weights in memory.

No label of the target is used here, and none can be asked for.
"""

import warnings
from typing import Any

import numpy as np
from astropy.table import Table

from galmerge_da.exceptions import ConfigError, GalmergeWarning, InputError
from galmerge_da.options import suggest

__all__ = [
    "SELECTORS",
    "WATCHED",
    "EpochKeeper",
    "choose_epoch",
    "select_epoch",
    "selector_scores",
    "warn_if_collapsed",
]

#: Selectors that look at the target, and so need one; the first four at its predictions only.
WATCHED = ("entropy", "infomax", "snd", "bnm", "class_ami", "dev", "domain_classifier")
SELECTORS = ("source_validation", "last", *WATCHED)
#: A target of which one class takes more than this is called collapsed.
COLLAPSED = 0.995
#: How far below the best accuracy on the source an epoch may be.
GATE = 0.05
#: Epochs whose weights are kept because they may yet be selected.
_N_KEPT = 4


def select_epoch(
    history: Table | list[dict[str, Any]], selector: str = "source_validation", *, gate: float = GATE
) -> int:
    """Choose an epoch, as `galmerge_da.train` does with the whole history before it.

    ``"source_validation"`` takes the least cross-entropy on the validation
    split of the source, and ``"last"`` the last epoch, whatever the target
    does. The others look at the target, and choose the largest score among
    *eligible* epochs: those whose accuracy on the validation split of the
    source is no more than ``gate`` below the best of all epochs, and which do
    not put more than 99.5 % of the target into one class. Of equal scores the
    one with the best accuracy is taken, then the earliest. If no epoch is eligible, ``"source_validation"`` decides.

    Parameters
    ----------
    history : `~astropy.table.Table` or list of dict
        As in `~galmerge_da.TrainingResult`, with a column ``select_<selector>``.
    selector : str, optional
        ``"source_validation"``, ``"last"``, ``"entropy"``, ``"infomax"``, ``"snd"``,
        ``"bnm"``, ``"class_ami"``, ``"dev"`` or ``"domain_classifier"``.
    gate : float, optional
        The accuracy that a better score may cost.

    Returns
    -------
    int
        Number of the epoch, as in the column ``epoch``.

    Raises
    ------
    ConfigError
        If there is no such selector.
    InputError
        If the history is empty or lacks a column.

    Warns
    -----
    GalmergeWarning
        If no epoch is eligible, or the target has collapsed in the one that is chosen.
    """
    epoch, eligible = choose_epoch(history, selector, gate=gate)
    warn_if_collapsed(history, epoch, selector, eligible, stacklevel=3)
    return epoch


def choose_epoch(history, selector, *, gate=GATE, among=None):
    """`select_epoch` that does not warn.

    Parameters
    ----------
    history, selector, gate
        As for `select_epoch`.
    among : iterable of int, optional
        The only epochs that may be chosen.

    Returns
    -------
    epoch : int
    eligible : bool
        False if no epoch was eligible, and the source decided.
    """
    epochs = _column(history, "epoch")
    possible = np.ones(len(epochs), bool) if among is None else np.isin(epochs, list(among))
    allowed = possible & _eligible(history, selector, gate)
    eligible = bool(np.any(allowed))
    if not eligible:
        selector, allowed = "source_validation", possible
    rows = np.flatnonzero(allowed)
    best = np.lexsort([epochs[rows], -_accuracy(history, selector)[rows], -selector_scores(history, selector)[rows]])[0]
    return int(epochs[rows[best]]), eligible


def selector_scores(history, selector):
    """Score of every epoch, larger is better.

    Parameters
    ----------
    history : `~astropy.table.Table` or list of dict
    selector : str

    Returns
    -------
    `~numpy.ndarray` of float64, shape (E,)
        NaN where there is none. For ``"last"`` the number of the epoch.

    Raises
    ------
    ConfigError
        If there is no such selector.
    InputError
        If the history is empty or lacks a column.
    """
    if selector not in SELECTORS:
        raise ConfigError(f"no selector {selector!r}{suggest(selector, SELECTORS)}")
    if selector == "last":
        return _column(history, "epoch")
    if selector == "source_validation":
        return -_column(history, "validation_cross_entropy")
    return _column(history, f"select_{selector}")


def warn_if_collapsed(history, epoch, selector, eligible, *, adapted=True, threshold=COLLAPSED, stacklevel=2):
    """The alarm of `select_epoch`.

    Parameters
    ----------
    history : `~astropy.table.Table` or list of dict
    epoch : int
        The one that was chosen.
    selector : str
        By this.
    eligible : bool
        Whether any epoch was eligible.
    adapted : bool, optional
        Whether there was any adaptation that could have done it.
    threshold : float, optional
    stacklevel : int, optional
        As for `warnings.warn`.

    Warns
    -----
    GalmergeWarning
        If no epoch was eligible, or in this one the target has collapsed.
    """
    if not eligible:
        warnings.warn(
            f"{selector} could choose no epoch: wherever the source is well classified the target has collapsed into "
            "one class, or there is no score; the source's validation split chose instead",
            GalmergeWarning,
            stacklevel=stacklevel,
        )
    if not _has(history, "target_largest_class"):
        return
    (share,) = _column(history, "target_largest_class")[_column(history, "epoch") == epoch]
    if share > threshold:
        warnings.warn(
            f"the classifier puts {share:.1%} of the target into one class"
            + (": adaptation may have collapsed" if adapted else ", without any adaptation"),
            GalmergeWarning,
            stacklevel=stacklevel,
        )


class EpochKeeper:
    """Weights of the epochs that may yet be selected.

    The best accuracy on the source only rises, so that an epoch chosen today
    may lose its eligibility tomorrow. Of two epochs, one with neither the
    larger score nor the larger accuracy is never needed again. What remains has
    ever larger scores at ever smaller accuracies; all of it is kept, so the
    choice is that of `select_epoch`, unless there are more than four, of which
    the one whose score is least above the next is given up. The epoch with
    the best source validation is kept as well, for when none is eligible.

    Parameters
    ----------
    selector : str

    Attributes
    ----------
    epoch : int
        The best so far, 0 before the first.
    eligible : bool
        Whether any was eligible.
    changed : int
        When ``epoch`` last became another.
    weights : dict of int to dict
        Epoch -> tensors on the CPU, by name.
    """

    def __init__(self, selector):
        self.selector, self.epoch, self.eligible, self.changed, self.weights = selector, 0, True, 0, {}

    def update(self, history, network):
        """Look at the last epoch of the history, which the network has just finished.

        Parameters
        ----------
        history : list of dict
        network : `~torch.nn.Module`
        """
        now = history[-1]["epoch"]
        wanted = self._candidates(history, [*self.weights, now])
        self.weights = {epoch: tensors for epoch, tensors in self.weights.items() if epoch in wanted}
        if now in wanted:
            self.weights[now] = {
                name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()
            }
        epoch, self.eligible = choose_epoch(history, self.selector, among=self.weights)
        if epoch != self.epoch:
            self.epoch, self.changed = epoch, now

    def state(self):
        """What `restore` takes, of tensors and plain values."""
        names = ("epoch", "eligible", "changed", "weights")
        return {name: getattr(self, name) for name in names}

    def restore(self, state):
        """Go back to what `state` gave."""
        for name, value in state.items():
            setattr(self, name, value)

    def _candidates(self, history, among):
        epochs, allowed = _column(history, "epoch"), _eligible(history, self.selector, GATE)
        scores = selector_scores(history, self.selector)
        front = []
        for row in np.lexsort([epochs, -scores, -_accuracy(history, self.selector)]):
            if allowed[row] and epochs[row] in among and (not front or scores[row] > scores[front[-1]]):
                front.append(row)
        while len(front) > _N_KEPT:
            gains = np.diff(scores[front])
            del front[1 + np.argmin(gains[:-1])]
        wanted = {int(epochs[row]) for row in front}
        if self.selector in WATCHED:
            wanted.add(choose_epoch(history, "source_validation", among=among)[0])
        return wanted


def _eligible(history, selector, gate):
    allowed = np.isfinite(selector_scores(history, selector))
    if selector in WATCHED:
        accuracy = _accuracy(history, selector)
        allowed &= accuracy >= accuracy.max() - gate - 1e-9
        allowed &= ~(_column(history, "target_largest_class") > COLLAPSED)
    return allowed


def _accuracy(history, selector):
    """What breaks ties, and guards: nothing for a selector that does not look at the target."""
    return _column(history, "validation_accuracy") if selector in WATCHED else np.zeros(len(history))


def _has(history, name):
    return name in (history[0] if isinstance(history, list) else history.colnames)


def _column(history, name):
    if not len(history):
        raise InputError("the history has no epoch")
    if not _has(history, name):
        raise InputError(f"the history has no column {name!r}; a selector must be watched while training")
    return np.array([row[name] for row in history], dtype=float)
