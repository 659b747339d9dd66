"""Run inside .venv-peers: what lets torchvision be imported beside a CPU torch."""

import torch


def define_torchvision_ops() -> None:
    """Declare the operators of torchvision's compiled part, to be called before `import torchvision`.

    The torchvision on the package index is compiled for CUDA and its library does not load here; torchvision
    then fails to import only because it describes operators that nobody has declared. Neither is ever called:
    readers and transforms need Pillow alone.
    """
    torch.library.define("torchvision::nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torch.library.define("torchvision::qnms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
