"""The small classifiers of the probe. Each sees less of time than the next; none is tuned to any dataset."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.inputs import dense
from snn5bench.data.batches import SplitBatches
from snn5bench.data.packed import Packed
from snn5bench.data.splits import TEST, TRAIN, VAL
from snn5bench.seeds import stream

HIDDEN, BATCH, LR = 128, 64, 2e-3
STEPS, PATIENCE = 2000, 700
"""Training steps at most, and without a better validation accuracy before it is given up; whole epochs."""
LIMIT = 5000
"""Most training samples used, drawn once for all probes."""

See = Callable[[Tensor], Tensor]
"""From a batch `[T, B, C]` to what the network is shown."""


def counts_of(packed: Packed, index: np.ndarray) -> np.ndarray:
    """Events of each channel, float64 [samples, C]; the frame itself where frames are repeated."""
    if packed.spec.coding == "repeated":
        return np.array(packed.frame[index], dtype=np.float64)
    out = np.zeros((len(index), packed.spec.channels))
    for row, i in enumerate(index.tolist()):
        channel = packed.channel[packed.indptr[i] : packed.indptr[i + 1]]
        out[row] = np.bincount(channel, minlength=packed.spec.channels)
    return out


def training_samples(packed: Packed) -> np.ndarray:
    """The train split, or `LIMIT` of it."""
    train = packed.indices(TRAIN)
    if len(train) <= LIMIT:
        return train
    rng = np.random.default_rng(stream("probe", packed.spec.name))
    return np.sort(rng.choice(train, LIMIT, replace=False))


def logistic_on_counts(packed: Packed) -> np.ndarray:
    """Right or wrong [n_test] of a logistic regression on square roots of counts; its penalty chosen on validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, val, test = training_samples(packed), packed.indices(VAL), packed.indices(TEST)
    x = {name: _root(counts_of(packed, i)) for name, i in (("train", train), ("val", val), ("test", test))}
    y = packed.label

    def fitted(penalty: float, inputs: np.ndarray, labels: np.ndarray):  # type: ignore[no-untyped-def]
        return make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=200)).fit(inputs, labels)

    scores = {C: fitted(C, x["train"], y[train]).score(x["val"], y[val]) for C in (1e-3, 1e-2, 1e-1, 1.0)}
    best = max(scores, key=lambda C: (scores[C], -C))
    both = fitted(best, np.concatenate([x["train"], x["val"]]), y[np.concatenate([train, val])])
    return both.predict(x["test"]) == y[test]


def _root(counts: np.ndarray) -> np.ndarray:
    return np.sign(counts) * np.sqrt(np.abs(counts))


class Frames(nn.Module):
    """A perceptron on each frame by itself; logits per step."""

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(spec.channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, spec.n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """`[T, B, C] -> [T, B, classes]`"""
        return self.layers(x)


class Gru(nn.Module):
    """One layer of gated recurrent units; logits per step. Its update gates start with memories of 1 to T steps (Tallec
    and Ollivier 2018, chrono initialisation), without which it does not find what lies twenty steps back."""

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__()
        self.cells = nn.GRU(spec.channels, HIDDEN)
        with torch.no_grad():
            memory = torch.empty(HIDDEN).uniform_(1, max(spec.T, 2))
            self.cells.get_parameter("bias_hh_l0")[HIDDEN : 2 * HIDDEN] = memory.log()
        self.out = nn.Linear(HIDDEN, spec.n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """`[T, B, C] -> [T, B, classes]`"""
        return self.out(self.cells(x)[0])


def as_counts(x: Tensor) -> Tensor:
    """The square root of each channel's count, as one frame `[1, B, C]`."""
    return x.sum(0, keepdim=True).sign() * x.sum(0, keepdim=True).abs().sqrt()


def as_sequence(x: Tensor) -> Tensor:
    """All of it."""
    return x


def trained(
    packed: Packed, build: Callable[[DatasetSpec], nn.Module], see: See, seed: int, shuffle: bool = False
) -> np.ndarray:
    """Right or wrong [n_test] of a network trained by Adam, at the epoch that validation chose.

    The read-out is the dataset's: the mean over steps, or the last step. `shuffle` permutes the steps of every sample,
    in all splits.
    """
    spec = packed.spec
    torch.manual_seed(stream("probe", seed))
    model = build(spec)
    optimiser = torch.optim.Adam(model.parameters(), lr=LR)
    order = np.random.default_rng(stream("probe", "order", seed))
    time_seed = stream("probe", "time", seed) if shuffle else None
    train, val = training_samples(packed), packed.indices(VAL)
    best, best_state, waited = -1.0, copy.deepcopy(model.state_dict()), 0

    def batches(index: np.ndarray, split: int) -> Iterator[tuple[Tensor, Tensor]]:
        source = SplitBatches(packed, split, BATCH, shuffle_time_seed=time_seed)
        for start in range(0, len(index), BATCH):
            chosen = index[start : start + BATCH]
            yield see(dense(source.inputs(chosen))), torch.from_numpy(packed.label[chosen].astype(np.int64))

    def scores(x: Tensor) -> Tensor:
        logits = model(x)
        return logits[-1] if spec.readout == "last" else logits.mean(0)

    def correct(index: np.ndarray, split: int) -> np.ndarray:
        model.eval()
        with torch.no_grad():
            return np.concatenate([(scores(x).argmax(1) == y).numpy() for x, y in batches(index, split)])

    per_epoch = -(-len(train) // BATCH)
    for _ in range(-(-STEPS // per_epoch)):
        model.train()
        for x, y in batches(order.permutation(train), TRAIN):
            loss = nn.functional.cross_entropy(scores(x), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        accuracy, waited = float(correct(val, VAL).mean()), waited + 1
        if accuracy > best:
            best, best_state, waited = accuracy, copy.deepcopy(model.state_dict()), 0
        if waited * per_epoch >= PATIENCE:
            break
    model.load_state_dict(best_state)
    return correct(packed.indices(TEST), TEST)
