"""The papers behind a run: which of the known works its experiments, rules, cells, prices and data name, as BibTeX."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ohmweave.base import check_kind
from ohmweave.experiments import Experiment, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A work that can be cited.

    Attributes:
        key: of its BibTeX entry.
        kind: of the entry, such as "article".
        fields: of the entry, by name.
        found_by: a pattern (regular expression) of the texts that mean it, in sources, names of rules and of cells.
    """

    key: str
    kind: str
    fields: Mapping[str, str]
    found_by: str

    def bibtex(self) -> str:
        """The entry."""
        lines = [f"  {name} = {{{text}}}," for name, text in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def _article(key: str, found_by: str, author: str, title: str, where: str, doi: str) -> Reference:
    journal, volume, pages, year = where.split("; ")
    fields = {"author": author, "title": title, "journal": journal, "volume": volume, "pages": pages, "year": year}
    return Reference(key=key, kind="article", fields=fields | {"doi": doi}, found_by=found_by)


OHMWEAVE = Reference(
    key="ohmweave",
    kind="software",
    fields={"author": "{ohmweave developers}", "title": "ohmweave: neural networks on memristor crossbars"},
    found_by=r"$^",
)
"""ohmweave itself, which is always cited, with the versions that the rows name."""

REFERENCES: tuple[Reference, ...] = (
    _article(
        "yao2020", r"yao2020|Yao (et al\.?,? ?|\()?.{0,40}2020|Nature 577",
        "Yao, Peng and Wu, Huaqiang and Gao, Bin and Tang, Jianshi and Zhang, Qingtian and Zhang, Wenqiang and "
        "Yang, J. Joshua and Qian, He",
        "Fully hardware-implemented memristor convolutional neural network",
        "Nature; 577; 641--646; 2020", "10.1038/s41586-020-1942-4",
    ),
    _article(
        "wang2019", r"wang2019|Wang et al\.?,? .{0,40}2019|Nat\w*\.? Mach\w*\.? Intel\w*\.? 1, 434",
        "Wang, Zhongrui and others",
        "In situ training of feed-forward and recurrent convolutional memristor networks",
        "Nature Machine Intelligence; 1; 434--442; 2019", "10.1038/s42256-019-0089-1",
    ),
    _article(
        "li2018", r"Li et al\.?,? .{0,40}2018|Nature Communications 9, 2385",
        "Li, Can and others",
        "Efficient and self-adaptive in-situ learning in multilayer memristor neural networks",
        "Nature Communications; 9; 2385; 2018", "10.1038/s41467-018-04484-2",
    ),
    _article(
        "zhang2018", r"zhang2018|Neural Networks 108|Zhang et al\.?,? .{0,30}2018|sign backpropagation",
        "Zhang, Qingtian and Wu, Huaqiang and Yao, Peng and Zhang, Wenqiang and Gao, Bin and Deng, Ning and Qian, He",
        "Sign backpropagation: An on-chip learning algorithm for analog RRAM neuromorphic computing systems",
        "Neural Networks; 108; 217--223; 2018", "10.1016/j.neunet.2018.08.012",
    ),
    _article(
        "zhang2023", r"stellar|Science 381, 1205|Zhang et al\.?,? .{0,30}2023",
        "Zhang, Wenbin and others",
        "Edge learning using a fully integrated neuro-inspired memristor chip",
        "Science; 381; 1205--1211; 2023", "10.1126/science.ade3483",
    ),
    _article(
        "nandakumar2020", r"mixed precision|Nandakumar",
        "Nandakumar, S. R. and others", "Mixed-precision deep learning based on computational memory",
        "Frontiers in Neuroscience; 14; 406; 2020", "10.3389/fnins.2020.00406",
    ),
    _article(
        "gokmen2016", r"pulsed SGD|Gokmen and Vlasov|Gokmen .{0,12}2016",
        "Gokmen, Tayfun and Vlasov, Yurii",
        "Acceleration of deep neural network training with resistive cross-point devices: design considerations",
        "Frontiers in Neuroscience; 10; 333; 2016", "10.3389/fnins.2016.00333",
    ),
    _article(
        "gokmen2021", r"Tiki-Taka|Gokmen 2021",
        "Gokmen, Tayfun", "Enabling training of neural networks on noisy hardware",
        "Frontiers in Artificial Intelligence; 4; 699148; 2021", "10.3389/frai.2021.699148",
    ),
    _article(
        "prezioso2015", r"Manhattan|Prezioso",
        "Prezioso, M. and Merrikh-Bayat, F. and Hoskins, B. D. and Adam, G. C. and Likharev, K. K. and Strukov, D. B.",
        "Training and operation of an integrated neuromorphic network based on metal-oxide memristors",
        "Nature; 521; 61--64; 2015", "10.1038/nature14441",
    ),
    _article(
        "ambrogio2018", r"Ambrogio et al\.?,? .{0,20}2018|Nature 558",
        "Ambrogio, Stefano and others", "Equivalent-accuracy accelerated neural-network training using analogue memory",
        "Nature; 558; 60--67; 2018", "10.1038/s41586-018-0180-5",
    ),
    _article(
        "ambrogio2023", r"Ambrogio .{0,20}2023|Nature 620",
        "Ambrogio, S. and others", "An analog-AI chip for energy-efficient speech recognition and transcription",
        "Nature; 620; 768--775; 2023", "10.1038/s41586-023-06337-5",
    ),
    _article(
        "wan2022", r"NeuRRAM|Nature 608",
        "Wan, Weier and others", "A compute-in-memory chip based on resistive random-access memory",
        "Nature; 608; 504--512; 2022", "10.1038/s41586-022-04992-8",
    ),
    _article(
        "song2024", r"Song et al|Science 383, 903",
        "Song, Wenhao and others",
        "Programming memristor arrays with arbitrarily high precision for analog computing",
        "Science; 383; 903--910; 2024", "10.1126/science.adi9405",
    ),
    _article(
        "lecun1998", r"\bmnist\b",
        "LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick",
        "Gradient-based learning applied to document recognition",
        "Proceedings of the IEEE; 86; 2278--2324; 1998", "10.1109/5.726791",
    ),
    Reference(
        key="shafiee2016", kind="inproceedings", found_by=r"ISAAC|Shafiee",
        fields={
            "author": "Shafiee, Ali and others",
            "title": "ISAAC: A convolutional neural network accelerator with in-situ analog arithmetic in crossbars",
            "booktitle": "International Symposium on Computer Architecture (ISCA)", "pages": "14--26", "year": "2016",
            "doi": "10.1109/ISCA.2016.12",
        },
    ),
    Reference(
        key="kull2013", kind="inproceedings", found_by=r"Kull",
        fields={
            "author": "Kull, Lukas and others",
            "title": "A 3.1mW 8b 1.2GS/s single-channel asynchronous SAR ADC with alternate comparators for enhanced "
            "speed in 32nm digital SOI CMOS",
            "booktitle": "IEEE International Solid-State Circuits Conference (ISSCC)", "pages": "468--469",
            "year": "2013",
        },
    ),
    Reference(
        key="krizhevsky2009", kind="techreport", found_by=r"\bcifar",
        fields={
            "author": "Krizhevsky, Alex", "title": "Learning multiple layers of features from tiny images",
            "institution": "University of Toronto", "year": "2009",
        },
    ),
    Reference(
        key="alpaydin1998", kind="misc", found_by=r"\bdigits\b",
        fields={
            "author": "Alpaydin, E. and Kaynak, C.",
            "title": "Optical Recognition of Handwritten Digits, UCI Machine Learning Repository", "year": "1998",
            "doi": "10.24432/C50P49",
        },
    ),
)  # fmt: skip
"""Works that sources in ohmweave name. What a source names and is not here is printed as the source has it."""


def cited(results: Mapping[str, Sequence[Row]], known: Mapping[str, Experiment]) -> list[tuple[Reference, str]]:
    """The works that rows and their experiments name, each with what it is cited for; ohmweave first.

    Args:
        results: rows by experiment, as `ohmweave.experiments.read_results` gives them.
        known: experiments by name; rows of others count by their own texts.

    Returns:
        Pairs of a work and the experiments that name it, such as "yao2020/stages"; for ohmweave its versions.

    Raises:
        TypeError: `results` or `known` is no mapping.
    """
    check_kind("results", results, Mapping)
    check_kind("known", known, Mapping)
    versions = sorted({row.versions.get("ohmweave", "unknown") for rows in results.values() for row in rows})
    texts = {name: _texts(rows, known.get(name)) for name, rows in results.items() if rows}
    found = [(OHMWEAVE, f"version {', '.join(versions)}")]
    for one in REFERENCES:
        pattern = re.compile(one.found_by, re.IGNORECASE)
        users = [name for name, text in texts.items() if pattern.search(text)]
        if users:
            found.append((one, ", ".join(users)))
    return found


def other_sources(results: Mapping[str, Sequence[Row]]) -> list[str]:
    """Sources of prices in the bills of rows that name no work of `REFERENCES`, as they are written there."""
    sources = {
        str(record["source"])
        for rows in results.values()
        for row in rows
        for record in _records(row.result.get("bill"))
        if record.get("source")
    }
    patterns = [re.compile(one.found_by, re.IGNORECASE) for one in REFERENCES]
    return sorted(text for text in sources if not any(pattern.search(text) for pattern in patterns))


def bibtex(results: Mapping[str, Sequence[Row]], known: Mapping[str, Experiment]) -> str:
    """The works of `cited` as a BibTeX file, each below a comment that says what it is cited for.

    Args:
        results: rows by experiment.
        known: experiments by name, as in `cited`.

    Raises:
        TypeError: `results` or `known` is no mapping.
    """
    parts = [f"% {what}\n{one.bibtex()}" for one, what in cited(results, known)]
    others = [f"% not in the list, cited as: {' '.join(text.split())}" for text in other_sources(results)]
    return "\n\n".join([*parts, *others]) + "\n"


def _texts(rows: Sequence[Row], experiment: Experiment | None) -> str:
    """Everything of an experiment that may name a work."""
    found: list[str] = [rows[0].experiment]
    if experiment is not None:
        found.append(experiment.paper)
        found += [one.source for one in experiment.assumptions]
    for row in rows:
        found += list(_strings(row.params))
        found += [str(record.get("source", "")) for record in _records(row.result.get("bill"))]
    return "\n".join(dict.fromkeys(found))


def _records(bill: Any) -> list[Mapping[str, Any]]:
    return [one for one in bill if isinstance(one, Mapping)] if isinstance(bill, list) else []


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in _strings(one)]
    if isinstance(value, list | tuple):
        return [text for one in value for text in _strings(one)]
    return []
