# SPDX-License-Identifier: MIT
"""Makes the files beside it: checkpoints as torch.save and safetensors write them.

    python3 make.py        with torch 2.x and safetensors

tests/unit/test_weights.c knows the values: base is 6 x 7, element (i, j) = i + j / 8 - 2, so
that all of them are exact in bfloat16.  No test needs Python; this is here for the record.
"""
import collections
import os

import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
base = torch.tensor([[i + j / 8 - 2 for j in range(7)] for i in range(6)])

tensors = collections.OrderedDict(
    base=base,
    turned=base.t(),                 # the same storage, read across
    window=base[1:3, 2:5],           # a part of it
    tail=base.view(-1)[3:],          # at an offset
    double=base.double()[::2],       # every second row
    half=base.half(),
    bf16=base.bfloat16(),
    parameter=torch.nn.Parameter(base[0].clone()),
    scalar=torch.tensor(1.5),
    empty=torch.zeros(0, 3),
    permuted=torch.arange(24.0).view(2, 3, 4).permute(2, 0, 1),
    flag=torch.tensor([True]),
    ids=torch.arange(3),
)
tensors._metadata = {"": {"version": 1}}  # as state_dict() has it

torch.save(tensors, os.path.join(here, "zip.bin"))
torch.save(tensors, os.path.join(here, "legacy.bin"), _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 2), os.path.join(here, "module.bin"))
save_file({"b.weight": base, "a": base[0].clone(), "b": torch.tensor(1.5),
           "empty": torch.zeros(0, 3)},
          os.path.join(here, "plain.safetensors"), metadata={"format": "pt"})
