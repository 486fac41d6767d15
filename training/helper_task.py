"""What the image encoder is also asked while it learns: which style is this, and what colors?

Through the UNet it is told little about what it should see, and slowly; these answers are known for every reference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.styles import STYLES

LOOKS = ("photo", *STYLES)


def color_statistics(pictures: Tensor) -> Tensor:
    """Means and deviations of brightness and of two color differences: ``(n, 6)`` of uint8 ``(n, 3, h, w)``."""
    red, green, blue = (pictures.float() / 127.5 - 1).unbind(1)
    axes = torch.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue], 1).flatten(2)
    return torch.cat([axes.mean(2), axes.std(2)], 1)


class HelperTask(nn.Module):
    """Two linear answers from what the encoder makes of a picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Linear(width, len(LOOKS))
        self.colors = nn.Linear(width, 6)

    def loss(self, embeds: Tensor, pictures: Tensor, looks: Tensor) -> Tensor:
        """Cross entropy of the looks and squared error of the colors.

        Args:
            embeds: ``(n, width)``.
            pictures: uint8, what the encoder saw.
            looks: Indices into `LOOKS`.
        """
        colors = F.mse_loss(self.colors(embeds).float(), color_statistics(pictures))
        return 0.3 * F.cross_entropy(self.look(embeds).float(), looks) + 3 * colors
