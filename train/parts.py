"""The state of a model that is sharded over processes, in parts: each process has its own rows, and the first
has all that is not sharded besides. Nested dicts of tensors, numbers and text.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

State = dict[str, Any]


def own_part(state: State, is_first: bool) -> State:
    """Return what one process has to write of a state, on the CPU and in tensors of its own."""
    part: State = {}
    for name, value in state.items():
        if isinstance(value, dict):
            part[name] = own_part(value, is_first)
        elif isinstance(value, DTensor):
            # FSDP2 cuts all that it shards by rows, one piece after the other in the order of ranks.
            assert value.placements == (Shard(0),), (name, value.placements)
            part[name] = value.to_local().detach().to("cpu", copy=True)
        elif is_first:
            part[name] = value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value
    return part


def joined(parts: list[State]) -> State:
    """Return the whole state from the parts of all processes, in the order of ranks. The parts are used up:
    of each tensor they let go of their rows as soon as it is whole.

    >>> joined([{"step": 1, "rows": torch.tensor([1, 2])}, {"rows": torch.tensor([3])}])
    {'step': 1, 'rows': tensor([1, 2, 3])}
    """
    first, *others = parts
    for name, value in first.items():
        if isinstance(value, dict):
            first[name] = joined([value, *(other.get(name, {}) for other in others)])
        elif others and name in others[0]:
            first[name] = torch.cat([value, *(other.pop(name) for other in others)])
    return first
