"""One output of a transformers model, as a network that takes images and gives a tensor."""

from __future__ import annotations

from typing import Any

import torch


class OneOutput(torch.nn.Module):
    """Wraps a model so that it gives the one output that its source names.

    Attributes:
        model: the transformers model; of one with two towers, the image tower alone.
        output: 'last_hidden_state', 'pooler_output', 'image_features' or 'encode_image'.
        num_prefix_tokens: class and register tokens, where the output is tokens and the model shows how many.
    """

    def __init__(self, model: torch.nn.Module, output: str) -> None:
        super().__init__()
        self.model, self.output = model, output
        if output == "image_features":
            for name in ("text_model", "text_projection", "logit_scale", "logit_bias"):
                if hasattr(model, name):
                    delattr(model, name)
        embeddings: Any = getattr(model, "embeddings", None)
        if output == "last_hidden_state" and hasattr(embeddings, "cls_token"):
            self.num_prefix_tokens = 1 + int(getattr(model.config, "num_register_tokens", None) or 0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Turn float (n, 3, size, size) into tokens (n, tokens, channels), or one vector each (n, channels)."""
        model: Any = self.model
        if self.output == "encode_image":
            return model.encode_image(images)
        if self.output == "image_features":
            features = model.get_image_features(pixel_values=images)
            return features if isinstance(features, torch.Tensor) else features.pooler_output  # transformers < 5, 5
        return getattr(model(pixel_values=images), self.output)
