"""Where tests run: on the CPU, and on a GPU where there is one."""

from typing import Any

import pytest
import torch

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")),
]


class Elsewhere(torch.Tensor):
    """A tensor that NumPy cannot read before ``.cpu()``, as one on a GPU: what is computed from it is of its kind."""

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it first.")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def cpu(self) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)
