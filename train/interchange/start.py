"""What a run starts from when it does not start from chance (`fit --init`)."""

from dataclasses import replace

from train.config import TrainConfig
from train.interchange import read_model
from train.interchange.portable import PortableModel
from train.models.openai import differing_fields, fitted


def start_of(config: TrainConfig) -> PortableModel | None:
    """Return the model to start from, at the run's resolution; None where the config names none.

    Its tokenizer becomes the run's. Raises ValueError where it is of another architecture than the run's.
    """
    if config.init is None:
        return None
    model = read_model(config.init, config.tokenizer.clip_vocab)
    if differing := differing_fields(config.model, model.config):
        asked, found = vars(config.model), vars(model.config)
        sizes = ", ".join(f"{name} {found.get(name)}, not {asked.get(name)}" for name in differing)
        raise ValueError(f"--init {config.init} has {sizes}. Next: another recipe, or flags of --model")
    return replace(model, config=config.model, state=fitted(model.state, config.model))
