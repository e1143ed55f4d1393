"""A character-level transformer learns the text of ohmweave's documentation and is deployed on noisy chips.

It is trained twice, with and without the errors of the chips in its forward pass (`NoiseAware`), and both networks are
written to chips that differ by chance. Run it with `python examples/character_transformer.py`: some minutes on one
core. `--smoke` trains for seconds only. The text is that of the folder `docs` beside the examples; no download.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import ohmweave as ow

parser = argparse.ArgumentParser(description="A character-level transformer on noisy chips.")
parser.add_argument("--smoke", action="store_true", help="a small network, trained for seconds")
SMOKE = parser.parse_args().smoke

SIZE, CONTEXT, STEPS, RETRAIN = (16, 16, 40, 20) if SMOKE else (64, 48, 1500, 500)
BATCH, N_CHIPS = 32, 2 if SMOKE else 4
CELL = ow.cells.yao2020(read_noise=0.02)
MAPPING = ow.DifferentialPair(levels=15)
TOLERANCE = 3e-6  # S, of a coarse and fast write
WRITE = ow.WriteVerify(tolerance=TOLERANCE)
WRITE_ERROR = TOLERANCE / 3**0.5  # S, standard deviation if a write ends anywhere within its tolerance; ours

pages = sorted((Path(__file__).parent.parent / "docs").glob("*.md"))
text = "".join(page.read_text(encoding="utf-8") for page in pages)
letters = sorted(set(text))
codes = torch.tensor([letters.index(letter) for letter in text])
cut = int(0.9 * len(codes))  # the last tenth is the test text
chance = torch.Generator().manual_seed(1)


def batch(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Random pieces of a text, and the same shifted by a letter."""
    starts = torch.randint(len(part) - CONTEXT - 1, (BATCH, 1), generator=chance)
    at = starts + torch.arange(CONTEXT)
    return part[at], part[at + 1]


class Transformer(nn.Module):
    """Letters to the logits of the next letter."""

    def __init__(self) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(len(letters), SIZE), nn.Embedding(CONTEXT, SIZE)
        layer = nn.TransformerEncoderLayer(SIZE, 4, 4 * SIZE, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, nn.LayerNorm(SIZE), enable_nested_tensor=False)
        self.head = nn.Linear(SIZE, len(letters))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, CONTEXT)` letters to `(batch, CONTEXT, letters)` logits."""
        y = self.letters(x) + self.places(torch.arange(CONTEXT, device=x.device))
        logits: torch.Tensor = self.head(self.blocks(y, mask=self.mask, is_causal=True))
        return logits


def train(net: nn.Module, steps: int, lr: float) -> None:
    """Minimise the cross entropy of the next letter."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr)
    for _ in range(steps):
        x, y = batch(codes[:cut])
        optimizer.zero_grad()
        F.cross_entropy(net(x).flatten(0, 1), y.flatten()).backward()
        optimizer.step()


def new_chip() -> ow.Chip:
    """The same chips each time: cells of equal seeds."""
    return ow.Chip(CELL, n_arrays=2 if SMOKE else 16, rows=256, cols=256, n_chips=N_CHIPS, seed=2)


def losses(net: nn.Module) -> torch.Tensor:
    """Cross entropy of the test text, nats a letter: one number, or one for each chip."""
    chance.manual_seed(3)
    with torch.no_grad():
        found = []
        for _ in range(2 if SMOKE else 8):
            x, y = batch(codes[cut:])
            logits = net(x).movedim(-1, -3)  # (*chips, letters, batch, time)
            found.append(
                -logits.log_softmax(-3).gather(-3, y.expand(*logits.shape[:-3], 1, *y.shape)).mean((-3, -2, -1))
            )
    return torch.stack(found).mean(0)


def report(name: str, model: nn.Module) -> None:
    """Print the loss in software and on each chip."""
    net = ow.deploy(model.eval(), new_chip(), write=WRITE, mapping=MAPPING)
    on_chips = ", ".join(f"{loss:.3f}" for loss in losses(net).tolist())
    print(f"{name}: test loss {float(losses(model)):.3f} in software, on {N_CHIPS} chips {on_chips}")


torch.manual_seed(0)
model = Transformer()
train(model, STEPS, lr=3e-3)
start = {name: value.clone() for name, value in model.state_dict().items()}

# Both networks are trained for as many further steps, so that only the errors differ.
train(model.train(), RETRAIN, lr=1e-3)
report("without noise-aware training", model)

model.load_state_dict(start)
errors = torch.Generator().manual_seed(4)
aware = ow.nn.NoiseAware(model.train(), new_chip(), mapping=MAPPING, sigma=WRITE_ERROR, generator=errors)
train(aware, RETRAIN, lr=1e-3)
report("with noise-aware training", model)
