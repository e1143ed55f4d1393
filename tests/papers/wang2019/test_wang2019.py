"""The system of Wang et al. 2019: its counts, its floor plan, and that its experiments run and draw."""

from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ohmweave.base import generator
from ohmweave.cells.wang2019 import GATES
from ohmweave.experiments import Context, Options, Row, judge, match, read_rows, run_experiment
from ohmweave.experiments.tasks import row_of
from ohmweave.papers.wang2019 import figures, mlp, nonidealities, published, system, tasks, training
from tests.helpers import assert_close

COUNTS = {"cnn": (1_015, 4_060), "convlstm": (850, 3_400), "mlp": (3_996, 7_992)}
INPUTS = {"cnn": (1, 8, 8), "convlstm": (3, 1, 8, 8), "mlp": (1, 8, 8)}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_paper_s(name):
    board = system.chip(2, seed=0)
    network = system.NETWORKS[name](board)
    assert (training.n_weights(network, board), board.n_taken) == COUNTS[name]


def test_blocks_stand_where_the_paper_has_them():
    board = system.chip(1, seed=0)
    system.ConvolutionalNetwork(board)
    sizes = {name: [(t.rows, t.cols) for t in place.tiles] for name, place in board.placed.items()}
    assert sizes == {"conv1": [(36, 15)], "conv2": [(120, 8)], "dense": [(86, 10), (86, 10), (84, 10)]}
    # The good part of the array is 123 x 59; the blocks end with it.
    ends = [(t.row + t.rows, t.col + t.cols) for place in board.placed.values() for t in place.tiles]
    assert (max(row for row, _ in ends), max(col for _, col in ends)) == (123, 59)
    board = system.chip(1, seed=0)
    system.SequenceNetwork(board)
    assert [(t.rows, t.cols) for place in board.placed.values() for t in place.tiles] == [(58, 40), (90, 12)]


def test_the_cnn_is_the_paper_s_network():
    board = system.chip(2, seed=0, noise=0.0)
    network = system.ConvolutionalNetwork(board)
    training.rule(network)
    x = torch.randn(3, 1, 8, 8, generator=generator(0, "x"))
    y = training.predict(network, board, x)
    for k in range(2):
        conv1, conv2, dense = (layer.weight[k].detach() for layer in network.children())
        hidden = F.conv2d(F.relu(F.conv2d(x, conv1, padding=1)), F.pad(conv2, (0, 0)), padding=1)[..., 1:, 1:]
        expected = F.max_pool2d(hidden, 2).flatten(1) @ dense.T
        assert_close(y[k], expected, rtol=1e-4, scale=float(expected.abs().max()))


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_learns_and_is_recorded(name):
    board = system.chip(2, seed=0)
    network = system.NETWORKS[name](board)
    n_classes = 6 if name == "convlstm" else 10
    chance = generator(1, "data")
    labels = torch.randint(n_classes, (300,), generator=chance)
    prototypes = 0.2 * torch.randn(n_classes, *INPUTS[name], generator=chance).sign()
    split = tasks.dataset("digits", Options(), sequences=False).train.__class__(
        images=prototypes[labels], labels=labels
    )
    result = training.train(network, board, split, training.Recipe(batch=50, n_updates=40))
    assert len(result["curve"]["accuracy"]) == len(result["curve"]["loss"]) == 40
    assert result["n_seen"] == 20 * 50
    assert min(training.count_correct(network, board, split)) > 150
    assert result["weight_std"]["before"] != result["weight_std"]["after"]


def test_the_same_seed_gives_the_same_row_and_another_another():
    def accuracy(seed):
        options = Options(seeds=2, seed=seed)
        task = tasks.tasks("wang2019/mlp", "mlp", {"chip": tasks.CHIP}, options)[0]
        board = system.chip(2, seed=task.seed, **task.params["device"])
        network = system.Perceptron(board)
        split = digits().train
        return training.train(network, board, split, training.Recipe(batch=50, n_updates=5))

    assert accuracy(0) == accuracy(0)
    assert accuracy(0)["curve"] != accuracy(1)["curve"]


@cache
def digits():
    return tasks.dataset("digits", Options(), sequences=False)


def test_every_device_of_the_sweep_can_be_built():
    for device in nonidealities.CELLS.values():
        system.chip(1, seed=0, **device)
    # The law behind a series resistance is one of the readings of wang2019/array-law.
    assert {device["gate"] for device in nonidealities.CELLS.values()} == set(GATES) - {"series"}


def test_published_curves_are_whole():
    for name, last in (("cnn", 1_200), ("convlstm", 240)):
        curves = published.curves(name)
        assert curves.update[0] == 1
        assert curves.update[-1] == last
        for values in (*curves.accuracy.values(), *curves.loss.values()):
            assert len(values) == len(curves.update)
        assert all(0 < value < 1 for values in curves.accuracy.values() for value in values)
    assert published.curves("cnn").accuracy["chip"][0] == 0.1332


def test_smoothing_keeps_constants_and_straight_lines_inside():
    assert_close(figures.smoothed([2.0] * 40), [2.0] * 40, rtol=1e-12)
    line = [float(k) for k in range(60)]
    assert_close(figures.smoothed(line)[20:40], line[20:40], rtol=1e-12)


def test_weights_saved():
    task = tasks.tasks("wang2019/mlp", "mlp", {"chip": tasks.CHIP}, Options())[0]
    estimate = mlp.weights_saved([row_of(task, {"n_weights": 3_996}, {}, None)])
    assert estimate is not None
    assert_close(estimate.value, 0.746, rtol=1e-3)
    assert mlp.weights_saved([]) is None


def test_cost_of_noise_is_the_difference():
    def row(variant: str, n_correct: list[int]) -> Row:
        task = tasks.tasks("wang2019/nonidealities", "cnn", {variant: tasks.CHIP}, Options())[0]
        return row_of(task, {"n_correct": n_correct, "n_test": 100}, {}, None)

    estimate = nonidealities.cost_of_noise([row("noise-free", [97, 95]), row("stuck 0", [91, 93])])
    assert estimate is not None
    assert_close(estimate.value, 0.04, rtol=1e-9)
    assert nonidealities.cost_of_noise([row("stuck 0", [91])]) is None


@pytest.mark.slow
def test_experiments_run_small_are_judged_and_drawn(tmp_path: Path):
    for experiment in match("wang2019/cnn") + match("wang2019/convlstm") + match("wang2019/mlp"):
        summary = run_experiment(experiment, Options(seeds=2, out=tmp_path), lambda fraction, text: None)
        rows = read_rows(summary.path)
        verdicts = {claim.key: judge(claim, rows).verdict for claim in experiment.claims}
        assert verdicts["weights"] == verdicts["cells"] == "reproduced"
        assert verdicts["accuracy"] == "not comparable"
        assert all(figure.draw(rows) is not None for figure in experiment.figures)
        assert all(table.rows(rows) for table in experiment.tables)


def test_the_chip_has_a_bill_of_its_training_and_its_inference(monkeypatch: pytest.MonkeyPatch):
    """Multiplications by hand: 64 patches of 9 and 60 values with 15 and 4 kernels, and 64 x 10."""
    monkeypatch.setitem(tasks.SMOKE_RECIPES, "cnn", training.Recipe(batch=20, n_updates=3))
    options = Options(seeds=2)
    metered, bare = tasks.tasks("wang2019/cnn", "cnn", {"chip": tasks.CHIP, "noise": tasks.NO_STUCK}, options)
    result = tasks.run(metered, Context(options=options))
    energy = result["energy"]
    assert {record["chips"] for record in result["bill"]} == {2}
    assert energy["training"]["n_images"] == 2 * 3 * 20
    n_macs = 64 * 9 * 15 + 64 * 60 * 4 + 64 * 10
    assert_close(energy["inference"]["gpu_energy"], 2 * n_macs / 100e9, rtol=1e-9)
    back = 64 * 60 * 4 + 64 * 10  # errors through all layers but the first
    assert_close(energy["training"]["gpu_energy"], 2 * (2 * n_macs + back) / 100e9, rtol=1e-9)
    assert energy["training"]["energy"] > energy["inference"]["energy"] > 0
    assert "bill" not in tasks.run(bare, Context(options=options))
