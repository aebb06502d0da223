"""A loss, a backbone and a survey as plugins of galmerge_da.

Each has a module and an entry point of its own, so that looking up the survey
imports no torch.
"""
