"""Drawings by a trained CLIP: strokes, how they look, and the ascent towards a prompt."""
