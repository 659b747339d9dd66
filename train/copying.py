"""Batches on the device before a step asks for them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from train.data import Batch


def copied_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield the batches with their tensors on the device. To a GPU each is copied on a stream of its own
    while the step of the one before is computed; on a CPU they are where they should be.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch publishes no types for it
    ahead: Batch | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            # A copy from memory that can be moved by the system would wait for the whole device.
            images, tokens = (part.pin_memory().to(device, non_blocking=True) for part in _tensors(batch))
        if ahead:
            yield ahead
        torch.cuda.current_stream(device).wait_stream(stream)
        for part in (images, tokens):
            part.record_stream(torch.cuda.current_stream(device))
        ahead = replace(batch, images=images, tokens=tokens)
    if ahead:
        yield ahead


def _tensors(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.images, batch.tokens
