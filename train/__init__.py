"""Learning: CLIP models trained and evaluated on datasets written by `pipeline`. The only place that
imports torch.
"""
