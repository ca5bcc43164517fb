"""The networks of student and two teachers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from psmt_viz.config import ModelConfig
from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.models.networks import Networks
from psmt_viz.runs import Run
from psmt_viz.seeds import derived_seed


class PSMT(Networks[DeepLabV3Plus]):
    """A student and, unless it was trained without them, two teachers of the same architecture.

    Args:
        config: The network.
        classes: Class names in the order of their ids.
        teachers: Whether there are teachers.
        teacher_start: Where the teachers' backbones start: from the student's weights, or from random ones as torch
            draws them by default.
        teacher_heads: How the rest of the teachers is drawn: as torch draws layers by default, or Kaiming normal.
        seed: Draws the student's head, and each teacher from its own stream.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), section 3.
    """

    def __init__(
        self,
        config: ModelConfig,
        classes: Sequence[str],
        *,
        teachers: bool = True,
        teacher_start: Literal["student", "random"] = "student",
        teacher_heads: Literal["torch", "kaiming"] = "torch",
        seed: int = 0,
    ) -> None:
        # Construction draws from torch's global generator; the caller's stream must not notice.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, "student"))
            student = DeepLabV3Plus(config, len(classes))
            others: list[DeepLabV3Plus] = []
            for index in range(2 if teachers else 0):
                torch.manual_seed(derived_seed(seed, "teacher", index))
                teacher = DeepLabV3Plus(_untrained(config), len(classes))
                if teacher_start == "student":
                    # Copies that warm up alike would stay alike; only the backbone is shared at the start.
                    teacher.backbone.load_state_dict(student.backbone.state_dict())
                else:
                    _draw_backbone(teacher)
                if teacher_heads == "kaiming":
                    _draw_head(teacher)
                others.append(teacher)
        super().__init__(student, others, classes=classes)

    @torch.no_grad()
    def update_teacher(self, index: int, keep: float) -> None:
        """Moves a teacher towards the student: keep * teacher + (1 - keep) * student, parameters and buffers alike.

        Counters, which have no fractions, are copied.
        """
        teacher, student = self.teachers[index].state_dict(), self.student.state_dict()
        floating = [name for name, value in teacher.items() if value.is_floating_point()]
        torch._foreach_lerp_([teacher[n] for n in floating], [student[n] for n in floating], 1 - keep)
        for name in teacher.keys() - set(floating):
            teacher[name].copy_(student[name])

    def save(self, path: Path) -> None:
        """Writes the weights of all networks as one safetensors file, whole; keys start with the role."""
        weights = {
            f"{role}.{key}": value.detach().cpu().contiguous()
            for role, network in self.by_role().items()
            for key, value in network.state_dict().items()
        }
        with atomic_write(path) as temporary:
            save_file(weights, temporary)

    def load(self, path: Path) -> None:
        """Reads what `save` wrote.

        Raises:
            UserError: if the file is missing, cut short, or holds another network's weights.
        """
        try:
            weights = load_file(path)
        except FileNotFoundError:
            raise UserError(f"a weights file {path}", "nothing there", "train the run, or choose another") from None
        except SafetensorError as error:
            raise UserError(f"whole weights in {path}", str(error), "copy the file again or train again") from None
        for role, network in self.by_role().items():
            own = {k.removeprefix(f"{role}."): v for k, v in weights.items() if k.startswith(f"{role}.")}
            try:
                network.load_state_dict(own)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                raise UserError(f"{role}'s weights in {path}", reason, "give the run that they belong to") from None


def _draw_backbone(network: DeepLabV3Plus) -> None:
    """Draws a backbone's weights as torch's layers do by default, which timm's own rules for its models replace."""
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | _BatchNorm):
            module.reset_parameters()


def _draw_head(network: DeepLabV3Plus) -> None:
    """Draws the convolutions outside the backbone from a normal distribution of variance 2 / fan-in.

    Delving Deep into Rectifiers (He et al., 2015), eq. 10.
    """
    head = {id(parameter) for parameter in network.head_parameters()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and id(module.weight) in head:
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")


def _untrained(config: ModelConfig) -> ModelConfig:
    return ModelConfig(**{**vars(config), "pretrained": False})


def load_run(path: Path | str | None = None, *, weights: str = "last", device: str = "cpu") -> PSMT:
    """Loads the networks of a run, in eval mode.

    Args:
        path: A run folder; left out, the run that is shipped with the project.
        weights: `last`, `best` on the validation images, or `epoch-NNNN` where they were kept.
        device: Where the networks go.

    Raises:
        UserError: if the folder is not a run or has no such weights.
    """
    run = Run.open(Path(path) if path is not None else None)
    networks = PSMT(_untrained(run.config.model), run.classes, teachers=run.config.method.method == "psmt")
    networks.load(run.weights(weights))
    return networks.to(device).eval()
