"""transformers models: built from the repository's configuration, and filled with one verified weight file."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mitozoo.errors import ModelError
from mitozoo.models.hub import hub_file, own_file
from mitozoo.models.loaders.generics import Arguments, build_network, load_network
from mitozoo.models.loaders.networks import resolved, seeded
from mitozoo.models.loaders.state import State, read_state, require_fit
from mitozoo.models.loaders.transformers_output import OneOutput
from mitozoo.models.permissions import require_remote_code
from mitozoo.models.requirements import import_optional
from mitozoo.models.weights import locate, weights_sha256
from mitozoo.plugins.sources import TransformersHub

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "config.json"


@build_network.register(TransformersHub)
def _build(source: TransformersHub, *, seed: int = 0, kwargs_override: Arguments = None) -> torch.nn.Module:
    design = _design(source, kwargs_override, None)
    with seeded(seed):
        return OneOutput(design.untrained(), source.output)


@load_network.register(TransformersHub)
def _load(
    source: TransformersHub, *, kwargs_override: Arguments = None, file: Path | None = None
) -> tuple[torch.nn.Module, str]:
    if source.trust_remote_code:
        require_remote_code(source.repo, source.revision)
    sha256 = weights_sha256(source, file=file)
    design = _design(source, kwargs_override, file)
    return OneOutput(design.filled(read_state(locate(source, file=file))), source.output), sha256


@dataclass(frozen=True)
class _Design:
    """A class of transformers with its configuration and arguments."""

    model_class: Any
    config: Any
    kwargs: dict[str, Any]

    def untrained(self) -> torch.nn.Module:
        """Build it with the initial weights of its class."""
        try:
            return self.model_class(self.config, **self.kwargs)
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise self._failure(error) from error

    def filled(self, state: State) -> torch.nn.Module:
        """Build it with the given weights, and with them alone.

        transformers itself maps key names of older versions; what it would make up or leave over is refused here.
        """
        logging = import_optional("transformers.utils.logging", "transformers", self.model_class.__name__)
        verbosity = logging.get_verbosity()
        bar = logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            with seeded(0):
                network, report = self.model_class.from_pretrained(
                    None, config=self.config, state_dict=dict(state), output_loading_info=True,
                    ignore_mismatched_sizes=True, **self.kwargs,
                )  # fmt: skip
        except (TypeError, ValueError, AttributeError, RuntimeError, KeyError, OSError) as error:
            raise self._failure(error) from error
        finally:
            logging.set_verbosity(verbosity)
            if bar:
                logging.enable_progress_bar()
        ours = _surplus(report["unexpected_keys"], state, self)
        misshapen = [key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]]
        require_fit(
            self.model_class.__name__, missing=sorted(report["missing_keys"]), surplus=ours, misshapen=sorted(misshapen)
        )
        return network

    def _failure(self, error: Exception) -> ModelError:
        return ModelError(
            f"transformers {_version()} cannot build a {self.model_class.__name__} with {self.kwargs}: "
            f"{type(error).__name__}: {error}"
        )


def _surplus(unexpected: Any, state: State, design: _Design) -> list[str]:
    """Return the keys that have no place, but for heads that this class leaves off.

    These are the pooler, where the arguments leave it off, and what lies outside of the class's own part in a file
    that was saved from a larger model ('vit.encoder...' beside 'classifier.weight').
    """
    keys = sorted(unexpected)
    if design.kwargs.get("add_pooling_layer") is False:
        keys = [key for key in keys if "pooler" not in key.split(".")]
    part = f"{getattr(design.model_class, 'base_model_prefix', '')}."
    if part != "." and any(key.startswith(part) for key in state):
        keys = [key for key in keys if key.startswith(part) or key not in state]
    return keys


def _design(source: TransformersHub, kwargs_override: Arguments, file: Path | None) -> _Design:
    """Find a source's class and configuration; ask before any code of the repository is run."""
    if source.trust_remote_code:
        require_remote_code(source.repo, source.revision)
    transformers = import_optional("transformers", "transformers", source.repo)
    beside = file.with_name(CONFIG) if file is not None else None
    path = beside if beside is not None and beside.is_file() else hub_file(source.repo, CONFIG, source.revision)
    stated = _read_config(path)
    name = source.model_class.removeprefix("transformers:")
    kwargs = {**resolved(source.kwargs), **(kwargs_override or {})}
    if source.trust_remote_code and name.startswith("Auto"):
        is_local = path == beside or own_file(f"{source.repo}/{CONFIG}") is not None
        config_class, model_class = _remote_classes(source, name, stated, path.parent if is_local else None)
        return _Design(model_class, config_class.from_dict(stated), kwargs)

    if (asked := getattr(transformers, name, None)) is None:
        raise ModelError(
            f"transformers {_version()} has no class '{name}'",
            hint="A newer one may have it: pip install --upgrade transformers",
        )
    config = _known_config(transformers, asked, stated, source.repo)
    if not name.startswith("Auto"):
        return _Design(asked, config, kwargs)
    with torch.device("meta"):
        return _Design(type(asked.from_config(config)), config, kwargs)


def _read_config(path: Path) -> dict[str, Any]:
    """Read a configuration; weights are held in fp32 whatever it says, since precision is the spec's affair."""
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(stated, dict):
        raise ModelError(f"cannot read the configuration {path}: it holds no object")
    stated.pop("torch_dtype", None)
    return stated | {"dtype": "float32"}


def _known_config(transformers: Any, model_class: Any, stated: dict[str, Any], repo: str) -> Any:
    config_class = getattr(model_class, "config_class", None)
    if config_class is not None:
        return config_class.from_dict(stated)
    try:
        return transformers.AutoConfig.for_model(**stated)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"transformers {_version()} does not know the model type '{stated.get('model_type')}' of {repo}",
            hint="A newer one may: pip install --upgrade transformers",
        ) from error


def _version() -> str:
    return importlib.metadata.version("transformers")


def _remote_classes(source: TransformersHub, name: str, stated: dict[str, Any], folder: Path | None) -> tuple[Any, Any]:
    """Import a repository's own classes: at the pinned revision, or from the user's own folder."""
    if folder is None and source.revision is None:
        raise ModelError(
            f"{source.repo} pins no revision of its code, and mitozoo runs no code that may change",
            hint=f"Put the repository's files at DIR/{source.repo}, read them, and set MITOZOO_WEIGHTS=DIR.",
        )
    dynamic = import_optional("transformers.dynamic_module_utils", "transformers", source.repo)
    addresses = stated.get("auto_map") or {}
    if missing := {"AutoConfig", name}.difference(addresses):
        raise ModelError(f"the configuration of {source.repo} names no code for {min(missing)}")
    classes = []
    for kind in ("AutoConfig", name):
        if "--" in addresses[kind]:  # 'other/repository--module.Class', at a revision that nobody pinned
            raise ModelError(f"refused {source.repo}: its code lies elsewhere, in {addresses[kind].partition('--')[0]}")
        where = str(folder) if folder else source.repo
        try:
            classes.append(dynamic.get_class_from_dynamic_module(addresses[kind], where, revision=source.revision))
        except Exception as error:  # foreign code may raise anything when it is imported
            raise ModelError(f"the code of {source.repo} cannot be imported: {error}") from error
    return classes[0], classes[1]
