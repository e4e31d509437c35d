"""Load functions of tiny networks, each with one fault that a check must find; torch is imported inside."""

from __future__ import annotations

import functools


def _conv():
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return torch.nn.Conv2d(3, 8, kernel_size=4, stride=4)


@functools.cache
def _module_class():
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self, change):
            super().__init__()
            self.conv, self.change = _conv(), change

        def forward(self, images):
            return self.change(self.conv(images), images)

    return Wrapped


def sound():
    return _conv()


def drops_out():
    import torch

    return _module_class()(lambda features, _: torch.nn.functional.dropout(features, training=True))


def mixes_the_batch():
    return _module_class()(lambda features, _: features - features.mean(0, keepdim=True))


def knows_its_place():
    import torch

    return _module_class()(lambda features, _: features + torch.arange(len(features)).view(-1, 1, 1, 1))


def other_each_time():
    import torch

    return torch.nn.Conv2d(3, 8, kernel_size=4, stride=4)


def stain_of_white():
    """NaN where an image has no spread, as stain normalisation has on background."""

    def by_its_spread(features, images):
        spread = images.std(dim=(1, 2, 3), keepdim=True)
        return features * (spread / spread)

    return _module_class()(by_its_spread)


def looks_away():
    import torch

    return _module_class()(lambda features, _: torch.ones_like(features))


def tokens():
    """One class token before 4 x 4 patches, and no word of it."""
    import torch

    return _module_class()(
        lambda features, _: torch.cat([features.mean((2, 3))[:, None], features.flatten(2).transpose(1, 2)], dim=1)
    )


def raises():
    raise RuntimeError("no such file: weights.pth")


def needs(path):
    return path


def behind_a_gate():
    from huggingface_hub import hf_hub_download

    return hf_hub_download("acme/secret", "model.safetensors")
