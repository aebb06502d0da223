"""The three hooks a plugin may implement, each with an entry-point group of its own.

They are separate so that looking up a survey imports no torch.
"""

from collections.abc import Iterable

import pluggy

from galmerge_da.specs import BackboneSpec, LossSpec, SurveySpec

__all__ = ["GROUPS", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "galmerge_da"

#: Marks a hook that the host specifies; plugins do not need it.
hookspec = pluggy.HookspecMarker(PROJECT)
#: Marks a function of a plugin that implements a hook: put it above as a decorator.
hookimpl = pluggy.HookimplMarker(PROJECT)


class LossHooks:
    """Hooks of the group ``galmerge_da.losses``."""

    @hookspec
    def galmerge_da_losses(self) -> Iterable[LossSpec]:
        """Offer domain-adaptation losses.

        Returns
        -------
        iterable of `~galmerge_da.specs.LossSpec`
        """


class BackboneHooks:
    """Hooks of the group ``galmerge_da.backbones``."""

    @hookspec
    def galmerge_da_backbones(self) -> Iterable[BackboneSpec]:
        """Offer networks that turn images into features.

        Returns
        -------
        iterable of `~galmerge_da.specs.BackboneSpec`
        """


class SurveyHooks:
    """Hooks of the group ``galmerge_da.surveys``."""

    @hookspec
    def galmerge_da_surveys(self) -> Iterable[SurveySpec]:
        """Offer descriptions of surveys.

        Returns
        -------
        iterable of `~galmerge_da.specs.SurveySpec`
        """


#: The kinds of plugins: kind -> (entry-point group, class of hooks, name of the hook, type of spec).
GROUPS = {
    "loss": ("galmerge_da.losses", LossHooks, "galmerge_da_losses", LossSpec),
    "backbone": ("galmerge_da.backbones", BackboneHooks, "galmerge_da_backbones", BackboneSpec),
    "survey": ("galmerge_da.surveys", SurveyHooks, "galmerge_da_surveys", SurveySpec),
}
