"""The contract testers for plugins: each runs one as the host would and names the first promise that it breaks."""

from galmerge_da.testing.backbones import check_backbone_plugin
from galmerge_da.testing.losses import check_loss_plugin
from galmerge_da.testing.surveys import check_survey_plugin

__all__ = ["check_backbone_plugin", "check_loss_plugin", "check_survey_plugin"]
